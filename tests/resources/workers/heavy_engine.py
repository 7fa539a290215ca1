"""An engine with weights that take memory, and an allocator that fails as a file says."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

from typing_extensions import override

from tests.resources.workers.fake_engine import FakeEngine
from ttskit.resources.engine import EngineChunk, EngineJob

NO_GPU_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB."


class HeavyEngine(FakeEngine):
    """Speaks tones.

    Args:
        mib: Size of its weights.
        gpu_mib: What it holds of a GPU that has 1 GiB, by a library that looks like torch.
        device: Where memory is looked for.
        failures: A file with the number of attempts that still fail, over all processes; "load" or
            "speak" before it says which. Without it none does.
        most: Characters at a time that there is memory for.
        gate: A file; nothing is spoken before it is there.
    """

    def __init__(
        self,
        *,
        mib: int = 0,
        gpu_mib: int = 0,
        device: str = "cpu",
        failures: str = "",
        most: int = 10**6,
        gate: str = "",
    ) -> None:
        super().__init__()
        self._mib = mib
        self._gpu_mib = gpu_mib
        self._device = device
        self._failures = Path(failures) if failures else None
        self._most = most
        self._gate = Path(gate) if gate else None
        self._weights = bytearray()

    @override
    def load(self) -> None:
        self._allocate("load")
        self._weights = bytearray(b"x") * (self._mib * 2**20)
        if self._gpu_mib:
            sys.modules["torch"] = _torch(self._gpu_mib * 2**20)
        super().load()

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        if len(job.text) > self._most:
            raise MemoryError
        while self._gate is not None and not self._gate.exists():
            time.sleep(0.005)
        self._allocate("speak")
        yield from super().synthesize(job, stop)

    @override
    def clear_caches(self) -> None:
        """There are none."""

    def _allocate(self, what: str) -> None:
        if self._failures is None or not self._failures.exists():
            return
        when, _, left = self._failures.read_text(encoding="ascii").partition(" ")
        if when != what or not int(left):
            return
        self._failures.write_text(f"{when} {int(left) - 1}", encoding="ascii")
        if self._device == "cpu":
            raise MemoryError
        raise RuntimeError(NO_GPU_MEMORY)


def _torch(held: int) -> ModuleType:
    """Return what is asked of torch about a GPU, where there is none."""
    torch = ModuleType("torch")
    torch.cuda = SimpleNamespace(  # type: ignore[attr-defined] # a module made here
        is_initialized=lambda: True,
        device_count=lambda: 1,
        memory_reserved=lambda _: held,
        get_device_properties=lambda _: SimpleNamespace(total_memory=2**30),
    )
    return torch
