"""A census of what can leak: tasks, threads, descriptors, child processes, files."""

from __future__ import annotations

import gc
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import anyio
import psutil
from anyio.lowlevel import checkpoint

OWN_DESCRIPTORS = Path("/proc/self/fd")
"""Linux: each entry is a link that names what is open."""
LOOP_TURNS = 20
"""Turns of the event loop between two looks: tasks end in a few."""
POOLS = ("AnyIO worker thread", "Trio thread", "asyncio_")
"""Threads that idle for the next caller; how many there are is chance."""
BREATH_S = 0.005
"""Real seconds between two looks: threads and child processes need the processor."""


class LeakError(AssertionError):
    """Something was left behind; the message lists it."""


@dataclass(frozen=True, slots=True)
class Census:
    """What there is at a time, to be compared with later.

    Take it when everything has run once, so that caches are full. Idle threads of the event
    loop's own pools never count.
    """

    counts: Counter[str]
    """How many there are by kind and name, such as ``thread ttskit hibari``."""
    folders: tuple[Path, ...] = ()

    @classmethod
    def take(cls, folders: Iterable[Path] = ()) -> Self:
        """Count tasks of the running event loop, threads, descriptors, children, and files.

        Args:
            folders: Where files count, with all below them.
        """
        chosen = tuple(folders)
        return cls(Counter(_everything(chosen)), chosen)

    def growth(self) -> list[str]:
        """Return what there is now and was not then, with how many of it; empty: no leak."""
        now = Counter(_everything(self.folders))
        return [f"{name} (+{count})" for name, count in sorted((now - self.counts).items())]

    async def check(self, *, within_s: float = 5.0) -> None:
        """Wait until nothing is left over.

        Args:
            within_s: Real seconds that it may take.

        Raises:
            LeakError: Something is still there then.
        """
        until = time.monotonic() + within_s
        while left := await self._left_after_a_while():
            if time.monotonic() > until:
                raise LeakError(f"left behind: {', '.join(left)}")
            gc.collect()
            _breathe()

    async def _left_after_a_while(self) -> list[str]:
        left = self.growth()
        for _ in range(LOOP_TURNS if left else 0):
            await checkpoint()
        return self.growth() if left else left


def _breathe() -> None:
    """Hold this thread up in real time, whatever clock the event loop has."""
    time.sleep(BREATH_S)


def _everything(folders: Iterable[Path]) -> Iterator[str]:
    yield from (f"task {_kind(name)}" for name in _tasks())
    for thread in threading.enumerate():
        if not thread.name.startswith(POOLS):
            yield f"thread {_kind(thread.name)}"
    yield from (f"descriptor {_kind(target)}" for target in _descriptors())
    for child in psutil.Process().children(recursive=True):
        yield f"child process {child.pid}"
    for folder in folders:
        yield from (f"file {path}" for path in folder.rglob("*"))


def _kind(name: str) -> str:
    """Return the name without its number: the next one of a pool is none too many."""
    return re.sub(r"\d+", "N", name)


def _tasks() -> Iterator[str]:
    try:
        tasks = anyio.get_running_tasks()
    except RuntimeError:  # no event loop runs in this thread
        return
    for task in tasks:
        yield str(task.name)


def _descriptors() -> Iterator[str]:
    if not OWN_DESCRIPTORS.is_dir():
        yield from ["open"] * (0 if sys.platform == "win32" else psutil.Process().num_fds())
        return
    for name in os.listdir(OWN_DESCRIPTORS):  # noqa: PTH208 - as paths they would be resolved
        try:
            target = os.readlink(OWN_DESCRIPTORS / name)  # noqa: PTH115 - "socket:[1]" is no path
        except FileNotFoundError:  # the listing's own
            continue
        yield target
