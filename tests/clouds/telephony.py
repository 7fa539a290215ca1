"""µ-law within a WAV, which clouds send and ttskit only reads."""

from __future__ import annotations

import struct

from tests.clouds.contract import audio
from ttskit.codecs.pcm import Samples


def mulaw_wav(samples: Samples, rate: int) -> bytes:
    """Return mono samples as µ-law under a WAV header (format tag 7), of a size not known."""
    layout = struct.pack("<HHIIHH", 7, 1, rate, rate, 1, 8)
    head = struct.pack("<4sI4s4sI", b"RIFF", 0xFFFF_FFFF, b"WAVE", b"fmt ", len(layout))
    data = audio(samples, "mulaw", rate)
    return head + layout + struct.pack("<4sI", b"data", len(data)) + data
