"""Engine hosts: blocking engines behind an event loop that never waits for them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import numpy as np
import pytest
from typing_extensions import override

from ttskit.errors import (
    ConfigurationError,
    DependencyMissingError,
    GenerationError,
    ModelLoadError,
    OutOfMemoryError,
    ServiceClosedError,
    TTSError,
    VoiceNotFoundError,
)
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, Recipe
from ttskit.resources.host import EngineHost, Host, Resources
from ttskit.voices import Voice

pytestmark = pytest.mark.anyio
TIMEOUT_S = 10.0
JOB = EngineJob("x")


@dataclass
class Script:
    """What an engine under test does, and what it has done."""

    chunks: int = 1
    gate: threading.Event | None = None
    """Waited for before each chunk."""
    load_error: BaseException | None = None
    load_gate: threading.Event | None = None
    """Waited for while it loads."""
    error: BaseException | None = None
    loads: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    said: list[str] = field(default_factory=list)


class Scripted(Engine):
    def __init__(self, script: Script) -> None:
        self.script = script

    @override
    def load(self) -> None:
        self.script.loads += 1
        if self.script.load_gate is not None:
            self.script.load_gate.wait(TIMEOUT_S)
        if self.script.load_error is not None:
            raise self.script.load_error

    @override
    def voices(self) -> list[Voice]:
        return [Voice("one", "", "One")]

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        self.script.said.append(job.text)
        if self.script.error is not None:
            raise self.script.error
        try:
            for _ in range(self.script.chunks):
                if self.script.gate is not None:
                    self.script.gate.wait(TIMEOUT_S)
                if stop.is_set():
                    return
                yield EngineChunk(np.zeros(10, np.float32), 8_000)
        finally:
            self.script.stopped.set()

    @override
    def close(self) -> None:
        self.script.closed.set()


class Parallel(Scripted):
    concurrent = True


@pytest.fixture
async def resources(anyio_backend: str) -> AsyncIterator[Resources]:
    del anyio_backend
    resources = Resources()
    yield resources
    await resources.aclose()


def host_of(resources: Resources, script: Script) -> Host:
    return resources.engine(Recipe(lambda: Scripted(script)), provider="acme")


async def chunks_of(host: Host, job: EngineJob = JOB) -> int:
    async with host.stream(job) as chunks:
        return len([chunk async for chunk in chunks])


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until something holds; a test that hangs is a failed one."""
    with anyio.fail_after(TIMEOUT_S):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def test_all_chunks_of_a_job_arrive(resources: Resources) -> None:
    assert await chunks_of(host_of(resources, Script(chunks=7))) == 7


async def test_nothing_is_loaded_before_it_is_needed(resources: Resources) -> None:
    script = Script()
    voices = await host_of(resources, script).voices()
    assert [voice.id for voice in voices] == ["one"]
    assert script.loads == 0


async def test_an_engine_is_loaded_once_for_all_who_wait(resources: Resources) -> None:
    script = Script()
    host = host_of(resources, script)
    async with anyio.create_task_group() as callers:
        for _ in range(5):
            callers.start_soon(host.start)
            callers.start_soon(chunks_of, host)
    assert script.loads == 1


async def test_a_load_that_failed_is_tried_again_by_the_next_caller(resources: Resources) -> None:
    script = Script(load_error=OSError("no such file"))
    host = host_of(resources, script)
    with pytest.raises(ModelLoadError):
        await host.start()
    script.load_error = None
    assert await chunks_of(host) == 1


async def test_other_tasks_run_while_the_engine_blocks(resources: Resources) -> None:
    gate = threading.Event()
    host = host_of(resources, Script(gate=gate))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(chunks_of, host)
        await anyio.lowlevel.checkpoint()
        # Only this task can let the engine go on: a blocked loop would never get here.
        gate.set()


async def test_leaving_a_stream_stops_the_engine(resources: Resources) -> None:
    script = Script(chunks=1_000_000)
    async with host_of(resources, script).stream(JOB) as chunks:
        await anext(chunks)
    await until(script.stopped.is_set)


async def test_a_cancelled_reader_does_not_wait_for_the_engine(resources: Resources) -> None:
    gate = threading.Event()
    script = Script(gate=gate)
    host = host_of(resources, script)
    async with anyio.create_task_group() as readers:
        readers.start_soon(chunks_of, host)
        await until(lambda: bool(script.said))
        readers.cancel_scope.cancel()
    assert not script.stopped.is_set()
    gate.set()
    await until(script.stopped.is_set)


async def test_jobs_that_wait_are_served_in_order(resources: Resources) -> None:
    script = Script(gate=threading.Event())
    host = host_of(resources, script)
    async with anyio.create_task_group() as readers:
        for number in range(6):
            readers.start_soon(chunks_of, host, EngineJob(str(number)))
            await anyio.lowlevel.checkpoint()
        await until(lambda: bool(script.said))
        assert script.gate is not None
        script.gate.set()
    assert script.said == [str(number) for number in range(6)]


async def test_a_job_cancelled_while_it_waits_is_never_begun(resources: Resources) -> None:
    gate = threading.Event()
    script = Script(gate=gate)
    host = host_of(resources, script)
    async with anyio.create_task_group() as readers:
        readers.start_soon(chunks_of, host, EngineJob("first"))
        await until(lambda: bool(script.said))
        with anyio.CancelScope() as waiting:
            waiting.cancel()
            await chunks_of(host, EngineJob("given up"))
        gate.set()
    assert await chunks_of(host, EngineJob("last")) == 1
    assert script.said == ["first", "last"]


async def test_an_engine_that_bears_it_serves_two_at_the_same_time() -> None:
    gate = threading.Event()
    script = Script(gate=gate)
    host = EngineHost(Parallel(script), provider="acme", concurrency=2)
    async with anyio.create_task_group() as readers:
        readers.start_soon(chunks_of, host)
        readers.start_soon(chunks_of, host)
        await until(lambda: len(script.said) == 2)
        gate.set()
    await host.aclose()


async def test_an_engine_that_does_not_bear_it_serves_one(resources: Resources) -> None:
    gate = threading.Event()
    script = Script(gate=gate)
    host = resources.engine(Recipe(lambda: Scripted(script)), provider="acme", concurrency=8)
    async with anyio.create_task_group() as readers:
        readers.start_soon(chunks_of, host)
        readers.start_soon(chunks_of, host)
        await until(lambda: bool(script.said))
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert len(script.said) == 1
        gate.set()


async def test_two_engines_work_at_the_same_time(resources: Resources) -> None:
    gate = threading.Event()
    first, second = Script(gate=gate), Script(gate=gate)
    async with anyio.create_task_group() as readers:
        readers.start_soon(chunks_of, host_of(resources, first))
        readers.start_soon(chunks_of, host_of(resources, second))
        await until(lambda: bool(first.said and second.said))
        gate.set()


async def test_voices_are_listed_while_a_job_runs(resources: Resources) -> None:
    gate = threading.Event()
    script = Script(gate=gate)
    host = host_of(resources, script)
    async with anyio.create_task_group() as readers:
        readers.start_soon(chunks_of, host)
        await until(lambda: bool(script.said))
        with anyio.fail_after(TIMEOUT_S):
            assert len(await host.voices()) == 1
        gate.set()


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        pytest.param(ValueError("secret words"), GenerationError, id="any other"),
        pytest.param(MemoryError(), OutOfMemoryError, id="no memory"),
        pytest.param(VoiceNotFoundError("no voice"), VoiceNotFoundError, id="one of ours"),
        pytest.param(SystemExit(1), GenerationError, id="an engine that exits"),
        pytest.param(ModuleNotFoundError(name="g2pW"), DependencyMissingError, id="no package"),
    ],
)
async def test_whatever_an_engine_raises_is_one_of_our_errors(
    resources: Resources, raised: BaseException, error: type[TTSError]
) -> None:
    host = host_of(resources, Script(error=raised))
    with pytest.raises(error) as caught:
        await chunks_of(host)
    assert caught.value.provider == "acme"
    assert "secret words" not in str(caught.value)
    assert raised in (caught.value, caught.value.__cause__)


async def test_an_engine_works_on_after_it_failed(resources: Resources) -> None:
    script = Script(error=ValueError())
    host = host_of(resources, script)
    with pytest.raises(GenerationError):
        await chunks_of(host)
    script.error = None
    assert await chunks_of(host) == 1


async def test_closing_tells_running_readers_and_frees_the_engine() -> None:
    resources, script = Resources(), Script(chunks=1_000_000)
    async with host_of(resources, script).stream(JOB) as chunks:
        await anext(chunks)
        await resources.aclose()
        with pytest.raises(ServiceClosedError):
            async for _ in chunks:
                pass
    assert script.closed.is_set()


async def test_closing_tells_those_who_wait_for_their_turn() -> None:
    resources, gate = Resources(), threading.Event()
    script = Script(gate=gate)
    host = host_of(resources, script)
    async with anyio.create_task_group() as readers, host.stream(JOB):
        await until(lambda: bool(script.said))
        readers.start_soon(_expect_closed, host, gate)
        await anyio.lowlevel.checkpoint()
        readers.start_soon(resources.aclose)


async def test_closing_does_not_wait_for_an_engine_that_hangs() -> None:
    resources, gate = Resources(), threading.Event()
    script = Script(gate=gate)
    async with host_of(resources, script).stream(JOB):
        await until(lambda: bool(script.said))
        with anyio.fail_after(5):
            await resources.aclose()
    assert not script.closed.is_set()
    gate.set()
    await until(script.closed.is_set)


async def test_a_closed_host_takes_no_job(resources: Resources) -> None:
    host = host_of(resources, Script())
    await host.aclose()
    await host.aclose()
    with pytest.raises(ServiceClosedError):
        await chunks_of(host)


async def test_closed_resources_make_no_host() -> None:
    resources = Resources()
    await resources.aclose()
    with pytest.raises(ServiceClosedError):
        host_of(resources, Script())


async def test_a_thread_cannot_be_of_another_interpreter(resources: Resources) -> None:
    recipe = Recipe(lambda: Scripted(Script()), python=sys.executable)
    with pytest.raises(ConfigurationError, match="isolation: process"):
        resources.engine(recipe, provider="acme", isolation="thread")


async def test_an_isolation_that_is_not_to_be_had_is_refused_by_name(resources: Resources) -> None:
    with pytest.raises(
        ConfigurationError, match="'orbit' is not available; available: process, th"
    ):
        resources.engine(Recipe(lambda: Scripted(Script())), provider="acme", isolation="orbit")


def test_one_host_serves_one_event_loop_after_another() -> None:
    host = host_of(Resources(), Script())
    assert [anyio.run(chunks_of, host) for _ in range(5)] == [1] * 5


@pytest.mark.engine("piper")
def test_the_interpreter_exits_cleanly_while_an_engine_is_at_work() -> None:
    program = """
import anyio
from ttskit.adapters.piper import PiperEngine
from ttskit.resources.engine import EngineJob, Recipe
from ttskit.resources.host import Resources

async def main():
    host = Resources().engine(Recipe(PiperEngine), provider="piper")
    async with host.stream(EngineJob("One more sentence is on its way to you. " * 20)) as chunks:
        await anext(chunks)

anyio.run(main)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


async def _expect_closed(host: Host, then: threading.Event) -> None:
    with pytest.raises(ServiceClosedError):
        await chunks_of(host)
    then.set()


async def test_an_engine_is_not_closed_before_it_is_loaded(resources: Resources) -> None:
    script = Script(load_gate=threading.Event())
    host = host_of(resources, script)

    async def start() -> None:
        with pytest.raises(ServiceClosedError):
            await host.start()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(start)
        await until(lambda: script.loads == 1)
        await host.aclose()
        assert not script.closed.is_set()
        assert script.load_gate is not None
        script.load_gate.set()
    await until(script.closed.is_set)
