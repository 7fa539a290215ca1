"""When a second provider is worth its price because the first one is slower than it usually is."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ttskit.resilience.budget import RetryBudget
from ttskit.resilience.settings import HedgeSettings
from ttskit.resilience.window import Window

_REFRESH_S = 3.0
"""Seconds for which a quantile is good. Source: Finagle's backup requests."""
_UNUSUAL = 3.0
"""So many times the usual share of slow calls: it is not bad luck, everything is slow."""

_BUCKETS = 10
_ROUNDING = 1e-9

_MARGIN = 1.05
"""Of the quantile: where all calls take the same time, half of them take a trifle more."""


@dataclass(slots=True)
class _Times:
    """How long a provider's first audio took of late."""

    kept: deque[float]
    recent: deque[tuple[float, bool]] = field(default_factory=deque)
    """When a call ended, and whether it took longer than the wait that was known then."""
    slow: int = 0
    wait_s: float | None = None
    known_at: float = -math.inf


class Hedging:
    """Decides when a second provider is asked, and whether it may be.

    A hedge is worth it where a call takes longer than nearly all others did. Hedges are a small
    share of the requests, with no reserve, and each is taken from the second provider's budget of
    extra calls as well. While an unusual share of a provider's calls is slow, none is made: then
    it is not one call that hangs, and more calls would make it worse. For one event loop.

    Args:
        settings: The quantile, the share, the window.
        clock: Monotonic seconds.
    """

    def __init__(self, settings: HedgeSettings, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._times: dict[str, _Times] = {}
        self._requests = Window(settings.window_s, _BUCKETS)
        self._hedged_at: deque[float] = deque()

    def deposit(self) -> None:
        """Count a request that might be hedged."""
        self._requests.add(self._clock())

    def observe(self, key: str, first_audio_s: float) -> None:
        """Note how long a provider's first audio took, or how long nothing came before it lost.

        Args:
            key: Of the provider.
            first_audio_s: Seconds.
        """
        times = self._times.get(key)
        if times is None:
            times = self._times[key] = _Times(deque(maxlen=self._settings.calls_kept))
        is_slow = times.wait_s is not None and first_audio_s > times.wait_s
        times.kept.append(first_audio_s)
        times.recent.append((self._clock(), is_slow))
        times.slow += is_slow
        self._forget(times)

    def wait(self, key: str) -> float | None:
        """Return the seconds after which a second provider is to be asked.

        None: too little is known of the first one, or it is slow altogether.
        """
        times = self._times.get(key)
        if times is None or len(times.kept) < self._settings.minimum_calls:
            return None
        if self._clock() - times.known_at >= _REFRESH_S:
            times.wait_s = self._quantile(times)
            times.known_at = self._clock()
        self._forget(times)
        usual = (1 - self._settings.quantile) * len(times.recent)
        if times.slow > max(_UNUSUAL * usual, 1):
            return None
        return times.wait_s

    def allow(self, extra: RetryBudget) -> bool:
        """Return whether a hedge may be made, which is then counted.

        In no window are there more hedges than the share of its requests.

        Args:
            extra: The second provider's budget of extra calls; nothing is taken from it by a no.
        """
        now = self._clock()
        while self._hedged_at and self._hedged_at[0] <= now - self._settings.window_s:
            self._hedged_at.popleft()
        most = self._settings.ratio * self._requests.counts(now).calls + _ROUNDING
        if len(self._hedged_at) + 1 > most or not extra.withdraw():
            return False
        self._hedged_at.append(now)
        return True

    def _quantile(self, times: _Times) -> float:
        ranked = sorted(times.kept)
        rank = math.ceil(len(ranked) * self._settings.quantile) - 1
        return max(ranked[rank] * _MARGIN, self._settings.shortest_wait_s)

    def _forget(self, times: _Times) -> None:
        before = self._clock() - self._settings.window_s
        while times.recent and times.recent[0][0] < before:
            times.slow -= times.recent.popleft()[1]
