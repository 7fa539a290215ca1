"""The sound of a spectrogram that grows at its end, each part of it made once.

Imports torch: import it where it is used. While it streams, XTTS has everything so far made sound
of once more for each piece; with this in place of its decoder, only what is new. Read: coqui-tts
0.28.0, ``hifigan_decoder.py``.
"""

from __future__ import annotations

import torch
from typing_extensions import override

from ttskit.adapters.coqui_pieces import Decoder

XTTS_DECODER = Decoder("1", [3, 7, 11], [[1, 3, 5]] * 3, [8, 8, 2, 2], [16, 16, 4, 4])
"""What ``HifiDecoder`` is built with; no setting of a model changes it."""


class GrowingDecoder(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """Makes the sound of frames of which it has made the first ones before.

    Args:
        decoder: Makes it of frames of shape (…, channels, frames), so many samples for each.
        radius: Frames on either side that a frame's sound depends on.
    """

    def __init__(self, decoder: torch.nn.Module, *, radius: int) -> None:
        super().__init__()
        self._decoder = decoder
        self._radius = radius
        self._frames: torch.Tensor | None = None
        self._sound: torch.Tensor | None = None
        self.made = 0
        """How many frames went through the decoder."""

    @override
    def forward(self, frames: torch.Tensor, g: torch.Tensor | None = None) -> torch.Tensor:
        """Return the sound of all frames; the last axis is samples.

        Args:
            frames: Those of the last call, whose last ones may have changed, and more.
            g: Who speaks; the same in every call.
        """
        # Sound stays where neither its own frames nor their neighbours have changed.
        stays = max(0, self._unchanged(frames) - self._radius)
        begin = max(0, stays - self._radius)
        sound = self._decoder(frames[..., begin:], g=g)
        self.made += frames.shape[-1] - begin
        if self._sound is not None:
            hop = sound.shape[-1] // (frames.shape[-1] - begin)
            kept = self._sound[..., : stays * hop]
            sound = torch.cat([kept, sound[..., (stays - begin) * hop :]], dim=-1)
        self._frames, self._sound = frames, sound
        return sound

    def _unchanged(self, frames: torch.Tensor) -> int:
        """Return how many of the first frames are those of the last call."""
        if self._frames is None:
            return 0
        both = min(frames.shape[-1], self._frames.shape[-1])
        same = (frames[..., :both] == self._frames[..., :both]).all(dim=-2).flatten()
        return int(same.long().cumprod(0).sum())
