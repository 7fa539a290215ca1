"""The budget of extra calls: what keeps retries and hedges from multiplying an outage."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ttskit.resilience.settings import BudgetSettings

_SLICES = 10
_ROUNDING = 1e-9


@dataclass(slots=True)
class _Slice:
    """What happened in one part of the window."""

    index: int
    requests: int = 0
    extras: int = 0


class RetryBudget:
    """Extra calls to one provider, as a share of its requests and a small reserve.

    In no window are there more extra calls than ``ratio`` times the requests in it plus
    ``reserve_per_s`` for each of its seconds. The past leaves the window a tenth at a time. Any
    thread may call it. A clock that steps back stands still until it has caught up.

    Args:
        settings: The share, the window, the reserve.
        clock: Monotonic seconds.
    """

    def __init__(self, settings: BudgetSettings, *, clock: Callable[[], float]) -> None:
        self._ratio = settings.ratio
        self._reserve = settings.reserve_per_s * settings.window_s
        self._slice_s = settings.window_s / _SLICES
        self._clock = clock
        self._lock = threading.Lock()
        self._slices: deque[_Slice] = deque()
        self._requests = 0
        self._extras = 0

    @property
    def balance(self) -> float:
        """How many extra calls are left now; never below zero."""
        with self._lock:
            self._current()
            return max(self._left(), 0.0)

    def deposit(self) -> None:
        """Count a request; retries and hedges are none."""
        with self._lock:
            self._current().requests += 1
            self._requests += 1

    def withdraw(self) -> bool:
        """Return whether one extra call may be made, which is then counted."""
        with self._lock:
            current = self._current()
            if self._left() + _ROUNDING < 1:
                return False
            current.extras += 1
            self._extras += 1
            return True

    def _left(self) -> float:
        return self._ratio * self._requests + self._reserve - self._extras

    def _current(self) -> _Slice:
        """Return the slice of now, after the past has left the window."""
        index = math.floor(self._clock() / self._slice_s)
        if not self._slices or index > self._slices[-1].index:
            self._slices.append(_Slice(index))
        current = self._slices[-1]
        while self._slices[0].index <= current.index - _SLICES:
            gone = self._slices.popleft()
            self._requests -= gone.requests
            self._extras -= gone.extras
        return current
