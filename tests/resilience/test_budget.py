from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.effort import examples
from ttskit.resilience.budget import RetryBudget
from ttskit.resilience.settings import BudgetSettings

DEFAULTS = BudgetSettings()
MORE_THAN_ENOUGH = 10_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def spend_all(budget: RetryBudget) -> int:
    spent = 0
    while spent < MORE_THAN_ENOUGH and budget.withdraw():
        spent += 1
    return spent


def test_an_idle_provider_has_the_reserve_of_one_window() -> None:
    assert spend_all(RetryBudget(DEFAULTS, clock=Clock())) == 10


@pytest.mark.parametrize("requests", [0, 9, 10, 1_000])
def test_a_tenth_of_the_requests_comes_on_top(requests: int) -> None:
    budget = RetryBudget(DEFAULTS, clock=Clock())
    for _ in range(requests):
        budget.deposit()
    assert spend_all(budget) == 10 + requests // 10


def test_without_a_reserve_the_share_alone_decides() -> None:
    budget = RetryBudget(BudgetSettings(reserve_per_s=0), clock=Clock())
    assert not budget.withdraw()
    for _ in range(10):
        budget.deposit()
    assert spend_all(budget) == 1


def test_rounding_costs_no_call() -> None:
    budget = RetryBudget(BudgetSettings(ratio=0.29, reserve_per_s=0), clock=Clock())
    for _ in range(100):
        budget.deposit()
    assert spend_all(budget) == 29  # 0.29 * 100 is 28.999999999999996


def test_no_share_and_no_reserve_means_no_extra_call() -> None:
    budget = RetryBudget(BudgetSettings(reserve_per_s=0, ratio=0), clock=Clock())
    budget.deposit()
    assert not budget.withdraw()


@pytest.mark.parametrize(("later", "again"), [(8.9, 0), (10.0, 10)], ids=["within", "beyond"])
def test_what_was_spent_comes_back_when_the_window_has_passed(later: float, again: int) -> None:
    clock = Clock()
    budget = RetryBudget(DEFAULTS, clock=clock)
    spend_all(budget)
    clock.now += later
    assert spend_all(budget) == again


def test_old_requests_earn_nothing() -> None:
    clock = Clock()
    budget = RetryBudget(DEFAULTS, clock=clock)
    for _ in range(1_000):
        budget.deposit()
    clock.now += 10
    assert budget.balance == 10


@pytest.mark.parametrize("step", [-1, -3_600, -86_400])
def test_a_clock_that_steps_back_refills_nothing(step: float) -> None:
    clock = Clock()
    budget = RetryBudget(DEFAULTS, clock=clock)
    spend_all(budget)
    clock.now += step
    assert not budget.withdraw()
    clock.now -= step
    assert not budget.withdraw()


def test_a_clock_that_swings_by_an_hour_gives_one_window_at_most() -> None:
    clock = Clock()
    budget = RetryBudget(DEFAULTS, clock=clock)
    spent = spend_all(budget)
    for _ in range(100):
        for step in (3_600, -3_600):
            clock.now += step
            spent += spend_all(budget)
    assert spent == 20


def test_threads_together_spend_no_more_than_there_is() -> None:
    budget = RetryBudget(DEFAULTS, clock=Clock())
    barrier = threading.Barrier(16)

    def work(_: int) -> int:
        barrier.wait()
        return sum(budget.withdraw() for _ in range(500))

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(work, range(16))) == 10
    assert budget.balance == 0


class BudgetMachine(RuleBasedStateMachine):
    """The budget against a list of everything that ever happened."""

    @initialize(
        ratio=st.sampled_from([0.0, 0.05, 0.1, 1.0]),
        reserve=st.sampled_from([0.0, 0.3, 1.0]),
        window=st.sampled_from([1.0, 10.0]),
    )
    def open(self, ratio: float, reserve: float, window: float) -> None:
        self.settings = BudgetSettings(ratio=ratio, reserve_per_s=reserve, window_s=window)
        self.clock = Clock()
        self.latest = self.clock.now
        self.budget = RetryBudget(self.settings, clock=self.clock)
        self.requests: list[int] = []
        self.extras: list[int] = []

    @property
    def slice(self) -> int:
        return math.floor(self.latest / (self.settings.window_s / 10))

    def left(self) -> float:
        requests = sum(then > self.slice - 10 for then in self.requests)
        extras = sum(then > self.slice - 10 for then in self.extras)
        reserve = self.settings.reserve_per_s * self.settings.window_s
        return self.settings.ratio * requests + reserve - extras

    @rule(seconds=st.one_of(st.floats(0, 12), st.sampled_from([-3_600.0, -1.0, 0.1, 3_600.0])))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds
        self.latest = max(self.latest, self.clock.now)

    @rule(count=st.integers(1, 30))
    def requests_come(self, count: int) -> None:
        for _ in range(count):
            self.budget.deposit()
            self.requests.append(self.slice)

    @rule()
    def an_extra_call_is_asked_for(self) -> None:
        expected = self.left() >= 1 - 1e-6
        assert self.budget.withdraw() == expected
        if expected:
            self.extras.append(self.slice)

    @invariant()
    def balance_is_the_model_s_and_never_negative(self) -> None:
        assert self.budget.balance == pytest.approx(max(self.left(), 0.0), abs=1e-6)


BudgetMachine.TestCase.settings = settings(
    max_examples=examples(ci=500, nightly=20_000), stateful_step_count=40
)
TestBudget = BudgetMachine.TestCase


@given(rate=st.integers(1, 200), seconds=st.integers(20, 120))
@settings(max_examples=examples(ci=25, nightly=250))
def test_extra_calls_stay_within_the_share_and_the_reserve(rate: int, seconds: int) -> None:
    clock = Clock()
    budget = RetryBudget(DEFAULTS, clock=clock)
    extras = 0
    for _ in range(rate * seconds):
        clock.now += 1 / rate
        budget.deposit()
        extras += sum(budget.withdraw() for _ in range(2))
    assert extras <= 0.1 * rate * seconds + 1.0 * seconds + 10


def test_memory_does_not_grow_with_the_requests() -> None:
    clock = Clock()
    budget = RetryBudget(DEFAULTS, clock=clock)
    for _ in range(2_000):
        clock.now += 0.01
        budget.deposit()
    assert len(budget._slices) <= 10
