"""Voices that a model worked out from samples, kept for the next time they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Generic, TypeVar

from ttskit.errors import InvalidVoiceReferenceError

VoiceT = TypeVar("VoiceT")


class SampleVoices(Generic[VoiceT]):
    """What one model knows of voices by their samples; those used last are kept. For one thread.

    Args:
        make: Works a voice out from the path of a sample's WAV file.
        most: How many are kept.
    """

    def __init__(self, make: Callable[[str], VoiceT], *, most: int) -> None:
        self._make = make
        self._most = most
        self._kept: OrderedDict[bytes, VoiceT] = OrderedDict()
        self.made = 0
        """How often a voice had to be worked out."""

    def voice(self, sample: str) -> VoiceT:
        """Return the voice that is heard in a file, whatever that is called.

        Raises:
            InvalidVoiceReferenceError: The file cannot be read.
        """
        try:
            heard = sha256(Path(sample).read_bytes()).digest()
        except OSError as error:
            raise InvalidVoiceReferenceError("the sample of the voice cannot be read") from error
        if heard not in self._kept:
            self._kept[heard] = self._make(sample)
            self.made += 1
        self._kept.move_to_end(heard)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return self._kept[heard]

    def clear(self) -> None:
        """Forget all voices."""
        self._kept.clear()
