"""What the writer and the reader of each format implement, behind encode.py and decode.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from ttskit.codecs.pcm import AnySamples, Samples
from ttskit.request import AudioFormat


@dataclass(frozen=True, slots=True)
class Spec:
    """What is to be written, settled for the format."""

    format: AudioFormat
    sample_rate: int
    """Hz that the format can carry."""
    channels: int = 1
    bit_rate: int = 0
    """Bits a second; 0 where the format has no such choice."""
    streaming: bool = True
    """Bytes leave as they come; otherwise all at the end, with headers that know the total."""
    frames: int | None = None
    """The total at ``sample_rate``, where it is known beforehand."""


class Writer(ABC):
    """Turns samples of the spec's rate and channels into the bytes of one file."""

    @abstractmethod
    def write(self, samples: AnySamples) -> bytes:
        """Take some frames, and return the bytes that are ready."""

    @abstractmethod
    def close(self) -> bytes:
        """Return all bytes that are left; called once."""


class Reader(ABC):
    """Turns the bytes of one file into samples, however they are cut."""

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Hz; 0 until the header was read."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """Samples a frame; 1 until the header was read."""

    @abstractmethod
    def feed(self, data: bytes) -> Iterator[Samples]:
        """Yield the blocks of audio that these further bytes complete."""

    @abstractmethod
    def end(self) -> Iterator[Samples]:
        """Yield the blocks that are left.

        Raises:
            InvalidResponseError: The file is broken or ends early.
        """
