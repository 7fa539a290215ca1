"""Speaking through one adapter, as the rooms above do."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.engines import chatterbox_tiny
from tests.engines.coqui_voice import CoquiVoice
from tests.engines.tiny_checkpoints import make_checkpoint
from ttskit.adapters.base import Adapter, AdapterOptions, TimedText, Utterance
from ttskit.adapters.chatterbox import ChatterboxAdapter
from ttskit.adapters.chatterbox_engine import ChatterboxEngine
from ttskit.adapters.coqui import CoquiAdapter
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.adapters.kokoro import KokoroAdapter
from ttskit.adapters.transformers import TransformersAdapter
from ttskit.adapters.transformers_engine import TransformersEngine
from ttskit.resources.engine import Engine, Recipe
from ttskit.resources.host import Resources

from .transformers_speech import MakeCheckpoint, MakeEngine


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


class _Kept:
    """Mixed into an engine: it stays loaded from test to test."""

    is_loaded = False

    def load(self) -> None:
        if not self.is_loaded:
            super().load()
        self.is_loaded = True

    def close(self) -> None:
        pass


class _Lent:
    """Mixed into an adapter: its engine is loaded already, in this process."""

    isolation = "thread"
    lent: Engine

    def engine(self, *, downloads: bool) -> Recipe:
        del downloads
        return Recipe(lambda: self.lent)


class _KeptCoqui(_Kept, CoquiEngine):
    pass


class LentCoqui(_Lent, CoquiAdapter):
    pass


class _KeptTransformers(_Kept, TransformersEngine):
    pass


class LentTransformers(_Lent, TransformersAdapter):
    pass


class _KeptChatterbox(_Kept, chatterbox_tiny.TinyEngine):
    pass


class LentChatterbox(_Lent, ChatterboxAdapter):
    pass


class LentKokoro(_Lent, KokoroAdapter):
    pass


@pytest.fixture(scope="session")
def chatterbox_engine(tmp_path_factory: pytest.TempPathFactory) -> ChatterboxEngine:
    """A small Chatterbox in this process, where its packages are for once."""
    folder = tmp_path_factory.mktemp("chatterbox")
    chatterbox_tiny.write("english", folder, steps=12)
    return _KeptChatterbox(kind="english", model=str(folder), device="cpu")


@pytest.fixture(scope="session")
def coqui_engines(
    coqui_voice: CoquiVoice, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, CoquiEngine]]:
    """Piper's voice in Coqui, by what runs it, loaded and without noise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        made: dict[str, CoquiEngine] = {}
        for runtime in ("torch", "onnx"):
            made[runtime] = _KeptCoqui(
                model=str(coqui_voice.model),
                runtime=runtime,
                defaults={"noise_scale": 0.0, "noise_scale_dp": 0.0},
            )
            made[runtime].load()
        yield made


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> MakeCheckpoint:
    """Give the checkpoint of a family of transformers, made on first use."""
    home = tmp_path_factory.mktemp("checkpoints")
    return functools.cache(lambda family: make_checkpoint(family, home / family))


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of voices; what ann says is written beside hers."""
    home = tmp_path_factory.mktemp("recordings")
    for name, pitch in (("ann", 210), ("carl", 110)):
        tone = np.sin(2 * np.pi * pitch * np.arange(22_050) / 22_050) / 3
        soundfile.write(home / f"{name}.wav", tone.astype(np.float32), 22_050)
    (home / "ann.txt").write_text("good morning.")
    return home


@pytest.fixture(scope="session")
def make_engine(tiny_checkpoint: MakeCheckpoint, recordings: Path) -> MakeEngine:
    """Give engines over such checkpoints that are not loaded."""

    def engine(family: str, /, **more: object) -> TransformersEngine:
        home = tiny_checkpoint(family)
        given: dict[str, object] = {"samples": str(recordings)}
        if family == "speecht5":
            given = {"samples": str(home), "vocoder": str(home / "vocoder")}
        return _KeptTransformers(model=str(home), **{"threads": 1} | given | more)  # type: ignore[arg-type] # the test's own

    return engine


@pytest.fixture(scope="session")
def kept_engine(make_engine: MakeEngine) -> MakeEngine:
    """Give engines that stay loaded from test to test."""
    return functools.cache(make_engine)
