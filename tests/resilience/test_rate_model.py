"""The rate limit beside the smallest thing that behaves like one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.effort import examples
from tests.resilience.stepped_loop import SteppedLoop
from ttskit.errors import RateLimitedError
from ttskit.resilience.rate import RateLimit

_HAIR_S = 1e-6


class Model:
    """A line, and everything that ever went out."""

    def __init__(self, requests: int, characters: int) -> None:
        self.requests = requests
        self.characters = characters
        self.line: list[tuple[int, int]] = []
        self.sent: list[tuple[float, int, int]] = []

    def may_go(self, now: float, size: int) -> bool:
        minute = [sent for at, _, sent in self.sent if at + 60 > now + _HAIR_S]
        fits = len(minute) < self.requests and sum(minute) + size <= self.characters
        return fits or not minute

    def look(self, now: float, until: float) -> None:
        """Let those go whose time comes until then."""
        moments = [now, *(at + 60 for at, _, _ in self.sent if at + 60 > now)]
        while moments and self.line:
            moment = moments.pop(0)
            while self.line and moment <= until + _HAIR_S and self.may_go(moment, self.line[0][1]):
                number, size = self.line.pop(0)
                self.sent.append((moment, number, size))
                moments.append(moment + 60)

    def wait(self, now: float, size: int) -> float:
        """Return the seconds that one more call would have to wait."""
        copy = Model(self.requests, self.characters)
        copy.line, copy.sent = [*self.line, (-1, size)], [*self.sent]
        copy.look(now, now + 1e9)
        return copy.sent[-1][0] - now


class RateMachine(RuleBasedStateMachine):
    """Any history of calls that come, wait, go out and give up."""

    @initialize(requests=st.integers(1, 4), characters=st.integers(1, 100))
    def open(self, requests: int, characters: int) -> None:
        self.steps = SteppedLoop()
        self.limit = RateLimit(requests, characters, clock=self.steps.loop.time)
        self.model = Model(requests, characters)
        self.numbers = itertools.count()
        self.sent: list[tuple[float, int, int]] = []

    async def call(self, number: int, size: int, deadline: float | None = None) -> None:
        await self.limit.acquire(size, deadline=deadline)
        self.sent.append((self.steps.now, number, size))

    @rule(size=st.integers(0, 120), count=st.integers(1, 3))
    def calls_come(self, size: int, count: int) -> None:
        for _ in range(count):
            number = next(self.numbers)
            self.model.line.append((number, size))
            self.model.look(self.steps.now, self.steps.now)
            self.steps.start(number, self.call(number, size))

    @rule(size=st.integers(0, 120), patience=st.sampled_from([-0.5, 0.5]))
    def a_call_with_a_deadline_comes(self, size: int, patience: float) -> None:
        now, number = self.steps.now, next(self.numbers)
        wait = self.model.wait(now, size)
        if patience > 0 or wait == 0:
            self.model.line.append((number, size))
            self.model.look(now, now)
        self.steps.start(number, self.call(number, size, now + max(wait + patience, 0)))
        task = self.steps.tasks[number]
        if patience < 0 < wait:
            error = task.exception()
            assert isinstance(error, RateLimitedError)
            assert error.retry_after == pytest.approx(wait)

    @rule(seconds=st.sampled_from([0.7, 7.3, 31.9, 61.3, 200.1]))
    def time_passes(self, seconds: float) -> None:
        self.model.look(self.steps.now, self.steps.now + seconds)
        self.steps.settle(seconds)

    @precondition(lambda self: self.model.line)
    @rule(data=st.data())
    def one_gives_up(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.model.line))
        self.model.line.remove(waiter)
        self.model.look(self.steps.now, self.steps.now)
        self.steps.cancel(waiter[0])

    @invariant()
    def they_agree(self) -> None:
        assert [number for _, number, _ in self.sent] == [one for _, one, _ in self.model.sent]
        expected = [at for at, _, _ in self.model.sent]
        assert [at for at, _, _ in self.sent] == pytest.approx(expected)

    def teardown(self) -> None:
        if hasattr(self, "steps"):
            self.steps.close()


TestRateMachine = RateMachine.TestCase
TestRateMachine.settings = settings(
    max_examples=examples(ci=500, nightly=20_000), stateful_step_count=25
)
