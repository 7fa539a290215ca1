"""An engine in worker processes, seen through the face that an engine in threads has."""

from __future__ import annotations

import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

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
from tests.resources.workers.fake_engine import FakeEngine, Parallel
from ttskit.errors import (
    ConfigurationError,
    DependencyMissingError,
    ModelLoadError,
    ServiceClosedError,
    TTSError,
    WorkerCrashedError,
)
from ttskit.resources.engine import Engine, EngineJob, Recipe
from ttskit.resources.workers.host import Settings, WorkerHost

pytestmark = pytest.mark.anyio
TEXT = "One two three four."


class Elsewhere(Engine):
    """Its module cannot be imported where the worker looks."""

    __module__ = "no_such_module"


@one_loop
async def test_voices_are_told_without_loading_the_engine(shop: Shop) -> None:
    host = shop.open(load="fail")
    (voice,) = await host.voices()
    assert (voice.id, voice.languages, voice.styles) == ("one", ("en",), ("flat",))


async def test_callers_at_the_same_time_share_one_worker(shop: Shop) -> None:
    host = shop.open()
    async with anyio.create_task_group() as callers:
        for _ in range(5):
            callers.start_soon(host.start)
            callers.start_soon(said, host, TEXT)
    assert len(workers()) == 1


async def test_two_workers_are_two_processes(shop: Shop) -> None:
    host = shop.open(settings=Settings(workers=2))
    await host.start()
    await until(lambda: len(workers()) == 2)
    heard: set[str] = set()

    async def speak() -> None:
        heard.add(await said(host, TEXT))

    async with anyio.create_task_group() as callers:
        for _ in range(10):
            callers.start_soon(speak)
    assert heard == {TEXT}


async def test_an_engine_that_bears_it_serves_two_jobs_at_a_time(shop: Shop) -> None:
    host = shop.open(Parallel, settings=Settings(threads=2), chunk_s=0.01)
    async with host.stream(EngineJob(TEXT)) as first, host.stream(EngineJob(TEXT)) as second:
        await anext(first)
        await anext(second)


async def test_an_engine_that_does_not_bear_it_serves_one(shop: Shop, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    host = shop.open(settings=Settings(threads=2), chunk_s=0.002, diary=str(diary))
    async with AsyncExitStack() as streams:
        for text in "ab":
            await streams.enter_async_context(host.stream(EngineJob(text)))
        await until(lambda: diary.exists() and diary.read_text().count("end") == 2)
    assert diary.read_text().splitlines() == ["begin a", "end a", "begin b", "end b"]


async def test_jobs_of_one_lane_are_made_one_after_the_other(shop: Shop, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    settings = Settings(workers=2, threads=2)
    host = shop.open(Parallel, settings=settings, chunk_s=0.002, diary=str(diary))
    await host.start()
    async with AsyncExitStack() as streams:
        for number in range(6):
            await streams.enter_async_context(host.stream(EngineJob(str(number), lane="a")))
        await until(lambda: diary.exists() and diary.read_text().count("end") == 6)
    expected = [f"{what} {number}" for number in range(6) for what in ("begin", "end")]
    assert diary.read_text().splitlines() == expected


async def test_leaving_a_stream_stops_the_engine(shop: Shop) -> None:
    host = shop.open(chunk_s=0.01)
    with anyio.fail_after(10):
        async with host.stream(EngineJob("One two three. " * 1_000)) as chunks:
            await anext(chunks)
        assert await said(host, TEXT) == TEXT


async def test_a_job_given_up_while_it_waits_is_never_begun(shop: Shop) -> None:
    host = shop.open(chunk_s=0.02)
    async with host.stream(EngineJob(TEXT)) as chunks:
        await anext(chunks)
        async with host.stream(job("never", "crash")):
            pass
        async for _ in chunks:
            pass
    assert await said(host, TEXT) == TEXT


@one_loop
async def test_a_load_that_fails_is_an_error_of_its_own_and_tried_again(shop: Shop) -> None:
    host = shop.open(load="fail")
    for _ in range(3):
        with pytest.raises(ModelLoadError, match="there are no weights"):
            await host.start()
    with pytest.raises(ModelLoadError):
        await said(host, TEXT)


@one_loop
async def test_an_engine_whose_module_is_missing_is_named(shop: Shop) -> None:
    with pytest.raises(DependencyMissingError, match="no_such_module"):
        await shop.open(Elsewhere).start()


def _named(qualname: str, module: str) -> type[Engine]:
    return type("Named", (FakeEngine,), {"__qualname__": qualname, "__module__": module})


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(Recipe(lambda: FakeEngine()), id="a lambda"),  # noqa: PLW0108 - the point
        pytest.param(Recipe(_named("f.<locals>.Local", "tests")), id="in a function"),
        pytest.param(Recipe(_named("Script", "__main__")), id="in the script"),
        pytest.param(
            Recipe(FakeEngine, {"load": object()}),  # type: ignore[dict-item] # wrong on purpose
            id="arguments",
        ),
    ],
)
def test_what_a_worker_could_not_make_is_refused_at_once(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a script; what runs by ``python -m`` has a name that a worker can import.
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    with pytest.raises(ConfigurationError):
        WorkerHost(recipe, provider="fake", settings=Settings())


@one_loop
async def test_another_interpreter_may_run_the_engine(shop: Shop) -> None:
    host = WorkerHost(
        Recipe(FakeEngine, python=sys.executable), provider="fake", settings=Settings()
    )
    shop.hosts.append(host)
    # It finds ttskit, which is installed for it; of this process's own path it knows nothing.
    with pytest.raises(DependencyMissingError, match="tests"):
        await host.start()


async def test_closing_tells_running_and_waiting_readers(shop: Shop) -> None:
    host = shop.open(chunk_s=0.01)
    caught: list[TTSError] = []

    async def read() -> None:
        try:
            await chunks_of(host, EngineJob("One two three. " * 100))
        except ServiceClosedError as error:
            caught.append(error)

    async with anyio.create_task_group() as readers:
        for _ in range(3):
            readers.start_soon(read)
        await host.start()
        await host.aclose()
    assert len(caught) == 3
    with pytest.raises(ServiceClosedError):
        await host.start()


def test_one_host_serves_one_event_loop_after_another() -> None:
    host = WorkerHost(Recipe(FakeEngine), provider="fake", settings=Settings())
    for backend in ("asyncio", "trio", "asyncio"):
        assert anyio.run(said, host, TEXT, backend=backend) == TEXT
    anyio.run(host.aclose)


@one_loop
async def test_a_worker_outlives_the_thread_that_asked_for_it_first(shop: Shop) -> None:
    host = shop.open()
    thread = threading.Thread(target=lambda: anyio.run(host.start))
    thread.start()
    await anyio.to_thread.run_sync(thread.join)
    first = workers()
    assert await said(host, TEXT) == TEXT
    assert workers() == first


async def test_a_worker_that_died_idle_is_replaced(shop: Shop) -> None:
    host = shop.open()
    await host.start()
    (first,) = workers()
    kill(first)
    assert await said(host, TEXT) == TEXT
    assert workers() != [first]


async def test_a_job_that_had_not_been_heard_is_done_again_by_another_worker(shop: Shop) -> None:
    host = shop.open(chunk_s=0.05)
    await host.start()
    (first,) = workers()
    async with host.stream(EngineJob(TEXT)) as chunks:
        await anyio.sleep(0.02)
        kill(first)
        parts = [chunk.samples async for chunk in chunks]
    assert len(parts) > 3


@one_loop
@pytest.mark.parametrize("how", ["crash", "kill", "abort", "segfault"])
async def test_a_job_that_kills_its_worker_twice_is_an_error(shop: Shop, how: str) -> None:
    host = shop.open()
    with pytest.raises(WorkerCrashedError) as caught:
        await chunks_of(host, job(TEXT, how))
    assert caught.value.retryable
    assert await said(host, TEXT) == TEXT


async def test_a_job_that_was_heard_in_part_is_not_done_again(shop: Shop) -> None:
    host = shop.open(chunk_s=0.01)
    await host.start()
    before = workers()
    with pytest.raises(WorkerCrashedError, match="exit code 7"):
        await chunks_of(host, job(TEXT, "crash", 2))
    assert await said(host, TEXT) == TEXT
    assert workers() != before


@one_loop
async def test_what_waits_behind_a_deadly_job_is_done_all_the_same(shop: Shop) -> None:
    host = shop.open()
    heard: list[str] = []

    async def speak(asked: EngineJob) -> None:
        try:
            heard.append(await said(host, asked))
        except WorkerCrashedError:
            heard.append("dead")

    async with anyio.create_task_group() as callers:
        for do in ("crash", "", "crash", "", ""):
            callers.start_soon(speak, job(TEXT, do))
            await anyio.lowlevel.checkpoint()
    assert sorted(heard) == [TEXT] * 3 + ["dead"] * 2
