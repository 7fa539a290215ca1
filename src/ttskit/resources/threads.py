"""Daemon threads for blocking engines, and the handover of what they make to a task.

AnyIO's own worker threads are no daemons on asyncio: one engine that hangs would hold up the exit
of the whole interpreter. These never do.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar, cast

import anyio
import anyio.lowlevel

from ttskit.errors import ResourceError, ServiceClosedError

ItemT = TypeVar("ItemT")

_logger = logging.getLogger("ttskit.engine")
IDLE_S = 30.0
"""A thread without work ends after this time."""


@dataclass(frozen=True, slots=True)
class _Task:
    run: Callable[[], object]
    lane: str | None


class DaemonThreads:
    """Runs tasks in the order they came, on at most ``limit`` threads started as needed.

    Args:
        limit: Threads at most; at least 1.
        name: Shown in a debugger.
    """

    def __init__(self, limit: int, *, name: str) -> None:
        self._limit = limit
        self._name = f"ttskit {name}"
        self._changed = threading.Condition()
        self._tasks: deque[_Task] = deque()
        self._lanes: dict[str, deque[_Task]] = {}
        self._threads = 0
        self._idle = 0
        self._is_closed = False
        self._at_end: Callable[[], object] | None = None

    def submit(self, task: Callable[[], object], *, lane: str | None = None) -> None:
        """Queue the task; it sees the caller's context variables. What it raises is logged only.

        Args:
            task: What to run.
            lane: Tasks of the same lane run one after the other, in the order they came.

        Raises:
            ServiceClosedError: ``close`` was called.
            ResourceError: The system gives no further thread.
        """
        with self._changed:
            if self._is_closed:
                raise ServiceClosedError("the engine was closed")
            queued = _Task(partial(contextvars.copy_context().run, task), lane)
            if lane is not None and lane in self._lanes:
                self._lanes[lane].append(queued)
                return
            if self._idle <= len(self._tasks) and self._threads < self._limit:
                self._start_thread()
            if lane is not None:  # only now: without a thread nothing of it was taken
                self._lanes[lane] = deque()
            self._tasks.append(queued)
            self._changed.notify()

    def close(self, at_end: Callable[[], object] | None = None, *, drop: bool = True) -> bool:
        """Take nothing more; ``at_end`` runs on the last thread once no task is running.

        Args:
            at_end: What is done then.
            drop: What is queued is not done any more.

        Returns:
            False where it was closed before; ``at_end`` is then passed over.
        """
        with self._changed:
            if self._is_closed:
                return False
            if at_end is not None and not self._threads:
                self._start_thread()
            self._is_closed, self._at_end = True, at_end
            if drop:
                self._tasks.clear()
                self._lanes.clear()
            self._changed.notify_all()
        return True

    def wait_until_idle(self, timeout: float) -> bool:
        """Block until no task runs, or for ``timeout`` seconds; return whether none does."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle == self._threads, timeout)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise ResourceError("no thread can be started for the engine", cause=error) from error
        self._threads += 1

    def _run(self) -> None:
        while (task := self._next()) is not None:
            try:
                task.run()
            except BaseException as error:  # noqa: BLE001 - the outermost edge: others wait
                kind = type(error).__name__  # not its words: they may quote the text
                _logger.error("%s: a task raised %s", self._name, kind)  # noqa: TRY400 - likewise
            self._advance(task.lane)
            del task  # what it refers to must not live on while the thread is idle

    def _advance(self, lane: str | None) -> None:
        """Queue the lane's next task, behind those of others."""
        if lane is None:
            return
        with self._changed:
            if waiting := self._lanes.get(lane):
                self._tasks.append(waiting.popleft())
                self._changed.notify()
            else:
                self._lanes.pop(lane, None)

    def _next(self) -> _Task | None:
        """Return the next task; None ends the thread."""
        with self._changed:
            self._idle += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._tasks or self._is_closed, IDLE_S)
            self._idle -= 1
            if self._tasks:
                return self._tasks.popleft()
            self._threads -= 1
            self._changed.notify_all()
            at_end = None if self._threads else self._at_end
        if at_end is not None:
            at_end()
        return None


class _End:
    """The last thing handed over: nothing more comes, because of ``error`` if there is one."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Handover(Generic[ItemT]):
    """Passes items from one engine thread to one task; made in the task's event loop.

    The thread may be one item ahead of the task. Neither side ever waits for the other when it
    leaves: the task closes, the thread ends.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        """Set when nobody listens any more."""
        self._call_soon = _loop_caller()
        self._room = threading.Semaphore(1)
        self._items: deque[ItemT | _End] = deque()
        self._arrived = anyio.Event()

    def put(self, item: ItemT) -> bool:
        """Hand over an item from the thread; return whether anybody still listens."""
        self._room.acquire()
        if self.stop.is_set():
            return False
        self._post(item)
        return True

    def end(self, error: BaseException | None = None) -> None:
        """Say, from any thread, that no further item comes; ``error`` is raised in the task."""
        self._post(_End(error))

    def close(self) -> None:
        """Stop listening; a thread that waits in ``put`` goes on at once."""
        self.stop.set()
        self._room.release()

    def abort(self, error: BaseException) -> None:
        """End on both sides, from any thread; the task gets ``error``."""
        self.end(error)  # first: a thread that finds itself stopped ends without an error
        self.close()

    def __aiter__(self) -> Handover[ItemT]:
        return self

    async def __anext__(self) -> ItemT:
        while not self._items:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        item = self._items[0]
        if isinstance(item, _End):
            error, item.error = item.error, None
            raise error or StopAsyncIteration
        self._items.popleft()
        self._room.release()
        return item

    def _post(self, item: ItemT | _End) -> None:
        with suppress(RuntimeError):  # the loop is gone, and the task with it
            self._call_soon(self._receive, item)

    def _receive(self, item: ItemT | _End) -> None:
        self._items.append(item)
        self._arrived.set()


async def ask(threads: DaemonThreads, question: Callable[[], ItemT]) -> ItemT:
    """Return the answer to a question that blocks, or raise what it raises.

    Leaving early does not wait for it.
    """
    handover: Handover[ItemT] = Handover()

    def answer() -> None:
        try:
            handover.put(question())
        except BaseException as error:  # noqa: BLE001 - raised in the task that asked
            handover.end(error)

    try:
        threads.submit(answer)
        return await anext(handover)
    finally:
        handover.close()


class _CallSoon(Protocol):
    def __call__(self, callback: Callable[[ItemT], object], item: ItemT, /) -> object: ...


class _TrioToken(Protocol):
    run_sync_soon: _CallSoon


def _loop_caller() -> _CallSoon:
    """Return how another thread has the running loop call something, without waiting for it.

    ``anyio.from_thread`` would make the thread wait until the loop has time for it, and for ever
    where the loop ends first.
    """
    native = anyio.lowlevel.current_token().native_token
    if isinstance(native, asyncio.AbstractEventLoop):
        return cast("_CallSoon", native.call_soon_threadsafe)
    return cast("_TrioToken", native).run_sync_soon
