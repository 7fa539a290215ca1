from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttskit.resources.batching import SPREAD, Batcher

FOREVER = 60.0


class Network:
    """Doubles numbers, many at a time, and remembers which went together."""

    def __init__(self, *, bad: frozenset[int] = frozenset()) -> None:
        self.batches: list[list[int]] = []
        self.bad = bad
        self.gate = threading.Event()
        self.gate.set()
        self.is_at_work = threading.Event()
        self._alone = threading.Lock()

    def run(self, items: Sequence[int]) -> list[int]:
        assert self._alone.acquire(blocking=False), "two batches at a time"
        try:
            self.batches.append(list(items))
            self.is_at_work.set()
            self.gate.wait(FOREVER)
            if self.bad & set(items):
                raise ValueError(f"bad among {len(items)}")
            return [2 * item for item in items]
        finally:
            self._alone.release()


def batcher(network: Network, *, most: int = 4, window_s: float = FOREVER) -> Batcher[int, int]:
    return Batcher(network.run, most=most, size=lambda item: item, window_s=window_s)


class Crowd:
    """Threads that join together and call."""

    def __init__(self, calls: Batcher[int, int], count: int) -> None:
        self._calls = calls
        self._pool = ThreadPoolExecutor(count)
        self._all = threading.Barrier(count)

    def call(self, item: int) -> Future[int]:
        def work() -> int:
            with self._calls.joined():
                self._all.wait(FOREVER)
                return self._calls.call(item)

        return self._pool.submit(work)


def test_calls_at_the_same_time_are_made_as_one() -> None:
    network = Network()
    crowd = Crowd(batcher(network), 4)
    answers = [crowd.call(item) for item in (10, 11, 12, 13)]
    assert [answer.result(FOREVER) for answer in answers] == [20, 22, 24, 26]
    assert [sorted(batch) for batch in network.batches] == [[10, 11, 12, 13]]


def test_a_lone_call_waits_for_nobody() -> None:
    network = Network()
    calls = batcher(network)
    with calls.joined():
        assert calls.call(3) == 6
    assert network.batches == [[3]]


def test_who_leaves_is_not_waited_for() -> None:
    network = Network()
    calls = batcher(network)
    stay = threading.Event()

    def join_and_leave() -> None:
        with calls.joined():
            joined.set()
            stay.wait(FOREVER)

    joined = threading.Event()
    with ThreadPoolExecutor(2) as pool, calls.joined():
        pool.submit(join_and_leave)
        joined.wait(FOREVER)
        answer = pool.submit(calls.call, 5)
        assert not answer.done()
        stay.set()
        assert answer.result(FOREVER) == 10


def test_the_window_ends_the_wait_for_others() -> None:
    network = Network()
    calls = batcher(network, window_s=0.001)
    with calls.joined(), calls.joined():
        assert calls.call(5) == 10


def test_a_bad_call_fails_alone() -> None:
    network = Network(bad=frozenset({11}))
    crowd = Crowd(batcher(network), 3)
    answers = [crowd.call(item) for item in (10, 11, 12)]
    assert answers[0].result(FOREVER) == 20
    assert answers[2].result(FOREVER) == 24
    with pytest.raises(ValueError, match="bad among 1"):
        answers[1].result(FOREVER)


def test_short_and_long_calls_take_turns() -> None:
    """While a batch is made others queue: long, short, long, short. The oldest goes first."""
    network = Network()
    calls = batcher(network, window_s=0.0)
    with ThreadPoolExecutor(5) as pool:
        network.gate.clear()
        first = pool.submit(calls.call, 50)
        network.is_at_work.wait(FOREVER)
        answers = []
        for number, item in enumerate((1_000, 10, 1_001, 11)):
            answers.append(pool.submit(calls.call, item))
            while calls.waiting <= number:  # the pool does not say when a call has got so far
                time.sleep(0)
        network.gate.set()
        assert first.result(FOREVER) == 100
        assert [answer.result(FOREVER) for answer in answers] == [2_000, 20, 2_002, 22]
    assert network.batches == [[50], [1_000, 1_001], [10, 11]]


@settings(max_examples=40, deadline=None)
@given(
    items=st.lists(st.integers(1, 40), min_size=1, max_size=24),
    most=st.integers(1, 5),
    threads=st.integers(1, 6),
    bad=st.frozensets(st.integers(1, 40), max_size=3),
)
def test_whoever_calls_gets_its_own_answer(
    items: list[int], most: int, threads: int, bad: frozenset[int]
) -> None:
    network = Network(bad=bad)
    calls = Batcher(
        network.run,
        most=most,
        size=lambda item: item,
        kind=lambda item: item % 2,
        window_s=0.001,
    )

    def ask(item: int) -> int | None:
        with calls.joined():
            try:
                return calls.call(item)
            except ValueError:
                return None

    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(ask, items))
    assert answers == [None if item in bad else 2 * item for item in items]
    for batch in network.batches:
        assert len(batch) <= most
        assert len({item % 2 for item in batch}) == 1
        assert max(batch) <= SPREAD * min(batch)
