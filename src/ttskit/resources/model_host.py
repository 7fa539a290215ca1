"""An engine in worker processes, whose model has its place among all models of the service."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

from ttskit.errors import GPUOutOfMemoryError, OutOfMemoryError
from ttskit.resources.engine import EngineChunk, EngineJob, JsonValue
from ttskit.resources.memory import MAIN, Footprint
from ttskit.resources.models import Models, Use
from ttskit.resources.relief import Rung
from ttskit.resources.threads import DaemonThreads, ask
from ttskit.resources.workers.host import WorkerHost
from ttskit.voices import Voice

TellRung = Callable[[Rung, str | None], object]
"""Hears of what was done about too little memory, and for which request; in any thread."""

WAIT_S = 10.0
"""Seconds that a job without memory waits for another model to finish one."""
_RUNGS = (Rung.WAIT, Rung.EVICT, Rung.CPU, Rung.RESTART)
"""What is done out here, when the worker has done what it can."""
_RENEWING = (Rung.CPU, Rung.RESTART)
"""After these the model is loaded again."""


class ModelHost:
    """Lends a worker host's model to one job after the other, within the service's budget.

    Where the engine finds no memory for a job of which nothing was heard yet, the job is tried
    again after each step of the ladder. Everything may be called from any event loop.

    Args:
        workers: Where the engine runs.
        models: Whose turn it is to be in memory.
        provider: The configured name.
        is_pinned: Once it is loaded the model stays.
        on_cpu: Arguments of an engine that needs no GPU, in place of those it was made with.
        tell: Hears of the ladder.
    """

    def __init__(
        self,
        workers: WorkerHost,
        models: Models,
        *,
        provider: str,
        is_pinned: bool = False,
        on_cpu: Mapping[str, JsonValue] | None = None,
        tell: TellRung | None = None,
    ) -> None:
        self.name = provider
        self._workers = workers
        self._models = models
        self._on_cpu = on_cpu
        self._tell = tell
        self._is_on_cpu = False
        self._place = models.place(self, estimate={MAIN: 0}, is_pinned=is_pinned)
        # One waits for its turn, and all that come after it behind it.
        self._door = DaemonThreads(1, name=f"{provider} door")
        # Apart from the door: whoever waits there may wait for a job that climbs here.
        self._ladder = DaemonThreads(1, name=f"{provider} ladder")

    async def start(self) -> None:
        """Load the model unless that has been done.

        Raises:
            OutOfMemoryError: The budget has no room for it.
            DependencyMissingError: A package is not installed.
            ModelLoadError: The weights cannot be read; the next call tries again.
            WorkerCrashedError: The process died.
        """
        with await self.use():
            await self._workers.start()

    async def voices(self) -> list[Voice]:
        """Return the engine's voices; within a budget the model is loaded for that."""
        if not self._models.is_bounded:
            return await self._workers.voices()
        with await self.use():
            return await self._workers.voices()

    @asynccontextmanager
    async def stream(self, job: EngineJob) -> AsyncIterator[AsyncIterator[EngineChunk]]:
        """Run the job and give its chunks as they are made; see ``WorkerHost.stream``.

        Raises:
            OutOfMemoryError: There was no memory after all, or the budget has no room.
            TTSError: As for ``WorkerHost.stream``.
        """
        async with AsyncExitStack() as held:
            climb = _Climb(self, job, held)
            await climb.begin()
            yield climb
            self._models.note(self._place, self._workers.footprint())

    async def aclose(self) -> None:
        """Stop all jobs and end the workers."""
        self._models.shut(self._place)
        self._door.close(drop=False)
        self._ladder.close(drop=False)
        await self._workers.aclose()
        self._models.remove(self._place)

    def load(self, *, fresh: bool) -> Footprint:
        """Load the model, in fresh workers where that is asked for; blocks.

        Raises:
            TTSError: It cannot be loaded.
        """
        rungs = iter(_RUNGS)
        while True:
            if fresh:
                self._workers.rest()
            try:
                footprint = self._workers.load()
            except OutOfMemoryError as error:
                ran_out = error
            else:
                break
            rung = self._relieve(rungs, ran_out)
            if rung is None:
                raise ran_out
            fresh = rung in _RENEWING
        for device, total in self._workers.gpus().items():
            self._models.meet(device, total)
        return footprint

    def unload(self) -> None:
        """Give the memory back; the next load may try a GPU again. Blocks."""
        self._is_on_cpu = False
        self._workers.change({})
        self._workers.rest()

    @property
    def loads(self) -> int:
        """How often the model was loaded."""
        return self._place.loads

    async def use(self) -> Use:
        """Return a hold on the model, once it is loaded.

        Raises:
            TTSError: As for ``start``.
        """
        if use := self._models.use_now(self._place):
            return use
        since = self._place.loads
        claim, stop = _Claim(), threading.Event()
        try:
            await ask(
                self._door,
                lambda: claim.give(self._models.use(self._place, stop=stop, since=since)),
            )
            return claim.take()
        except BaseException:
            stop.set()
            claim.drop()
            self._models.wake()
            raise

    async def stream_of(self, job: EngineJob, held: AsyncExitStack) -> AsyncIterator[EngineChunk]:
        """Return the chunks of one try at the job, which ends with ``held``."""
        tell = partial(self._told, job.request_id)
        return await held.enter_async_context(self._workers.stream(job, tell))

    async def relieved(
        self, rungs: Iterator[Rung], error: OutOfMemoryError, *, request: str, since: int
    ) -> bool:
        """Take the next step that may help a job that holds the model, and found no memory.

        Args:
            rungs: The steps that are left.
            error: Why it failed.
            request: The job's.
            since: ``loads`` when it was tried; it is enough that the model was loaded meanwhile.

        Returns:
            Whether to try the job again.

        Raises:
            TTSError: The model had to be loaded anew, and could not be.
        """
        stop = threading.Event()

        def climb() -> bool:
            if self.loads == since:
                rung = self._relieve(rungs, error, request, stop)
                if rung not in _RENEWING:
                    return rung is not None
            self._models.reload(self._place, since=since, stop=stop)
            return True

        try:
            return await ask(self._ladder, climb)
        except BaseException:
            stop.set()
            self._models.wake()
            raise

    def _relieve(
        self,
        rungs: Iterator[Rung],
        error: OutOfMemoryError,
        request: str | None = None,
        stop: threading.Event | None = None,
    ) -> Rung | None:
        on_gpu = isinstance(error, GPUOutOfMemoryError)
        for rung in rungs:
            if stop is not None and stop.is_set():
                return None
            if self._step(rung, stop, on_gpu=on_gpu):
                self._told(request, rung)
                return rung
        return None

    def _step(self, rung: Rung, stop: threading.Event | None, *, on_gpu: bool) -> bool:
        match rung:
            case Rung.WAIT:
                return self._models.wait_for_others(self._place, WAIT_S, on_gpu=on_gpu, stop=stop)
            case Rung.EVICT:
                return self._models.evict_others(self._place, on_gpu=on_gpu)
            case Rung.CPU:
                if not on_gpu or self._on_cpu is None or self._is_on_cpu:
                    return False
                self._is_on_cpu = True
                self._workers.change(self._on_cpu)
        return True

    def _told(self, request: str | None, rung: Rung) -> None:
        if self._tell is not None:
            self._tell(rung, request or None)


class _Climb:
    """A job's chunks, with the job tried again where there is no memory for it.

    Args:
        host: Whose.
        job: What to say.
        held: Where what it holds is let go of.
    """

    def __init__(self, host: ModelHost, job: EngineJob, held: AsyncExitStack) -> None:
        self._host = host
        self._job = job
        self._held = held
        self._rungs = iter(_RUNGS)
        self._was_heard = False
        self._loads = 0
        self._chunks: AsyncIterator[EngineChunk]

    async def begin(self) -> None:
        """Begin the first try, once the model is there.

        Raises:
            TTSError: The model is not to be had.
        """
        self._held.enter_context(await self._host.use())
        await self._try()

    async def _try(self) -> None:
        self._loads = self._host.loads
        self._chunks = await self._host.stream_of(self._job, self._held)

    def __aiter__(self) -> _Climb:
        return self

    async def __anext__(self) -> EngineChunk:
        while True:
            try:
                chunk = await anext(self._chunks)
            except OutOfMemoryError as error:
                ran_out = error
            else:
                self._was_heard = True
                return chunk
            if self._was_heard:
                raise ran_out
            await self._climb(ran_out)

    async def _climb(self, error: OutOfMemoryError) -> None:
        """Take a step and try again, or raise the error where there is none left."""
        request = self._job.request_id
        if not await self._host.relieved(self._rungs, error, request=request, since=self._loads):
            raise error
        self._job = replace(self._job, relieve=False)
        # With a second hold it would wait for those who wait for it to leave.
        await self._try()


class _Claim:
    """Where a thread leaves a hold for a task, which may have gone away by then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: list[Use] = []
        self._is_dropped = False

    def give(self, use: Use) -> None:
        """Leave the hold; it ends at once where nobody wants it any more."""
        with self._lock:
            if not self._is_dropped:
                self._left.append(use)
                return
        use.end()

    def take(self) -> Use:
        """Return what was left."""
        with self._lock:
            return self._left.pop()

    def drop(self) -> None:
        """Want it no more."""
        with self._lock:
            left, self._left = self._left, []
            self._is_dropped = True
        for use in left:
            use.end()
