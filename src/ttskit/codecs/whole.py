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
_FLAC_SHORTEST_HEADER, _FLAC_LONGEST_HEADER = 6, 16
_FLAC_BLOCK_BYTES, _FLAC_RATE_BYTES = {6: 1, 7: 2}, {12: 1, 13: 2, 14: 2}
"""Bytes at a header's end, by its codes, for a block size or a rate that has no code of its own."""
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
    start = max(_FLAC_STREAM_INFO, len(data) - _FLAC_LONGEST_FRAME)
    at, tried = len(data), 0
    while tried < _FLAC_CANDIDATES and (at := data.rfind(b"\xff", start, at)) >= 0:
        if _is_flac_header(data[at : at + _FLAC_LONGEST_HEADER]):
            tried += 1
            if _crc16(data[at:]) == 0:
                return True
    return False


def _is_flac_header(data: bytes | bytearray) -> bool:
    """Whether a frame's header with the right checksum begins here (RFC 9639 section 9.1).

    What stands for the samples may hold the same two bytes hundreds of times.
    """
    if len(data) < _FLAC_SHORTEST_HEADER or data[1] & 0xFE != 0xF8:  # noqa: PLR2004 - the RFC's
        return False
    number = max(1, 8 - (data[4] ^ 0xFF).bit_length())  # bytes, coded as in UTF-8
    block, rate = data[2] >> 4, data[2] & 0x0F
    size = 4 + number + _FLAC_BLOCK_BYTES.get(block, 0) + _FLAC_RATE_BYTES.get(rate, 0)
    return _crc8(data[: size + 1]) == 0


def _crc8(data: bytes | bytearray) -> int:
    """Return the CRC with polynomial 0x07; 0 for data that ends with its own."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 & 0xFF ^ (0x07 if crc & 0x80 else 0)
    return crc


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
