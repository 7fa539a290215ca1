"""How a sentence's sound is made in pieces that join without a seam.

A HiFi-GAN decoder is made of convolutions only: a sample depends on the frames within a radius of
it and on no others. So a piece that is decoded with that many frames on either side of it is, in
the middle, what the whole would have been.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FIRST_FRAMES = 64
"""Of the first piece: some 0.7 s at 86 frames a second, which a listener gets early."""
LATER_FRAMES = 512
"""Of the others, and so how soon a sentence can be stopped."""
_EDGE_KERNEL = 7
"""Of the first and the last convolution, in every HiFi-GAN."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """The sizes of a HiFi-GAN generator, as a model's settings give them."""

    block: str
    """``1`` or ``2``: with or without a second convolution of dilation 1 after each."""
    kernels: Sequence[int]
    dilations: Sequence[Sequence[int]]
    """For each kernel."""
    rates: Sequence[int]
    """Samples made of one, stage by stage."""
    rate_kernels: Sequence[int]

    def radius(self) -> int:
        """Return on how many frames beside its own a sample depends, at most."""
        reach = _half(_EDGE_KERNEL)
        for rate, kernel in zip(reversed(self.rates), reversed(self.rate_kernels), strict=True):
            reach += self._block_reach()
            padding = (kernel - rate) // 2
            reach = -(-(reach + max(padding, kernel - 1 - padding)) // rate)
        return reach + _half(_EDGE_KERNEL)

    def _block_reach(self) -> int:
        """Return the reach of one stage's widest block, in samples of that stage."""
        second = 1 if self.block == "1" else 0
        return max(
            sum(_half(kernel) * (dilation + second) for dilation in dilations)
            for kernel, dilations in zip(self.kernels, self.dilations, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames ``start`` to ``end``, to be decoded out of ``begin`` to ``finish``."""

    start: int
    end: int
    begin: int
    finish: int


def pieces(
    frames: int, *, radius: int, first: int = FIRST_FRAMES, later: int = LATER_FRAMES
) -> Iterator[Piece]:
    """Yield the pieces of a sentence in order; together they are all of its frames.

    Every border costs twice the radius in frames that are decoded twice, so a short rest goes
    with the piece before it.

    Args:
        frames: Of the sentence.
        radius: ``Decoder.radius``.
        first: Frames of the first piece.
        later: Frames of the others.
    """
    start, size = 0, first
    while start < frames:
        end = start + size
        if frames - end < max(size // 2, 2 * radius):
            end = frames
        yield Piece(start, end, max(0, start - radius), min(frames, end + radius))
        start, size = end, later


def _half(kernel: int) -> int:
    return (kernel - 1) // 2
