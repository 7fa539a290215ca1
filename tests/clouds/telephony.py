"""µ-law and A-law within a WAV, which clouds send and ttskit only reads."""

from __future__ import annotations

import struct

from tests.clouds.contract import audio
from ttskit.codecs.pcm import Samples

TAGS = {"alaw": 6, "mulaw": 7}
"""Format tags of RFC 2361."""


def telephony_wav(samples: Samples, form: str, rate: int) -> bytes:
    """Return mono samples as µ-law or A-law under a WAV header, of a size not known."""
    layout = struct.pack("<HHIIHH", TAGS[form], 1, rate, rate, 1, 8)
    head = struct.pack("<4sI4s4sI", b"RIFF", 0xFFFF_FFFF, b"WAVE", b"fmt ", len(layout))
    data = audio(samples, form, rate)
    return head + layout + struct.pack("<4sI", b"data", len(data)) + data
