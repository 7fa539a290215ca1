"""What an engine does about too little memory before anybody else is troubled.

Source of the order: the out-of-memory guidance of PyTorch's notes on CUDA semantics, and of
pytorch issue 18853: an exception keeps the tensors of its frames alive while it is handled.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from functools import partial

from ttskit.errors import OutOfMemoryError
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, EngineWord
from ttskit.resources.failures import is_out_of_memory, translated
from ttskit.resources.gpu import empty_caches
from ttskit.text.segment import cut

SHORTEST_SPLIT = 40
"""Characters below which a text is not made in two parts."""


class Rung(StrEnum):
    """The steps of the ladder, in order; each is tried once for a job."""

    RELEASE = "release"
    """What the failed attempt held is dropped."""
    CLEAR = "clear"
    """The engine empties its caches."""
    SPLIT = "split"
    """The text is made in two parts."""
    WAIT = "wait"
    """Another model on the device finishes a job."""
    EVICT = "evict"
    """Idle models on the device are unloaded."""
    CPU = "cpu"
    """The model moves from the GPU to main memory."""
    RESTART = "restart"
    """The worker process is replaced by a fresh one."""


def relieved(
    engine: Engine, job: EngineJob, stop: threading.Event, tell: Callable[[Rung], object]
) -> Iterator[EngineChunk]:
    """Yield the job's audio, with room made and the job tried again where memory runs out.

    Once some of the audio was given a job cannot be made again, and an error is passed on.

    Args:
        engine: Loaded.
        job: What to say.
        stop: As for ``Engine.synthesize``.
        tell: Hears of each step.

    Raises:
        OutOfMemoryError: There was no memory after all.
        Exception: What else the engine failed with.
    """
    if not job.relieve:
        yield from engine.work(job, stop)
        return
    attempt = _Attempt(engine, stop)
    yield from attempt.speak(job)
    for rung, relieve in ((Rung.RELEASE, gc.collect), (Rung.CLEAR, partial(_clear, engine))):
        if attempt.ran_out is None:
            return
        tell(rung)
        relieve()
        yield from attempt.speak(job)
    if attempt.ran_out is None:
        return
    parts = halves(job)
    if len(parts) > 1:
        tell(Rung.SPLIT)
        yield from _spoken(attempt, parts)
    if attempt.ran_out is not None:
        raise attempt.ran_out


def _clear(engine: Engine) -> None:
    engine.clear_caches()
    empty_caches()


def halves(job: EngineJob) -> list[EngineJob]:
    """Return the job as two of about half the text, cut between words; or as it is."""
    if job.is_ssml or len(job.text) < SHORTEST_SPLIT:
        return [job]
    spans = cut(job.text, len(job.text) * 2 // 3)
    return [replace(job, text=job.text[start:end]) for start, end in spans]


class _Attempt:
    """One try after the other at a job.

    Args:
        engine: Whose.
        stop: Set when nobody listens.
    """

    def __init__(self, engine: Engine, stop: threading.Event) -> None:
        self._engine = engine
        self._stop = stop
        self.ran_out: OutOfMemoryError | None = None
        """Why the last try failed, without what it held; None: it did not."""

    def speak(self, job: EngineJob) -> Iterator[EngineChunk]:
        """Yield the audio; ends early where memory ran out before there was any."""
        self.ran_out = None
        was_heard = False
        try:
            for chunk in self._engine.work(job, self._stop):
                was_heard = True
                yield chunk
        except Exception as error:
            if was_heard or not (isinstance(error, OutOfMemoryError) or is_out_of_memory(error)):
                raise
            self.ran_out = _bare(error)


def _bare(error: Exception) -> OutOfMemoryError:
    """Return the error without what hangs on it: the frames that hold the memory."""
    ours = translated(error, "", OutOfMemoryError)
    bare = type(ours) if isinstance(ours, OutOfMemoryError) else OutOfMemoryError
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return bare(ours.message, provider=ours.provider, cause=error)


def _spoken(attempt: _Attempt, parts: list[EngineJob]) -> Iterator[EngineChunk]:
    """Yield the audio of the parts, the words' times and places as of one.

    Raises:
        OutOfMemoryError: A later part found no memory.
    """
    seconds, characters = 0.0, 0
    for part in parts:
        frames = rate = 0
        for chunk in attempt.speak(part):
            frames, rate = frames + len(chunk.samples), chunk.sample_rate
            yield replace(
                chunk, words=tuple(_moved(word, seconds, characters) for word in chunk.words)
            )
        if attempt.ran_out is not None:
            if characters:
                raise attempt.ran_out
            return
        seconds += frames / rate if rate else 0.0
        characters += len(part.text)


def _moved(word: EngineWord, seconds: float, characters: int) -> EngineWord:
    start, end = word.span
    return EngineWord(
        word.start + seconds, word.end + seconds, (start + characters, end + characters)
    )
