"""How often a worker that dies is started again."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from ttskit.resources.workers.policy import Restarts, WorkerPolicy

LIMIT = WorkerPolicy().restarts
WINDOW_S = WorkerPolicy().restart_window_s


def test_the_first_death_costs_no_wait_and_each_next_a_longer_one() -> None:
    restarts = Restarts(WorkerPolicy(), draw=lambda: 0.0)
    waits = []
    for _ in range(LIMIT - 1):
        restarts.note(100.0)
        waits.append(restarts.wait(100.0))
    assert waits[0] == 0
    assert all(one < other for one, other in pairwise(waits))


def test_after_five_deaths_nothing_is_started_until_the_window_has_moved_on() -> None:
    restarts = Restarts(WorkerPolicy())
    for second in range(LIMIT):
        assert not restarts.is_spent(second)
        restarts.note(second)
    assert restarts.is_spent(LIMIT)
    assert restarts.wait(LIMIT) == WINDOW_S - LIMIT
    assert not restarts.is_spent(WINDOW_S + 0.1)
    assert restarts.wait(WINDOW_S + 0.1) == 0


@given(st.floats(0, 1), st.integers(1, LIMIT - 1))
def test_chance_takes_up_to_half_of_a_wait(draw: float, deaths: int) -> None:
    longest = Restarts(WorkerPolicy(), draw=lambda: 0.0)
    drawn = Restarts(WorkerPolicy(), draw=lambda: draw)
    for restarts in (longest, drawn):
        for _ in range(deaths):
            restarts.note(0.0)
    assert longest.wait(0) / 2 <= drawn.wait(0) <= longest.wait(0)


@given(st.lists(st.floats(0, 30), min_size=1, max_size=60))
@example([0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0])
def test_no_window_sees_more_than_five_starts_after_a_death(gaps: list[float]) -> None:
    restarts = Restarts(WorkerPolicy())
    now, starts = 0.0, []
    for gap in gaps:
        now += gap
        restarts.note(now)
        now += restarts.wait(now)
        starts.append(now)
    for start in starts:
        assert len([one for one in starts if start <= one < start + WINDOW_S]) <= LIMIT
