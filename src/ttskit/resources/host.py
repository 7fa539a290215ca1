"""Hosts that run blocking engines in threads, so that no event loop ever waits for one."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import anyio

from ttskit.errors import (
    ConfigurationError,
    GenerationError,
    ModelLoadError,
    ServiceClosedError,
)
from ttskit.resources.downloads import Download, Hear, listener
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, Recipe
from ttskit.resources.failures import translated
from ttskit.resources.http.address import Origin
from ttskit.resources.http.client import HTTPClient, Judge
from ttskit.resources.http.pools import HTTPOptions, Pools
from ttskit.resources.references import ReferenceOptions, References
from ttskit.resources.relief import Rung, relieved
from ttskit.resources.sockets import SocketClient, Sockets
from ttskit.resources.threads import DaemonThreads, Handover
from ttskit.resources.workers.environment import Secrets
from ttskit.resources.workers.policy import WorkerPolicy
from ttskit.telemetry.events import DownloadEvent, Event, MemoryEvent, ModelEvent

if TYPE_CHECKING:
    from ttskit.resources.http.address import Address
    from ttskit.resources.memory import Footprint
    from ttskit.resources.model_host import TellRung
    from ttskit.resources.models import Models
    from ttskit.resources.shelf import Shelf
    from ttskit.voices import Voice

ReplyT = TypeVar("ReplyT")
_Abort: TypeAlias = Callable[[BaseException], None]

ISOLATIONS = ("process", "thread")
"""Where an engine can run."""
CLOSE_TIMEOUT_S = 1.5
"""How long ``aclose`` waits for an engine that was told to stop."""
EXIT_TIMEOUT_S = 2.0
"""How long the interpreter's exit waits for one, and again for one that is loading."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a provider's engine runs, as its section of tts.yaml says."""

    isolation: str | None = None
    """None: as the adapter prefers."""
    workers: int = 1
    """Processes, where it runs in some."""
    memory: int | None = None
    """Bytes that each of them may take."""
    is_pinned: bool = False
    """Its model stays, once it is loaded."""


@dataclass(frozen=True, slots=True)
class Engines:
    """What a service says about all engines of this machine."""

    placements: Mapping[str, Placement] = field(default_factory=dict)
    """By the providers' configured names."""
    secrets: Secrets = field(default_factory=Secrets)
    """What worker processes must not see."""
    policy: WorkerPolicy = field(default_factory=WorkerPolicy)
    memory: int | None = None
    """Bytes of main memory that models in worker processes may take together; None: any number."""
    gpu_budget: Callable[[int], int] | None = None
    """Returns what they may take of a GPU that has so many bytes; None: all of it."""
    idle_s: float | None = None
    """A model that nobody used for so long is unloaded; None: never for that reason."""


Tell: TypeAlias = Callable[[Event], object]
"""Hears what happens to models; never waits. Safe from any thread."""


class Host(Protocol):
    """What an adapter gets to run its engine on."""

    async def start(self) -> None:
        """Load the engine unless that has been done."""

    async def voices(self) -> list[Voice]:
        """Return the engine's voices, whether it is loaded or not."""

    def stream(self, job: EngineJob) -> AbstractAsyncContextManager[AsyncIterator[EngineChunk]]:
        """Run the job: an async context manager over its chunks."""

    async def aclose(self) -> None:
        """Stop all jobs and close the engine."""


class EngineHost:
    """One engine and the threads it runs on; made by ``Resources.engine``.

    Jobs run in the order they came. Everything may be called from any event loop.

    Args:
        engine: Constructed, not loaded.
        provider: The configured name, for errors.
        concurrency: Jobs at a time.
        tell: Hears of what was done about too little memory.
        hear_download: Hears how far the engine's downloads are.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        provider: str,
        concurrency: int,
        tell: TellRung | None = None,
        hear_download: Hear = tuple,
    ) -> None:
        self._engine = engine
        self._provider = provider
        self._tell = tell
        self._hear_download = hear_download
        self._jobs = DaemonThreads(concurrency, name=provider)
        # Loading and listing voices never wait behind a long job.
        self._desk = DaemonThreads(2, name=f"{provider} desk")
        self._aborts: set[_Abort] = set()
        self._lock = threading.Lock()
        self._flight: Future[Engine] | None = None
        self._is_closed = False
        weakref.finalize(self, _wind_down, (self._jobs, self._desk), self._aborts)

    async def start(self) -> None:
        """Load the engine unless that has been done; callers at the same time share one load.

        Raises:
            DependencyMissingError: A package is not installed.
            ModelLoadError: The weights cannot be read; the next call tries again.
        """
        await self._ask(self._loaded)

    async def voices(self) -> list[Voice]:
        """Return the engine's voices, whether it is loaded or not."""
        return await self._ask(self._engine.voices)

    @asynccontextmanager
    async def stream(self, job: EngineJob) -> AsyncIterator[AsyncIterator[EngineChunk]]:
        """Run the job and give its chunks as they are made, one ahead of the reader.

        Leaving the block tells the engine to stop and does not wait until it does; its thread
        takes the next job when it has.

        Raises:
            GenerationError: The engine failed.
            OutOfMemoryError: It found no memory.
            ServiceClosedError: The host was closed before or during the job.
        """
        handover: Handover[EngineChunk] = Handover()
        with self._listening(handover):
            self._jobs.submit(lambda: self._speak(job, handover), lane=job.lane)
            yield handover

    async def aclose(self) -> None:
        """Stop all jobs and close the engine; an engine that hangs is left to itself."""
        closed: Handover[None] = Handover()
        if not self._jobs.close(lambda: self._close_engine(closed)):
            return
        self._desk.close()
        for abort in tuple(self._aborts):
            abort(ServiceClosedError("the service was shut down", provider=self._provider))
        with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            async for _ in closed:
                pass

    async def _ask(self, question: Callable[[], ReplyT]) -> ReplyT:
        """Return the answer to a question that blocks."""
        handover: Handover[ReplyT] = Handover()
        with self._listening(handover):
            self._desk.submit(lambda: self._answer(question, handover))
            return await anext(handover)

    @contextmanager
    def _listening(self, handover: Handover[ReplyT]) -> Iterator[None]:
        """Let ``aclose`` abort the handover, and close it on leaving."""
        self._aborts.add(handover.abort)
        try:
            yield
        finally:
            handover.close()
            self._aborts.discard(handover.abort)

    def _answer(self, question: Callable[[], ReplyT], handover: Handover[ReplyT]) -> None:
        try:
            handover.put(question())
        except BaseException as error:  # noqa: BLE001 - this thread's outermost edge
            handover.end(translated(error, self._provider, ModelLoadError))

    def _speak(self, job: EngineJob, handover: Handover[EngineChunk]) -> None:
        """Do the job on an engine thread; whatever goes wrong is handed over as our error."""
        try:
            if not handover.stop.is_set():
                self._hand_over(self._loaded(), job, handover, self._tell)
        except BaseException as error:  # noqa: BLE001 - this thread's outermost edge
            handover.end(translated(error, self._provider, GenerationError))
        else:
            handover.end()

    @staticmethod
    def _hand_over(
        engine: Engine,
        job: EngineJob,
        handover: Handover[EngineChunk],
        tell: TellRung | None,
    ) -> None:
        def told(rung: Rung) -> None:
            if tell is not None:
                tell(rung, job.request_id or None)

        for chunk in relieved(engine, job, handover.stop, told):
            if not handover.put(chunk):
                return

    def _loaded(self) -> Engine:
        """Return the engine once it is loaded, by this thread or by the one that came first."""
        with self._lock:
            if self._is_closed:
                raise ServiceClosedError("the service was shut down", provider=self._provider)
            is_first = self._flight is None
            flight = self._flight = self._flight or Future()
        if is_first:
            self._load(flight)
        return flight.result()

    def _load(self, flight: Future[Engine]) -> None:
        told = listener.set(self._hear_download)
        try:
            self._engine.load()
        except BaseException as error:  # noqa: BLE001 - whoever waits for the load gets it
            self._flight = None
            flight.set_exception(translated(error, self._provider, ModelLoadError))
        else:
            flight.set_result(self._engine)
        finally:
            listener.reset(told)

    def _close_engine(self, closed: Handover[None]) -> None:
        """Close the engine, unless it was never loaded; a load that is under way comes first."""
        with self._lock:
            self._is_closed = True
            flight = self._flight
        try:
            if flight is not None and flight.exception() is None:
                self._engine.close()
        except BaseException as error:  # noqa: BLE001 - this thread's outermost edge
            closed.end(translated(error, self._provider, GenerationError))
        else:
            closed.end()


class Resources:
    """What a service lends its adapters, and takes back when it closes.

    Args:
        downloads: Whether engines may fetch voices from the network.
        threads: Jobs that one engine may run at a time; None: one for each core.
        http: How servers are reached; None: as httpx would.
        shelf: Keeps clouds' lists of voices on disk; None: they are kept in memory.
        voices_max_age_s: Seconds after which a cloud is asked for its voices again; None: never.
        engines: Where engines run; None: as their adapters prefer.
        references: What samples of voices are taken from where.
        tell: Hears what becomes of models; None: nobody does.
    """

    def __init__(  # noqa: PLR0913 - keyword-only facts of one service
        self,
        *,
        downloads: bool = False,
        threads: int | None = None,
        http: HTTPOptions | None = None,
        shelf: Shelf | None = None,
        voices_max_age_s: float | None = None,
        engines: Engines | None = None,
        references: ReferenceOptions | None = None,
        tell: Tell | None = None,
    ) -> None:
        cores = os.cpu_count() or 1
        self.downloads = downloads
        self.shelf = shelf
        self.voices_max_age_s = voices_max_age_s
        self.references = References(references)
        self._threads = min(threads or cores, cores)
        self._engines = engines or Engines()
        self._tell = tell
        self._models: Models | None = None
        self._hosts: list[Host] = []
        self._pools = Pools(http)
        way = self.http_options
        self._sockets = Sockets(connect_s=way.connect_s, silence_s=way.silence_s)
        self._is_closed = False

    def http(
        self, address: Address, *, provider: str, headers: Mapping[str, str], judge: Judge
    ) -> HTTPClient:
        """Return a client for a provider's server; nothing is connected yet.

        Args:
            address: The base URL.
            provider: The configured name, for errors.
            headers: Sent with every request, such as the key's.
            judge: Raises our error where a reply's head says that the request failed.
        """
        return HTTPClient(self._pools, address, headers=headers, provider=provider, judge=judge)

    @property
    def http_options(self) -> HTTPOptions:
        """How servers are reached; for a package that connects by itself."""
        return self._pools.options

    def socket(self, host: str, port: int, *, provider: str) -> SocketClient:
        """Return what connects to a provider's server over plain TCP; nothing is connected yet.

        Args:
            host: A name or an address.
            port: 1 to 65535.
            provider: The configured name, for errors.
        """
        return SocketClient(self._sockets, Origin("tcp", host, port), provider=provider)

    def engine(
        self,
        recipe: Recipe,
        *,
        provider: str,
        isolation: str = "thread",
        concurrency: int | None = None,
    ) -> Host:
        """Return a host for the engine that ``recipe`` makes; nothing is loaded yet.

        Args:
            recipe: Makes the engine; cheap.
            provider: The configured name, for errors.
            isolation: Where the engine runs, unless the settings say so.
            concurrency: Jobs at a time at most, where the engine allows more than one.

        Raises:
            ConfigurationError: The isolation is not to be had, or not with this recipe.
            ServiceClosedError: The service was shut down.
        """
        placement = self._engines.placements.get(provider, Placement())
        chosen = placement.isolation or isolation
        if chosen not in ISOLATIONS:
            known = ", ".join(ISOLATIONS)
            raise ConfigurationError(
                f"isolation {chosen!r} is not available; available: {known}", provider=provider
            )
        if self._is_closed:
            raise ServiceClosedError("the service was shut down", provider=provider)
        most = min(concurrency or self._threads, self._threads)
        host: Host
        if chosen == "process" and (placement.isolation or _can_start_process(recipe)):
            host = self._workers(recipe, provider, placement, most)
        elif recipe.python is not None:
            raise ConfigurationError(
                "another interpreter runs an engine in a process of its own only; "
                "set isolation: process",
                provider=provider,
            )
        else:
            engine = recipe.make()
            most = most if engine.concurrent else 1
            tell = partial(self._tell_relief, provider)
            host = EngineHost(
                engine,
                provider=provider,
                concurrency=most,
                tell=tell,
                hear_download=partial(self._tell_download, provider),
            )
        self._hosts.append(host)
        return host

    def _workers(self, recipe: Recipe, provider: str, placement: Placement, threads: int) -> Host:
        from ttskit.resources.model_host import ModelHost
        from ttskit.resources.workers.host import Settings, WorkerHost  # only where it is used

        models = self._all_models()
        settings = Settings(
            workers=placement.workers,
            memory=placement.memory,
            threads=max(1, threads // placement.workers),
            secrets=self._engines.secrets,
            policy=self._engines.policy,
            hear_download=partial(self._tell_download, provider),
            is_tight=models.is_bounded,
        )
        workers = WorkerHost(recipe, provider=provider, settings=settings)
        if not models.is_bounded:
            workers.prepare()  # an interpreter takes its time, which others can use meanwhile
        return ModelHost(
            workers,
            models,
            provider=provider,
            is_pinned=placement.is_pinned,
            on_cpu=recipe.on_cpu,
            tell=partial(self._tell_relief, provider),
        )

    def _all_models(self) -> Models:
        from ttskit.resources.memory import MAIN, MemoryAccount
        from ttskit.resources.models import Models

        if self._models is None:
            engines = self._engines
            limits = {} if engines.memory is None else {MAIN: engines.memory}
            self._models = Models(
                MemoryAccount(limits),
                gpu_budget=engines.gpu_budget,
                idle_s=engines.idle_s,
                tell=self._tell_model,
            )
        return self._models

    def _tell_model(self, provider: str, outcome: str, footprint: Footprint) -> None:
        if self._tell is not None:
            self._tell(ModelEvent(provider=provider, outcome=outcome, memory=footprint))

    def _tell_download(self, provider: str, download: Download) -> None:
        if self._tell is not None:
            self._tell(
                DownloadEvent(
                    provider=provider,
                    what=download.name,
                    received=download.received,
                    total=download.total,
                    is_over=download.is_over,
                )
            )

    def _tell_relief(self, provider: str, rung: Rung, request: str | None) -> None:
        if self._tell is not None:
            self._tell(MemoryEvent(provider=provider, step=rung.value, request_id=request))

    async def aclose(self) -> None:
        """Close everything at the same time; takes little more than ``CLOSE_TIMEOUT_S``."""
        self._is_closed = True
        if self._models is not None:
            self._models.close()
        async with anyio.create_task_group() as closing:
            closing.start_soon(self._pools.aclose)
            closing.start_soon(self._sockets.aclose)
            while self._hosts:
                closing.start_soon(self._hosts.pop().aclose)


def _can_start_process(recipe: Recipe) -> bool:
    from ttskit.resources.workers.host import interpreter  # only where it is used

    return interpreter(recipe) is not None


def _wind_down(pools: tuple[DaemonThreads, ...], aborts: set[_Abort]) -> None:
    """Stop a host that nobody closed, when it is collected or at the interpreter's exit.

    A native engine that is still at work when the interpreter is torn down aborts the process
    (pybind11 takes the GIL in a destructor, CPython before 3.14 unwinds such a thread), hence the
    wait.
    """
    for abort in tuple(aborts):
        abort(ServiceClosedError("the interpreter exits"))
    for threads in pools:
        threads.close()
    for threads in pools:
        threads.wait_until_idle(EXIT_TIMEOUT_S)
