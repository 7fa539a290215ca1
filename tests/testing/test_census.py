"""The census finds whatever is left behind, and is patient with what is just ending."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from ttskit.testing.census import Census, LeakError

pytestmark = pytest.mark.anyio


@contextmanager
def a_thread() -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="stray 7", daemon=True)
    thread.start()
    yield
    over.set()
    thread.join()


@contextmanager
def a_descriptor() -> Iterator[None]:
    ends = os.pipe()
    yield
    for end in ends:
        os.close(end)


@contextmanager
def a_child_process() -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ):
        yield


@pytest.mark.parametrize(
    ("leak", "named"),
    [
        (a_thread, "thread stray N (+1)"),
        (a_descriptor, "descriptor"),
        (a_child_process, "child process"),
    ],
    ids=["thread", "descriptor", "child process"],
)
async def test_what_is_left_behind_is_named(leak: Callable[[], object], named: str) -> None:
    census = Census.take()
    with leak():  # type: ignore[attr-defined] # a context manager, whichever
        assert any(named in line for line in census.growth())
        with pytest.raises(LeakError, match=named.replace("(+", r"\(\+").split(r"\(")[0]):
            await census.check(within_s=0.0)
    await census.check()


async def test_a_task_is_found_until_it_ends() -> None:
    census = Census.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever, name="stray")
        with pytest.raises(LeakError, match="task stray"):
            await census.check(within_s=0.0)
        tasks.cancel_scope.cancel()
    await census.check()


async def test_files_count_in_the_folders_that_were_named(tmp_path: Path) -> None:
    census = Census.take([tmp_path])
    left = tmp_path / "below" / "half.wav.tmp"
    left.parent.mkdir()
    left.touch()
    with pytest.raises(LeakError, match=r"half\.wav\.tmp"):
        await census.check(within_s=0.0)


async def test_what_is_just_ending_is_waited_for() -> None:
    census = Census.take()
    thread = threading.Timer(0.05, lambda: None)
    thread.start()
    await census.check(within_s=10.0)
    assert not thread.is_alive()


async def test_a_pools_idle_threads_are_no_leak() -> None:
    census = Census.take()
    both = threading.Barrier(2)

    async def meet() -> None:
        await to_thread.run_sync(both.wait)

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(meet)
    await census.check()


def test_it_can_be_taken_without_an_event_loop() -> None:
    census = Census.take()
    assert census.growth() == []
    with a_descriptor():
        assert census.growth()
