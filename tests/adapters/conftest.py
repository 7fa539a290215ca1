"""Speaking through one adapter, as the rooms above do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.coqui_voice import CoquiVoice
from ttskit.adapters.base import Adapter, AdapterOptions, TimedText, Utterance
from ttskit.adapters.coqui import CoquiAdapter
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.resources.engine import Recipe
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


class _Kept(CoquiEngine):
    """Stays loaded from test to test."""

    is_loaded = False

    def load(self) -> None:
        if not self.is_loaded:
            super().load()
        self.is_loaded = True

    def close(self) -> None:
        pass


class LentCoqui(CoquiAdapter):
    """The adapter over an engine that is loaded already, in this process."""

    isolation = "thread"
    lent: CoquiEngine

    def engine(self, *, downloads: bool) -> Recipe:
        del downloads
        return Recipe(lambda: self.lent)


@pytest.fixture(scope="session")
def coqui_engines(
    coqui_voice: CoquiVoice, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, CoquiEngine]]:
    """Piper's voice in Coqui, by what runs it, loaded and without noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        made: dict[str, CoquiEngine] = {}
        for runtime in ("torch", "onnx"):
            made[runtime] = _Kept(
                model=str(coqui_voice.model),
                runtime=runtime,
                defaults={"noise_scale": 0.0, "noise_scale_dp": 0.0},
            )
            made[runtime].load()
        yield made
