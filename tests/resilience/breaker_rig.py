"""A breaker on a clock of its own, and the few things that its tests do to it all the time."""

from __future__ import annotations

import random
from collections.abc import Callable

from typing_extensions import override

from ttskit.errors import CircuitOpenError
from ttskit.resilience.breaker import Breaker, BreakerChange, BreakerState, Permit
from ttskit.resilience.settings import BreakerSettings

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
DEFAULTS = BreakerSettings()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Draws(random.Random):
    """Remembers what was drawn, and from how much."""

    drawn: list[tuple[float, float]]

    @override
    def uniform(self, a: float, b: float) -> float:
        value = super().uniform(a, b)
        self.drawn.append((b - a, value))
        return value


class Rig:
    """A breaker on a clock that stands still until it is moved."""

    def __init__(
        self,
        settings: BreakerSettings = DEFAULTS,
        on_change: Callable[[BreakerChange], object] | None = None,
        seed: int = 7,
    ) -> None:
        self.clock = Clock()
        self.random = Draws(seed)
        self.random.drawn = []
        self.changes: list[BreakerChange] = []
        self.breaker = Breaker(
            settings,
            key="piper",
            clock=self.clock,
            random=self.random,
            on_change=on_change or self.changes.append,
        )

    @property
    def state(self) -> BreakerState:
        return self.breaker.snapshot().state

    def wait(self) -> float:
        """Return the seconds until a probe."""
        seconds = self.breaker.snapshot().next_probe_in
        assert seconds is not None
        return seconds

    def trip(self) -> None:
        for _ in range(5):
            self.breaker.admit().fail()
        assert self.state is OPEN

    def let_it_wait(self) -> None:
        self.clock.now += self.wait()

    def probe(self) -> Permit:
        """Let the wait pass, and return the probe that is let through."""
        self.let_it_wait()
        return self.breaker.admit()

    def rejects(self) -> bool:
        try:
            self.breaker.admit().cancel()
        except CircuitOpenError:
            return True
        return False
