"""An engine that converts voices: what it hears comes back an octave quieter, word for word."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import soundfile
from typing_extensions import override

from ttskit.adapters.base import NATIVE, AdapterOptions, Capabilities
from ttskit.adapters.local import LocalAdapter
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, Recipe
from ttskit.testing.modem import Modem
from ttskit.voices import Voice


class ConvertingEngine(Engine):
    """Halves the level, in pieces of a tenth of a second."""

    @override
    def load(self) -> None:
        pass

    @override
    def voices(self) -> list[Voice]:
        return [Voice("half", "", "Half as loud")]

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        del stop
        for part in Modem(16_000).speak(job.text):
            yield EngineChunk(part.samples, 16_000)

    @override
    def convert(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        assert job.recording is not None
        samples, rate = soundfile.read(job.recording, dtype="float32")
        for at in range(0, len(samples), rate // 10):
            if stop.is_set():
                return
            yield EngineChunk(samples[at : at + rate // 10] * np.float32(0.5), rate)


class ConvertingAdapter(LocalAdapter[AdapterOptions]):
    name = "converting"
    capabilities = Capabilities(formats=("f32",), conversion=NATIVE)

    @override
    def engine(self, *, downloads: bool) -> Recipe:
        del downloads
        return Recipe(ConvertingEngine)


class SpeakingOnlyAdapter(ConvertingAdapter):
    """Declares what its engine cannot do."""

    @override
    def engine(self, *, downloads: bool) -> Recipe:
        del downloads
        return Recipe(SpeakingEngine)


class SpeakingEngine(ConvertingEngine):
    convert = Engine.convert
