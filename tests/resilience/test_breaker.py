from __future__ import annotations

import math
import tracemalloc
import weakref
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.resilience.breaker_rig import CLOSED, DEFAULTS, HALF_OPEN, OPEN, Rig
from ttskit.errors import CircuitOpenError, GenerationError
from ttskit.resilience.breaker import Breaker, BreakerReason, BreakerState
from ttskit.resilience.settings import BreakerSettings


def test_five_failures_open_it_however_far_apart() -> None:
    rig = Rig()
    for expected in [CLOSED] * 4 + [OPEN]:
        rig.breaker.admit().fail()
        assert rig.state is expected
        rig.clock.now += 60 if expected is CLOSED else 0


def test_a_success_starts_the_row_of_failures_anew() -> None:
    rig = Rig(DEFAULTS.model_copy(update={"failure_ratio": 1.0}))
    for _ in range(20):
        for _ in range(4):
            rig.breaker.admit().fail()
        rig.breaker.admit().succeed()
    assert rig.state is CLOSED


@pytest.mark.parametrize(("failures", "state"), [(4, CLOSED), (5, OPEN)])
def test_half_of_ten_calls_open_it(failures: int, state: BreakerState) -> None:
    rig = Rig()
    permits = [rig.breaker.admit() for _ in range(10)]
    for index, permit in enumerate(permits):
        permit.fail() if index % 2 and index // 2 < failures else permit.succeed()
    assert rig.state is state


@pytest.mark.parametrize(("slow", "state"), [(7, CLOSED), (8, OPEN)])
def test_eight_slow_calls_of_ten_open_it(slow: int, state: BreakerState) -> None:
    rig = Rig()
    for index in range(10):
        rig.breaker.admit().succeed(first_audio_s=0.3 if index < 10 - slow else 2.1)
    assert rig.state is state
    assert rig.breaker.snapshot().slow_ratio == slow / 10


def test_a_long_text_that_soon_begins_is_not_slow() -> None:
    rig = Rig()
    for _ in range(20):
        permit = rig.breaker.admit()
        rig.clock.now += 60
        permit.succeed(first_audio_s=2.0)
    assert rig.breaker.snapshot().slow_ratio == 0


def test_nothing_is_slow_where_slowness_is_switched_off() -> None:
    rig = Rig(BreakerSettings(slow_after_s=None))
    for _ in range(20):
        rig.breaker.admit().succeed(first_audio_s=1e6)
    assert rig.state is CLOSED


def test_failures_of_long_ago_do_not_count_in_the_share() -> None:
    rig = Rig()
    for _ in range(4):
        rig.breaker.admit().fail()
    rig.clock.now += 31
    for fails in [False, True] * 4 + [False]:
        permit = rig.breaker.admit()
        permit.fail() if fails else permit.succeed()
    assert rig.breaker.snapshot().calls == 9
    assert rig.state is CLOSED


def test_a_rejection_says_when_to_come_back() -> None:
    rig = Rig()
    rig.trip()
    with pytest.raises(CircuitOpenError, match="piper: failed of late") as caught:
        rig.breaker.admit()
    assert caught.value.retry_after == rig.wait()
    assert 2.5 <= rig.wait() <= 5


@given(st.floats(0, 1e9), st.integers(0, 1_000))
def test_who_waits_as_long_as_told_is_let_through(start: float, seed: int) -> None:
    rig = Rig(seed=seed)
    rig.clock.now = start
    rig.trip()
    rig.clock.now += rig.wait() * 0.999
    rig.clock.now += rig.wait()
    assert not rig.rejects()


def test_a_probe_that_is_due_is_due_now() -> None:
    rig = Rig()
    rig.trip()
    rig.clock.now += 100
    assert (rig.state, rig.wait()) == (OPEN, 0.0)
    rig.breaker.admit().succeed()
    assert (rig.state, rig.wait()) == (HALF_OPEN, 0.0)


def test_two_good_probes_close_it_with_a_clean_sheet() -> None:
    rig = Rig()
    rig.trip()
    rig.probe().succeed(first_audio_s=0.2)
    assert rig.state is HALF_OPEN
    rig.breaker.admit().succeed()
    assert rig.state is CLOSED
    assert (rig.breaker.snapshot().calls, rig.breaker.snapshot().consecutive_failures) == (0, 0)


@pytest.mark.parametrize("first_audio_s", [None, 2.1], ids=["failed", "slow"])
def test_a_bad_probe_opens_it_for_longer(first_audio_s: float | None) -> None:
    rig = Rig()
    rig.trip()
    rig.probe().succeed()
    probe = rig.breaker.admit()
    probe.succeed(first_audio_s=first_audio_s) if first_audio_s else probe.fail()
    assert rig.state is OPEN
    assert 5 <= rig.wait() <= 10


def test_a_good_probe_of_an_earlier_try_does_not_count_in_this_one() -> None:
    rig = Rig()
    rig.trip()
    rig.probe().succeed()
    rig.breaker.admit().fail()
    rig.probe().succeed()
    assert rig.state is HALF_OPEN


def test_one_probe_at_a_time_is_let_through() -> None:
    rig = Rig()
    rig.trip()
    rig.clock.now += rig.wait() - 0.001
    assert rig.rejects()
    probe = rig.probe()
    with pytest.raises(CircuitOpenError) as caught:
        rig.breaker.admit()
    assert caught.value.retry_after == pytest.approx(DEFAULTS.probe_deadline_s)
    probe.succeed()
    assert not rig.rejects()


@given(st.lists(st.sampled_from(["succeed", "fail", "cancel"]), min_size=10, max_size=100))
def test_calls_from_before_the_outage_say_nothing_about_the_recovery(outcomes: list[str]) -> None:
    rig = Rig()
    old = [(rig.breaker.admit(), outcome) for outcome in outcomes]
    rig.trip()
    probe = rig.probe()
    before = rig.breaker.snapshot()
    for permit, outcome in old:
        {"succeed": permit.succeed, "fail": permit.fail, "cancel": permit.cancel}[outcome]()
    assert rig.breaker.snapshot() == before
    assert rig.rejects()
    probe.succeed()
    rig.breaker.admit().succeed()
    assert rig.state is CLOSED


def test_a_probe_of_an_earlier_outage_does_not_end_this_one() -> None:
    rig = Rig()
    rig.trip()
    old = rig.probe()
    rig.breaker.reset()
    rig.trip()
    rig.probe()
    old.fail()
    assert rig.state is HALF_OPEN
    assert rig.rejects()


@pytest.mark.parametrize("state", list(BreakerState))
def test_cancelled_calls_leave_no_trace(state: BreakerState) -> None:
    rig = Rig()
    if state is not CLOSED:
        rig.trip()
    if state is HALF_OPEN:
        rig.probe().cancel()
    before = rig.breaker.snapshot()
    for _ in range(10_000):
        with suppress(CircuitOpenError):
            rig.breaker.admit().cancel()
    assert rig.breaker.snapshot() == before


def test_good_probes_close_it_after_any_number_of_cancelled_ones() -> None:
    rig = Rig()
    rig.trip()
    rig.let_it_wait()
    for _ in range(2):
        for _ in range(100):
            rig.breaker.admit().cancel()
        rig.breaker.admit().succeed()
    assert rig.state is CLOSED


def test_a_call_left_by_an_exception_is_neutral_and_gives_its_place_back() -> None:
    rig = Rig()
    rig.trip()
    rig.let_it_wait()
    with pytest.raises(KeyboardInterrupt), rig.breaker.admit():
        raise KeyboardInterrupt
    assert rig.state is HALF_OPEN
    assert not rig.rejects()


def test_the_first_outcome_of_a_call_is_the_one_that_counts() -> None:
    rig = Rig()
    with rig.breaker.admit() as permit:
        permit.succeed()
        permit.fail()
    assert rig.breaker.snapshot().calls == 1
    assert rig.breaker.snapshot().failure_ratio == 0


def test_a_probe_that_hangs_makes_room_for_another() -> None:
    rig = Rig()
    rig.trip()
    hung = rig.probe()
    rig.clock.now += DEFAULTS.probe_deadline_s
    assert rig.state is OPEN
    assert 2.5 <= rig.wait() <= 5  # it does not grow
    probe = rig.probe()
    hung.fail()
    probe.succeed()
    rig.breaker.admit().succeed()
    assert rig.state is CLOSED


def test_the_wait_after_a_hung_probe_runs_from_its_end_though_nobody_looked() -> None:
    rig = Rig()
    rig.trip()
    hung = rig.probe()
    rig.clock.now += DEFAULTS.probe_deadline_s + DEFAULTS.first_wait_s
    assert not rig.rejects()
    hung.succeed()
    assert rig.state is HALF_OPEN
    assert [change.reason for change in rig.changes[2:]] == [
        BreakerReason.PROBE_EXPIRED,
        BreakerReason.PROBE_DUE,
    ]


def test_a_probe_that_shows_life_is_not_given_up() -> None:
    rig = Rig()
    rig.trip()
    probe = rig.probe()
    for _ in range(10):
        rig.clock.now += 4.9
        probe.progress()
    assert rig.rejects()
    probe.succeed()
    assert rig.state is HALF_OPEN


@pytest.mark.parametrize(("deadline_in", "expected"), [(1.5, 1.5), (60, 5), (-100, 0)])
def test_no_probe_outlasts_its_callers_deadline(deadline_in: float, expected: float) -> None:
    rig = Rig()
    rig.trip()
    rig.let_it_wait()
    probe = rig.breaker.admit(deadline=rig.clock.now + deadline_in)
    start = rig.clock.now
    rig.clock.now += expected
    probe.progress()
    assert rig.state is OPEN
    assert start + expected + 2.5 <= rig.clock.now + rig.wait() <= start + expected + 5


def test_the_wait_grows_with_each_failed_probe_up_to_the_cap() -> None:
    rig = Rig()
    rig.trip()
    for longest in (5, 10, 20, 20, 20):
        assert longest / 2 <= rig.wait() <= longest
        rig.probe().fail()
    rig.probe().succeed()
    rig.breaker.admit().succeed()
    rig.trip()
    assert rig.wait() <= 5


def test_any_number_of_failed_probes_is_survived() -> None:
    rig = Rig(BreakerSettings(wait_factor=1e300))
    rig.trip()
    for _ in range(3_000):
        rig.probe().fail()
    assert 10 <= rig.wait() <= 20


@pytest.mark.parametrize(("failed_probes", "longest"), [(0, 5), (1, 10), (2, 20), (3, 20)])
def test_waits_are_spread_evenly_over_the_upper_half(failed_probes: int, longest: float) -> None:
    rig, waits = Rig(seed=failed_probes), []
    for _ in range(2_000):
        rig.breaker.reset()
        rig.trip()
        for _ in range(failed_probes):
            rig.probe().fail()
        waits.append(rig.wait())
    shares = sorted((wait - longest / 2) / (longest / 2) for wait in waits)
    steps = [(index / 2_000, (index + 1) / 2_000) for index in range(2_000)]
    distance = max(
        max(share - low, high - share) for share, (low, high) in zip(shares, steps, strict=True)
    )
    assert shares[0] >= 0
    assert shares[-1] <= 1
    assert distance < 1.63 / math.sqrt(2_000)  # Kolmogorov-Smirnov, p > 0.01


def test_a_clock_that_steps_back_neither_hurries_nor_wedges_it() -> None:
    rig = Rig()
    rig.trip()
    wait = rig.wait()
    rig.clock.now -= 3_600
    assert rig.wait() == wait
    rig.clock.now += 3_600 + wait
    assert not rig.rejects()


@pytest.mark.parametrize("fails_before", [0, 5], ids=["closed before", "open before"])
def test_forced_open_it_lets_not_even_a_probe_through(fails_before: int) -> None:
    rig = Rig()
    for _ in range(fails_before):
        rig.breaker.admit().fail()
    rig.breaker.force_open()
    rig.clock.now += 1e9
    with pytest.raises(CircuitOpenError, match=r"^piper: was switched off$") as caught:
        rig.breaker.admit()
    assert caught.value.retry_after is None
    assert rig.breaker.snapshot().next_probe_in is None


def test_forced_closed_it_lets_all_through() -> None:
    rig = Rig()
    rig.trip()
    rig.breaker.force_closed()
    for _ in range(50):
        rig.breaker.admit().fail()
    assert rig.state is CLOSED
    assert rig.breaker.snapshot().failure_ratio == 1


def test_reset_it_acts_by_itself_again() -> None:
    rig = Rig()
    rig.breaker.force_open()
    rig.breaker.reset()
    assert not rig.breaker.snapshot().is_forced
    rig.trip()
    rig.probe().succeed()


class Audio(bytearray):
    """Bytes that a weak reference can point to."""


def call_that_fails(breaker: Breaker) -> weakref.ref[Audio]:
    audio = Audio(50_000_000)
    permit = breaker.admit()
    try:
        break_down(audio)
    except GenerationError:
        permit.fail()
    return weakref.ref(audio)


def break_down(audio: Audio) -> None:
    raise GenerationError(f"after {len(audio)} bytes")


def test_a_failed_calls_audio_is_let_go() -> None:
    rig = Rig()
    assert [call_that_fails(rig.breaker)() for _ in range(5)] == [None] * 5
    assert rig.state is OPEN


def test_rejections_leave_nothing_behind() -> None:
    rig = Rig()
    rig.trip()
    assert all(rig.rejects() for _ in range(100))
    tracemalloc.start()
    assert all(rig.rejects() for _ in range(5_000))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 20_000


def test_each_rejection_is_an_error_of_its_own() -> None:
    rig = Rig()
    rig.trip()
    errors = []
    for _ in range(3):
        with pytest.raises(CircuitOpenError) as caught:
            rig.breaker.admit()
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == 3
    assert all(error.__cause__ is None and error.__context__ is None for error in errors)
