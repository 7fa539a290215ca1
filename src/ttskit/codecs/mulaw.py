"""µ-law, the 8-bit code of telephony. Source: ITU-T G.711, table 2; 16-bit scale as in G.191."""

from __future__ import annotations

import numpy as np

from ttskit.codecs.companding import Integers, compress, expand
from ttskit.codecs.pcm import AnySamples, Samples

_BIAS = 132
"""Added before the logarithm, on the 16-bit scale (33 on G.711's 14-bit one)."""
_LARGEST = 32_635
"""The greatest magnitude that fits once the bias is added."""


def to_mulaw(samples: AnySamples) -> bytes:
    """Return the samples as interleaved µ-law, one byte each; beyond full scale is clipped."""
    return compress(samples, _code)


def from_mulaw(data: bytes | bytearray | memoryview, *, channels: int = 1) -> Samples:
    """Return interleaved µ-law as samples.

    Raises:
        ValueError: The bytes end within a frame.
    """
    return expand(data, _linear, channels=channels)


def _code(linear: Integers) -> Integers:
    magnitude = np.minimum(np.abs(linear), _LARGEST) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(linear < 0, 0x80, 0)
    code: Integers = ~(sign | (exponent << 4) | mantissa) & 0xFF
    return code


def _linear(code: Integers) -> Integers:
    code = ~code & 0xFF
    magnitude = ((((code & 0x0F) << 3) + _BIAS) << ((code >> 4) & 0x07)) - _BIAS
    return np.where(code & 0x80, -magnitude, magnitude)
