"""One timer for the deadlines of many scopes: they move often and hardly ever pass."""

from __future__ import annotations

import math
from asyncio import AbstractEventLoop, TimerHandle, get_running_loop
from types import TracebackType
from typing import Protocol, Self

import anyio

from ttskit.resilience.now import now


class Scope(Protocol):
    """What is used of a cancel scope, AnyIO's own or an alarm's."""

    deadline: float
    """When it is cancelled, on the event loop's clock; may be moved at any time."""

    @property
    def cancelled_caught(self) -> bool:
        """Whether it was cancelled, and that ended its block."""

    def cancel(self) -> None:
        """Cancel it at once."""

    def __enter__(self) -> Self:
        """Begin the block."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """End the block; true where the cancellation ends with it."""


class Alarm:
    """Cancels scopes at their deadlines, with one timer for all of them.

    On asyncio AnyIO sets a timer for each scope, and another one whenever its deadline moves, as it
    does with every chunk of audio. Here a timer that rings early looks when it is to ring next. On
    trio, which has no such timers, and in a second event loop at the same time the scopes are
    AnyIO's own.
    """

    def __init__(self) -> None:
        self.scopes: set[_TimedScope] = set()
        """Those that are open."""
        self.rings_at = math.inf
        """When it looks which of them are due, on the event loop's clock; never too late."""
        self._loop: AbstractEventLoop | None = None
        self._kind = anyio.CancelScope
        self._timer: TimerHandle | None = None

    def scope(self, deadline: float) -> Scope:
        """Return a scope to enter that is cancelled at the deadline, on the event loop's clock."""
        try:
            loop = get_running_loop()
        except RuntimeError:  # trio
            return anyio.CancelScope(deadline=deadline)
        if loop is not self._loop:
            if self.scopes:
                return anyio.CancelScope(deadline=deadline)
            self.close()
            # By its own name a scope is made in half the time: AnyIO need not ask for the loop.
            self._loop, self._kind = loop, type(anyio.CancelScope())
        return _TimedScope(self, self._kind(), deadline)

    def close(self) -> None:
        """Give the timer back, unless a scope is open still."""
        if not self.scopes and self._timer is not None:
            self._timer.cancel()
            self._timer, self.rings_at = None, math.inf

    def ring_at(self, deadline: float) -> None:
        """Look earlier than was planned."""
        if self._loop is None:
            raise AssertionError("an alarm rings in the event loop of its scopes")
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self.rings_at = self._loop.call_at(deadline, self._ring), deadline

    def _ring(self) -> None:
        """Cancel what is due, and ring again for what is due next."""
        self._timer, self.rings_at = None, math.inf
        time = now()
        for scope in tuple(self.scopes):
            if scope.deadline <= time:
                self.scopes.discard(scope)
                scope.cancel()
        following = min((scope.deadline for scope in self.scopes), default=math.inf)
        if following < math.inf:
            self.ring_at(following)


class _TimedScope:
    """A cancel scope whose deadline an alarm watches."""

    __slots__ = ("_alarm", "_deadline", "_scope")

    def __init__(self, alarm: Alarm, scope: anyio.CancelScope, deadline: float) -> None:
        self._alarm = alarm
        self._scope = scope
        self._deadline = deadline

    @property
    def deadline(self) -> float:
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float) -> None:
        self._deadline = deadline
        if deadline < self._alarm.rings_at:
            self._alarm.ring_at(deadline)

    @property
    def cancelled_caught(self) -> bool:
        return self._scope.cancelled_caught

    def cancel(self) -> None:
        self._scope.cancel()

    def __enter__(self) -> Self:
        self._scope.__enter__()
        self._alarm.scopes.add(self)
        if self._deadline < self._alarm.rings_at:
            self._alarm.ring_at(self._deadline)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._alarm.scopes.discard(self)
        return self._scope.__exit__(kind, error, traceback)
