"""Workers that make room: for their replacements, for other models, and after loads that failed."""

from __future__ import annotations

import logging
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest
from typing_extensions import override

from tests.resources.workers.conftest import (
    Shop,
    chunks_of,
    job,
    kill,
    one_loop,
    said,
    until,
    workers,
)
from tests.resources.workers.fake_engine import FakeEngine, Patient, Secretive
from ttskit.errors import ModelLoadError, ResourceError, WorkerCrashedError
from ttskit.resources.engine import EngineJob, Recipe
from ttskit.resources.host import Engines, Resources
from ttskit.resources.memory import MAIN
from ttskit.resources.workers.host import Settings, WorkerHost
from ttskit.resources.workers.policy import WorkerPolicy
from ttskit.testing import Census

pytestmark = pytest.mark.anyio
TEXT = "One two three four."
LONG = EngineJob("One two three. " * 1_000)
ONE_JOB = WorkerPolicy(jobs=1)
HASTY = WorkerPolicy(leave_s=0.05, terminate_s=0.05)


async def rest(host: WorkerHost) -> None:
    await anyio.to_thread.run_sync(host.rest)


def is_resting(host: WorkerHost) -> bool:
    return host.footprint() == {MAIN: 0}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def loads(home: Path) -> list[str]:
    """Return how many workers each load so far has seen, itself included."""
    return home.read_text(encoding="ascii").split() if home.exists() else []


@one_loop
async def test_a_worker_that_waits_for_its_replacement_leaves_for_other_models(
    shop: Shop, home: Path
) -> None:
    host = shop.open(policy=ONE_JOB, load="first free", home=str(home))
    assert await said(host, TEXT) == TEXT
    await until(lambda: len(loads(home)) == 2)
    assert len(workers()) == 2
    await rest(host)
    assert workers() == []


@one_loop
async def test_a_worker_goes_on_where_its_replacement_cannot_be_loaded(
    shop: Shop, home: Path
) -> None:
    host = shop.open(policy=ONE_JOB, load="first", home=str(home))
    assert await said(host, TEXT) == TEXT
    async with AsyncExitStack() as streams:
        async with host.stream(LONG) as unread:  # nobody else's turn comes meanwhile
            await anext(unread)
            waiting = [
                await streams.enter_async_context(host.stream(EngineJob(TEXT))) for _ in range(2)
            ]
            await until(lambda: len(loads(home)) == 2 and len(workers()) == 1)
        for chunks in waiting:
            assert len([chunk async for chunk in chunks]) > 3


@one_loop
async def test_a_worker_makes_room_for_a_replacement_that_finds_no_memory_beside_it(
    shop: Shop, home: Path
) -> None:
    host = shop.open(policy=ONE_JOB, load="lonely", home=str(home))
    assert await said(host, TEXT) == TEXT
    (first,) = workers()[:1]
    await until(lambda: loads(home) == ["1", "2", "1"])
    assert not first.is_running()
    assert await said(host, TEXT) == TEXT


@one_loop
async def test_a_further_worker_that_cannot_be_loaded_is_not_tried_with_each_job(
    shop: Shop, home: Path
) -> None:
    policy = WorkerPolicy(restarts=2)
    host = shop.open(settings=Settings(workers=2), policy=policy, load="first", home=str(home))
    for _ in range(6):
        assert await said(host, TEXT) == TEXT
        await until(lambda: len(loads(home)) > 1 and len(workers()) == 1)
    assert len(loads(home)) <= 1 + policy.restarts


@one_loop
@pytest.mark.parametrize("memory", [None, 10**12])
async def test_within_a_budget_a_worker_leaves_before_its_replacement_is_started(
    home: Path, memory: int | None
) -> None:
    census = Census.take()
    resources = Resources(engines=Engines(policy=ONE_JOB, memory=memory))
    recipe = Recipe(FakeEngine, {"load": "counted", "home": str(home)})
    host = resources.engine(recipe, provider="fake", isolation="process")
    try:
        with anyio.fail_after(20):
            while len(loads(home)) < 4:
                async with host.stream(EngineJob(TEXT)) as chunks:
                    assert [chunk async for chunk in chunks]
    finally:
        await resources.aclose()
    assert (set(loads(home)) == {"1"}) is (memory is not None)
    await census.check()


@one_loop
async def test_a_job_whose_worker_dies_while_it_finishes_what_it_has_is_done_by_another(
    shop: Shop,
) -> None:
    host = shop.open()
    await host.start()
    (first,) = workers()
    async with host.stream(LONG) as heard, host.stream(EngineJob(TEXT)) as waiting:
        await anext(heard)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rest, host)
            await until(lambda: is_resting(host))
            kill(first)
        with anyio.fail_after(10):
            assert len([chunk async for chunk in waiting]) > 3
        with pytest.raises(WorkerCrashedError):
            [chunk async for chunk in heard]


@one_loop
@pytest.mark.parametrize("left", ["before", "meanwhile"])
async def test_a_worker_whose_job_nobody_hears_any_more_rests_at_once(
    shop: Shop, left: str
) -> None:
    host = shop.open(Patient, policy=HASTY)
    await host.start()
    with anyio.fail_after(8):
        async with anyio.create_task_group() as tasks:
            async with host.stream(job(TEXT, "loop", 2)) as chunks:
                await anext(chunks)
                if left == "meanwhile":
                    tasks.start_soon(rest, host)
                    await until(lambda: is_resting(host))
            if left == "before":
                await rest(host)
    assert workers() == []


@one_loop
async def test_a_worker_that_owes_an_answer_for_ever_rests_all_the_same(shop: Shop) -> None:
    host = shop.open(Secretive)
    await host.start()
    (first,) = workers()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(host.voices)
        await anyio.wait_all_tasks_blocked()
        await anyio.to_thread.run_sync(host._crew.rest, 0.1)
        assert not first.is_running()
        tasks.cancel_scope.cancel()


@one_loop
async def test_voices_are_told_after_a_load_has_failed(shop: Shop) -> None:
    host = shop.open(load="fail")
    with pytest.raises(ModelLoadError):
        await host.start()
    for _ in range(4):
        await until(lambda: len(workers()) < 2)
        (voice,) = await host.voices()
        assert voice.id == "one"


class Slow(logging.Handler):
    """Takes its time until it is told not to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_called = threading.Event()
        self.go_on = threading.Event()
        self.was_told = False

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if "process ended" in record.getMessage():
            self.is_called.set()
            self.was_told = self.go_on.wait(2)


@one_loop
async def test_nobody_waits_for_the_application_to_log_a_worker_s_death(shop: Shop) -> None:
    host, slow, logger = shop.open(), Slow(), logging.getLogger("ttskit.worker")
    await host.start()
    (first,) = workers()
    logger.addHandler(slow)
    try:
        kill(first)
        await until(slow.is_called.is_set)
        assert await said(host, TEXT) == TEXT
        slow.go_on.set()
        await until(lambda: slow.was_told)
    finally:
        logger.removeHandler(slow)


@one_loop
async def test_a_system_without_a_thread_for_the_workers_is_told_as_such(shop: Shop) -> None:
    host = shop.open()
    before = threading.stack_size(2**46)  # there is no room for such a stack
    try:
        with pytest.raises(ResourceError, match="no thread"):
            await chunks_of(host, EngineJob(TEXT))
    finally:
        threading.stack_size(before)
    assert await said(host, TEXT) == TEXT
