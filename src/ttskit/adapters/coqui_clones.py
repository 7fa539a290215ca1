"""Voices cloned from samples, by whatever a model knows people by; the latest ones are kept."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from ttskit.codecs.wav import WavReader
from ttskit.errors import InvalidResponseError, InvalidVoiceReferenceError

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples

KEPT = 64
"""Cloned voices that are remembered; the largest, XTTS's, take some 130 kB each."""
Known = TypeVar("Known")
"""What a model has to know of a voice."""


class Clones(Generic[Known]):
    """Voices cloned from samples; the latest ones are kept by the content of their samples.

    Args:
        make: Clones a voice from mono samples and their sample rate in Hz.
        most: How many are kept.
    """

    def __init__(self, make: Callable[[Samples, int], Known], *, most: int = KEPT) -> None:
        self._make = make
        self._most = most
        self._kept: OrderedDict[str, Known] = OrderedDict()
        self.made = 0
        """How often a voice had to be cloned."""

    def voice(self, path: str) -> Known:
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
