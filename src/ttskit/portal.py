"""One thread with an event loop, for blocking code that drives async code."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from ttskit.errors import InvalidParameterError, ServiceClosedError

T = TypeVar("T")
CLOSE_TIMEOUT_S = 5.0


class Portal:
    """Runs coroutines in a thread of its own, started on first use and closed with its owner.

    The thread is a daemon: a service that nobody closed does not hold up the interpreter's exit.
    """

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._portal: BlockingPortal | None = None
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def call(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run ``await function(*args)`` and return its result; Ctrl-C cancels it.

        Raises:
            InvalidParameterError: Called from the portal's own thread, which would wait for itself.
            ServiceClosedError: The portal is closed.
        """
        future: Future[T] = self.portal().start_task_soon(function, *args)
        try:
            return future.result()
        finally:
            future.cancel()

    def portal(self) -> BlockingPortal:
        """Return the running portal, started when need be."""
        if self._thread is threading.current_thread():
            raise InvalidParameterError(
                "a blocking call from the service's own event loop would wait for itself; "
                "use AsyncTTSService there"
            )
        with self._starting:
            if self._is_closed:
                raise ServiceClosedError("the service was shut down")
            if self._portal is None:
                self._portal = self._start()
            return self._portal

    def close(self, before: Callable[[], Awaitable[None]]) -> None:
        """Await ``before()`` in the loop and stop it; takes at most ``CLOSE_TIMEOUT_S`` seconds.

        From the portal's own thread (a finaliser may run anywhere) it does not wait.
        """
        with self._starting:
            self._is_closed = True
            portal, self._portal = self._portal, None
        if portal is None or self._thread is None:
            return
        portal.start_task_soon(_finish, portal, before)
        if self._thread is not threading.current_thread():
            self._thread.join(CLOSE_TIMEOUT_S)

    def _start(self) -> BlockingPortal:
        started: Future[BlockingPortal] = Future()
        self._thread = threading.Thread(
            target=anyio.run, args=(_serve, started), name="ttskit portal", daemon=True
        )
        self._thread.start()
        return started.result()


async def _serve(started: Future[BlockingPortal]) -> None:
    async with BlockingPortal() as portal:
        started.set_result(portal)
        await portal.sleep_until_stopped()


async def _finish(portal: BlockingPortal, before: Callable[[], Awaitable[None]]) -> None:
    try:
        await before()
    finally:
        await portal.stop(cancel_remaining=True)
