"""How loud speech is, and making it louder or softer without distortion.

The level is the mean power of the parts in which somebody speaks: blocks of 400 ms that overlap by
75 %, an absolute gate and then a relative one 10 dB below the first result, as in ITU-R BS.1770-5
annex 1. Its K weighting is left out: between voices it moves the level by a few tenths of a dB.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ttskit.codecs.pcm import AnySamples, AnySamplesT, Samples, as_frames, as_samples

SILENCE_DB = -70.0
"""dBFS below which a block is silence; the absolute gate of BS.1770."""
_RELATIVE_GATE_DB = 10.0
_HOP_S = 0.1
_HOPS_PER_BLOCK = 4
_KNEE = 0.85
"""Where limiting sets in, -1.4 dBFS; below it samples are only scaled."""


def speech_level(samples: AnySamples, sample_rate: int) -> float | None:
    """Return the active-speech level in dBFS (0 is a full-scale square wave); None for silence.

    Pauses, however long, do not lower it.
    """
    powers = _block_powers(as_samples(samples), sample_rate)
    active = powers[powers > _power(SILENCE_DB)]
    if not active.size:
        return None
    gate = active.mean() / _power(_RELATIVE_GATE_DB)
    return 10 * math.log10(float(active[active > gate].mean()))


def gain_to(level: float | None, target: float, *, limit_db: float = 12.0) -> float:
    """Return the dB that bring ``level`` to ``target``, both dBFS.

    Never more than ``limit_db`` either way, so that a mistaken level does no harm; 0 for silence.
    """
    if level is None:
        return 0.0
    return max(-limit_db, min(limit_db, target - level))


def apply_gain(samples: AnySamplesT, db: float) -> AnySamplesT | Samples:
    """Return the samples louder or softer by ``db``.

    Amplified peaks above -1.4 dBFS are bent towards full scale instead of cut off, so the result
    stays within [-1, 1]. Each sample is taken by itself: chunks may be treated apart.
    """
    if db == 0:
        return samples
    scaled = as_samples(samples) * np.float32(10 ** (db / 20))
    return _limited(scaled) if db > 0 else scaled


def _limited(samples: Samples) -> Samples:
    loud = np.abs(samples) > np.float32(_KNEE)
    if loud.any():
        peaks = samples[loud]
        excess = (np.abs(peaks) - _KNEE) / (1 - _KNEE)
        samples[loud] = np.sign(peaks) * (_KNEE + (1 - _KNEE) * np.tanh(excess))
    return samples


def _block_powers(samples: Samples, sample_rate: int) -> NDArray[np.float64]:
    """Mean squares of the overlapping blocks; a clip shorter than one is a block of its own."""
    frames = as_frames(samples)
    hop = max(1, round(sample_rate * _HOP_S))
    hops = len(frames) // hop
    if hops < _HOPS_PER_BLOCK:
        whole = np.einsum("ij,ij->", frames, frames) / max(1, frames.size)
        return np.array([whole], np.float64)
    cut = frames[: hops * hop].reshape(hops, -1)
    powers = np.einsum("ij,ij->i", cut, cut).astype(np.float64) / cut.shape[1]
    return np.convolve(powers, np.full(_HOPS_PER_BLOCK, 1 / _HOPS_PER_BLOCK), mode="valid")


def _power(db: float) -> float:
    return float(10 ** (db / 10))
