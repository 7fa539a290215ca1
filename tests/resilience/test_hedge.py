from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.effort import examples
from ttskit.resilience.budget import RetryBudget
from ttskit.resilience.hedge import Hedging
from ttskit.resilience.settings import BudgetSettings, HedgeSettings

DEFAULTS = HedgeSettings(enabled=True)
PLENTY = BudgetSettings(reserve_per_s=1_000)
NOTHING = BudgetSettings(ratio=0, reserve_per_s=0)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def practised(clock: Clock, seconds: Iterator[float] | list[float]) -> Hedging:
    """Return one that has seen such times to first audio, long ago."""
    hedging = Hedging(DEFAULTS, clock=clock)
    for one in seconds:
        hedging.observe("piper", one)
    clock.now += 60
    return hedging


def test_nothing_is_said_of_a_provider_nobody_knows() -> None:
    assert Hedging(DEFAULTS, clock=Clock()).wait("piper") is None


@pytest.mark.parametrize(("calls", "is_known"), [(19, False), (20, True)])
def test_twenty_calls_are_enough_to_know_a_provider(calls: int, is_known: bool) -> None:  # noqa: FBT001
    hedging = practised(Clock(), [0.2] * calls)
    assert (hedging.wait("piper") is not None) is is_known


def test_providers_are_known_apart() -> None:
    hedging = practised(Clock(), [0.2] * 20)
    assert hedging.wait("espeak") is None


def test_the_wait_is_what_nineteen_calls_of_twenty_stay_below() -> None:
    hedging = practised(Clock(), [number / 100 for number in range(1, 101)])
    assert hedging.wait("piper") == pytest.approx(0.95 * 1.05)


def test_the_first_provider_is_always_given_a_moment() -> None:
    assert practised(Clock(), [0.0] * 20).wait("piper") == 0.001


def test_a_provider_that_got_faster_is_waited_for_less() -> None:
    clock = Clock()
    hedging = practised(clock, [0.4] * 20)
    assert hedging.wait("piper") == pytest.approx(0.42)
    for _ in range(1_000):
        hedging.observe("piper", 0.2)
    assert hedging.wait("piper") == pytest.approx(0.42)
    clock.now += 3
    assert hedging.wait("piper") == pytest.approx(0.21)


@pytest.mark.parametrize(("slow", "is_off"), [(15, False), (16, True)])
def test_no_hedge_is_made_while_an_unusual_share_is_slow(slow: int, is_off: bool) -> None:  # noqa: FBT001
    hedging = practised(Clock(), [0.2] * 1_000)
    hedging.wait("piper")
    for number in range(100):
        hedging.observe("piper", 1.0 if number < slow else 0.2)
    assert (hedging.wait("piper") is None) is is_off


def test_one_slow_call_among_few_says_nothing_of_the_rest() -> None:
    hedging = practised(Clock(), [0.2] * 1_000)
    hedging.wait("piper")
    hedging.observe("piper", 1.0)
    assert hedging.wait("piper") is not None
    hedging.observe("piper", 1.0)
    assert hedging.wait("piper") is None


def test_who_is_heard_just_in_time_is_not_slow() -> None:
    hedging = practised(Clock(), [0.2] * 1_000)
    wait = hedging.wait("piper")
    assert wait is not None
    for _ in range(10):
        hedging.observe("piper", wait)
    assert hedging.wait("piper") == wait


def test_slowness_is_forgotten_after_the_window() -> None:
    clock = Clock()
    hedging = practised(clock, [0.2] * 1_000)
    hedging.wait("piper")
    for _ in range(10):
        hedging.observe("piper", 1.0)
    clock.now += DEFAULTS.window_s
    assert hedging.wait("piper") is None
    clock.now += 0.1
    assert hedging.wait("piper") == pytest.approx(0.21)


def test_hedges_have_no_reserve() -> None:
    hedging, extra = Hedging(DEFAULTS, clock=Clock()), RetryBudget(PLENTY, clock=Clock())
    allowed = []
    for _ in range(40):
        hedging.deposit()
        allowed.append(hedging.allow(extra))
    assert [number for number, one in enumerate(allowed, 1) if one] == [20, 40]


def test_a_hedge_counts_for_as_long_as_the_window_is() -> None:
    clock = Clock()
    hedging, extra = Hedging(DEFAULTS, clock=clock), RetryBudget(PLENTY, clock=clock)
    for _ in range(2):
        for _ in range(20):
            hedging.deposit()
        assert hedging.allow(extra)
        clock.now += DEFAULTS.window_s


def test_a_hedge_is_taken_from_the_second_provider_s_budget() -> None:
    hedging, extra = Hedging(DEFAULTS, clock=Clock()), RetryBudget(PLENTY, clock=Clock())
    before = extra.balance
    assert not hedging.allow(extra)
    assert extra.balance == before
    for _ in range(20):
        hedging.deposit()
    assert hedging.allow(extra)
    assert extra.balance == before - 1


def test_a_hedge_that_the_second_provider_cannot_take_costs_nothing() -> None:
    hedging = Hedging(DEFAULTS, clock=Clock())
    for _ in range(20):
        hedging.deposit()
    assert not hedging.allow(RetryBudget(NOTHING, clock=Clock()))
    assert hedging.allow(RetryBudget(PLENTY, clock=Clock()))


def test_memory_does_not_grow_with_the_calls() -> None:
    clock = Clock()
    hedging = Hedging(DEFAULTS, clock=clock)
    for _ in range(20_000):
        clock.now += 0.01
        hedging.observe("piper", 0.2)
    times = hedging._times["piper"]
    assert len(times.kept) == DEFAULTS.calls_kept
    assert len(times.recent) == pytest.approx(DEFAULTS.window_s / 0.01, abs=2)


class HedgeMachine(RuleBasedStateMachine):
    """Hedging against lists of everything that ever happened."""

    @initialize(quantile=st.sampled_from([0.5, 0.9, 0.95]), ratio=st.sampled_from([0.05, 0.5, 1.0]))
    def open(self, quantile: float, ratio: float) -> None:
        self.settings = HedgeSettings(
            enabled=True, quantile=quantile, ratio=ratio, minimum_calls=3, calls_kept=20
        )
        self.clock = Clock()
        self.hedging = Hedging(self.settings, clock=self.clock)
        self.extra = RetryBudget(PLENTY, clock=self.clock)
        self.seen: list[tuple[float, float, bool]] = []
        self.known: tuple[float, float] | None = None
        self.requests: list[float] = []
        self.hedges: list[float] = []

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 10.0]) | st.floats(0, 12))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(seconds=st.lists(st.sampled_from([0.1, 0.2, 0.3, 2.0]), max_size=8))
    def calls_are_heard(self, seconds: list[float]) -> None:
        for one in seconds:
            self.hedging.observe("piper", one)
            is_slow = self.known is not None and one > self.known[1]
            self.seen.append((self.clock.now, one, is_slow))

    def expected(self) -> float | None:
        if len(self.seen) < 3:
            return None
        if self.known is None or self.clock.now - self.known[0] >= 3:
            latest = sorted(one for _, one, _ in self.seen[-20:])
            rank = math.ceil(len(latest) * self.settings.quantile)
            self.known = (self.clock.now, latest[rank - 1] * 1.05)
        recent = [slow for at, _, slow in self.seen if at >= self.clock.now - 10]
        usual = (1 - self.settings.quantile) * len(recent)
        return None if sum(recent) > max(3 * usual, 1) else self.known[1]

    @rule()
    def somebody_waits(self) -> None:
        assert self.hedging.wait("piper") == self.expected()

    @rule(count=st.integers(1, 30))
    def requests_come(self, count: int) -> None:
        for _ in range(count):
            self.hedging.deposit()
            self.requests.append(self.clock.now)

    @rule()
    def a_hedge_is_asked_for(self) -> None:
        before, now = self.extra.balance, self.clock.now
        is_allowed = self.hedging.allow(self.extra)
        assert before - self.extra.balance == pytest.approx(int(is_allowed))
        bucket = now // 1.0
        requests = sum(one // 1.0 > bucket - 10 for one in self.requests)
        hedges = sum(one > now - 10 for one in self.hedges)
        assert is_allowed == (hedges + 1 <= self.settings.ratio * requests + 1e-6)
        self.hedges += [now] * is_allowed

    @invariant()
    def hedges_stay_a_share_of_the_requests(self) -> None:
        for then in self.hedges:
            requests = sum(then - 10 <= one <= then for one in self.requests)
            hedges = sum(then - 10 < one <= then for one in self.hedges)
            assert hedges <= requests * self.settings.ratio + 1e-6


HedgeMachine.TestCase.settings = settings(
    max_examples=examples(ci=500, nightly=20_000), stateful_step_count=30
)
TestHedging = HedgeMachine.TestCase


@dataclass
class Run:
    """Requests that come evenly to one provider, and a second one beside it."""

    latency: Callable[[float], float]
    """Draws the seconds to first audio of a call that is made then."""
    is_hedged: bool = True
    requests: int = 20_000
    per_s: float = 50.0
    heard: list[float] = field(default_factory=list)
    hedged_at: list[float] = field(default_factory=list)

    def play(self) -> Run:
        self.clock = Clock()
        self.start = self.clock.now
        self.hedging = Hedging(DEFAULTS, clock=self.clock)
        self.extra = RetryBudget(BudgetSettings(), clock=self.clock)
        self.order = itertools.count()
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        for number in range(self.requests):
            self.at(self.start + number / self.per_s, self.request)
        while self.events:
            self.clock.now, _, happen = heapq.heappop(self.events)
            happen()
        return self

    def at(self, then: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self.events, (then, next(self.order), happen))

    def request(self) -> None:
        self.hedging.deposit()
        self.extra.deposit()
        wait, now = self.hedging.wait("first"), self.clock.now
        first = self.latency(now - self.start)
        if not self.is_hedged or wait is None or first <= wait:
            self.at(now + first, lambda: self.is_heard(first, first))
        else:
            self.at(now + wait, lambda: self.hedge(wait, first))

    def hedge(self, wait: float, first: float) -> None:
        now, heard = self.clock.now, first
        if self.hedging.allow(self.extra):
            self.hedged_at.append(now - self.start)
            heard = min(first, wait + self.latency(now - self.start))
        self.at(now + heard - wait, lambda: self.is_heard(heard, heard))

    def is_heard(self, seconds: float, first: float) -> None:
        self.heard.append(seconds)
        self.hedging.observe("first", first)

    def p99(self) -> float:
        return sorted(self.heard)[int(0.99 * len(self.heard))]

    def most_hedges_in(self, seconds: float) -> int:
        times = self.hedged_at
        return max(sum(one <= then < one + seconds for then in times) for one in times)


def heavy_tail(seed: int, slower_from: float = math.inf) -> Callable[[float], float]:
    """Return draws around 0.2 s, three of a hundred of which take seconds."""
    dice = random.Random(seed)

    def draw(then: float) -> float:
        seconds = dice.lognormvariate(math.log(0.2), 0.15)
        seconds += dice.uniform(1, 4) if dice.random() < 0.03 else 0
        return seconds * (5 if then >= slower_from else 1)

    return draw


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_few_extra_calls_make_the_slowest_answers_much_faster(seed: int) -> None:
    hedged = Run(heavy_tail(seed)).play()
    alone = Run(heavy_tail(seed), is_hedged=False).play()
    assert hedged.p99() <= 0.6 * alone.p99()
    assert len(hedged.heard) == hedged.requests
    assert hedged.most_hedges_in(10) <= 0.05 * hedged.per_s * 10


def test_hedges_stop_within_ten_seconds_where_everything_is_slow() -> None:
    run = Run(heavy_tail(1, slower_from=200), requests=15_000).play()
    assert sum(190 <= then < 200 for then in run.hedged_at) > 5
    assert not [then for then in run.hedged_at if 210 <= then < 215]


def test_hedges_come_back_when_slow_is_the_new_normal() -> None:
    run = Run(heavy_tail(1, slower_from=200), requests=15_000).play()
    assert sum(290 <= then < 300 for then in run.hedged_at) > 5
