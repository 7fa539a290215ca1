"""A recording in pieces that a model can take at once, cut where it is quiet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples

LONGEST_S = 20.0
"""A decoder's memory grows with the square of the length."""
STEP_S = 0.04
"""Speech tokens are that long, and so are pieces a multiple of it: what is made keeps time."""


def pieces(samples: Samples, sample_rate: int) -> Iterator[Samples]:
    """Yield the recording in order, each piece at most ``LONGEST_S`` long.

    Args:
        samples: Shape (frames,).
        sample_rate: Hz.
    """
    step = round(STEP_S * sample_rate)
    longest = int(LONGEST_S * sample_rate) // step * step
    while len(samples) > longest:
        end = _quietest(samples[:longest], step)
        yield samples[:end]
        samples = samples[end:]
    yield samples


def _quietest(samples: Samples, step: int) -> int:
    """Return a multiple of ``step`` in the second half, with the least sound on both sides."""
    power = np.square(samples.reshape(-1, step)).mean(axis=1)
    around = power[:-1] + power[1:]  # of each border between two steps
    half = len(around) // 2
    return (half + int(np.argmin(around[half:])) + 1) * step
