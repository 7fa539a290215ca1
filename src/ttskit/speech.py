"""Speech while it is made: what ``stream()`` returns, for async and for blocking code."""

from __future__ import annotations

import warnings
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio

from ttskit.audio import Audio, AudioChunk, Notice, Outcome, Provenance, Spoken
from ttskit.errors import (
    InvalidParameterError,
    ServiceClosedError,
    StreamInterruptedError,
    TTSError,
)
from ttskit.resources.streams import StreamRegistry, StreamSession, Weight
from ttskit.routing.studio import Production

if TYPE_CHECKING:
    from ttskit.portal import Portal

Deliver = Callable[[AudioChunk], Awaitable[None]]


class _Course:
    """One production and the session it fills: all of a stream but the handle on it.

    It never refers to the handle, which may so be collected while the production runs.
    """

    def __init__(
        self, production: Production, streams: StreamRegistry, on_close: Callable[[], None]
    ) -> None:
        self.production = production
        self.stage = production.stage
        self._streams = streams
        self._on_close = on_close
        self._session: StreamSession[AudioChunk] | None = None
        self._started = 0.0
        self._is_entered = False
        self._is_closed = False
        self._is_dropped = False
        self._is_reading = False
        self.is_begun = False
        """Whether a chunk was asked for."""

    # What the session asks of its source:

    async def run(self, put: Deliver) -> None:
        try:
            await self.production.run(put)
        except Exception as error:  # noqa: BLE001 - raised again, as the reader is to get it
            heard = self._as_heard(error)
            raise heard from heard.__cause__

    def abort(self, error: Exception) -> Exception:
        self.production.performance.abort(error)
        return self._as_heard(error)

    @staticmethod
    def weigh(chunk: AudioChunk) -> Weight:
        samples = chunk.samples
        return Weight(len(samples) / chunk.sample_rate, len(chunk.data) + samples.nbytes)

    def over(self) -> None:
        self._note_time()
        self._on_close()

    # What the handles ask:

    def start(self) -> StreamSession[AudioChunk]:
        if self._session is None:
            self._started = anyio.current_time()
            self._session = self._streams.open(self)
        return self._session

    def enter(self) -> None:
        if self._is_entered or self._is_closed:
            raise InvalidParameterError("a stream can be entered once only")
        self.start()
        self._is_entered = True

    async def next_chunk(self) -> AudioChunk | None:
        if self._is_reading:
            raise InvalidParameterError("a stream is read from one task at a time")
        if self.is_begun:
            self.production.performance.heard()
        self.is_begun = self._is_reading = True
        try:
            return None if self._is_closed else await self.start().take()
        finally:
            self._is_reading = False
            if self._is_dropped:
                self.drop()

    async def next_or_stop(self) -> AudioChunk:
        chunk = await self.next_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def ready_chunks(self) -> list[AudioChunk]:
        first = await self.next_chunk()
        if first is None:
            return []
        return [first, *self.start().ready()]

    async def collect(self) -> Audio:
        if self.is_begun:
            raise InvalidParameterError(
                "collect() takes the whole stream: call it before iterating"
            )
        chunks: list[AudioChunk] = []
        try:
            while chunk := await self.next_chunk():
                chunks.append(chunk)
        except StreamInterruptedError as error:
            error.audio = self.stage.audio(chunks)
            raise
        finally:
            await self.aclose()  # nobody can read on where this was cancelled
        self._note_time()
        return self.stage.audio(chunks)

    async def aclose(self) -> None:
        is_first, self._is_closed = not self._is_closed, True
        if self._session is not None:
            await self._session.aclose()
        elif is_first:
            self._on_close()

    def drop(self) -> bool:
        """Nobody holds the handle; return whether there was anything to end."""
        self._is_dropped = True
        if self._session is None or self._is_reading:
            return False
        return self._session.drop()

    def _note_time(self) -> None:
        self.stage.origin.wall_time = anyio.current_time() - self._started

    def _as_heard(self, error: Exception) -> Exception:
        """Return what the listener is told: after the first audio, how much was heard."""
        self.stage.origin.outcome = Outcome.TRUNCATED
        ledger = self.stage.ledger
        if not ledger.entries:
            return error
        if not isinstance(error, TTSError) or isinstance(error, ServiceClosedError):
            return error
        return StreamInterruptedError(
            f"speech ended early: {error}",
            ledger=ledger.entries,
            spoken_text=self.stage.text,
            cause=error,
        )


def _drop(course: _Course) -> None:
    """End what a handle that is gone had begun; called by any thread, at any time."""
    if course.drop():
        warnings.warn(
            "a stream was dropped without being closed; use it as a context manager",
            ResourceWarning,
            stacklevel=3,  # where the last reference went, and not weakref's own line
        )


class SpeechStream:
    """A stream of speech: enter it, iterate it for chunks, leave it.

    Leaving the block, an exception, a ``break`` or a cancellation ends the provider's work.
    Without a block it begins when it is first read and ends by itself when all was said; one that
    is dropped before that is ended as well, with a ``ResourceWarning``.

    Args:
        production: Makes the audio, turns it into chunks and keeps the record.
        streams: Of the service.
        on_close: Called once when the stream is over.
    """

    def __init__(
        self, production: Production, streams: StreamRegistry, *, on_close: Callable[[], None]
    ) -> None:
        self._course = _Course(production, streams, on_close)
        self._stage = production.stage
        weakref.finalize(self, _drop, self._course).atexit = False

    @property
    def ledger(self) -> tuple[Spoken, ...]:
        """Who spoke which characters in which frames, so far."""
        return self._stage.ledger.entries

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """Every setting or markup that was emulated, limited or ignored, so far."""
        return tuple(self._stage.warnings)

    @property
    def origin(self) -> Provenance:
        """Where the audio comes from; grows while the stream runs."""
        return self._stage.origin

    @property
    def sample_rate(self) -> int:
        """Hz; 0 until the first chunk is there."""
        return self._stage.sample_rate

    def spoken_text(self, frames: int) -> str:
        """Return the caller's text that has been heard when so many frames were played.

        What a voice agent must know when it is interrupted. Words count when most of them was
        heard; where the engine gives no word times, they are estimated.

        Raises:
            InvalidParameterError: ``frames`` is negative.
        """
        if frames < 0:
            raise InvalidParameterError("frames must not be negative")
        return self._stage.ledger.text_until(frames)

    def abort(self, error: Exception) -> None:
        """End the stream: whoever reads it gets ``error``."""
        self._course.production.performance.abort(error)

    async def __aenter__(self) -> Self:
        self._course.enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._course.aclose()

    def __aiter__(self) -> Self:
        return self

    # No coroutine of its own: the frame of one that was cancelled would hold the handle.
    def __anext__(self) -> Coroutine[Any, Any, AudioChunk]:
        return self._course.next_or_stop()

    async def next_chunk(self) -> AudioChunk | None:
        """Return the next chunk; None when all was said, or the stream was closed.

        Raises:
            InvalidParameterError: Another task waits for the next chunk.
            StreamInterruptedError: Speech ended early; what was heard is on the error.
            TTSError: Nothing was heard, and why.
        """
        return await self._course.next_chunk()

    async def ready_chunks(self) -> list[AudioChunk]:
        """Return the next chunk and those ready behind it; an empty list when all was said.

        Raises:
            TTSError: As for ``next_chunk``.
        """
        return await self._course.ready_chunks()

    async def collect(self) -> Audio:
        """Read the stream to its end and return it as one piece of audio.

        Raises:
            InvalidParameterError: Chunks were taken already.
            StreamInterruptedError: Speech ended early; the error has the audio so far.
        """
        return await self._course.collect()

    async def aclose(self) -> None:
        """End the provider's work, if there is any left; safe to call again.

        A task that waits for a chunk gets the end of the stream.
        """
        await self._course.aclose()


class SyncSpeechStream:
    """The same stream for blocking code: a context manager and an iterator of chunks.

    It may be iterated without a block, too; see ``SpeechStream``.

    Args:
        stream: What is read.
        portal: Into the event loop that it lives in.
    """

    def __init__(self, stream: SpeechStream, portal: Portal) -> None:
        self._stream = stream
        self._portal = portal
        self._ready: deque[AudioChunk] = deque()
        self._is_closed = False

    @property
    def ledger(self) -> tuple[Spoken, ...]:
        """Who spoke which characters in which frames, so far."""
        return self._stream.ledger

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """Every setting or markup that was emulated, limited or ignored, so far."""
        return self._stream.warnings

    @property
    def origin(self) -> Provenance:
        """Where the audio comes from; grows while the stream runs."""
        return self._stream.origin

    @property
    def sample_rate(self) -> int:
        """Hz; 0 until the first chunk is there."""
        return self._stream.sample_rate

    def spoken_text(self, frames: int) -> str:
        """Return the caller's text that has been heard when so many frames were played."""
        return self._stream.spoken_text(frames)

    def __enter__(self) -> Self:
        self._portal.call(self._stream.__aenter__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> AudioChunk:
        if not self._ready and not self._is_closed:
            # A trip into the event loop costs more than a chunk does.
            self._ready.extend(self._portal.call(self._stream.ready_chunks))
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def collect(self) -> Audio:
        """Read the stream to its end and return it as one piece of audio."""
        return self._portal.call(self._stream.collect)

    def close(self) -> None:
        """End the provider's work, if there is any left; safe to call again, from any thread."""
        self._is_closed = True
        self._ready.clear()
        with suppress(ServiceClosedError):  # which ended it
            self._portal.call(self._stream.aclose)
