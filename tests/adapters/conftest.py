"""Speaking through one adapter, as the rooms above do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from ttskit.adapters.base import Adapter, AdapterOptions, TimedText, Utterance
from ttskit.resources.host import Resources


@dataclass(frozen=True)
class Heard:
    """All the audio of an utterance."""

    samples: NDArray[np.float32]
    sample_rate: int
    words: list[TimedText]
    chunks: int

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate


class Booth:
    """Opens adapters, has them speak, and closes them."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources

    async def open(self, adapter: Adapter[AdapterOptions]) -> None:
        await adapter.open(self.resources)

    async def hear(self, adapter: Adapter[AdapterOptions], text: str, **settings: object) -> Heard:
        utterance = Utterance(text, **settings)  # type: ignore[arg-type] # the test's own
        async with adapter.synthesize(utterance) as source:
            arrays = [np.asarray(chunk) async for chunk in source.chunks]
            return Heard(np.concatenate(arrays), source.sample_rate, source.words, len(arrays))


@pytest.fixture
async def booth(anyio_backend: str) -> AsyncIterator[Booth]:
    del anyio_backend
    resources = Resources()
    yield Booth(resources)
    await resources.aclose()
