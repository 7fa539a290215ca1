"""Rate limits: so many calls and so many characters in any minute."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import anyio

from ttskit.errors import RateLimitedError

_MINUTE = 60.0
_ROUNDING_S = 1e-6
"""Who waits exactly as long as it was told is let through, however the sum is rounded."""


class _Spent:
    """What was used within the last minute."""

    def __init__(self, requests: float, characters: float) -> None:
        self._requests = requests
        self._characters = characters
        self._entries: deque[tuple[float, int]] = deque()
        self._total = 0

    def copy(self) -> _Spent:
        """Return another one with the same content."""
        other = _Spent(self._requests, self._characters)
        other._entries = self._entries.copy()
        other._total = self._total
        return other

    def earliest(self, now: float, characters: int) -> float:
        """Return when a call may be made: now or, by the clock, when enough has become old."""
        self._forget(now)
        excess = self._total + characters - self._characters
        calls = len(self._entries) + 1 - self._requests
        at = now
        for then, size in self._entries:
            if excess <= 0 and calls <= 0:
                break
            excess -= size
            calls -= 1
            at = then + _MINUTE
        return max(now, at)

    def add(self, at: float, characters: int) -> None:
        """Count a call."""
        self._entries.append((at, characters))
        self._total += characters

    def _forget(self, now: float) -> None:
        while self._entries and self._entries[0][0] + _MINUTE <= now:
            self._total -= self._entries.popleft()[1]


class RateLimit:
    """Calls and characters of one provider, in any 60 seconds; for use from one event loop.

    First come, first served. A text with more characters than a whole minute's goes out alone, in
    a minute of its own, as no wait would make it fit.

    Args:
        requests_per_minute: None: no limit.
        characters_per_minute: None: no limit.
        clock: Monotonic seconds, as fast as the event loop's.
    """

    def __init__(
        self,
        requests_per_minute: int | None,
        characters_per_minute: int | None,
        *,
        clock: Callable[[], float],
    ) -> None:
        self.is_limited = requests_per_minute is not None or characters_per_minute is not None
        """Whether there is any limit to wait for."""
        self._spent = _Spent(requests_per_minute or math.inf, characters_per_minute or math.inf)
        self._clock = clock
        self._waiting: dict[object, int] = {}
        self._turn = anyio.Lock()

    async def acquire(self, characters: int, *, deadline: float | None = None) -> None:
        """Wait until a call with so many characters may be made, and count it.

        A wait that is cancelled counts for nothing, and those behind it come up earlier.

        Args:
            characters: Of the text to send.
            deadline: When it is of no use any more, by the clock.

        Raises:
            RateLimitedError: That would be after the deadline; ``retry_after`` says how many
                seconds the wait would have been. Nothing was waited for.
        """
        if not self.is_limited:
            return
        now = self._clock()
        at = self._expected(now, characters)
        if deadline is not None and at > deadline + _ROUNDING_S:
            wait = at - now
            message = f"the limit per minute leaves no room for {wait:.1f} s"
            raise RateLimitedError(message, retry_after=wait)
        if at <= now and not self._waiting:
            self._spent.add(now, characters)
        else:
            await self._queue(characters)

    def _expected(self, now: float, characters: int) -> float:
        """Return when the call may be made, if all who wait go first."""
        if not self._waiting:
            return self._spent.earliest(now, characters)
        spent = self._spent.copy()
        at = now
        for ahead in self._waiting.values():
            at = spent.earliest(at, ahead)
            spent.add(at, ahead)
        return spent.earliest(at, characters)

    async def _queue(self, characters: int) -> None:
        ticket = object()
        self._waiting[ticket] = characters
        try:
            async with self._turn:
                now = self._clock()
                at = self._spent.earliest(now, characters)
                await anyio.sleep(at - now)
                # A clock that is a hair behind the event loop's must not count it too early.
                self._spent.add(max(self._clock(), at), characters)
        finally:
            del self._waiting[ticket]
