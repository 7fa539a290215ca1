"""Models in real worker processes, which share a budget and find no memory now and then."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import anyio
import psutil
import pytest

from tests.resources.workers.conftest import until, workers
from tests.resources.workers.heavy_engine import HeavyEngine
from ttskit import AsyncTTSService
from ttskit.adapters.base import AdapterOptions, Capabilities
from ttskit.adapters.local import LocalAdapter
from ttskit.errors import OutOfMemoryError, ServiceClosedError
from ttskit.resources.engine import Recipe
from ttskit.telemetry.events import Event, MemoryEvent, ModelEvent
from ttskit.testing import Census, MockAdapter, transcribe

pytestmark = pytest.mark.anyio
MIB = 2**20
WEIGHTS = 128
TEXT = "One two three four five, six seven eight nine ten eleven."
one_loop = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class HeavyOptions(AdapterOptions):
    mib: int = 0
    gpu_mib: int = 0
    device: str = "cpu"
    failures: str = ""
    most: int = 10**6


class HeavyAdapter(LocalAdapter[HeavyOptions]):
    name = "heavy"
    capabilities = Capabilities(formats=("f32",))
    isolation = "process"

    def engine(self, *, downloads: bool) -> Recipe:
        del downloads
        on_cpu = None if self.options.device == "cpu" else {"device": "cpu"}
        return Recipe(HeavyEngine, self.options.model_dump(), on_cpu=on_cpu)


@pytest.fixture(autouse=True)
async def nothing_is_left(anyio_backend: str) -> AsyncIterator[None]:
    del anyio_backend
    census = Census.take()
    yield
    await census.check()


@dataclass(frozen=True)
class Failures:
    """How many of an engine's attempts are still to find no memory."""

    file: Path

    def of(self, what: str, count: int) -> None:
        self.file.write_text(f"{what} {count}", encoding="ascii")


@pytest.fixture
def failures(tmp_path: Path) -> Failures:
    return Failures(tmp_path / "failures")


def heavy(name: str = "heavy", **options: object) -> HeavyAdapter:
    return HeavyAdapter(HeavyOptions.model_validate(options), provider=name)


def taken() -> int:
    """Return the bytes that all workers take."""
    size = 0
    for worker in workers():
        try:
            size += worker.memory_info().rss
        except psutil.Error:  # it has just left
            continue
    return size


class Watch:
    """Looks all the time at what workers take."""

    def __init__(self) -> None:
        self.most = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self.most = max(self.most, taken())


@one_loop
async def test_five_models_take_turns_in_a_budget_for_two() -> None:
    async with AsyncTTSService(providers=[heavy(mib=WEIGHTS)]) as tts:
        await tts.synthesize("One.")
        size = taken()
    names = [f"heavy-{number}" for number in range(5)]
    config = {"resources": {"memory": int(2.2 * size)}}
    answers: list[str] = []

    async def ask(tts: AsyncTTSService, name: str, number: int) -> None:
        text = f"{name.removeprefix('heavy-')} and {number}."
        audio = await tts.synthesize(text, provider=name)
        assert transcribe(audio) == text
        answers.append(text)

    with Watch() as watch:
        providers = [heavy(name, mib=WEIGHTS) for name in names]
        async with (
            AsyncTTSService(config, providers=providers) as tts,
            anyio.create_task_group() as t,
        ):
            for number in range(2):
                for name in names:
                    t.start_soon(ask, tts, name, number)
            for name in names:
                t.start_soon(ask, tts, name, 9)
    assert len(answers) == 15
    assert size < watch.most <= 2.2 * size + 1.1 * size


async def test_a_model_nobody_uses_leaves_and_comes_back() -> None:
    events: list[ModelEvent] = []
    config = {"resources": {"idle_unload": 0.1}}
    async with AsyncTTSService(config, providers=[heavy(mib=8)]) as tts:
        tts.on("model", events.append)
        for text in ("One.", "Two."):
            assert transcribe(await tts.synthesize(text)) == text
            await until(lambda: not workers())
        await until(lambda: len(events) == 4)
    assert [event.outcome for event in events] == ["loaded", "idle"] * 2
    assert events[0].memory["cpu"] > 8 * MIB


async def test_a_pinned_model_stays_whoever_needs_room() -> None:
    async with AsyncTTSService(providers=[heavy(mib=WEIGHTS)]) as tts:
        await tts.synthesize("One.")
        size = taken()
    config = {
        "providers": {"first": {"pinned": True}, "second": {}, "third": {}},
        "resources": {"memory": int(2.2 * size)},
    }
    events: list[ModelEvent] = []
    providers = [heavy(name, mib=WEIGHTS) for name in ("first", "second", "third")]
    async with AsyncTTSService(config, providers=providers) as tts:
        tts.on("model", events.append)
        for name in ("first", "second", "third", "second", "first"):
            await tts.synthesize("One.", provider=name)
        left = [(event.provider, event.outcome) for event in events]
    assert ("first", "evicted") not in left
    assert ("second", "evicted") in left


async def test_a_model_that_can_never_fit_leaves_it_to_the_next_provider() -> None:
    config = {"resources": {"memory": "40 MiB"}}
    async with AsyncTTSService(config, providers=[heavy(mib=WEIGHTS), MockAdapter()]) as tts:
        audio = await tts.synthesize("One.")
        assert audio.ledger[0].provider == "mock"
        with pytest.raises(OutOfMemoryError, match="budget leaves"):
            await tts.synthesize("One.", provider="heavy")
        assert not workers()


@pytest.mark.parametrize(
    ("device", "count", "steps"),
    [
        ("cpu", 0, []),
        ("cpu", 1, ["release"]),
        ("cpu", 2, ["release", "clear"]),
        ("cpu", 3, ["release", "clear", "split"]),
        ("cpu", 4, ["release", "clear", "split", "restart"]),
        ("cuda", 4, ["release", "clear", "split", "cpu"]),
    ],
)
@one_loop
async def test_each_step_of_the_ladder_is_taken_once_and_told(
    failures: Failures, device: str, count: int, steps: list[str]
) -> None:
    failures.of("speak", count)
    events: list[Event] = []
    async with AsyncTTSService(
        providers=[heavy(device=device, failures=str(failures.file))]
    ) as tts:
        tts.on("memory", events.append)
        audio = await tts.synthesize(TEXT)
        await until(lambda: len(events) >= len(steps))
    assert transcribe(audio).split() == TEXT.split()
    assert [event.step for event in events if isinstance(event, MemoryEvent)] == steps
    assert len({event.request_id for event in events}) <= 1


@one_loop
async def test_at_the_ladders_end_the_next_provider_speaks(failures: Failures) -> None:
    failures.of("speak", 1000)
    events: list[MemoryEvent] = []
    providers = [heavy(device="cuda", failures=str(failures.file)), MockAdapter()]
    async with AsyncTTSService(providers=providers) as tts:
        tts.on("memory", events.append)
        audio = await tts.synthesize(TEXT)
        await until(lambda: len(events) >= 5)
    assert (audio.ledger[0].provider, transcribe(audio)) == ("mock", TEXT)
    assert [event.step for event in events] == ["release", "clear", "split", "cpu", "restart"]


@one_loop
async def test_idle_models_leave_for_one_that_finds_no_memory(failures: Failures) -> None:
    providers = [heavy("idle"), heavy("poor", failures=str(failures.file))]
    events: list[MemoryEvent] = []
    async with AsyncTTSService(providers=providers) as tts:
        tts.on("memory", events.append)
        for name in ("idle", "poor"):
            await tts.synthesize("One.", provider=name)
        assert len(workers()) == 2
        failures.of("speak", 4)
        assert transcribe(await tts.synthesize(TEXT, provider="poor")) == TEXT
        assert len(workers()) == 1
        await until(lambda: len(events) == 4)
    assert events[-1].step == "evict"


@one_loop
async def test_a_load_without_memory_climbs_too(failures: Failures) -> None:
    failures.of("load", 1)
    events: list[MemoryEvent] = []
    async with AsyncTTSService(providers=[heavy(failures=str(failures.file))]) as tts:
        tts.on("memory", events.append)
        assert transcribe(await tts.synthesize("One.")) == "One."
        await until(lambda: bool(events))
    assert [event.step for event in events] == ["restart"]


async def test_who_leaves_while_a_model_is_loaded_holds_nothing_of_it() -> None:
    async with AsyncTTSService(
        {"resources": {"idle_unload": 0.1}}, providers=[heavy(mib=8)]
    ) as tts:
        for wait in (0.0, 0.05, 0.2, 0.5):
            with anyio.move_on_after(wait):
                await tts.synthesize("One.")
        await until(lambda: not workers())
        assert transcribe(await tts.synthesize("Two.")) == "Two."


async def test_closing_ends_those_who_wait_for_room() -> None:
    config = {"resources": {"memory": "1 GiB"}}
    tts = AsyncTTSService(config, providers=[heavy(mib=8)])
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                with pytest.raises(ServiceClosedError):
                    await tts.synthesize("One.")

            tasks.start_soon(ask)
            await until(lambda: bool(workers()))
            await tts.aclose()


@one_loop
async def test_what_a_model_holds_of_a_gpu_counts_against_its_budget() -> None:
    config = {"resources": {"gpu_memory": "80%", "memory": "8 GiB"}}
    events: list[ModelEvent] = []
    providers = [heavy(name, device="cuda", gpu_mib=400) for name in ("first", "second", "third")]
    async with AsyncTTSService(config, providers=providers) as tts:
        tts.on("model", events.append)
        for name in ("first", "second", "third"):
            await tts.synthesize("One.", provider=name)
        await until(lambda: len(events) >= 4)
    assert [(event.provider, event.outcome) for event in events] == [
        ("first", "loaded"), ("second", "loaded"), ("third", "loaded"), ("first", "evicted"),
    ]  # fmt: skip
    assert events[0].memory["cuda:0"] == 400 * MIB
