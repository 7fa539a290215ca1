"""Open streams: a producer in the background, a bounded buffer, a reader, and an end of each.

A session belongs to the event loop and to no task of its reader: it may be opened in one task and
closed in another, and nothing that happens to the reader can damage the producer's own scopes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from functools import partial
from types import TracebackType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from ttskit.errors import ServiceClosedError, StreamInterruptedError
from ttskit.resources.background import Callback, Home, settle
from ttskit.telemetry.health import StreamStats

ItemT = TypeVar("ItemT")
Put = Callable[[ItemT], Awaitable[None]]

BUFFER_S = 2.0
"""Audio made but not taken yet; what an interruption wastes."""
BUFFER_BYTES = 256_000
CLOSE_TIMEOUT_S = 2.0
"""How long closing waits for a source that was cancelled."""
SHUTDOWN_TIMEOUT_S = 1.0
"""The same for all streams of a service; providers need some of its 5 s, too."""


class Weight(NamedTuple):
    """What an item takes up."""

    seconds: float
    size: int
    """Bytes."""


class Outcome(StrEnum):
    """How a session ended."""

    EXHAUSTED = "exhausted"
    """Read to its end."""
    FAILED = "failed"
    """The reader got the producer's error."""
    CLOSED = "closed"
    """The reader left early."""
    DROPPED = "dropped"
    """Nobody held it any more, and nobody had closed it."""
    IDLE = "idle"
    """Nobody took what was there for too long."""
    SHUTDOWN = "shutdown"
    """The service was closed."""


class Source(Protocol[ItemT]):
    """What fills a session."""

    async def run(self, put: Put[ItemT]) -> None:
        """Hand over every item in order; raise what the reader is to get after the last."""

    def abort(self, error: Exception) -> Exception:
        """End ``run`` at once and return the error as the reader is to get it."""

    def weigh(self, item: ItemT) -> Weight:
        """Return what the item takes up."""

    def over(self) -> None:
        """Told once when the session has ended and nothing runs."""


class Buffer(Generic[ItemT]):
    """Items in order, as many as its limits allow; one that is larger than they are comes alone.

    Args:
        seconds: Of audio at most.
        size: Bytes at most.
    """

    def __init__(self, seconds: float = BUFFER_S, size: int = BUFFER_BYTES) -> None:
        self._most_ns = _ns(seconds)
        self._most = size
        self._items: deque[tuple[ItemT, Weight]] = deque()
        self._ns = 0  # in whole nanoseconds, as a running sum of floats would drift
        self._lent: list[Weight] = []
        self.size = 0
        """Bytes held."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def seconds(self) -> float:
        """Of audio held."""
        return self._ns / 1e9

    def fits(self, weight: Weight) -> bool:
        """Whether an item of this weight may be put in now."""
        is_small = self.size + weight.size <= self._most
        is_short = self._ns + _ns(weight.seconds) <= self._most_ns
        return self.is_free or (is_small and is_short)

    @property
    def is_free(self) -> bool:
        """Whether it holds nothing, and nothing that was taken counts any more."""
        return not (self._items or self._lent)

    def append(self, item: ItemT, weight: Weight) -> None:
        """Put an item in."""
        self._items.append((item, weight))
        self.size += weight.size
        self._ns += _ns(weight.seconds)

    def popleft(self) -> ItemT:
        """Take the oldest item out; there must be one."""
        item, weight = self._items.popleft()
        self._lighten(weight)
        return item

    def lend(self) -> list[ItemT]:
        """Take everything out, for a reader that has yet to get through it: it counts on."""
        taken = list(self._items)
        self._items.clear()
        self._lent += [weight for _, weight in taken]
        return [item for item, _ in taken]

    def settle(self) -> None:
        """What was lent counts no more."""
        while self._lent:
            self._lighten(self._lent.pop())

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._lent.clear()
        self.size = self._ns = 0

    def _lighten(self, weight: Weight) -> None:
        self.size -= weight.size
        self._ns -= _ns(weight.seconds)


class StreamSession(Generic[ItemT]):
    """One open stream; ``StreamRegistry.open`` starts it.

    Args:
        source: What fills it, in a task of its own.
        idle_s: Seconds after which what waits is given up; None: never.
        on_end: Told once how it ended.
    """

    def __init__(
        self,
        source: Source[ItemT],
        *,
        idle_s: float | None,
        on_end: Callable[[StreamSession[ItemT], Outcome], None],
    ) -> None:
        self._source = source
        self._idle_s = idle_s
        self._on_end = on_end
        self._home = Home.here()
        self._buffer: Buffer[ItemT] = Buffer()
        self._scope = anyio.CancelScope()
        self._done = anyio.Event()
        self._arrived: anyio.Event | None = None
        self._room: anyio.Event | None = None
        self._failure: BaseException | None = None
        self._traceback: TracebackType | None = None
        self._outcome: Outcome | None = None
        self._touched = self._home.now()
        self._is_running = True
        self._task: object = self._home.spawn(self._run, name="ttskit stream")
        self._stop_timer: Callback | None = None
        self._watch(self._touched)

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it is open."""
        return self._outcome

    @property
    def waiting_s(self) -> float:
        """Seconds that what is ready has waited for its reader."""
        return self._home.now() - self._touched if not self._buffer.is_free else 0.0

    @property
    def buffered_s(self) -> float:
        """Seconds of audio that wait to be taken."""
        return self._buffer.seconds

    async def take(self) -> ItemT | None:
        """Return the next item; None when there is no other. For one reader at a time.

        Raises:
            BaseException: What the source failed with, after the last item before that.
        """
        self._buffer.settle()
        self._make_room()
        if self._buffer:
            await checkpoint()
        while not self._buffer:
            if self._outcome is not None or not self._is_running:
                self._finish()
                return None
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._pop()

    def ready(self) -> list[ItemT]:
        """Return what is there to be taken; it counts as held until more is asked for."""
        self._touched = self._home.now()
        items = self._buffer.lend()
        self._end_if_exhausted()
        return items

    async def aclose(self) -> None:
        """End the source's work and wait for that, ``CLOSE_TIMEOUT_S`` at most."""
        self._end(Outcome.CLOSED)
        await settle(self._done, CLOSE_TIMEOUT_S)

    def drop(self) -> bool:
        """End it because nobody holds it; from any thread, and from a finaliser.

        Returns:
            Whether there was anything to end.
        """
        if self._outcome is not None:
            return False
        with suppress(RuntimeError):  # the loop is gone, and the source's work with it
            self._home.call_soon(self._end_dropped)
            return True
        return False

    def interrupt(self, error: Exception, outcome: Outcome) -> None:
        """End it early; whoever reads on gets the error."""
        if self._outcome is not None:
            return
        if self._is_running or outcome is Outcome.IDLE:
            heard = self._source.abort(error)
            self._failure = heard if self._failure is None else self._failure
        self._end(outcome)

    def interrupt_safely(self, error: Exception, outcome: Outcome) -> None:
        """The same from any event loop."""
        if self.is_here:
            self.interrupt(error, outcome)
            return
        with suppress(RuntimeError):  # that loop is gone, and the source's work with it
            self._home.call_soon(partial(self.interrupt, error, outcome))

    @property
    def is_here(self) -> bool:
        """Whether it lives in the running event loop."""
        return self._home.is_here()

    async def settled(self) -> None:
        """Wait until nothing runs; what has not ended after ``SHUTDOWN_TIMEOUT_S`` is cancelled."""
        await settle(self._done, SHUTDOWN_TIMEOUT_S)
        self._scope.cancel()

    def _pop(self) -> ItemT:
        self._touched = self._home.now()
        item = self._buffer.popleft()
        self._make_room()
        self._end_if_exhausted()
        return item

    def _make_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None

    def _end_if_exhausted(self) -> None:
        if not self._is_running and not self._buffer and self._failure is None:
            self._end(Outcome.EXHAUSTED)

    def _finish(self) -> None:
        self._end(Outcome.EXHAUSTED if self._failure is None else Outcome.FAILED)
        if self._failure is not None and self._outcome is not Outcome.CLOSED:
            # Raised anew with each read, from where it came from: a traceback must not grow.
            raise self._failure.with_traceback(self._traceback) from self._failure.__cause__

    async def _put(self, item: ItemT) -> None:
        await checkpoint_if_cancelled()
        weight = self._source.weigh(item)
        while not self._buffer.fits(weight):
            self._room = anyio.Event()
            await self._room.wait()
        if not self._buffer:
            self._touched = self._home.now()
        self._buffer.append(item, weight)
        self._wake()

    async def _run(self) -> None:
        try:
            with self._scope:
                await checkpoint_if_cancelled()
                await self._source.run(self._put)
        except anyio.get_cancelled_exc_class():  # the event loop ends
            self._end(Outcome.CLOSED)
            raise
        except BaseException as error:  # noqa: BLE001 - the reader gets it, in order
            if self._failure is None:
                self._failure, self._traceback = error, error.__traceback__
        finally:
            self._is_running = False
            self._task = None
            self._end_if_exhausted()
            self._wake()
            self._settle()

    def _wake(self) -> None:
        if self._arrived is not None:
            self._arrived.set()

    def _end_dropped(self) -> None:
        self._end(Outcome.DROPPED)

    def _end(self, outcome: Outcome) -> None:
        if self._outcome is not None:
            return
        self._outcome = outcome
        if outcome is not Outcome.SHUTDOWN:
            self._buffer.clear()
        if self._stop_timer is not None:
            self._stop_timer()
        if outcome not in (Outcome.SHUTDOWN, Outcome.IDLE):
            self._scope.cancel()
        self._wake()
        self._settle()

    def _settle(self) -> None:
        """The session is over once its reader and its source are."""
        if self._outcome is not None and not self._is_running and not self._done.is_set():
            self._done.set()
            self._source.over()
            self._on_end(self, self._outcome)

    def _watch(self, since: float) -> None:
        if self._idle_s is not None:
            self._stop_timer = self._home.call_at(since + self._idle_s, self._check_idle)

    def _check_idle(self) -> None:
        """Give up what has waited for too long; else look again when that may be."""
        now = self._home.now()
        waits = not self._buffer.is_free
        if self._outcome is not None or self._idle_s is None:
            return
        if waits and now >= self._touched + self._idle_s:
            error = StreamInterruptedError(f"nobody read the stream for {self._idle_s:g} s")
            self.interrupt(error, Outcome.IDLE)
        else:
            self._watch(self._touched if waits else now)


class StreamRegistry:
    """Knows every open stream of one service.

    Args:
        idle_s: Seconds after which a stream that nobody reads is ended; None: never.
    """

    def __init__(self, *, idle_s: float | None = None) -> None:
        self._idle_s = idle_s
        self._open: dict[StreamSession[Any], None] = {}
        self._opened = 0
        self._ended: Counter[str] = Counter()
        self._is_closed = False

    def open(self, source: Source[ItemT]) -> StreamSession[ItemT]:
        """Start a session in the running event loop.

        Raises:
            ServiceClosedError: The service was shut down.
        """
        if self._is_closed:
            raise ServiceClosedError("the service was shut down")
        session = StreamSession(source, idle_s=self._idle_s, on_end=self._count)
        self._open[session] = None
        self._opened += 1
        return session

    def stats(self) -> StreamStats:
        """Return what is open and how the others ended; from any thread."""
        sessions = tuple(self._open)
        return StreamStats(
            open=len(sessions),
            opened=self._opened,
            ended=dict(self._ended),
            buffered=sum(session.buffered_s for session in sessions),
            longest_wait=max((session.waiting_s for session in sessions), default=0.0),
        )

    async def aclose(self) -> None:
        """End every session; takes ``SHUTDOWN_TIMEOUT_S`` at most.

        Readers get what is ready and then a ``ServiceClosedError``.
        """
        self._is_closed = True
        sessions = tuple(self._open)
        for session in sessions:
            session.interrupt_safely(
                ServiceClosedError("the service was shut down"), Outcome.SHUTDOWN
            )
        nearby = [session for session in sessions if session.is_here]
        if nearby:
            async with anyio.create_task_group() as waiting:
                for session in nearby:
                    waiting.start_soon(session.settled)

    def _count(self, session: StreamSession[Any], outcome: Outcome) -> None:
        self._open.pop(session, None)
        self._ended[str(outcome)] += 1


def _ns(seconds: float) -> int:
    return round(1e9 * seconds)
