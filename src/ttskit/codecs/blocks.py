"""Cutting chunks of any size into blocks of one size."""

from __future__ import annotations

import numpy as np

from ttskit.codecs.pcm import Samples


class Blocks:
    """Makes what comes after it independent of how the audio was cut into chunks.

    Args:
        frames: Of each block.
        channels: 1 for shape (frames,), more for (frames, channels).
    """

    def __init__(self, frames: int, channels: int) -> None:
        self._frames = frames
        self._pending: list[Samples] = []
        self._held = 0
        self.nothing: Samples = np.zeros(0 if channels == 1 else (0, channels), np.float32)

    def feed(self, samples: Samples) -> list[Samples]:
        """Return the blocks that these further frames complete."""
        self._pending.append(samples)
        self._held += len(samples)
        if self._held < self._frames:
            return []
        held = self.rest()
        whole = len(held) - len(held) % self._frames
        # A copy, so that the rest of a long chunk does not keep all of it in memory.
        self._pending, self._held = [held[whole:].copy()], len(held) - whole
        return [held[at : at + self._frames] for at in range(0, whole, self._frames)]

    def rest(self) -> Samples:
        """Return the frames that make no whole block yet, and forget them."""
        held = np.concatenate([self.nothing, *self._pending])
        self._pending, self._held = [], 0
        return held
