"""Is this the speech that was due? Silence and absurdly short audio are failures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ttskit.adapters.base import TimedText
from ttskit.codecs.pcm import FULL_SCALE, AnySamples
from ttskit.errors import InvalidResponseError
from ttskit.text.words import words

SILENCE_PEAK = 10 ** (-60 / 20)
"""Full scale is 1. Room noise in a recorded voice peaks near -60 dB, speech above -30 dB."""
SHORTEST_CHARACTER_S = 0.008
"""Fast speech is 25 characters a second; a fifth of that time per character is no speech."""
CHARACTERS_JUDGED = 12
"""Shorter texts ("Hm.", "10") say too little about how long they take."""


def check_speech(samples: AnySamples, sample_rate: int, text: str, *, speed: float = 1.0) -> None:
    """Accept the audio of one utterance, or raise.

    Args:
        samples: The whole utterance, float32 or as 16-bit PCM.
        sample_rate: Hz.
        text: What was to be said.
        speed: The factor that was asked for.

    Raises:
        InvalidResponseError: No audio, silence, or audio far too short for the text.
    """
    if not samples.size:
        raise InvalidResponseError("no audio came for the text")
    # Without a copy of the absolute values: its memory would cost more than the two searches.
    peak = max(float(samples.max()), -float(samples.min()))
    if samples.dtype == np.int16:
        peak /= FULL_SCALE
    if not math.isfinite(peak):
        raise InvalidResponseError("the audio holds numbers that are no samples")
    if peak < SILENCE_PEAK:
        raise InvalidResponseError("silence came where speech was due")
    check_length(len(samples) / sample_rate, text, speed=speed)


def check_length(seconds: float, text: str, *, speed: float = 1.0) -> None:
    """Accept the duration of one utterance's audio, or raise.

    Raises:
        InvalidResponseError: Nobody can say the text so fast.
    """
    shortest = len(text) * SHORTEST_CHARACTER_S / max(speed, 1.0)
    if len(text) >= CHARACTERS_JUDGED and seconds < shortest:
        raise InvalidResponseError(
            f"{seconds:.2f} s of audio is too short for {len(text)} characters"
        )


def check_said(text: str, timed: Sequence[TimedText]) -> None:
    """Accept the words that a provider says it has spoken, or raise.

    Args:
        text: What was to be said.
        timed: Of the whole utterance; a provider that times no words is believed.

    Raises:
        InvalidResponseError: The last words are missing: the audio ended early, although its end
            looks like one.
    """
    if not timed:
        return
    end = max(word.span[1] for word in timed)
    missing = sum(
        any(map(str.isalnum, text[start:until])) for start, until in words(text) if start >= end
    )
    if missing:
        raise InvalidResponseError(f"the audio ends {missing} words before the text does")
