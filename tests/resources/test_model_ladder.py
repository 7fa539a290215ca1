"""Jobs on one model host that find no memory, while others wait for the same model or its room."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from anyio import wait_all_tasks_blocked
from typing_extensions import override

from tests.resources.workers.conftest import EASY, kill, one_loop, until, workers
from tests.resources.workers.fake_engine import RATE, FakeEngine
from tests.resources.workers.heavy_engine import HeavyEngine
from ttskit.errors import ModelLoadError
from ttskit.resources.engine import Engine, EngineJob, JsonValue, Recipe
from ttskit.resources.memory import MAIN, Footprint, MemoryAccount
from ttskit.resources.model_host import ModelHost
from ttskit.resources.models import Models
from ttskit.resources.places import Model, Place
from ttskit.resources.relief import Rung
from ttskit.resources.workers.host import Settings, WorkerHost
from ttskit.testing import Census, transcribe

pytestmark = pytest.mark.anyio
MIB = 2**20
WEIGHTS = 64
MODEL = 100 * MIB
"""A bit less than such weights take with their process."""
ROOM_FOR_ONE = 180 * MIB


class WatchedModels(Models):
    """Knows how large models are, and tells of places and of jobs that wait for other models."""

    def __init__(self, account: MemoryAccount) -> None:
        super().__init__(account)
        self.places: list[Place] = []
        self.has_begun_to_wait = threading.Event()
        self.has_waited = threading.Event()

    @override
    def place(self, model: Model, *, estimate: Footprint, is_pinned: bool = False) -> Place:
        size = {MAIN: max(estimate[MAIN], MODEL)}
        self.places.append(super().place(model, estimate=size, is_pinned=is_pinned))
        return self.places[-1]

    @override
    def wait_for_others(self, *args: Any, **options: Any) -> bool:  # passed on as it comes
        self.has_begun_to_wait.set()
        try:
            return super().wait_for_others(*args, **options)
        finally:
            self.has_waited.set()


class House:
    """Model hosts over one account."""

    def __init__(self, limit: int | None = None) -> None:
        self.account = MemoryAccount({} if limit is None else {MAIN: limit})
        self.models = WatchedModels(self.account)
        self.told: list[tuple[str, Rung]] = []
        self._hosts: list[ModelHost] = []
        self._workers: dict[str, WorkerHost] = {}

    def open(
        self, name: str, engine: type[Engine] = HeavyEngine, **arguments: JsonValue
    ) -> ModelHost:
        settings = Settings(policy=EASY)
        workers = WorkerHost(Recipe(engine, arguments), provider=name, settings=settings)
        host = ModelHost(
            workers, self.models, provider=name, tell=lambda rung, _: self.told.append((name, rung))
        )
        self._workers[name] = workers
        self._hosts.append(host)
        return host

    def measured(self, name: str) -> int:
        return self._workers[name].footprint()[MAIN]

    async def aclose(self) -> None:
        for host in self._hosts:
            await host.aclose()


@asynccontextmanager
async def house(limit: int | None = None) -> AsyncIterator[House]:
    census = Census.take()
    opened = House(limit)
    try:
        with anyio.fail_after(30):
            yield opened
    finally:
        await opened.aclose()
    await census.check()


async def speak(host: ModelHost, text: str) -> str:
    async with host.stream(EngineJob(text, relieve=False)) as chunks:
        spoken = [chunk.samples async for chunk in chunks]
    return transcribe((np.concatenate(spoken), RATE))


@one_loop
async def test_a_job_without_memory_is_helped_while_others_wait_for_its_model(
    tmp_path: Path,
) -> None:
    gate, failures = tmp_path / "gate", tmp_path / "failures"
    said: list[str] = []
    async with house(ROOM_FOR_ONE) as models:
        poor = models.open("poor", mib=WEIGHTS, failures=str(failures), gate=str(gate))
        other = models.open("other", mib=WEIGHTS)
        await poor.start()
        failures.write_text("speak 1", encoding="ascii")

        async def ask(host: ModelHost, text: str) -> None:
            said.append(await speak(host, text))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, poor, "First.")
            await wait_all_tasks_blocked()
            tasks.start_soon(ask, other, "Second.")
            await until(lambda: models.models.places[0].must_leave)
            tasks.start_soon(ask, poor, "Third.")  # behind the second one, which waits for room
            await wait_all_tasks_blocked()
            gate.touch()
    assert sorted(said) == ["First.", "Second.", "Third."]
    assert models.told == [("poor", Rung.RESTART)]


@one_loop
async def test_nothing_more_is_done_for_a_job_that_was_cancelled(tmp_path: Path) -> None:
    failures = tmp_path / "failures"
    async with house() as models:
        poor, busy = models.open("poor", failures=str(failures)), models.open("busy")
        await poor.start()
        failures.write_text("speak 1", encoding="ascii")
        with await busy.use():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(speak, poor, "One.")
                await until(models.models.has_begun_to_wait.is_set)
                tasks.cancel_scope.cancel()
            await until(models.models.has_waited.is_set, within_s=5)
        assert await speak(poor, "Two.") == "Two."
        assert poor.loads == 1
    assert models.told == []


@one_loop
async def test_a_model_that_is_restarted_keeps_its_room(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with house(ROOM_FOR_ONE) as models:
        host = models.open("one", gate=str(gate))
        await host.start()
        size = models.account.held(MAIN)
        kill(workers()[0])
        await until(lambda: not models.measured("one"))
        async with host.stream(EngineJob("One.")):
            """Whoever listened has enough."""
        assert models.account.held(MAIN) == size > 0


async def test_requests_at_the_same_time_share_a_load_that_fails() -> None:
    failed: list[ModelLoadError] = []
    async with house() as models:
        host = models.open("broken", FakeEngine, load="fail")

        async def start() -> None:
            try:
                await host.start()
            except ModelLoadError as error:
                failed.append(error)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(start)
        assert (len(failed), host.loads) == (5, 1)
        await start()
        assert (len(failed), host.loads) == (6, 2)
