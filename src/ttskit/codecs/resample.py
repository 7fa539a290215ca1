"""Changing the sample rate, whole or chunk by chunk. Source: libsoxr, quality recipe HQ."""

from __future__ import annotations

import numpy as np
import soxr

from ttskit.codecs.pcm import AnySamplesT, Samples, as_samples
from ttskit.errors import InvalidParameterError

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
"""Hz that can be resampled from and to: beyond what any engine, file or sound card uses."""


def resample(samples: AnySamplesT, *, source_rate: int, target_rate: int) -> AnySamplesT | Samples:
    """Return the samples at another sample rate; duration and pitch stay.

    Args:
        samples: Shape (frames,) or (frames, channels).
        source_rate: Hz.
        target_rate: Hz.

    Returns:
        ``round(frames * target_rate / source_rate)`` frames, of the same rank.

    Raises:
        InvalidParameterError: A rate is out of range.
    """
    _check(source_rate, target_rate)
    if source_rate == target_rate or not len(samples):
        return samples
    wanted = _resampled_length(len(samples), source_rate, target_rate)
    return _fitted(
        soxr.resample(as_samples(samples), source_rate, target_rate, quality="HQ"), wanted
    )


class Resampler:
    """The same for audio that arrives in chunks, without a click at their borders.

    The result does not depend on how the audio was cut into chunks, and is as long as that of
    ``resample``. Up to 100 ms are held back, because small blocks cost several times as much.

    Args:
        source_rate: Hz of what is fed.
        target_rate: Hz of what comes back.
        channels: 1 for shape (frames,), more for (frames, channels).

    Raises:
        InvalidParameterError: A rate is out of range.
    """

    def __init__(self, source_rate: int, target_rate: int, channels: int = 1) -> None:
        _check(source_rate, target_rate)
        self._rates = (source_rate, target_rate)
        self._enough = source_rate // 10
        self._pending: list[Samples] = []
        self._held = self._fed = self._returned = 0
        self._nothing: Samples = np.zeros(0 if channels == 1 else (0, channels), np.float32)
        self._stream = soxr.ResampleStream(source_rate, target_rate, channels, "float32", "HQ")

    def feed(self, samples: Samples) -> Samples:
        """Return what is finished after these further samples; may be empty."""
        self._fed += len(samples)
        if self._rates[0] == self._rates[1]:
            return samples
        self._pending.append(samples)
        self._held += len(samples)
        if self._held < self._enough:
            return self._nothing
        ready = self._stream.resample_chunk(np.concatenate(self._pending))
        self._pending, self._held = [], 0
        return self._counted(ready)

    def finish(self) -> Samples:
        """Return the rest; the total is then exact. Nothing may be fed after that."""
        if self._rates[0] == self._rates[1] or not self._fed:
            return self._nothing
        rest = self._stream.resample_chunk(
            np.concatenate([self._nothing, *self._pending]), last=True
        )
        wanted = _resampled_length(self._fed, *self._rates)
        return _fitted(rest, wanted - self._returned)

    def _counted(self, samples: Samples) -> Samples:
        wanted = _resampled_length(self._fed, *self._rates)
        samples = samples[: max(0, wanted - self._returned)]
        self._returned += len(samples)
        return samples


def _check(*rates: int) -> None:
    if not all(LOWEST_RATE <= rate <= HIGHEST_RATE for rate in rates):
        raise InvalidParameterError(
            f"a sample rate must be between {LOWEST_RATE} and {HIGHEST_RATE} Hz"
        )


def _resampled_length(frames: int, source_rate: int, target_rate: int) -> int:
    return round(frames * target_rate / source_rate)


def _fitted(samples: Samples, frames: int) -> Samples:
    """Return exactly so many frames; the filter's own length is off by one at times."""
    missing = frames - len(samples)
    if missing <= 0:
        return samples[:frames]
    padding = [(0, missing)] + [(0, 0)] * (samples.ndim - 1)
    return np.pad(samples, padding)
