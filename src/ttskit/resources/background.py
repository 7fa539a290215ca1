"""Work that belongs to an event loop and to none of its callers' tasks, on asyncio and trio."""

from __future__ import annotations

import asyncio
import contextvars
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
from typing_extensions import override

if TYPE_CHECKING:
    from trio.abc import Clock
    from trio.lowlevel import TrioToken

Main = Callable[[], Coroutine[object, object, None]]
Callback = Callable[[], object]


class Home(ABC):
    """The event loop that something lives in. What is started here, the loop's end cancels."""

    @staticmethod
    def here() -> Home:
        """Return the running event loop."""
        native = anyio.lowlevel.current_token().native_token
        if isinstance(native, asyncio.AbstractEventLoop):
            return _AsyncioHome(native)
        return _TrioHome()

    def __init__(self) -> None:
        self._loop_token = anyio.lowlevel.current_token()

    def is_here(self) -> bool:
        """Whether it is the one that runs now."""
        return anyio.lowlevel.current_token() == self._loop_token

    @abstractmethod
    def now(self) -> float:
        """Return the loop's own time in seconds; from any thread."""

    @abstractmethod
    def spawn(self, main: Main, *, name: str) -> object:
        """Start a task of its own and return what must be held while it runs.

        Args:
            main: Raises nothing but its cancellation. It sees the caller's context variables.
            name: Shown in a debugger.
        """

    @abstractmethod
    def call_soon(self, callback: Callback) -> None:
        """Have the loop call something; from any thread, and from a finaliser.

        Raises:
            RuntimeError: The loop is gone.
        """

    @abstractmethod
    def call_at(self, time: float, callback: Callback) -> Callback:
        """Have the loop call something at a time of its clock; return what prevents that."""


class _AsyncioHome(Home):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop

    @override
    def now(self) -> float:
        return self._loop.time()

    @override
    def spawn(self, main: Main, *, name: str) -> object:
        return self._loop.create_task(main(), name=name)

    @override
    def call_soon(self, callback: Callback) -> None:
        self._loop.call_soon_threadsafe(callback)

    @override
    def call_at(self, time: float, callback: Callback) -> Callback:
        return self._loop.call_at(time, callback).cancel


class _TrioHome(Home):
    def __init__(self) -> None:
        from trio import lowlevel  # only where it is running anyway

        super().__init__()
        self._token: TrioToken = lowlevel.current_trio_token()
        self._clock: Clock = lowlevel.current_clock()

    @override
    def now(self) -> float:
        return self._clock.current_time()

    @override
    def spawn(self, main: Main, *, name: str) -> object:
        from trio import lowlevel

        return lowlevel.spawn_system_task(main, name=name, context=contextvars.copy_context())

    @override
    def call_soon(self, callback: Callback) -> None:
        self._token.run_sync_soon(callback)

    @override
    def call_at(self, time: float, callback: Callback) -> Callback:
        scope = anyio.CancelScope()

        async def wait() -> None:
            with scope:
                await anyio.sleep_until(time)
                callback()

        self.spawn(wait, name="ttskit timer")
        return scope.cancel


async def settle(done: anyio.Event, timeout_s: float) -> None:
    """Wait for the event at most so long, even if cancelled; the cancellation passes afterwards.

    asyncio's own cancellation heeds no shield, so it is put off here.
    """
    cancelled: BaseException | None = None
    until = anyio.current_time() + timeout_s
    while not done.is_set() and anyio.current_time() < until:
        try:
            with anyio.CancelScope(shield=True, deadline=until):
                await done.wait()
        except anyio.get_cancelled_exc_class() as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
