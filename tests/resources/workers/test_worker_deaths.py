"""Workers killed at random moments, and applications that end in every way: nothing is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
from functools import partial
from pathlib import Path

import anyio
import psutil
import pytest

from tests import effort
from tests.resources.workers.conftest import (
    EASY,
    Shop,
    is_worker,
    kill,
    said,
    until,
    wait_until,
    workers,
)
from tests.resources.workers.fake_engine import FakeEngine
from ttskit import AsyncTTSService
from ttskit.adapters.base import AdapterOptions, Capabilities
from ttskit.adapters.local import LocalAdapter
from ttskit.resources.engine import Recipe
from ttskit.resources.host import Resources
from ttskit.resources.workers.host import Settings, WorkerHost
from ttskit.testing import Census, transcribe

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]
WORDS = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
KILLS = effort.examples(ci=10, nightly=200)
OF_THE_WORKER = (".lock", "child process")
"""What has another name with each worker."""
RESTARTS = effort.examples(ci=10, nightly=1_000)


class FakeAdapter(LocalAdapter[AdapterOptions]):
    name = "fake"
    capabilities = Capabilities(formats=("f32",))

    def engine(self, *, downloads: bool) -> Recipe:
        del downloads
        return Recipe(FakeEngine, {"chunk_s": 0.001})

    async def open(self, resources: Resources) -> None:
        recipe = self.engine(downloads=resources.downloads)
        settings = Settings(workers=2, policy=EASY)
        self._host = WorkerHost(recipe, provider=self.provider, settings=settings)


@pytest.mark.timeout(900)
async def test_workers_killed_under_load_lose_no_request_and_no_word() -> None:
    draw = random.Random(17)
    killed, heard = 0, 0
    # Two deaths a second are more than the usual budget has retries for.
    section = {"retry": {"attempts": 8}, "budget": {"reserve_per_s": 20}}
    adapter = FakeAdapter(AdapterOptions())
    async with AsyncTTSService({"providers": {"fake": section}}, providers=[adapter]) as tts:
        assert transcribe(await tts.synthesize("Warm.")) == "Warm."

        async def speak(number: int) -> None:
            nonlocal heard
            own = random.Random(number)
            while killed < KILLS:
                text = " ".join(own.choices(WORDS, k=own.randint(3, 30))) + "."
                audio = await tts.synthesize(text, deadline=60)
                assert transcribe(audio) == text
                heard += 1

        async with anyio.create_task_group() as callers:
            for number in range(4):
                callers.start_soon(speak, number)
            while killed < KILLS:
                await anyio.sleep(draw.uniform(0.05, 0.8))
                await until(lambda: bool(workers()))
                kill(draw.choice(workers()))
                killed += 1
    assert heard > KILLS / 10
    print(f"{killed} kills, {heard} requests, all heard whole")  # noqa: T201 - the night's report


def is_replaced(gone: psutil.Process) -> bool:
    now = workers()
    return len(now) == 1 and now != [gone]


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_after_many_restarts_everything_is_as_before(shop: Shop) -> None:
    host = shop.open()
    await said(host, "One.")
    census = Census.take()
    children = len(psutil.Process().children(recursive=True))
    for number in range(RESTARTS):
        (worker,) = workers()
        kill(worker)
        if number % 10 == 0:
            assert await said(host, "One two.") == "One two."
        await until(partial(is_replaced, worker))
        await host.start()
    assert len(psutil.Process().children(recursive=True)) == children
    assert len(list(Path(tempfile.gettempdir()).iterdir())) == 1  # noqa: ASYNC240 - its folder
    new = census.growth()
    assert [kind for kind in new if not any(name in kind for name in OF_THE_WORKER)] == []
    assert len(new) == len(OF_THE_WORKER)


APPLICATION = """
    import os, sys, threading, time
    import anyio
    sys.path.insert(0, {root!r})
    from tests.resources.workers.fake_engine import FakeEngine, Parallel
    from ttskit.resources.engine import EngineJob, Recipe
    from ttskit.resources.workers.host import Settings, WorkerHost

    host = WorkerHost(Recipe(FakeEngine), provider="fake", settings=Settings(workers=2))

    async def main():
        await host.start()
        {does}

    {runs}
"""
SPEAKS = """
        job = EngineJob("One two three. " * 50, options={{"do": {do!r}, "when": 3}})
        async with host.stream(job) as chunks:
            await anext(chunks)
            print("ready", flush=True)
            {then}
"""
ROOT = str(Path(__file__).parents[3])


def script(do: str | None, then: str, runs: str = "anyio.run(main)") -> str:
    does = 'print("ready", flush=True)\n        ' + then
    if do is not None:
        does = SPEAKS.format(do=do, then=then).strip()
    return textwrap.dedent(APPLICATION.format(root=ROOT, does=does, runs=runs))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    return [child for child in process.children() if is_worker(child)]


@pytest.mark.parametrize("do", [None, "", "loop", "hold"], ids=["idle", "speaking", "loop", "GIL"])
def test_no_worker_outlives_an_application_that_is_killed(do: str | None) -> None:
    command = [sys.executable, "-c", script(do, "await anyio.sleep(60)")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as application:
        assert application.stdout is not None
        assert application.stdout.readline() == b"ready\n"
        process = psutil.Process(application.pid)
        assert wait_until(lambda: len(workers_of(process)) == 2, 10)
        left = workers_of(process)
        application.kill()
    assert wait_until(lambda: not any(worker.is_running() for worker in left), 5)


THREAD = "thread = threading.Thread(target=anyio.run, args=(main,)); thread.start(); thread.join()"


@pytest.mark.parametrize(
    ("do", "then", "runs", "code"),
    [
        pytest.param(None, "pass", "anyio.run(main)", 0, id="idle"),
        pytest.param("", "pass", "anyio.run(main)", 0, id="speaking"),
        pytest.param("", "pass", "anyio.run(main, backend='trio')", 0, id="speaking on trio"),
        pytest.param("hold", "pass", "anyio.run(main)", 0, id="GIL held"),
        pytest.param("loop", "sys.exit(3)", "anyio.run(main)", 3, id="exit code"),
        pytest.param("hold", "os._exit(4)", "anyio.run(main)", 4, id="exit at once"),
        pytest.param("hold", "os.kill(os.getpid(), 15)", "anyio.run(main)", -15, id="terminated"),
        pytest.param("", "pass", THREAD, 0, id="from a thread that ended"),
        pytest.param("", "del globals()['host']", "anyio.run(main)", 0, id="collected"),
    ],
)
def test_an_application_that_never_closes_ends_promptly_and_takes_its_workers_along(
    do: str | None, then: str, runs: str, code: int, temporary: Path
) -> None:
    before = {process.pid for process in psutil.process_iter() if is_worker(process)}
    done = subprocess.run(
        [sys.executable, "-c", script(do, then, runs)], capture_output=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr) == (code, b"")

    def left() -> list[int]:
        now = (process.pid for process in psutil.process_iter() if is_worker(process))
        return [pid for pid in now if pid not in before and _is_of(pid, temporary)]

    assert wait_until(lambda: not left(), 5)
    if code >= 0 and code != 4:
        assert list(temporary.iterdir()) == []


def _is_of(pid: int, temporary: Path) -> bool:
    try:
        return psutil.Process(pid).environ().get("TMPDIR", "").startswith(str(temporary))
    except psutil.Error:
        return False


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(script("", "pass") + "\nprint('once')\n")
    done = subprocess.run([sys.executable, path], capture_output=True, check=False, timeout=30)
    assert done.stdout.split() == [b"ready", b"once"]


def test_a_script_from_stdin_works() -> None:
    done = subprocess.run(
        [sys.executable, "-"],
        input=script("", "pass").encode(),
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == (b"ready\n", b"")


def test_a_module_in_the_working_directory_is_not_taken_for_one_of_the_library(
    tmp_path: Path,
) -> None:
    (tmp_path / "struct.py").write_text("raise SystemExit('wrong module')")
    (tmp_path / "script.py").write_text("")
    command = [sys.executable, "-P", "-c", script("", "pass")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=30)
    assert (done.stdout, done.stderr) == (b"ready\n", b"")


def test_a_child_of_a_fork_leaves_its_parent_s_workers_alone() -> None:
    runs = (
        "anyio.run(main); pid = os.fork() or sys.exit(0); print(os.waitpid(pid, 0)[1]); "
        "number = host._crew._numbers; anyio.run(main); print(host._crew._numbers - number)"
    )
    command = [sys.executable, "-W", "ignore", "-c", script("", "pass", runs)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=30)
    assert done.stdout.split() == [b"ready", b"0", b"ready", b"0"]


def test_a_terminal_s_interrupt_reaches_the_application_alone() -> None:
    then = "await anyio.sleep(60)"
    command = [sys.executable, "-c", script("", then)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
    ) as application:
        assert application.stdout is not None
        assert application.stdout.readline() == b"ready\n"
        os.killpg(application.pid, signal.SIGINT)
        _, stderr = application.communicate(timeout=10)
    assert stderr.count(b"Traceback") <= 2  # the application's own KeyboardInterrupt
    assert b"ttskit.resources.workers" not in stderr
