"""One timer for the deadlines of many scopes: they move often and hardly ever pass."""

from __future__ import annotations

import math
from asyncio import AbstractEventLoop, TimerHandle, get_running_loop
from types import TracebackType
from typing import Protocol, Self

import anyio


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
        self._scopes: set[_TimedScope] = set()
        self._loop: AbstractEventLoop | None = None
        self._timer: TimerHandle | None = None
        self._rings_at = math.inf

    def scope(self, deadline: float) -> Scope:
        """Return a scope to enter that is cancelled at the deadline, on the event loop's clock."""
        try:
            loop = get_running_loop()
        except RuntimeError:  # trio
            return anyio.CancelScope(deadline=deadline)
        if loop is not self._loop:
            if self._scopes:
                return anyio.CancelScope(deadline=deadline)
            self.close()
            self._loop = loop
        return _TimedScope(self, deadline)

    def close(self) -> None:
        """Give the timer back, unless a scope is open still."""
        if self._scopes:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings_at = None, math.inf

    def _watch(self, scope: _TimedScope) -> None:
        self._scopes.add(scope)
        self._ring_by(scope.deadline)

    def _forget(self, scope: _TimedScope) -> None:
        self._scopes.discard(scope)

    def _ring_by(self, deadline: float) -> None:
        if deadline >= self._rings_at or self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings_at = self._loop.call_at(deadline, self._ring), deadline

    def _ring(self) -> None:
        """Cancel what is due, and ring again for what is due next."""
        self._timer, self._rings_at = None, math.inf
        if self._loop is None:
            return
        now = self._loop.time()
        for scope in tuple(self._scopes):
            if scope.deadline <= now:
                self._scopes.discard(scope)
                scope.cancel()
        self._ring_by(min((scope.deadline for scope in self._scopes), default=math.inf))


class _TimedScope:
    """A cancel scope whose deadline an alarm watches."""

    __slots__ = ("_alarm", "_deadline", "_scope")

    def __init__(self, alarm: Alarm, deadline: float) -> None:
        self._alarm = alarm
        self._deadline = deadline
        self._scope = anyio.CancelScope()

    @property
    def deadline(self) -> float:
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float) -> None:
        self._deadline = deadline
        self._alarm._ring_by(deadline)  # noqa: SLF001 - two parts of one thing

    @property
    def cancelled_caught(self) -> bool:
        return self._scope.cancelled_caught

    def cancel(self) -> None:
        self._scope.cancel()

    def __enter__(self) -> Self:
        self._scope.__enter__()
        self._alarm._watch(self)  # noqa: SLF001 - see there
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._alarm._forget(self)  # noqa: SLF001 - see there
        return self._scope.__exit__(kind, error, traceback)
