"""Samples as numbers and as bytes: float32 in [-1, 1] and 16-bit little-endian PCM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ttskit.errors import InvalidResponseError

Samples: TypeAlias = NDArray[np.float32]
"""float32 in [-1, 1], shape (frames,) or (frames, channels)."""


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Return the samples as 16-bit integers of the same shape; beyond full scale is clipped.

    Scale and rounding are the inverse of ``from_pcm``: every 16-bit number survives the round trip.
    """
    scaled = samples * np.float32(32768.0)
    np.rint(scaled, out=scaled)
    np.clip(scaled, np.float32(-32768.0), np.float32(32767.0), out=scaled)
    return scaled.astype("<i2")


def to_pcm(samples: Samples) -> bytes:
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
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    samples *= np.float32(1 / 32768.0)
    return samples if channels == 1 else samples.reshape(-1, channels)


def as_frames(samples: Samples) -> Samples:
    """Return a view of shape (frames, channels), of one channel where there was no such axis."""
    return samples[:, np.newaxis] if samples.ndim == 1 else samples


def concatenated(parts: Sequence[Samples]) -> Samples:
    """Return the parts, all of one shape but for their length, as one array; no copy of a lone one.

    No parts are no frames of one channel.
    """
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def check_finite(samples: Samples) -> None:
    """Refuse samples that hold a NaN or an infinity, which would become noise or silence later.

    Raises:
        InvalidResponseError: A sample is no finite number.
    """
    if not np.isfinite(samples).all():
        raise InvalidResponseError("the audio holds samples that are no finite numbers")
