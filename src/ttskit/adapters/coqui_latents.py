"""What XTTS knows of those who speak, and the speakers it came with.

Imports torch: import it where it is used. Read: coqui-tts 0.28.0, ``xtts.py``, ``xtts_manager.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

SPEAKERS = "speakers_xtts.pth"
"""Beside the weights: what the model knows of each of its own speakers."""


@dataclass(frozen=True, slots=True)
class Latents:
    """What XTTS has to know of a voice."""

    manner: torch.Tensor
    """For the network that chooses sounds; shape (1, positions, channels)."""
    timbre: torch.Tensor
    """For the network that makes them heard; shape (1, channels, 1)."""


def read_speakers(path: Path) -> dict[str, Latents]:
    """Return the speakers that came with a model; none where there is no such file.

    Raises:
        Exception: Whatever torch has to say of a file that is damaged or holds more than numbers,
            and ValueError where it holds others: call it within ``loading``.
    """
    if not path.is_file():
        return {}
    known = torch.load(path, map_location="cpu", weights_only=True)
    return {str(name): _speaker(*parts.values()) for name, parts in known.items()}


def _speaker(manner: torch.Tensor, timbre: torch.Tensor) -> Latents:
    if manner.ndim != 3 or timbre.ndim != 3:  # noqa: PLR2004 - axes, as ``Latents`` has them
        raise ValueError("these are no latents of a speaker")
    return Latents(manner, timbre)
