"""Samples as numbers and as bytes: float32 in [-1, 1] and 16-bit little-endian PCM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ttskit.errors import InvalidResponseError

Samples: TypeAlias = NDArray[np.float32]
"""float32 in [-1, 1], shape (frames,) or (frames, channels)."""
Pcm: TypeAlias = NDArray[np.int16]
"""16-bit samples as they came, of the same shapes; converted only where something changes them."""
AnySamples: TypeAlias = Samples | Pcm
AnySamplesT = TypeVar("AnySamplesT", Samples, AnySamples)
FULL_SCALE = 32_768
"""The 16-bit number that 1.0 stands for."""


def as_samples(samples: AnySamples) -> Samples:
    """Return the samples as float32; those that are so already without a copy."""
    if samples.dtype == np.float32:
        return cast("Samples", samples)
    return samples * np.float32(1 / FULL_SCALE)


def to_int16(samples: AnySamples) -> Pcm:
    """Return the samples as 16-bit integers of the same shape; beyond full scale is clipped.

    Scale and rounding are the inverse of ``from_pcm``: every 16-bit number survives the round trip.
    """
    if samples.dtype == np.int16:
        return cast("Pcm", samples)
    scaled = samples * np.float32(FULL_SCALE)
    np.rint(scaled, out=scaled)
    np.clip(scaled, np.float32(-32768.0), np.float32(32767.0), out=scaled)
    return scaled.astype("<i2")


def to_pcm(samples: AnySamples) -> bytes:
    """Return the samples as 16-bit little-endian interleaved PCM; beyond full scale is clipped."""
    return to_int16(samples).tobytes()


def from_pcm(pcm: bytes | bytearray | memoryview, *, channels: int = 1) -> Samples:
    """Return 16-bit little-endian interleaved PCM as samples.

    Args:
        pcm: Whole frames.
        channels: How many samples make a frame.

    Raises:
        ValueError: The bytes end within a frame.
    """
    samples = as_samples(np.frombuffer(pcm, "<i2"))
    return samples if channels == 1 else samples.reshape(-1, channels)


def as_frames(samples: AnySamplesT) -> AnySamplesT:
    """Return a view of shape (frames, channels), of one channel where there was no such axis."""
    return samples[:, np.newaxis] if samples.ndim == 1 else samples


def concatenated(parts: Sequence[AnySamplesT]) -> AnySamplesT | Samples:
    """Return the parts, all of one shape but for their length, as one array; no copy of a lone one.

    No parts are no frames of one channel. Where only some are float32, all become so.
    """
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return np.zeros(0, np.float32)
    if len({part.dtype for part in parts}) > 1:
        return np.concatenate([as_samples(part) for part in parts])
    return cast("AnySamplesT", np.concatenate(parts))


def check_finite(samples: AnySamples) -> None:
    """Refuse samples that hold a NaN or an infinity, which would become noise or silence later.

    Raises:
        InvalidResponseError: A sample is no finite number.
    """
    if samples.dtype != np.int16 and not np.isfinite(samples).all():
        raise InvalidResponseError("the audio holds samples that are no finite numbers")
