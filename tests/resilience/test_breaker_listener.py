from __future__ import annotations

import logging
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.resilience.breaker_rig import CLOSED, HALF_OPEN, OPEN, Clock, Rig
from ttskit.errors import CircuitOpenError
from ttskit.resilience.breaker import (
    Breaker,
    BreakerChange,
    BreakerReason,
    BreakerSnapshot,
    BreakerState,
    Permit,
)
from ttskit.resilience.settings import BreakerSettings


@pytest.fixture
def _eager_threads() -> Iterator[None]:
    """Threads change places as often as the interpreter lets them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_eager_threads")
def test_of_64_threads_at_once_exactly_one_is_the_probe() -> None:
    rig, rounds = Rig(), 30
    admitted: list[list[Permit]] = [[] for _ in range(rounds)]
    barrier = threading.Barrier(64, action=lambda: reopen(rig))

    def knock() -> None:
        for passed in admitted:
            barrier.wait(60)
            with suppress(CircuitOpenError):
                passed.append(rig.breaker.admit())

    threads = [threading.Thread(target=knock) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(passed) for passed in admitted] == [1] * rounds


def reopen(rig: Rig) -> None:
    rig.breaker.reset()
    rig.trip()
    rig.let_it_wait()


@pytest.mark.usefixtures("_eager_threads")
def test_no_outcome_is_lost_between_threads() -> None:
    rig = Rig(BreakerSettings(failure_ratio=1, slow_ratio=1, consecutive_failures=10**9))
    rig.breaker.admit().succeed()

    def work(index: int) -> None:
        for turn in range(200):
            permit = rig.breaker.admit()
            [permit.fail, permit.succeed, permit.cancel, permit.fail][(index + turn) % 4]()
            permit.fail()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = rig.breaker.snapshot()
    assert (seen.calls, seen.failure_ratio) == (2_401, 1_600 / 2_401)


def tell_all(rig: Rig) -> list[tuple[BreakerState, BreakerReason]]:
    return [(change.after, change.reason) for change in rig.changes]


def test_each_change_is_told_once_with_its_reason() -> None:
    rig = Rig()
    rig.trip()
    rig.probe().fail()
    rig.probe().succeed()
    rig.breaker.admit().succeed()
    rig.breaker.force_closed()
    rig.breaker.force_open()
    rig.breaker.reset()
    assert tell_all(rig) == [
        (OPEN, BreakerReason.CONSECUTIVE_FAILURES),
        (HALF_OPEN, BreakerReason.PROBE_DUE),
        (OPEN, BreakerReason.PROBE_FAILED),
        (HALF_OPEN, BreakerReason.PROBE_DUE),
        (CLOSED, BreakerReason.RECOVERED),
        (OPEN, BreakerReason.FORCED),
        (CLOSED, BreakerReason.RESET),
    ]
    assert [change.wait_s is None for change in rig.changes] == [0, 1, 0, 1, 1, 1, 1]
    assert all(change.key == "piper" for change in rig.changes)


def test_the_call_that_notices_a_change_tells_it() -> None:
    rig = Rig()
    rig.trip()
    rig.clock.now += 5
    rig.breaker.admit()
    assert len(rig.changes) == 2
    rig.clock.now += 5
    rig.breaker.snapshot()
    assert len(rig.changes) == 3
    probe = rig.probe()
    rig.clock.now += 5
    probe.progress()
    assert [change.after for change in rig.changes] == [OPEN, HALF_OPEN, OPEN, HALF_OPEN, OPEN]


@pytest.mark.parametrize(
    ("first_audio_s", "reason"),
    [(0.1, BreakerReason.FAILURE_RATIO), (9.0, BreakerReason.SLOW_CALLS)],
    ids=["failures", "slow"],
)
def test_the_share_that_opened_it_is_named(first_audio_s: float, reason: BreakerReason) -> None:
    rig = Rig()
    for index in range(10):
        permit = rig.breaker.admit()
        is_failure = index % 2 and first_audio_s < 1
        permit.fail() if is_failure else permit.succeed(first_audio_s=first_audio_s)
    assert tell_all(rig) == [(OPEN, reason)]


def test_a_listener_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def shout(change: BreakerChange) -> None:
        raise ValueError(change.key)

    rig = Rig(on_change=shout)
    with caplog.at_level(logging.WARNING):
        rig.trip()
        rig.probe().fail()
    assert rig.state is OPEN
    assert rig.breaker.snapshot().listener_failures == 3
    assert len(caplog.records) == 1


def test_without_a_listener_none_fails() -> None:
    breaker = Breaker(BreakerSettings(), key="piper", clock=Clock(), random=random.Random(1))
    breaker.force_open()
    assert breaker.snapshot().listener_failures == 0


def test_a_listener_may_call_the_breaker() -> None:
    told: list[tuple[BreakerState, BreakerSnapshot]] = []

    def answer(change: BreakerChange) -> None:
        told.append((change.after, rig.breaker.snapshot()))
        if change.after is OPEN:
            rig.breaker.reset()
            rig.breaker.admit().succeed()

    rig = Rig(on_change=answer)
    for _ in range(5):
        rig.breaker.admit().fail()
    assert [after for after, _ in told] == [OPEN, CLOSED]
    assert rig.state is CLOSED


def test_a_listener_that_blocks_holds_up_no_other_thread() -> None:
    entered, leave, told = threading.Event(), threading.Event(), list[BreakerState]()

    def block(change: BreakerChange) -> None:
        entered.set()
        assert leave.wait(60)
        told.append(change.after)

    rig = Rig(on_change=block)
    thread = threading.Thread(target=lambda: [rig.breaker.admit().fail() for _ in range(5)])
    thread.start()
    assert entered.wait(60)
    rig.probe().succeed()
    rig.breaker.admit().succeed()
    leave.set()
    thread.join(60)
    assert told == [OPEN, HALF_OPEN, CLOSED]


def test_a_listener_that_fails_is_logged_once_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def listen(change: BreakerChange) -> None:
        raise ZeroDivisionError(change.key)

    rig = Rig(on_change=listen)
    rig.trip()
    for _ in range(3):
        assert [one.getMessage() for one in caplog.records] == [
            "a listener of the breaker of piper failed"
        ]
        rig.breaker.reset()
        rig.trip()
    exc_info = caplog.records[0].exc_info
    assert exc_info is not None
    assert exc_info[0] is ZeroDivisionError


def test_a_change_says_whose_it_is_and_when_a_probe_is_due() -> None:
    rig = Rig()
    rig.trip()
    change = rig.changes[-1]
    assert change.generation == rig.breaker.snapshot().generation
    assert change.key == rig.breaker.snapshot().key == "piper"
    assert change.wait_s == pytest.approx(rig.wait())
