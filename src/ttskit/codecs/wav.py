"""WAV, written and read piece by piece. Source: Microsoft's RIFF specification and RFC 2361."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from typing_extensions import override

from ttskit.codecs.alaw import from_alaw
from ttskit.codecs.mulaw import from_mulaw
from ttskit.codecs.pcm import AnySamples, Samples, from_pcm, to_pcm
from ttskit.codecs.spec import Reader, Spec, Writer
from ttskit.errors import InvalidResponseError

HEADER_BYTES = 44
PCM_BYTES = 2
"""Of a sample, where nothing else is said."""
_MAGIC = (b"RIFF", b"RF64")
_UNKNOWN = 0xFFFF_FFFF
"""The size of a stream whose end is not known when its header is written, as ffmpeg writes it."""
_PLACEHOLDER = 0x7FFF_0000
"""Writers to a pipe leave different sizes from here on; no speech is as long as that."""
_LARGEST_FORMAT_CHUNK = 4_096
_PLAIN_FORMAT_CHUNK = 16
_RIFF_HEADER, _CHUNK_HEADER = 12, 8
_SUBFORMAT = slice(24, 26)
"""Where an extensible ``fmt`` chunk has what is the tag of a plain one."""
_EXTENSIBLE = 0xFFFE


def wav_header(
    sample_rate: int, channels: int, frames: int | None, *, width: int = PCM_BYTES
) -> bytes:
    """Return the 44 bytes before samples that are integers.

    Args:
        sample_rate: Hz.
        channels: Samples a frame.
        frames: How many follow; None, or more than fit into a WAV: the sizes say "unknown".
        width: Bytes a sample; a lone byte has no sign.
    """
    block = channels * width
    size = _UNKNOWN if frames is None else frames * block
    riff = size + HEADER_BYTES - 8
    if riff >= _UNKNOWN:
        size = riff = _UNKNOWN
    layout = struct.pack(
        "<HHIIHH", _Coding.PCM, channels, sample_rate, sample_rate * block, block, 8 * width
    )
    return struct.pack(
        "<4sI4s4sI16s4sI", b"RIFF", riff, b"WAVE", b"fmt ", 16, layout, b"data", size
    )


class WavWriter(Writer):
    """Writes 16-bit WAV; whole ones are held until their size is known."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._started = False
        self._held: list[bytes] = []
        self._frames = 0

    @override
    def write(self, samples: AnySamples) -> bytes:
        if self._spec.streaming:
            return self._header(self._spec.frames) + to_pcm(samples)
        self._held.append(to_pcm(samples))
        self._frames += len(samples)
        return b""

    @override
    def close(self) -> bytes:
        if self._spec.streaming:
            return self._header(0)
        return b"".join([self._header(self._frames), *self._held])

    def _header(self, frames: int | None) -> bytes:
        if self._started:
            return b""
        self._started = True
        return wav_header(self._spec.sample_rate, self._spec.channels, frames)


class _Coding(IntEnum):
    """The format tags that are read (RFC 2361)."""

    PCM = 1
    FLOAT = 3
    ALAW = 6
    MULAW = 7


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a ``fmt`` chunk says."""

    tag: int
    channels: int
    sample_rate: int
    block: int
    """Bytes a frame."""
    bits: int

    @classmethod
    def parse(cls, chunk: bytes) -> _Layout:
        tag, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", chunk)
        if tag == _EXTENSIBLE:
            tag = int.from_bytes(chunk[_SUBFORMAT], "little")
        if (tag, bits) not in _SAMPLE_TYPES or channels < 1 or block != channels * bits // 8:
            raise InvalidResponseError(f"the WAV's coding ({tag}, {bits} bits) is not supported")
        return cls(tag, channels, rate, block, bits)

    def samples(self, data: bytes) -> Samples:
        """Return whole frames as samples."""
        flat = _to_float(data, self.tag, self.bits)
        return flat if self.channels == 1 else flat.reshape(-1, self.channels)


class WavReader(Reader):
    """Reads WAV of 8, 16, 24 or 32 bits, float or µ-law; a stream's placeholder sizes are fine."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._skip = 0
        self._layout: _Layout | None = None
        self._in_data = False
        self._left: int | None = None

    @property
    @override
    def sample_rate(self) -> int:
        return self._layout.sample_rate if self._layout else 0

    @property
    @override
    def channels(self) -> int:
        return self._layout.channels if self._layout else 1

    @override
    def feed(self, data: bytes) -> Iterator[Samples]:
        self._pending += data
        if not self._in_data:
            self._read_chunks()
        if self._layout and self._in_data:
            yield from self._read_frames(self._layout)

    @override
    def end(self) -> Iterator[Samples]:
        if not self._layout or not self._in_data:
            raise InvalidResponseError("the WAV ends within its header")
        missing = len(self._pending) if self._left is None else self._left
        if missing >= self._layout.block or (self._left is None and missing):
            raise InvalidResponseError("the WAV ends before its audio does")
        return iter(())

    def _read_chunks(self) -> None:
        """Go through the chunks before the samples as far as they are here."""
        if self._layout is None and not self._skip and bytes(self._pending[:4]) in _MAGIC:
            if len(self._pending) < _RIFF_HEADER:
                return
            del self._pending[:_RIFF_HEADER]
        while not self._in_data and self._read_chunk():
            pass

    def _read_chunk(self) -> bool:
        """Take one chunk, or say that it is not all here."""
        skipped = min(self._skip, len(self._pending))
        del self._pending[:skipped]
        self._skip -= skipped
        if self._skip or len(self._pending) < _CHUNK_HEADER:
            return False
        name, size = struct.unpack_from("<4sI", self._pending)
        if name == b"fmt ":
            return self._read_layout(size)
        del self._pending[:_CHUNK_HEADER]
        if name == b"data":
            self._in_data = True
            self._left = None if size == 0 or size >= _PLACEHOLDER else size
        else:
            self._skip = size + size % 2
        return True

    def _read_layout(self, size: int) -> bool:
        if not _PLAIN_FORMAT_CHUNK <= size <= _LARGEST_FORMAT_CHUNK:
            raise InvalidResponseError("the WAV's header is broken")
        if len(self._pending) < _CHUNK_HEADER + size:
            return False
        self._layout = _Layout.parse(bytes(self._pending[_CHUNK_HEADER : _CHUNK_HEADER + size]))
        del self._pending[:_CHUNK_HEADER]
        self._skip = size + size % 2
        return True

    def _read_frames(self, layout: _Layout) -> Iterator[Samples]:
        ready = len(self._pending) if self._left is None else min(self._left, len(self._pending))
        ready -= ready % layout.block
        if ready:
            yield layout.samples(bytes(self._pending[:ready]))
        del self._pending[:ready]
        if self._left is not None:
            self._left -= ready
            if self._left < layout.block:
                self._pending.clear()


_SAMPLE_TYPES = frozenset(
    {
        *((_Coding.PCM, bits) for bits in (8, 16, 24, 32)),
        *((_Coding.FLOAT, bits) for bits in (32, 64)),
        (_Coding.ALAW, 8),
        (_Coding.MULAW, 8),
    }
)


def _to_float(data: bytes, tag: int, bits: int) -> Samples:
    """Return interleaved WAV samples of one of ``_SAMPLE_TYPES`` as float32."""
    match tag, bits:
        case _Coding.FLOAT, _:
            return np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)
        case _Coding.ALAW, _:
            return from_alaw(data)
        case _Coding.MULAW, _:
            return from_mulaw(data)
        case _, 8:
            # The one size that WAV stores without a sign.
            return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
        case _, 16:
            return from_pcm(data)
        case _:
            return _from_wide(data, bits // 8)


def _from_wide(data: bytes, width: int) -> Samples:
    """Return integers of three or four bytes as samples."""
    # Placed at the top of 32 bits, both have the same sign bit and full scale.
    wide = np.zeros((len(data) // width, 4), np.uint8)
    wide[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(len(wide), width)
    return (wide.view("<i4").reshape(-1) / np.float64(2**31)).astype(np.float32)
