"""Counts of the calls of the last while, in memory that does not grow with them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """How many calls ended, and how."""

    calls: int = 0
    failures: int = 0
    slow: int = 0

    @property
    def failure_ratio(self) -> float:
        """The share of calls that failed, 0 to 1; 0 where there was none."""
        return self.failures / self.calls if self.calls else 0.0

    @property
    def slow_ratio(self) -> float:
        """The share of calls that were slow, 0 to 1; 0 where there was none."""
        return self.slow / self.calls if self.calls else 0.0

    def remove(self, other: Counts) -> None:
        """Count the other's calls no longer."""
        self.calls -= other.calls
        self.failures -= other.failures
        self.slow -= other.slow


class Window:
    """Counts over a sliding time, cut into buckets that leave it one by one.

    A call counts for more than ``length_s - length_s / buckets`` and at most ``length_s``. It is
    not safe for threads; its owner has the lock.

    Args:
        length_s: Seconds.
        buckets: Parts of it; at least 1.
    """

    def __init__(self, length_s: float, buckets: int) -> None:
        self._width = length_s / buckets
        self._buckets = buckets
        self._kept: deque[tuple[int, Counts]] = deque()
        self._total = Counts()

    def add(self, now: float, *, is_failure: bool = False, is_slow: bool = False) -> Counts:
        """Count one call that ended at ``now``, in seconds that never go back.

        Returns:
            What the window holds; it changes with the window.
        """
        index = self._expire(now)
        if not self._kept or self._kept[-1][0] != index:
            self._kept.append((index, Counts()))
        for counts in (self._kept[-1][1], self._total):
            counts.calls += 1
            counts.failures += is_failure
            counts.slow += is_slow
        return self._total

    def counts(self, now: float) -> Counts:
        """Return a copy of what the window holds at ``now``."""
        self._expire(now)
        return Counts(self._total.calls, self._total.failures, self._total.slow)

    def clear(self) -> None:
        """Forget every call."""
        self._kept.clear()
        self._total = Counts()

    def _expire(self, now: float) -> int:
        """Drop the buckets that left the window, and return the index of the present one."""
        index = int(now // self._width)
        while self._kept and self._kept[0][0] <= index - self._buckets:
            self._total.remove(self._kept.popleft()[1])
        return index
