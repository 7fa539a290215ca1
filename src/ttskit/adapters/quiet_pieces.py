"""A recording in pieces that a model can take at once, cut where it is quiet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples


def pieces(
    samples: Samples, sample_rate: int, *, shortest_s: float, longest_s: float, step_s: float
) -> Iterator[tuple[int, int]]:
    """Yield start and end of each piece, in frames; together they are the recording.

    Args:
        samples: Shape (frames,).
        sample_rate: Hz.
        shortest_s: Seconds of every piece but the last.
        longest_s: Seconds of every piece; by two steps longer than ``shortest_s`` at least.
        step_s: Seconds of which every piece but the last is a multiple.
    """
    step = max(1, round(step_s * sample_rate))
    shortest, longest = math.ceil(shortest_s * sample_rate), int(longest_s * sample_rate)
    start = 0
    while len(samples) - start > longest:
        end = start + _quietest(samples[start : start + longest], shortest, step)
        yield start, end
        start = end
    yield start, len(samples)


def _quietest(samples: Samples, shortest: int, step: int) -> int:
    """Return the border of two steps, from ``shortest`` on, with the least sound on both sides."""
    steps = samples[: len(samples) // step * step].reshape(-1, step)
    power = np.square(steps).mean(axis=1)
    around = power[:-1] + power[1:]  # of the borders, of which the first is one step in
    first = math.ceil(shortest / step) - 1
    return (first + int(np.argmin(around[first:])) + 1) * step
