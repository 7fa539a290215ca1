"""An engine in worker processes, with the face of one in threads."""

from __future__ import annotations

import json
import os
import sys
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from ttskit.errors import ConfigurationError
from ttskit.resources.downloads import Hear
from ttskit.resources.engine import EngineChunk, EngineJob, JsonValue, Recipe
from ttskit.resources.memory import MAIN, Footprint
from ttskit.resources.relief import Rung
from ttskit.resources.threads import Handover
from ttskit.resources.workers.call import Delivery, Job, Question
from ttskit.resources.workers.crew import Crew, Plan
from ttskit.resources.workers.environment import Secrets, environment, search_path, share
from ttskit.resources.workers.forms import voices_from_plain
from ttskit.resources.workers.murmur import LOGGER
from ttskit.resources.workers.policy import WorkerPolicy
from ttskit.resources.workers.process import Listener, WorkerProcess
from ttskit.resources.workers.scratch import Scratch
from ttskit.resources.workers.wire import Kind
from ttskit.resources.workers.worker import Worker
from ttskit.voices import Voice

ReplyT = TypeVar("ReplyT")

CLOSE_TIMEOUT_S = 3.0
"""How long ``aclose`` waits for processes that were killed in the end."""
EXIT_TIMEOUT_S = 2.0
REST_TIMEOUT_S = 10.0
"""How long ``rest`` waits for workers that still have something to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What workers of one engine may take."""

    workers: int = 1
    memory: int | None = None
    """Bytes that each may take; None: as many as it can get."""
    threads: int = 1
    """Jobs at a time in each, where the engine bears more than one."""
    secrets: Secrets = field(default_factory=Secrets)
    policy: WorkerPolicy = field(default_factory=WorkerPolicy)
    hear_download: Hear = tuple
    """Hears how far the engine's downloads are."""
    is_tight: bool = False
    """There is no memory for a worker beside the one that it replaces."""


class WorkerHost:
    """An engine and the processes it runs in; made by ``Resources.engine``.

    Everything may be called from any event loop.

    Args:
        recipe: How a worker makes the engine.
        provider: The configured name, for errors.
        settings: What the workers may take.

    Raises:
        ConfigurationError: A worker could not make the engine from this recipe.
    """

    def __init__(self, recipe: Recipe, *, provider: str, settings: Settings) -> None:
        self._provider = provider
        self._changes: dict[str, JsonValue] = {}
        plan = _plan(recipe, provider, settings, self._changes)
        self._crew = Crew(plan)
        weakref.finalize(self, _wind_down, self._crew, os.getpid())

    def prepare(self) -> None:
        """Have a first process started, and do not wait for it: it will be needed soon."""
        self._crew.prepare()

    async def start(self) -> None:
        """Have a worker that is ready; callers at the same time share one load.

        Raises:
            DependencyMissingError: A package is not installed.
            ModelLoadError: The weights cannot be read; the next call tries again.
            WorkerCrashedError: The process died.
        """
        await self._ask(Kind.LOAD, lambda _: None)

    async def voices(self) -> list[Voice]:
        """Return the engine's voices, whether it is loaded or not."""
        return await self._ask(Kind.VOICES, voices_from_plain)

    @asynccontextmanager
    async def stream(
        self, job: EngineJob, tell: Callable[[Rung], object] | None = None
    ) -> AsyncIterator[AsyncIterator[EngineChunk]]:
        """Run the job and give its chunks as they are made, 256 kB ahead of the reader at most.

        Leaving the block tells the engine to stop and does not wait until it does. A worker that
        dies before anything of the job was handed over costs nothing but time: another one does
        the job, once.

        Args:
            job: What to say.
            tell: Hears of what was done about too little memory, in any thread.

        Raises:
            GenerationError: The engine failed.
            OutOfMemoryError: It found no memory.
            WorkerCrashedError: Its process died.
            ServiceClosedError: The host was closed before or during the job.
        """
        delivery = Delivery()
        asked = Job(job, delivery, tell)
        try:
            self._crew.submit(asked)
            yield delivery
        finally:
            delivery.close()
            self._crew.cancel(asked)

    def load(self) -> Footprint:
        """Have a worker that is ready, and return what all of them take; blocks.

        Raises:
            TTSError: As for ``start``.
        """
        loaded: Future[None] = Future()
        self._crew.ask(Question(Kind.LOAD, lambda _: loaded.set_result(None), loaded.set_exception))
        loaded.result()
        return self.footprint()

    def footprint(self) -> Footprint:
        """Return what all workers take, once they are loaded; measured a moment ago."""
        main, gpus = self._crew.taken()
        return {MAIN: main, **{device: held for device, (held, _) in gpus.items()}}

    def gpus(self) -> dict[str, int]:
        """Return how many bytes each GPU has in all that a worker holds memory of."""
        return {device: total for device, (_, total) in self._crew.taken()[1].items()}

    def rest(self) -> None:
        """End the workers, and so give all their memory back; blocks until they are gone.

        The next request starts others.
        """
        self._crew.rest(REST_TIMEOUT_S)

    def change(self, arguments: Mapping[str, JsonValue]) -> None:
        """Have workers that are started from now on make the engine with other arguments."""
        self._changes.clear()
        self._changes.update(arguments)

    async def aclose(self) -> None:
        """Stop all jobs and end the workers; one that does not leave is killed."""
        ended: Handover[None] = Handover()
        if not self._crew.close():
            return
        self._crew.at_end(ended.end)
        with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            async for _ in ended:
                pass

    async def _ask(self, kind: Kind, read: Callable[[JsonValue], ReplyT]) -> ReplyT:
        handover: Handover[ReplyT] = Handover()
        question = Question(kind, lambda plain: handover.put(read(plain)), handover.end)
        try:
            self._crew.ask(question)
            return await anext(handover)
        finally:
            handover.close()
            self._crew.abandon(question)


def interpreter(recipe: Recipe) -> str | None:
    """Return the interpreter that would run the engine; None where there is none to be started.

    A frozen application names itself in ``sys.executable``, and would be started once more.
    """
    own = None if getattr(sys, "frozen", False) else sys.executable
    return recipe.python or own or None


def _plan(
    recipe: Recipe,
    provider: str,
    settings: Settings,
    changes: Mapping[str, JsonValue],
) -> Plan:
    python = interpreter(recipe)
    same_python = recipe.python is None
    if python is None:
        raise ConfigurationError(
            "there is no interpreter to start a worker with; use isolation: thread",
            provider=provider,
        )
    engine = _address(recipe, provider)

    def first_frame() -> dict[str, JsonValue]:
        return {
            "parent": os.getpid(),
            "path": [*search_path()] if same_python else None,
            "pythonpath": os.environ.get("PYTHONPATH"),
            "provider": provider,
            "engine": engine,
            "arguments": {**recipe.arguments, **changes},
            "concurrency": settings.threads,
            "memory": settings.memory,
            "level": LOGGER.getEffectiveLevel(),
        }

    def start(worker: Worker, over: Callable[[int, str], None]) -> WorkerProcess:
        listener = Listener(worker.heard, worker.murmur.write, over)
        name = f"{provider} worker {worker.number}"
        scratch = Scratch()
        try:
            environ = environment(
                os.environ,
                secrets=settings.secrets,
                threads=share(settings.workers),
                folder=scratch.path,
                same_python=same_python,
            )
            return WorkerProcess(python, environ, scratch, name=name, listener=listener)
        except OSError:
            scratch.remove()
            raise

    return Plan(
        provider,
        settings.workers,
        settings.policy,
        first_frame,
        start,
        settings.hear_download,
        settings.is_tight,
    )


def _address(recipe: Recipe, provider: str) -> str:
    """Return where a worker finds the engine's class, as ``module:qualname``.

    Raises:
        ConfigurationError: It would not find it, or the arguments are no plain data.
    """
    module = getattr(recipe.engine, "__module__", "")
    if module == "__main__":
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        module = spec.name if spec is not None else module
    qualname = getattr(recipe.engine, "__qualname__", "")
    if not isinstance(recipe.engine, type) or module == "__main__" or "<" in qualname:
        raise ConfigurationError(
            "an engine that runs in a process of its own must be a class of a module that can be "
            "imported; use isolation: thread",
            provider=provider,
        )
    try:
        json.dumps(dict(recipe.arguments), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            "the arguments of an engine that runs in a process of its own must be plain data",
            provider=provider,
        ) from error
    return f"{module}:{qualname}"


def _wind_down(crew: Crew, owner: int) -> None:
    """End the workers of a host that nobody closed, when it is collected or at the exit."""
    if os.getpid() != owner:  # a child of a fork: they are its parent's
        return
    crew.close_soon()
    if crew.is_started:
        crew.ended.wait(EXIT_TIMEOUT_S)
