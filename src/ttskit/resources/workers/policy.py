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
        self._starts: deque[float] = deque(maxlen=max(policy.restarts - 1, 1))
        """After a death: when the next worker was, or is to be, started."""
        self._is_spent = False

    def note(self, now: float) -> None:
        """Count a death at ``now``, in seconds of a clock that never goes back."""
        policy = self._policy
        recent = sum(start > now - policy.restart_window_s for start in self._starts)
        wait = policy.first_wait_s * 2 ** (recent - 1) if recent else 0.0
        soon = now + min(wait, policy.longest_wait_s) * (1 - self._draw() / 2)
        allowed = float("-inf")
        if len(self._starts) == self._starts.maxlen:
            allowed = self._starts[0] + policy.restart_window_s
        self._is_spent = allowed > soon
        # Several workers may have died: the next start is never before one that is due already.
        self._starts.append(max(soon, allowed, *self._starts))

    def wait(self, now: float) -> float:
        """Return the seconds until a worker may be started; 0: now."""
        return max(0.0, self._starts[-1] - now) if self._starts else 0.0

    def is_spent(self, now: float) -> bool:
        """Whether it died so often that waiting is for somebody else to decide."""
        return self._is_spent and self.wait(now) > 0
