"""Speech while it is made: what ``stream()`` enters, for async and for blocking code."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from ttskit.audio import Audio, AudioChunk, Notice, Outcome, Provenance, Spoken
from ttskit.errors import (
    InvalidParameterError,
    ServiceClosedError,
    StreamInterruptedError,
    TTSError,
)
from ttskit.routing.stage import CHUNK_S
from ttskit.routing.studio import Production

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from ttskit.portal import Portal

BUFFER_S = 2.0
"""Audio released but not taken yet; what an interruption wastes."""


class SpeechStream:
    """A stream of speech: enter it, iterate it for chunks, leave it.

    Leaving the block, an exception, a ``break`` or a cancellation ends the provider's work.

    Args:
        production: Makes the audio, turns it into chunks and keeps the record.
        on_close: Called once when the stream is over.
    """

    def __init__(self, production: Production, *, on_close: Callable[[], None]) -> None:
        self._production = production
        self._performance = production.performance
        self._stage = production.stage
        self._on_close = on_close
        self._tasks: TaskGroup | None = None
        self._failure: Exception | None = None
        self._started = 0.0
        self._is_iterated = False
        self._is_reading = False

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
        self._performance.abort(error)

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise InvalidParameterError("a stream can be entered once only")
        self._started = anyio.current_time()
        self._send, self._receive = anyio.create_memory_object_stream[AudioChunk](
            round(BUFFER_S / CHUNK_S)
        )
        # Hosted by the task below: cancelling the group's own scope would cancel the caller's task
        # with it, and a cancellation of the caller's could be lost in that.
        self._ending = anyio.CancelScope()
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._run)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._tasks is None:
            return
        self._ending.cancel()
        self._receive.close()
        try:
            # Without the block's own exception: the task group would wrap it.
            await self._tasks.__aexit__(None, None, None)
        finally:
            self._stage.origin.wall_time = anyio.current_time() - self._started
            self._on_close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AudioChunk:
        chunk = await self.next_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def next_chunk(self) -> AudioChunk | None:
        """Return the next chunk; None when all was said.

        Raises:
            StreamInterruptedError: Speech ended early; what was heard is on the error.
            TTSError: Nothing was heard, and why.
        """
        if self._tasks is None or self._is_reading:
            raise InvalidParameterError("enter the stream first, and read it from one task")
        if self._is_iterated:
            self._performance.heard()
        self._is_iterated = self._is_reading = True
        try:
            return await self._receive.receive()
        except anyio.EndOfStream:
            if self._failure is not None:
                raise self._failure from self._failure.__cause__
            return None
        except anyio.ClosedResourceError:
            return None
        finally:
            self._is_reading = False

    async def ready_chunks(self) -> list[AudioChunk]:
        """Return the next chunk and those ready behind it; an empty list when all was said.

        Raises:
            TTSError: As for ``next_chunk``.
        """
        first = await self.next_chunk()
        chunks = [] if first is None else [first]
        with contextlib.suppress(anyio.WouldBlock, anyio.EndOfStream):
            while chunks:
                chunks.append(self._receive.receive_nowait())
        return chunks

    async def collect(self) -> Audio:
        """Read the stream to its end and return it as one piece of audio.

        Raises:
            InvalidParameterError: Chunks were taken already.
            StreamInterruptedError: Speech ended early; the error has the audio so far.
        """
        if self._is_iterated:
            raise InvalidParameterError(
                "collect() takes the whole stream: call it before iterating"
            )
        chunks: list[AudioChunk] = []
        try:
            async for chunk in self:
                chunks.append(chunk)  # noqa: PERF401 - what came before a failure is kept
        except StreamInterruptedError as error:
            error.audio = self._stage.audio(chunks)
            raise
        self._stage.origin.wall_time = anyio.current_time() - self._started
        return self._stage.audio(chunks)

    async def _run(self) -> None:
        with self._ending:
            await self._perform()

    async def _perform(self) -> None:
        async with self._send:
            try:
                await self._production.run(self._send.send)
            except Exception as error:  # noqa: BLE001 - the reader gets it, in order
                self._failure = self._as_heard(error)

    def _as_heard(self, error: Exception) -> Exception:
        """Return what the listener is told: after the first audio, how much was heard."""
        self.origin.outcome = Outcome.TRUNCATED
        if not self._stage.ledger.entries:
            return error
        if not isinstance(error, TTSError) or isinstance(error, ServiceClosedError):
            return error
        return StreamInterruptedError(
            f"speech ended early: {error}",
            ledger=self.ledger,
            spoken_text=self._stage.text,
            cause=error,
        )


class SyncSpeechStream:
    """The same stream for blocking code: a context manager and an iterator of chunks.

    Args:
        stream: What is read.
        portal: Into the event loop that it lives in.
    """

    def __init__(self, stream: SpeechStream, portal: Portal) -> None:
        self._stream = stream
        self._portal = portal
        self._ready: deque[AudioChunk] = deque()
        self._context: AbstractContextManager[SpeechStream] = portal.wrap(stream)

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
        self._context.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self._context.__exit__(kind, error, traceback)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> AudioChunk:
        if not self._ready:
            # A trip into the event loop costs more than a chunk does.
            self._ready.extend(self._portal.call(self._stream.ready_chunks))
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def collect(self) -> Audio:
        """Read the stream to its end and return it as one piece of audio."""
        return self._portal.call(self._stream.collect)
