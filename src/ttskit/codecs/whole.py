"""Whether an encoded file is all there, told from its framing: decoders forgive a missing end."""

from __future__ import annotations

import struct
from functools import cache

from ttskit.codecs.mpeg import FrameCutter, mp3_frame_size
from ttskit.codecs.sniff import sniff
from ttskit.errors import InvalidResponseError
from ttskit.request import AudioFormat

_OGG_HEADER = 27
_MP4_BOX_HEADER = 8
_OGG_LAST_PAGE = 0x04
_FLAC_STREAM_INFO = 42
_FLAC_SYNC = (b"\xff\xf8", b"\xff\xf9")
_FLAC_CANDIDATES = 16
"""Places that may pass for the last frame's start before the search is given up."""
_FLAC_LONGEST_FRAME = 65_536
"""Bytes from the end in which the last frame is looked for; speech has about 8 000 a frame."""


def check_whole(data: bytes | bytearray) -> None:
    """Check that no part of the Ogg, MP3, MP4 or FLAC file is missing.

    A cut between two frames of a streamed MP3 or FLAC, or two fragments of an MP4, leaves no trace.

    Raises:
        InvalidResponseError: The file was cut short.
    """
    kind = sniff(bytes(data[:64]))
    if kind in (AudioFormat.OGG, AudioFormat.OPUS):
        whole = _ogg_is_whole(data)
    elif kind is AudioFormat.M4A:
        whole = _mp4_is_whole(data)
    elif kind is AudioFormat.FLAC:
        whole = _flac_is_whole(data)
    else:
        whole = True
    if not whole:
        raise InvalidResponseError("the audio was cut short")
    if kind is AudioFormat.MP3:
        cutter = FrameCutter(mp3_frame_size)
        cutter.feed(bytes(data))
        cutter.finish()


def _ogg_is_whole(data: bytes | bytearray) -> bool:
    """Whether the last page is marked as such and complete (RFC 3533 section 6)."""
    at = data.rfind(b"OggS")
    if at < 0 or len(data) < at + _OGG_HEADER:
        return False
    table = data[at + _OGG_HEADER : at + _OGG_HEADER + data[at + 26]]
    size = _OGG_HEADER + data[at + 26] + sum(table)
    return bool(data[at + 5] & _OGG_LAST_PAGE) and at + size <= len(data)


def _flac_is_whole(data: bytes | bytearray) -> bool:
    """Whether a last frame with the right checksum is there (RFC 9639 section 9.3).

    A header that knows the total makes the decoder itself find out.
    """
    if int.from_bytes(data[21:26], "big") & 0xF_FFFF_FFFF:
        return True
    at = len(data)
    for _ in range(_FLAC_CANDIDATES):
        at = max(data.rfind(sync, _FLAC_STREAM_INFO, at) for sync in _FLAC_SYNC)
        if at < 0 or len(data) - at > _FLAC_LONGEST_FRAME:
            return False
        if _crc16(data[at:]) == 0:
            return True
    return False


def _crc16(data: bytes | bytearray) -> int:
    """Return the CRC with polynomial 0x8005; 0 for data that ends with its own."""
    table = _crc16_table()
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ table[crc >> 8 ^ byte]
    return crc


@cache
def _crc16_table() -> tuple[int, ...]:
    def shifted(crc: int) -> int:
        for _ in range(8):
            crc = crc << 1 ^ (0x8005 if crc & 0x8000 else 0)
        return crc & 0xFFFF

    return tuple(shifted(byte << 8) for byte in range(256))


def _mp4_is_whole(data: bytes | bytearray) -> bool:
    """Whether the outermost boxes fill the file exactly (ISO/IEC 14496-12 section 4.2)."""
    at = 0
    while at + _MP4_BOX_HEADER <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
        at += size or len(data) - at
        if 0 < size < _MP4_BOX_HEADER:
            return False
    return at == len(data)
