"""When a worker is taken for hung, how often it is restarted, and when it has done enough."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerPolicy:
    """Numbers that a service has no reason to change; tests do."""

    restarts: int = 5
    """Deaths within the window; after so many nothing is started until the window has moved on."""
    restart_window_s: float = 60.0
    first_wait_s: float = 0.1
    """Before the second restart within the window; the first is at once, each next waits twice as
    long, and of each wait up to half is left out by chance."""
    longest_wait_s: float = 5.0
    silence_s: float = 3.0
    """A worker that says nothing for so long hangs: three missed beats."""
    loading_silence_s: float = 60.0
    """The same while an engine is made or loaded: the import of a large library holds the GIL."""
    jobs: int = 1_000
    """Jobs after which a worker is replaced by a fresh one."""
    growth: int = 300 * 10**6
    """Bytes of memory beyond what it took when it was warm, after which it is."""
    leave_s: float = 1.0
    """Seconds in which a worker that was told to stop ends by itself; then it is terminated."""
    terminate_s: float = 0.5
    """Seconds after which one that was terminated is killed."""


class Restarts:
    """Counts deaths, and tells how long to wait before the next start.

    Args:
        policy: How many, how long.
        draw: Returns a number from 0 to 1, by chance.
    """

    def __init__(
        self,
        policy: WorkerPolicy,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._policy = policy
        self._draw = draw
        self._deaths: deque[float] = deque()
        self._next = float("-inf")

    def note(self, now: float) -> None:
        """Count a death at ``now``, in seconds of a clock that never goes back."""
        policy = self._policy
        self._forget(now)
        self._deaths.append(now)
        count = len(self._deaths)
        if count >= policy.restarts:
            self._next = self._deaths[0] + policy.restart_window_s
            return
        wait = policy.first_wait_s * 2 ** (count - 2) if count > 1 else 0.0
        self._next = now + min(wait, policy.longest_wait_s) * (1 - self._draw() / 2)

    def wait(self, now: float) -> float:
        """Return the seconds until a worker may be started; 0: now."""
        return max(0.0, self._next - now)

    def is_spent(self, now: float) -> bool:
        """Whether it died so often that waiting is for somebody else to decide."""
        self._forget(now)
        return len(self._deaths) >= self._policy.restarts and self.wait(now) > 0

    def _forget(self, now: float) -> None:
        while self._deaths and self._deaths[0] <= now - self._policy.restart_window_s:
            self._deaths.popleft()
