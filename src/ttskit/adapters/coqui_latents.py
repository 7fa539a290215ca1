"""Who speaks in XTTS: the speakers it came with, and voices cloned from samples.

Imports torch: import it where it is used. Read: coqui-tts 0.28.0, ``xtts.py``, ``xtts_manager.py``.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ttskit.codecs.wav import WavReader
from ttskit.errors import InvalidResponseError, InvalidVoiceReferenceError

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples

SPEAKERS = "speakers_xtts.pth"
"""Beside the weights: what the model knows of each of its own speakers."""
KEPT = 64
"""Cloned voices that are remembered, of some 130 kB each."""


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


class Clones:
    """Voices cloned from samples; the latest ones are kept by the content of their samples.

    Args:
        make: Clones a voice from mono samples and their sample rate in Hz.
        most: How many are kept.
    """

    def __init__(self, make: Callable[[Samples, int], Latents], *, most: int = KEPT) -> None:
        self._make = make
        self._most = most
        self._kept: OrderedDict[str, Latents] = OrderedDict()
        self.made = 0
        """How often a voice had to be cloned."""

    def voice(self, path: str) -> Latents:
        """Return the voice that is heard in a WAV file.

        Raises:
            InvalidVoiceReferenceError: The file cannot be read, or is too short.
        """
        try:
            wav = Path(path).read_bytes()
        except OSError as error:
            raise InvalidVoiceReferenceError("the sample of the voice cannot be read") from error
        key = hashlib.sha256(wav).hexdigest()
        if key not in self._kept:
            self._kept[key] = self._make(*_decoded(wav))
            self.made += 1
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return self._kept[key]


def _decoded(wav: bytes) -> tuple[Samples, int]:
    reader = WavReader()
    try:
        parts = [*reader.feed(wav), *reader.end()]
    except InvalidResponseError as error:
        raise InvalidVoiceReferenceError("the sample of the voice is no whole WAV file") from error
    if not parts:
        raise InvalidVoiceReferenceError("the sample of the voice is too short")
    samples = np.concatenate(parts)
    mono = samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float32)
    return mono, reader.sample_rate
