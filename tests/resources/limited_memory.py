"""Says a text in a process whose address space is limited; run as a program by a test.

Its arguments: MiB that there are, and MiB that the engine needs for each character.
"""

from __future__ import annotations

import resource
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from typing_extensions import override

from ttskit.errors import OutOfMemoryError
from ttskit.resources.engine import Engine, EngineChunk, EngineJob
from ttskit.resources.relief import Rung, relieved
from ttskit.voices import Voice

TEXT = "One two three four five, six seven eight nine ten eleven."

KEPT = 28 * 2**20


class GreedyEngine(Engine):
    """Takes memory for each character, and some that it keeps to be faster.

    Args:
        bytes_each: For each character.
    """

    def __init__(self, bytes_each: int) -> None:
        self._bytes_each = bytes_each
        self._cache = np.ones(KEPT, np.uint8)

    @override
    def load(self) -> None:
        """It is there."""

    @override
    def voices(self) -> list[Voice]:
        return []

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        working = np.ones(len(job.text) * self._bytes_each, np.uint8)
        yield EngineChunk(working[: len(job.text)].astype(np.float32), 1_000)

    @override
    def clear_caches(self) -> None:
        self._cache = np.ones(0, np.uint8)


def address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def main() -> None:
    room, each = (int(argument) * 2**20 for argument in sys.argv[1:])
    engine = GreedyEngine(each)
    limit = address_space() + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    steps: list[Rung] = []
    frames = 0
    try:
        for chunk in relieved(engine, EngineJob(TEXT), threading.Event(), steps.append):
            frames += len(chunk.samples)
    except OutOfMemoryError:
        steps.append("in vain")  # type: ignore[arg-type] # for the test to read
    sys.stdout.write(" ".join([str(frames), *steps]))


if __name__ == "__main__":
    main()
