"""What the 8-bit codes of telephony share: a code for each sample, looked up in tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ttskit.codecs.pcm import AnySamples, Samples, to_int16

Integers = NDArray[np.int32]
Law = Callable[[Integers], Integers]
"""Gives the codes (0 to 255) of samples (-32 768 to 32 767), or the samples of codes."""


def compress(samples: AnySamples, law: Law) -> bytes:
    """Return the samples as interleaved codes, one byte each; beyond full scale is clipped."""
    return _codes(law)[to_int16(samples).view(np.uint16)].tobytes()


def expand(data: bytes | bytearray | memoryview, law: Law, *, channels: int) -> Samples:
    """Return interleaved codes as samples.

    Raises:
        ValueError: The bytes end within a frame.
    """
    samples = _values(law)[np.frombuffer(data, np.uint8)]
    return samples if channels == 1 else samples.reshape(-1, channels)


@cache
def _codes(law: Law) -> NDArray[np.uint8]:
    """The code of each 16-bit sample, by its bits taken as an unsigned number."""
    linear = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32)
    return law(linear).astype(np.uint8)


@cache
def _values(law: Law) -> Samples:
    return (law(np.arange(256, dtype=np.int32)) / 32768.0).astype(np.float32)
