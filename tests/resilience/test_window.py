from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.resilience.window import Counts, Window

LENGTH_S, BUCKETS = 30.0, 10
WIDTH_S = LENGTH_S / BUCKETS
EDGE_S = 1e-6
"""Rounding may put a call that ends on a border into either bucket."""

Call = tuple[float, bool, bool]
"""Seconds since the one before, whether it failed, whether it was slow."""
CALLS = st.lists(st.tuples(st.floats(0, 40), st.booleans(), st.booleans()), max_size=60)


def counted(calls: list[Call]) -> Counts:
    return Counts(len(calls), sum(call[1] for call in calls), sum(call[2] for call in calls))


def filled(gaps: list[Call], start: float = 0.0) -> tuple[Window, list[Call], float]:
    """Return the window, its calls with the time of each, and the time of the last."""
    window, calls, now = Window(LENGTH_S, BUCKETS), list[Call](), start
    for gap, failed, slow in gaps:
        now += gap
        window.add(now, is_failure=failed, is_slow=slow)
        calls.append((now, failed, slow))
    return window, calls, now


@given(CALLS, st.floats(0, 60), st.floats(-1e6, 1e6))
def test_a_call_counts_for_the_windows_length_less_one_bucket_at_most(
    gaps: list[Call], later: float, start: float
) -> None:
    window, calls, now = filled(gaps, start)
    now += later
    certain = [call for call in calls if now - call[0] < LENGTH_S - WIDTH_S - EDGE_S]
    possible = [call for call in calls if now - call[0] <= LENGTH_S + EDGE_S]
    counts = window.counts(now)
    assert len(certain) <= counts.calls <= len(possible)
    assert counts == counted(calls[len(calls) - counts.calls :])


@given(CALLS)
def test_looking_changes_nothing(gaps: list[Call]) -> None:
    window, _, now = filled(gaps)
    window.counts(now).calls += 100
    assert window.counts(now) == window.counts(now)
    assert window.counts(now).calls <= len(gaps)


def test_an_old_call_leaves_and_a_younger_one_stays() -> None:
    window, _, _ = filled([(1.0, True, False), (9.0, False, True)])
    assert window.counts(29.9) == Counts(2, 1, 1)
    assert window.counts(30.0) == Counts(1, 0, 1)
    assert window.counts(38.9) == Counts(1, 0, 1)
    assert window.counts(39.0) == Counts()


def test_one_bucket_forgets_all_at_once() -> None:
    window = Window(30.0, 1)
    window.add(29.0)
    assert window.counts(29.9) == Counts(1, 0, 0)
    assert window.counts(30.0) == Counts()


def test_a_clock_may_begin_below_zero() -> None:
    window, _, _ = filled([(0.0, False, False)], start=-3.5)
    assert window.counts(23.9).calls == 1
    assert window.counts(24.0).calls == 0


def test_memory_does_not_grow_with_the_calls() -> None:
    window, _, now = filled([(0.01, False, False)] * 20_000)
    assert len(window._kept) <= BUCKETS
    assert window.counts(now).calls == pytest.approx(3_000, abs=WIDTH_S / 0.01)


def test_a_cleared_window_starts_anew() -> None:
    window, _, now = filled([(0.5, True, True)] * 7)
    window.clear()
    assert window.counts(now) == Counts()
    window.add(now, is_failure=True)
    assert window.counts(now) == Counts(1, 1, 0)
    assert window.counts(now + LENGTH_S) == Counts()


@pytest.mark.parametrize(
    ("counts", "failed", "slow"),
    [(Counts(), 0.0, 0.0), (Counts(10, 5, 8), 0.5, 0.8), (Counts(3, 3, 0), 1.0, 0.0)],
    ids=["none", "some", "all failed"],
)
def test_shares_are_of_all_calls(counts: Counts, failed: float, slow: float) -> None:
    assert (counts.failure_ratio, counts.slow_ratio) == (failed, slow)
