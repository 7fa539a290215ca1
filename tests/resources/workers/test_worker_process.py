"""A worker's process as the system shows it: its threads, and the memory that it takes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pytest

from tests.resources.workers.conftest import Shop, one_loop, wait_until, workers
from ttskit.resources.workers.policy import WorkerPolicy
from ttskit.resources.workers.process import Listener, WorkerProcess
from ttskit.resources.workers.scratch import Scratch
from ttskit.resources.workers.wire import Frame, Kind
from ttskit.resources.workers.worker import Worker

LAUNCHER = """
import subprocess, sys
inner = "held = b'x' * 100_000_000; print(flush=True); input()"
child = subprocess.Popen([sys.executable, "-c", inner], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""
"""As an interpreter of a virtual environment on Windows: the real one is its child."""


@dataclass
class Launched:
    """A process that has started another."""

    pid: int
    inner: int


@pytest.fixture
def launched() -> Iterator[Launched]:
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as launcher:
        assert launcher.stdout is not None
        yield Launched(launcher.pid, int(launcher.stdout.readline()))
        launcher.communicate(b"\n", timeout=10)


@pytest.fixture
def worker(launched: Launched) -> Worker:
    worker = Worker(1, "fake", WorkerPolicy(), heard=lambda *_: None)
    worker.attach(cast("WorkerProcess", launched))
    return worker


def test_the_memory_of_the_interpreter_counts_not_that_of_its_launcher(
    worker: Worker, launched: Launched
) -> None:
    worker.made(Frame(Kind.MADE, {"pid": launched.inner}), load=False)
    assert worker.size() > 100e6


def test_a_process_that_is_not_the_worker_s_is_not_measured(
    worker: Worker, launched: Launched
) -> None:
    del launched
    held = b"x" * 100_000_000  # of this process, which is none of the launcher's
    worker.made(Frame(Kind.MADE, {"pid": os.getpid()}), load=False)
    assert 0 < worker.size() < len(held)


@one_loop
@pytest.mark.anyio
async def test_a_worker_tells_its_number(shop: Shop) -> None:
    host = shop.open()
    await host.start()
    (process,) = workers()
    (worker,) = host._crew._workers
    assert worker._pid == process.pid


@pytest.mark.parametrize("missing", [" in", " err", " out"])
def test_where_a_thread_is_missing_none_is_left(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def scarce(thread: threading.Thread) -> None:
        if thread.name == f"ttskit scarce{missing}":  # as the system says it at its limit
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    scratch = Scratch()
    listener = Listener(lambda _: None, lambda _: None, lambda *_: None)
    with pytest.raises(OSError, match="no thread"):
        WorkerProcess(sys.executable, os.environ, scratch, name="scarce", listener=listener)
    scratch.remove()
    assert wait_until(lambda: not any("scarce" in each.name for each in threading.enumerate()), 5)
    assert not workers()
