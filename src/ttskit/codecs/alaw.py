"""A-law, the other 8-bit code of telephony. Source: ITU-T G.711, table 1."""

from __future__ import annotations

import numpy as np

from ttskit.codecs.companding import Integers, compress, expand
from ttskit.codecs.pcm import AnySamples, Samples

_EVEN_BITS = 0x55
"""Turned over on the line, so that silence is no row of equal bits."""
_LARGEST = 2_047
"""The greatest magnitude on G.711's 12-bit scale, which drops 4 bits."""
_SIGN = 0x80
"""Set where the sample is not negative."""


def to_alaw(samples: AnySamples) -> bytes:
    """Return the samples as interleaved A-law, one byte each; beyond full scale is clipped."""
    return compress(samples, _code)


def from_alaw(data: bytes | bytearray | memoryview, *, channels: int = 1) -> Samples:
    """Return interleaved A-law as samples.

    Raises:
        ValueError: The bytes end within a frame.
    """
    return expand(data, _linear, channels=channels)


def _code(linear: Integers) -> Integers:
    magnitude = np.minimum(np.abs(linear) >> 4, _LARGEST)
    exponent = np.floor(np.log2(np.maximum(magnitude, 16))).astype(np.int32) - 4
    # The lowest two segments have steps of the same size; each further one doubles them.
    segment = np.where(magnitude < 16, 0, exponent + 1)  # noqa: PLR2004 - steps of a segment
    mantissa = (magnitude >> exponent) & 0x0F
    sign = np.where(linear < 0, 0, _SIGN)
    code: Integers = (sign | (segment << 4) | mantissa) ^ _EVEN_BITS
    return code


def _linear(code: Integers) -> Integers:
    code = code ^ _EVEN_BITS
    segment, mantissa = (code >> 4) & 0x07, code & 0x0F
    # In the middle of the step: half of one is added, and the one that a segment begins with.
    magnitude = ((mantissa << 4) + 8 + np.where(segment > 0, 0x100, 0)) << np.maximum(
        segment - 1, 0
    )
    linear: Integers = np.where(code & _SIGN, magnitude, -magnitude)
    return linear
