"""Cutting and joining: silence, trimming, click-free borders, channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ttskit.codecs.pcm import AnySamples, AnySamplesT, Samples, as_frames, as_samples

SILENCE_DB = -50.0
"""dBFS of the loudest sample that still passes for silence at the edge of speech."""
FADE_S = 0.005
"""Seconds of fade at a cut: too short to be heard as a fade, long enough not to click."""


def silence(seconds: float, sample_rate: int, channels: int = 1) -> Samples:
    """Return so much silence, rounded to whole frames."""
    frames = round(seconds * sample_rate)
    return np.zeros(frames if channels == 1 else (frames, channels), np.float32)


def match_channels(samples: AnySamplesT, channels: int) -> AnySamplesT | Samples:
    """Return the samples with so many channels: (frames,) for one, (frames, channels) for more.

    Mono goes to every channel alike; otherwise the channels are averaged first.
    """
    if samples.ndim == channels == 1:
        return samples
    frames = as_frames(samples)
    if frames.shape[1] == channels:
        return frames[:, 0] if channels == 1 else frames
    mono = as_samples(frames).mean(axis=1, dtype=np.float32, keepdims=True)
    return mono[:, 0] if channels == 1 else np.repeat(mono, channels, axis=1)


def speech_bounds(
    samples: AnySamples, sample_rate: int, *, keep_s: float = 0.05, threshold_db: float = SILENCE_DB
) -> tuple[int, int]:
    """Return the first frame of speech and the one after its last, with ``keep_s`` s around it.

    Silence alone gives (0, 0).
    """
    frames = as_frames(as_samples(samples))
    audible = np.flatnonzero((np.abs(frames) > _amplitude(threshold_db)).any(axis=1))
    if not audible.size:
        return 0, 0
    keep = round(keep_s * sample_rate)
    return max(0, int(audible[0]) - keep), min(len(samples), int(audible[-1]) + 1 + keep)


def trim_silence(
    samples: Samples, sample_rate: int, *, keep_s: float = 0.05, threshold_db: float = SILENCE_DB
) -> Samples:
    """Return the samples without leading and trailing silence but for ``keep_s`` seconds of each.

    Silence alone gives nothing.
    """
    first, end = speech_bounds(samples, sample_rate, keep_s=keep_s, threshold_db=threshold_db)
    return samples[first:end]


def fade_edges(
    samples: Samples, sample_rate: int, *, start: bool = True, end: bool = True
) -> Samples:
    """Return the samples with raised-cosine fades of 5 ms where they begin or end in mid-sound.

    A silent edge is left as it is; the length stays.

    Args:
        samples: Shape (frames,) or (frames, channels).
        sample_rate: Hz.
        start: Whether the first edge is looked at.
        end: Whether the last one is.
    """
    if not len(samples):
        return samples
    fade_in, fade_out = start and _sounds(samples[0]), end and _sounds(samples[-1])
    if not fade_in and not fade_out:
        return samples
    faded = samples.copy()
    ramp = _ramp(min(round(FADE_S * sample_rate), len(samples)))
    ramp = ramp if samples.ndim == 1 else ramp[:, np.newaxis]
    if fade_in:
        faded[: len(ramp)] *= ramp
    if fade_out:
        faded[len(faded) - len(ramp) :] *= ramp[::-1]
    return faded


def join(pieces: Sequence[Samples], sample_rate: int) -> Samples:
    """Return the pieces one after the other without clicks; the outer edges stay as they are.

    Args:
        pieces: At least one, all of one sample rate and number of channels. They are separate
            utterances: chunks of continuous sound are concatenated, not joined.
        sample_rate: Hz.
    """
    last = len(pieces) - 1
    return np.concatenate(
        [
            fade_edges(piece, sample_rate, start=index > 0, end=index < last)
            for index, piece in enumerate(pieces)
        ]
    )


def _sounds(frame: Samples) -> bool:
    return bool((np.abs(frame) > _amplitude(SILENCE_DB)).any())


def _ramp(frames: int) -> Samples:
    """Half a raised cosine from just above 0 to just below 1."""
    phase = (np.arange(frames, dtype=np.float32) + np.float32(0.5)) / np.float32(max(1, frames))
    return cast("Samples", 0.5 - 0.5 * np.cos(np.float32(np.pi) * phase))


def _amplitude(db: float) -> np.float32:
    return np.float32(10 ** (db / 20))
