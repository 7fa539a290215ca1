"""Voices cloned from samples, by whatever a model knows people by; the latest ones are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ttskit.adapters.sample_voices import SampleVoices
from ttskit.codecs.wav import WavReader
from ttskit.errors import InvalidResponseError, InvalidVoiceReferenceError

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples

KEPT = 64
"""Cloned voices that are remembered; the largest, XTTS's, take some 130 kB each."""
SHORTEST_S = 0.35
"""Of a sample, in seconds: XTTS hears nothing in less than 0.33."""
_SILENCE = 1e-3
"""A sample that is nowhere louder than -60 dB holds nobody's voice, and a network knows one."""
Known = TypeVar("Known")
"""What a model has to know of a voice."""


class Clones(SampleVoices[Known]):
    """Voices cloned from samples; the latest ones are kept by the content of their samples.

    Args:
        make: Clones a voice from mono samples and their sample rate in Hz.
        most: How many are kept.
    """

    def __init__(self, make: Callable[[Samples, int], Known], *, most: int = KEPT) -> None:
        super().__init__(lambda sample: make(*_decoded(Path(sample).read_bytes())), most=most)


def require_length(samples: Samples, sample_rate: int) -> None:
    """Accept a sample that is long enough, or raise.

    Raises:
        InvalidVoiceReferenceError: It is too short.
    """
    if len(samples) < SHORTEST_S * sample_rate:
        raise InvalidVoiceReferenceError("the sample of the voice is too short")


def require_sound(samples: Samples) -> None:
    """Accept a sample in which something is to be heard, or raise.

    Raises:
        InvalidVoiceReferenceError: It is silent.
    """
    if np.abs(samples).max() < _SILENCE:
        raise InvalidVoiceReferenceError("the sample holds no voice: it is silent")


def _decoded(wav: bytes) -> tuple[Samples, int]:
    reader = WavReader()
    try:
        parts = [*reader.feed(wav), *reader.end()]
    except InvalidResponseError as error:
        raise InvalidVoiceReferenceError("the sample of the voice is no whole WAV file") from error
    if not parts:
        raise InvalidVoiceReferenceError("the sample of the voice is too short")
    samples = np.concatenate(parts)
    mono = samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float32)
    return mono, reader.sample_rate
