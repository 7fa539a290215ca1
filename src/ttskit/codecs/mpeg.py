"""Cutting MP3 and ADTS streams into frames.

Sources: ISO/IEC 11172-3, 13818-3 and 13818-7; Mp3 Info Tag, revision 1, for LAME's tag.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ttskit.errors import InvalidResponseError

_HEADER = 10
"""Bytes to look at: an ID3 tag's header, which is longer than that of either kind of frame."""
# kbit/s of layer III by index, for MPEG-1 and for MPEG-2 and 2.5.
_BIT_RATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BIT_RATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SAMPLE_RATES = (44_100, 48_000, 32_000)
_MPEG_1, _MPEG_2, _MPEG_25, _NO_VERSION = 3, 2, 0, 1
_LAYER_3 = 1
SYNC = 0xFF
"""The first byte of every frame; the first bits of the second one belong to it."""
_SYNC_REST = 0b1110_0000
_ADTS, _ADTS_MASK = 0b1111_0000, 0b1111_0110
_ADTS_HEADER = 7
_MONO = 3
_RESERVED_RATE = 3
# Bytes between header and audio, by whether it is MPEG-1 and whether it is mono.
_SIDE_INFO = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
_TRAILERS = (b"TAG", b"APE", b"LYR")
_INFO_FIELDS = ((1, 4), (2, 4), (4, 100), (8, 4))
"""Flag and bytes of each field of an Info tag before LAME's part: frames, bytes, index, quality."""
_DECODER_DELAY = 529
"""Frames by which every layer III decoder lags (LAME's technical FAQ)."""

FrameSize = Callable[[bytes], int | None]
"""Bytes of the frame that starts with this header; None where no frame does."""


@dataclass(frozen=True, slots=True)
class Mp3Header:
    """The first four bytes of an MP3 frame."""

    size: int
    """Bytes of the whole frame."""
    frames: int
    """Audio frames in it: 1 152 or 576."""
    sample_rate: int
    tag_offset: int
    """Where an encoder puts its Info tag in place of audio."""

    @classmethod
    def parse(cls, head: bytes) -> Mp3Header | None:
        """Return the header, or None where these bytes are none of layer III."""
        version, rate = head[1] >> 3 & 3, head[2] >> 2 & 3
        index, padding = head[2] >> 4, head[2] >> 1 & 1
        reserved = version == _NO_VERSION or rate == _RESERVED_RATE or index in (0, 15)
        if reserved or not is_layer_3(head):
            return None
        first = version == _MPEG_1
        sample_rate = _SAMPLE_RATES[rate] >> {_MPEG_1: 0, _MPEG_2: 1, _MPEG_25: 2}[version]
        kilobits = (_BIT_RATES_1 if first else _BIT_RATES_2)[index]
        samples = 1152 if first else 576
        size = samples // 8 * kilobits * 1000 // sample_rate + padding
        mono = head[3] >> 6 == _MONO
        side = _SIDE_INFO[first, mono]
        return cls(size, samples, sample_rate, 4 + side)


def is_layer_3(head: bytes) -> bool:
    """Return whether an MPEG audio frame of layer III may start so: 11 bits of ones, then it."""
    synced = head[0] == SYNC and head[1] & _SYNC_REST == _SYNC_REST
    return synced and head[1] >> 1 & 3 == _LAYER_3


def is_adts(head: bytes) -> bool:
    """Return whether an ADTS frame may start so: 12 bits of ones, then layer 0."""
    return head[0] == SYNC and head[1] & _ADTS_MASK == _ADTS


def mp3_frame_size(head: bytes) -> int | None:
    """Return the size of the MP3 frame that starts so, or None."""
    header = Mp3Header.parse(head)
    return header.size if header else None


def adts_frame_size(head: bytes) -> int | None:
    """Return the size of the ADTS frame that starts so, or None."""
    if not is_adts(head):
        return None
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size > _ADTS_HEADER else None


class FrameCutter:
    """Cuts a stream into whole frames, wherever the chunks end; ID3 and other tags are left out."""

    def __init__(self, frame_size: FrameSize) -> None:
        self._frame_size = frame_size
        self._pending = bytearray()
        self._skip = 0
        self._over = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that these further bytes complete.

        Raises:
            InvalidResponseError: Neither a frame nor a tag begins where one must.
        """
        if self._over:
            return []
        self._pending += data
        frames, at = [], self._skip
        while at + _HEADER <= len(self._pending):
            head = bytes(self._pending[at : at + _HEADER])
            size, is_frame = self._measure(head)
            if is_frame and at + size > len(self._pending):
                break
            if is_frame:
                frames.append(bytes(self._pending[at : at + size]))
            at += size
        self._skip = max(0, at - len(self._pending))
        del self._pending[:at]
        return frames

    def finish(self) -> None:
        """Check that nothing is missing.

        Raises:
            InvalidResponseError: The stream ends within a frame.
        """
        rest = bytes(self._pending)
        if not self._over and (self._skip or (rest.strip(b"\0") and rest[:3] not in _TRAILERS)):
            raise InvalidResponseError("the audio ends within a frame")

    def _measure(self, head: bytes) -> tuple[int, bool]:
        """Return how many bytes belong together, and whether they are a frame."""
        size = self._frame_size(head)
        if size is not None:
            return size, True
        if head[:3] == b"ID3":
            # ID3v2.4 section 3.1: four times seven bits, and a footer where the flag says so.
            size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
            return size + (20 if head[5] & 0x10 else 10), False
        if head[0] == 0:
            return 1, False
        if head[:3] in _TRAILERS:
            self._over = True
            return len(self._pending), False
        raise InvalidResponseError("the audio is broken: no frame where one must begin")


@dataclass(frozen=True, slots=True)
class Gapless:
    """What an Info frame says of the silence that the encoder added."""

    start: int
    """Frames to drop at the start, the decoder's own lag included."""
    total: int | None
    """Frames that are left between start and end; None: unknown."""


def gapless(frame: bytes) -> Gapless | None:
    """Return what the MP3 frame says of its neighbours if it is an Info frame, else None.

    An Info frame holds no audio.
    """
    header = Mp3Header.parse(frame)
    if header is None:
        return None
    tag = frame[header.tag_offset :]
    if tag[:4] not in (b"Xing", b"Info"):
        return None
    flags = tag[7]
    count = int.from_bytes(tag[8:12], "big") if flags & 1 else 0
    at = 8 + sum(size for bit, size in _INFO_FIELDS if flags & bit)
    pads = int.from_bytes(tag[at + 21 : at + 24], "big") if tag[at : at + 1] == b"L" else 0
    delay, padding = pads >> 12, pads & 0xFFF
    start = delay + _DECODER_DELAY if pads else 0
    return Gapless(start, count * header.frames - delay - padding if count else None)
