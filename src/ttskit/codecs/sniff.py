"""What bytes are, told from how they begin."""

from __future__ import annotations

from ttskit.codecs.mpeg import is_adts, is_layer_3
from ttskit.request import AudioFormat

HEAD_BYTES = 64
"""So many bytes from the start tell everything that can be told."""
_PROBE = 32
_SYNC_BYTES = 2
_TEXT = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\n\r")
_LOUD = frozenset(b' \t\n\r"<')
_PAIRS = {b"<": b">", b"{": b"}", b"[": b"]"}


def sniff(head: bytes) -> AudioFormat | None:
    """Return the format of a file that starts so; None where that is not certain.

    Raw PCM, µ-law and A-law cannot be told from anything else.
    """
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return AudioFormat.WAV
    if head[:4] == b"fLaC":
        return AudioFormat.FLAC
    if head[:4] == b"OggS":
        return AudioFormat.OPUS if head[28:36] == b"OpusHead" else AudioFormat.OGG
    if head[4:8] == b"ftyp":
        return AudioFormat.M4A
    return _sniff_mpeg(head)


def is_text(head: bytes, *, is_telephony: bool = False) -> bool:
    """Return whether this is a web page, JSON or other text instead of audio.

    Args:
        head: The first bytes.
        is_telephony: µ-law or A-law was due: a stretch of negative samples is letters there, and
            only what would be among the loudest of them tells text.
    """
    probe = head[:_PROBE]
    if not _TEXT.issuperset(probe) or (is_telephony and _LOUD.isdisjoint(probe)):
        return False
    stripped = probe.strip()
    if len(probe) == _PROBE:
        return True
    return len(stripped) > 1 and stripped.endswith(_PAIRS.get(stripped[:1], b"\0"))


def _sniff_mpeg(head: bytes) -> AudioFormat | None:
    if head[:3] == b"ID3":
        return AudioFormat.MP3
    if len(head) < _SYNC_BYTES:
        return None
    if is_adts(head):
        return AudioFormat.AAC
    return AudioFormat.MP3 if is_layer_3(head) else None
