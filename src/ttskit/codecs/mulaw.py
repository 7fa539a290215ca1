"""µ-law, the 8-bit code of telephony. Source: ITU-T G.711, table 2; 16-bit scale as in G.191."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ttskit.codecs.pcm import AnySamples, Samples, to_int16

_BIAS = 132
"""Added before the logarithm, on the 16-bit scale (33 on G.711's 14-bit one)."""
_LARGEST = 32_635
"""The greatest magnitude that fits once the bias is added."""


def to_mulaw(samples: AnySamples) -> bytes:
    """Return the samples as interleaved µ-law, one byte each; beyond full scale is clipped."""
    return _codes()[to_int16(samples).view(np.uint16)].tobytes()


def from_mulaw(data: bytes | bytearray | memoryview, *, channels: int = 1) -> Samples:
    """Return interleaved µ-law as samples.

    Raises:
        ValueError: The bytes end within a frame.
    """
    samples = _values()[np.frombuffer(data, np.uint8)]
    return samples if channels == 1 else samples.reshape(-1, channels)


@cache
def _codes() -> NDArray[np.uint8]:
    """The code of each 16-bit sample, by its bits taken as an unsigned number."""
    linear = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.minimum(np.abs(linear), _LARGEST) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(linear < 0, 0x80, 0)
    codes: NDArray[np.uint8] = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
    return codes


@cache
def _values() -> Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + _BIAS) << ((code >> 4) & 0x07)) - _BIAS
    linear = np.where(code & 0x80, -magnitude, magnitude)
    return (linear / 32768.0).astype(np.float32)
