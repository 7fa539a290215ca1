"""What callers want of a crew: jobs, whose audio comes in pieces, and questions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from typing_extensions import override

from ttskit.errors import TTSError
from ttskit.resources.engine import EngineChunk, EngineJob, JsonValue
from ttskit.resources.relief import Rung
from ttskit.resources.threads import Handover
from ttskit.resources.workers.wire import Kind

if TYPE_CHECKING:
    from ttskit.resources.workers.worker import Worker

CREDIT = 64 * 1024
"""Bytes of audio whose arrival is told together; a part of what may be on its way."""


class Delivery(Handover[EngineChunk]):
    """Chunks on their way to a task. What may be on the way is bounded by the worker's credit."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: Callable[[int], object] = int
        """Called with the bytes of each chunk that the task has taken."""

    def offer(self, chunk: EngineChunk) -> None:
        """Hand over a chunk, from any thread, without waiting."""
        self._post(chunk)

    @override
    async def __anext__(self) -> EngineChunk:
        chunk = await super().__anext__()
        self.taken(chunk.samples.nbytes)
        return chunk


class Job:
    """A job and where it stands.

    Args:
        job: What is to be said.
        delivery: Where its audio goes.
        tell: Hears of what was done about too little memory.
    """

    def __init__(
        self, job: EngineJob, delivery: Delivery, tell: Callable[[Rung], object] | None = None
    ) -> None:
        self.job = job
        self.worker: Worker | None = None
        self.is_begun = False
        """The engine works at it."""
        self.is_heard = False
        """Some of its audio was handed over."""
        self.is_over = False
        """Nobody listens any more."""
        self.overdue = 0.0
        """Seconds since the engine was told to stop it."""
        self.number = 0
        self._was_sent_again = False
        self._delivery = delivery
        self._taken = 0
        self._tell = tell
        delivery.taken = self._take

    @property
    def lane(self) -> str | None:
        """Jobs of one lane are made one after the other."""
        return self.job.lane

    def offer(self, chunk: EngineChunk) -> None:
        """Hand over a part of the audio."""
        self.is_heard = True
        self._delivery.offer(chunk)

    def relieved(self, rung: Rung) -> None:
        """Say what was done because there was no memory for it."""
        if self._tell is not None and not self.is_over:
            self._tell(rung)

    def finish(self) -> None:
        """Say that there is no more audio."""
        self.is_over = True
        self._delivery.end()

    def fail(self, error: TTSError) -> None:
        """Say that there is no more audio, and why."""
        self.is_over = True
        self._delivery.abort(error)

    def _take(self, size: int) -> None:
        """Note that the task has taken so many bytes; a worker is told of some at a time."""
        self._taken += size
        if self._taken >= CREDIT and (worker := self.worker) is not None:
            worker.credit(self, self._taken)
            self._taken = 0

    def may_be_sent_again(self, *, no_memory: bool) -> bool:
        """Whether another worker may do it, although this one died.

        Once only, for the job itself may be what it died of; and as often as it takes where the
        engine had not even begun.
        """
        if not self.is_begun:
            return True
        return not (self.is_heard or self._was_sent_again or no_memory)

    def again(self) -> Job:
        """Return the job as one that no worker has."""
        self._was_sent_again = self._was_sent_again or self.is_begun
        self.is_begun = False
        return self


class Question:
    """A load, or a question with an answer.

    Args:
        kind: ``LOAD`` or ``VOICES``.
        answered: Called with the answer.
        failed: Called with the error, in place of it.
    """

    def __init__(
        self,
        kind: Kind,
        answered: Callable[[JsonValue], object],
        failed: Callable[[TTSError], object],
    ) -> None:
        self.kind = kind
        self.answer = answered
        self.fail = failed
        self._was_sent_again = False

    def may_be_sent_again(self) -> bool:
        """Whether another worker may be asked, although this one died: once."""
        again, self._was_sent_again = not self._was_sent_again, True
        return again
