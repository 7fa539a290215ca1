"""Hibari, the embedded neural voice: English, weights inside its wheel. Read: hibari-tts 0.2.1."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Protocol, cast

from pydantic import Field
from typing_extensions import override

from ttskit.adapters.base import (
    EMULATED,
    NATIVE,
    AdapterOptions,
    Capabilities,
    Requirement,
)
from ttskit.adapters.local import LocalAdapter
from ttskit.adapters.onnx import quiet_session
from ttskit.adapters.options import voice_not_found
from ttskit.errors import ModelLoadError
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, Recipe
from ttskit.voices import Gender, Voice

if TYPE_CHECKING:
    import numpy as np

    from ttskit.codecs.pcm import Samples

SAMPLE_RATE = 24_000
"""Hz, of every voice (``hibari.SAMPLE_RATE``)."""
_WARM_UP = "The zibblewock is warm."
"""Its invented word loads the network that reads unknown words, too."""


class HibariOptions(AdapterOptions):
    """The adapter's section of tts.yaml."""

    voice: str = "heart"
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads within one sentence; 1 gives the most speech for the processor's time."""


class HibariAdapter(LocalAdapter[HibariOptions]):
    """Hibari's voices; ``heart`` is always there, the others where they were downloaded."""

    name = "hibari"
    isolation = "process"  # onnxruntime
    capabilities = Capabilities(
        languages=frozenset({"en"}),
        formats=("f32",),
        word_timestamps=EMULATED,
        speed=NATIVE,
        speed_range=(0.5, 2.0),
        seed=NATIVE,
    )
    requires = (Requirement("hibari", "hibari-tts", "local"),)

    @override
    def engine(self, *, downloads: bool) -> Recipe:
        options = self.options
        return Recipe(
            HibariEngine,
            {"voice": options.voice, "threads": options.threads, "downloads": downloads},
        )


class _Model(Protocol):
    """What is used of ``hibari.Hibari``."""

    sess: object
    model_path: str

    def split_sentences(self, text: str) -> list[str]: ...
    def phonemize(self, text: str) -> list[str]: ...
    def ids(self, phonemes: str) -> list[int]: ...
    def from_ids(self, ids: list[int], speed: float, rng: np.random.Generator) -> Samples: ...


class HibariEngine(Engine):
    """Hibari's models, one for each voice that was asked for.

    Args:
        voice: The default one's name.
        threads: Of onnxruntime, in one session.
        downloads: Voices that are not on disk may be fetched.
    """

    concurrent = True

    def __init__(self, *, voice: str = "heart", threads: int = 1, downloads: bool = False) -> None:
        self._voice = voice
        self._threads = threads
        self._downloads = downloads
        self._models: dict[str, _Model] = {}
        self._loading = threading.Lock()

    @override
    def load(self) -> None:
        self._model(self._voice)

    @override
    def voices(self) -> list[Voice]:
        known = _registry()
        there = [name for name in known if self._downloads or _path(name) is not None]
        there.sort(key=lambda name: name != self._voice)
        return [_described(name, known[name]) for name in there]

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        import numpy as np  # an adapter is imported long before it speaks

        model = self._model(job.voice or self._voice)
        rng = np.random.default_rng(job.seed)
        # Hibari would take what follows a label in brackets for its phonemes, or leave it out.
        text = job.text.replace("](", "] (")
        # Sentence by sentence: Hibari's own stream() reads the whole text before the first sound.
        for sentence in model.split_sentences(text):
            for phonemes in model.phonemize(sentence):
                if stop.is_set():
                    return
                samples = model.from_ids(model.ids(phonemes), job.speed, rng)
                if samples.size:
                    yield EngineChunk(samples, SAMPLE_RATE)

    @override
    def close(self) -> None:
        self._models.clear()

    def _model(self, voice: str) -> _Model:
        """Return the voice's model, loaded on first use and warm."""
        model = self._models.get(voice)
        if model is not None:
            return model
        with self._loading:
            if voice not in self._models:
                self._models[voice] = self._load_voice(voice)
            return self._models[voice]

    def _load_voice(self, voice: str) -> _Model:
        import numpy as np  # optional, and slow to import, like the next
        from hibari import Hibari

        self._check_voice(voice)
        try:
            # With one thread Hibari's own session has no pool that could spin.
            model = cast("_Model", Hibari(voice=voice, threads=1))
        except (OSError, RuntimeError) as error:  # a download that failed, or a damaged file
            raise ModelLoadError(f"the model of voice {voice!r} cannot be had") from error
        if self._threads > 1:
            model.sess = quiet_session(model.model_path, threads=self._threads)
        # Unheard: a model's first sentence takes 0.4 s longer than the next.
        for phonemes in model.phonemize(_WARM_UP):
            model.from_ids(model.ids(phonemes), 1.0, np.random.default_rng(0))
        return model

    def _check_voice(self, voice: str) -> None:
        if voice not in _registry():
            raise voice_not_found(voice, [known.id for known in self.voices()])
        if not self._downloads and _path(voice) is None:
            why = " on disk, and downloads are off (resources: {downloads: true} allows them)"
            raise voice_not_found(voice, [known.id for known in self.voices()], why=why)


def _registry() -> Mapping[str, Mapping[str, str]]:
    from hibari.voices import VOICES  # optional, and slow to import

    return cast("Mapping[str, Mapping[str, str]]", VOICES)


def _path(voice: str) -> str | None:
    """Return where the voice's weights are on disk; None where they are not."""
    from hibari.voices import voice_path  # optional, and slow to import

    try:
        return str(voice_path(voice, download_missing=False))
    except FileNotFoundError:
        return None


def _described(name: str, facts: Mapping[str, str]) -> Voice:
    return Voice(
        id=name,
        provider="",
        name=name.title(),
        languages=(facts["language"],),
        gender=Gender(facts["gender"]),
        sample_rate=SAMPLE_RATE,
        description=f"{facts['accent']} English",
    )
