"""The breaker beside the smallest thing that behaves like one."""

from __future__ import annotations

import itertools
import math
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.effort import examples
from tests.resilience.breaker_rig import CLOSED, HALF_OPEN, OPEN, Rig
from ttskit.errors import CircuitOpenError
from ttskit.resilience.breaker import BreakerState, Permit
from ttskit.resilience.settings import BreakerSettings


class Model:
    def __init__(self, limits: BreakerSettings) -> None:
        self.limits = limits
        self.now = -math.inf
        self.state = CLOSED
        self.is_forced = False
        self.generation = 0
        self.calls: list[tuple[int, str]] = []
        self.in_a_row = 0
        self.failed_probes = 0
        self.good_probes = 0
        self.probe_at = math.inf
        self.probe: object = None
        self.gives_up_at = math.inf
        self.draws: list[tuple[float, float]] = []

    def bucket(self) -> int:
        return int(self.now // (self.limits.window_s / self.limits.buckets))

    def kept(self, *outcomes: str) -> int:
        oldest = self.bucket() - self.limits.buckets
        return sum(at > oldest and outcome in outcomes for at, outcome in self.calls)

    def enter(self, state: BreakerState) -> None:
        self.state, self.probe = state, None
        self.generation += 1

    def open(self, since: float) -> None:
        full = self.limits.first_wait_s * self.limits.wait_factor**self.failed_probes
        full = min(full, self.limits.longest_wait_s)
        size, drawn = self.draws.pop(0)
        assert size == full / 2
        assert 0 <= drawn <= size
        self.probe_at = since + full / 2 + drawn
        self.enter(OPEN)

    def close(self) -> None:
        self.calls, self.in_a_row, self.failed_probes = [], 0, 0
        self.probe_at = math.inf
        self.enter(CLOSED)

    def look(self, now: float) -> None:
        self.now = max(self.now, now)
        if self.probe is not None and self.now >= self.gives_up_at:
            self.open(self.gives_up_at)

    def admit(self, permit: object, ends_by: float) -> bool:
        """Return whether the call may pass."""
        if self.state is OPEN and self.now >= self.probe_at - 1e-6:
            self.good_probes = 0
            self.enter(HALF_OPEN)
        if self.state is OPEN or self.probe is not None:
            return False
        if self.state is HALF_OPEN:
            self.probe, self.ends_by = permit, ends_by
            self.live()
        return True

    def live(self) -> None:
        patience = self.limits.probe_deadline_s
        self.gives_up_at = max(self.now, min(self.now + patience, self.ends_by))

    def end(self, outcome: str) -> None:
        is_probe, self.probe = self.probe is not None, None
        if outcome == "neutral":
            return
        self.calls.append((self.bucket(), outcome))
        self.in_a_row = self.in_a_row + 1 if outcome == "fail" else 0
        if is_probe and outcome != "ok":
            self.failed_probes += 1
            self.open(self.now)
        elif is_probe:
            self.good_probes += 1
            if self.good_probes == self.limits.probe_successes:
                self.close()
        elif not self.is_forced and self.has_had_enough():
            self.open(self.now)

    def has_had_enough(self) -> bool:
        if self.in_a_row >= self.limits.consecutive_failures:
            return True
        calls = self.kept("ok", "slow", "fail")
        return calls >= self.limits.minimum_calls and (
            self.kept("fail") >= self.limits.failure_ratio * calls
            or self.kept("slow") >= self.limits.slow_ratio * calls
        )

    def next_probe_in(self) -> float | None:
        if self.state is HALF_OPEN:
            return 0.0 if self.probe is None else self.gives_up_at - self.now
        return None if math.isinf(self.probe_at) else max(0.0, self.probe_at - self.now)


class BreakerMachine(RuleBasedStateMachine):
    """Any history of calls, time and hands on the switch: the breaker does as the model does."""

    @initialize(
        minimum=st.sampled_from([1, 4, 10]),
        in_a_row=st.sampled_from([2, 5, 100]),
        probes=st.integers(1, 3),
    )
    def begin(self, minimum: int, in_a_row: int, probes: int) -> None:
        limits = BreakerSettings(
            minimum_calls=minimum, consecutive_failures=in_a_row, probe_successes=probes
        )
        self.rig, self.model = Rig(limits), Model(limits)
        self.model.draws = self.rig.random.drawn
        self.permits: list[Permit] = []

    def look(self) -> None:
        self.model.look(self.rig.clock.now)

    @rule(within=st.none() | st.floats(-2, 8), count=st.integers(1, 4))
    def call(self, within: float | None, count: int) -> None:
        deadline = None if within is None else self.rig.clock.now + within
        for _ in range(count):
            permit = None
            with suppress(CircuitOpenError):
                permit = self.rig.breaker.admit(deadline=deadline)
            self.look()
            may_pass = self.model.admit(permit, math.inf if deadline is None else deadline)
            assert may_pass == (permit is not None)
            self.permits += [permit] if permit else []

    @precondition(lambda self: self.permits)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(["ok", "fail", "slow", "quick", "ignored", "cancelled"]),
        again=st.booleans(),
    )
    def settle(self, data: st.DataObject, outcome: str, again: bool) -> None:  # noqa: FBT001
        permit = data.draw(st.sampled_from(self.permits))
        self.permits.remove(permit)
        report = {
            "ok": permit.succeed,
            "fail": permit.fail,
            "slow": lambda: permit.succeed(first_audio_s=2.001),
            "quick": lambda: permit.succeed(first_audio_s=2.0),
            "ignored": permit.cancel,
            "cancelled": lambda: permit.__exit__(None, None, None),
        }
        report[outcome]()
        self.look()
        known = {"quick": "ok", "ignored": "neutral", "cancelled": "neutral"}
        if permit.generation == self.model.generation:
            self.model.end(known.get(outcome, outcome))
        if again:
            permit.fail()

    @precondition(lambda self: self.permits)
    @rule(data=st.data())
    def show_life(self, data: st.DataObject) -> None:
        permit = data.draw(st.sampled_from(self.permits))
        permit.progress()
        if self.model.probe is permit:
            self.look()
        if self.model.probe is permit:
            self.model.live()

    @rule(seconds=st.sampled_from([0.01, 1.0, 2.5, 5.0, 21.0, 31.0, -1.0]) | st.floats(0, 10))
    def time_passes(self, seconds: float) -> None:
        self.rig.clock.now += seconds

    @rule(state=st.sampled_from([OPEN, CLOSED]))
    def force(self, state: BreakerState) -> None:
        breaker = self.rig.breaker
        (breaker.force_open if state is OPEN else breaker.force_closed)()
        self.model.is_forced, self.model.probe_at = True, math.inf
        self.model.enter(state)

    @rule()
    def reset(self) -> None:
        self.rig.breaker.reset()
        self.model.is_forced = False
        self.model.close()

    @invariant()
    def they_agree(self) -> None:
        seen, model = self.rig.breaker.snapshot(), self.model
        self.look()
        calls = model.kept("ok", "slow", "fail")
        assert (seen.state, seen.is_forced) == (model.state, model.is_forced)
        assert seen.generation == model.generation
        assert seen.consecutive_failures == model.in_a_row
        assert seen.calls == calls
        assert seen.failure_ratio == pytest.approx(model.kept("fail") / max(calls, 1))
        assert seen.slow_ratio == pytest.approx(model.kept("slow") / max(calls, 1))
        assert seen.next_probe_in == pytest.approx(model.next_probe_in())
        assert not model.draws

    @invariant()
    def changes_follow_one_another(self) -> None:
        states = [CLOSED, *(change.after for change in self.rig.changes)]
        assert [change.before for change in self.rig.changes] == states[:-1]
        assert states[-1] is self.model.state
        assert all(one is not next_one for one, next_one in itertools.pairwise(states))


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(
    max_examples=examples(ci=500, nightly=20_000), stateful_step_count=40
)
