"""eSpeak NG: over a hundred languages, fast and robotic. Read and measured: espeak-ng 1.52."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from typing_extensions import override

from ttskit.adapters.base import NATIVE, AdapterOptions, Capabilities, Requirement
from ttskit.adapters.espeak_library import LIBRARY, Parameter, Recording
from ttskit.adapters.espeak_voices import EspeakVoice, best_voice, name_voices
from ttskit.adapters.espeak_words import time_words
from ttskit.adapters.local import LocalAdapter
from ttskit.adapters.options import CallOptions, voice_not_found
from ttskit.errors import UnsupportedFeatureError
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, Recipe
from ttskit.voices import Voice

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples

WORDS_A_MINUTE = 175
"""At speed 1 (``espeakRATE_NORMAL``)."""
PITCH_RANGE = (-8.0, 9.0)
"""Semitones. Beyond it espeak's own scale ends; within it voices move as asked, to about one."""
_ROOT_LANGUAGE = re.compile(r"(?<=^<speak)[^>]*")
"""The root's attributes. espeak would let ``xml:lang`` there overrule the voice that was chosen."""


class EspeakOptions(AdapterOptions):
    """The adapter's section of tts.yaml."""

    voice: str = "en-us"
    variant: Annotated[str, Field(pattern=r"^[\w-]+$", max_length=40)] | None = None
    """Another person's throat for every voice: ``f1`` to ``f5``, ``m1`` to ``m8``, ``whisper``…"""
    word_gap: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Seconds of silence between words."""


class EspeakCallOptions(CallOptions):
    """What one request may set."""

    variant: Annotated[str, Field(pattern=r"^[\w-]+$", max_length=40)] | None = None
    word_gap: Annotated[float, Field(ge=0, le=2)] | None = None


class EspeakAdapter(LocalAdapter[EspeakOptions]):
    """Every voice of libespeak-ng.

    Of SSML only what 1.52 does as it should: it takes decibels and semitones for percent, times
    the word after a ``sub`` wrongly, and passes over ``lang``, ``phoneme`` and most of ``say-as``.
    """

    name = "espeak"
    capabilities = Capabilities(
        formats=("f32",),
        word_timestamps=NATIVE,
        ssml=frozenset({"speak", "p", "s", "break", "emphasis"}),
        speed=NATIVE,
        speed_range=(0.46, 4.0),
        pitch=NATIVE,
        pitch_range=PITCH_RANGE,
    )
    requires = (Requirement("espeakng_loader", "espeakng-loader", "espeak"),)
    call_model = EspeakCallOptions

    @override
    def engine(self, *, downloads: bool) -> Recipe:
        del downloads  # there are none
        options = self.options
        return Recipe(
            EspeakEngine,
            {"voice": options.voice, "variant": options.variant, "word_gap": options.word_gap},
        )


class EspeakEngine(Engine):
    """The library, with a default voice.

    Args:
        voice: The default one's id.
        variant: Of every voice; None: the voice's own.
        word_gap: Seconds between words.
    """

    def __init__(
        self, *, voice: str = "en-us", variant: str | None = None, word_gap: float = 0.0
    ) -> None:
        self._default = voice.lower()
        self._variant = variant
        self._word_gap = word_gap
        self._named: dict[str, EspeakVoice] = {}

    @override
    def load(self) -> None:
        self._find(self._default)

    @override
    def voices(self) -> list[Voice]:
        # The first that speaks a language is the one who speaks it: French is that of France.
        known = self._voices().values()
        listing = sorted(known, key=lambda voice: (voice.id != self._default, voice.rank))
        rate = LIBRARY.sample_rate
        return [voice.described(sample_rate=rate, variant=self._variant) for voice in listing]

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        recording = LIBRARY.speak(
            _ROOT_LANGUAGE.sub(_blanked, job.text) if job.is_ssml else job.text,
            voice=self._voice_of(job),
            parameters=self._parameters(job),
            is_ssml=job.is_ssml,
            is_stopped=stop.is_set,
        )
        if recording.words and not stop.is_set():  # without a word there is only a click
            yield _chunk(job, recording)

    def _voices(self) -> dict[str, EspeakVoice]:
        if not self._named:
            self._named = name_voices(LIBRARY.voices())
        return self._named

    def _voice_of(self, job: EngineJob) -> str:
        if job.voice is None and job.language is not None:
            voice = best_voice(self._voices().values(), job.language, default=self._default)
        else:
            voice = self._find(job.voice or self._default)
        variant = job.options.get("variant") or self._variant
        return f"{voice.identifier}+{variant}" if variant else voice.identifier

    def _find(self, voice: str) -> EspeakVoice:
        voices = self._voices()
        if voice.lower() not in voices:
            raise voice_not_found(voice, list(voices))
        return voices[voice.lower()]

    def _parameters(self, job: EngineJob) -> dict[Parameter, int]:
        gap = job.options.get("word_gap")
        seconds = gap if isinstance(gap, int | float) else self._word_gap
        return {
            Parameter.RATE: round(WORDS_A_MINUTE * job.speed),
            Parameter.WORDGAP: round(100 * seconds),
            **pitch_parameters(job.pitch),
        }


def pitch_parameters(semitones: float) -> dict[Parameter, int]:
    """Return what moves a voice by so many semitones, its melody with it.

    espeak's PITCH doubles the voice's lowest pitch in 50 steps. Widening RANGE by the same factor
    lowers it again, by 0.234 of the step for the pitch range that nearly all its voices have
    (``SetPitch2`` in espeak-ng's synthesize code; the sum agrees with the pitch measured).

    Raises:
        UnsupportedFeatureError: It is out of ``PITCH_RANGE``.
    """
    lowest, highest = PITCH_RANGE
    if not lowest <= semitones <= highest:
        raise UnsupportedFeatureError(
            f"espeak moves the pitch by {lowest:g} to {highest:g} semitones, not {semitones:g}"
        )
    factor = 2 ** (semitones / 12)
    base = factor + 0.234 * (factor - 1)
    return {
        Parameter.PITCH: round(50 + 50 * math.log2(base)),
        Parameter.RANGE: round(50 * factor),
    }


def _blanked(match: re.Match[str]) -> str:
    """Return as many spaces: positions in the text stay what they are."""
    return " " * len(match[0])


def _chunk(job: EngineJob, recording: Recording) -> EngineChunk:
    samples = _samples(recording)
    words = time_words(
        job.text,
        recording.words if job.want_words else (),
        frames=len(samples),
        sample_rate=LIBRARY.sample_rate,
        is_ssml=job.is_ssml,
    )
    return EngineChunk(samples, LIBRARY.sample_rate, words)


def _samples(recording: Recording) -> Samples:
    import numpy as np  # an adapter is imported long before it speaks

    return np.frombuffer(recording.pcm, np.int16).astype(np.float32) / np.float32(32_768)
