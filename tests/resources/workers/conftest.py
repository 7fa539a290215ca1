"""Engines in worker processes, opened for a test, and looked after by a census."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import numpy as np
import psutil
import pytest

from tests.resources.workers.fake_engine import RATE, FakeEngine
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, Recipe
from ttskit.resources.workers.host import Settings, WorkerHost
from ttskit.resources.workers.policy import WorkerPolicy
from ttskit.testing import Census, transcribe

TIMEOUT_S = 30.0
SHARED_MEMORY = [place for place in (Path("/dev/shm"),) if place.is_dir()]  # noqa: S108 - looked at
one_loop = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""For what takes seconds and is the same on both."""
EASY = WorkerPolicy(restarts=10_000, first_wait_s=0.001, longest_wait_s=0.01)
"""For tests in which workers die more often than they do elsewhere."""


@dataclass
class Shop:
    """Makes hosts, and closes them."""

    hosts: list[WorkerHost]

    def open(
        self,
        engine: type[Engine] = FakeEngine,
        *,
        provider: str = "fake",
        settings: Settings | None = None,
        policy: WorkerPolicy = EASY,
        **arguments: str | float,
    ) -> WorkerHost:
        settings = settings or Settings()
        host = WorkerHost(
            Recipe(engine, arguments), provider=provider, settings=replace(settings, policy=policy)
        )
        self.hosts.append(host)
        return host


@pytest.fixture
async def shop(
    anyio_backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shop]:
    """Nothing that a host made may outlive it."""
    del anyio_backend
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    census = Census.take([temporary, *SHARED_MEMORY])
    shop = Shop([])
    yield shop
    with anyio.fail_after(5, shield=True):
        for host in shop.hosts:
            await host.aclose()
    await census.check()


def job(text: str, do: str = "", when: int = 0, **fields: object) -> EngineJob:
    return EngineJob(text, options={"do": do, "when": when}, **fields)  # type: ignore[arg-type]


async def chunks_of(host: WorkerHost, asked: EngineJob) -> list[EngineChunk]:
    with anyio.fail_after(TIMEOUT_S):
        async with host.stream(asked) as chunks:
            return [chunk async for chunk in chunks]


async def said(host: WorkerHost, asked: EngineJob | str) -> str:
    chunks = await chunks_of(host, EngineJob(asked) if isinstance(asked, str) else asked)
    return transcribe((np.concatenate([chunk.samples for chunk in chunks]), RATE))


def workers() -> list[psutil.Process]:
    """Return the worker processes of this one, the oldest first."""
    found = [child for child in psutil.Process().children() if is_worker(child)]
    return sorted(found, key=lambda child: child.create_time())


def is_worker(process: psutil.Process) -> bool:
    try:
        return "ttskit.resources.workers" in process.cmdline()
    except psutil.Error:
        return False


def kill(process: psutil.Process) -> None:
    os.kill(process.pid, signal.SIGKILL)


async def until(condition: Callable[[], bool], within_s: float = TIMEOUT_S) -> None:
    """Let other tasks and processes run until something holds."""
    with anyio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is another process's
            await anyio.sleep(0.005)


def wait_until(condition: Callable[[], bool], within_s: float) -> bool:
    """Block until something holds; return whether it does."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
