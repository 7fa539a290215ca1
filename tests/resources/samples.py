"""Files that are given as samples of a voice: good ones, and bad ones of every kind."""

from __future__ import annotations

import io
import struct
from functools import cache

import numpy as np
import soundfile
from numpy.typing import NDArray


def voice(seconds: float = 2.0, *, rate: int = 16_000, channels: int = 1) -> NDArray[np.float32]:
    """Return a buzz that comes and goes as syllables do, in every channel."""
    time = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * n * time) / n for n in range(1, 8))
    sound = (0.1 * buzz * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * time))).astype(np.float32)
    return sound if channels == 1 else np.stack([sound] * channels, axis=1)


def encoded(
    samples: NDArray[np.float32], rate: int, container: str = "WAV", subtype: str | None = None
) -> bytes:
    """Return a file of libsndfile's making."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


@cache
def silent(seconds: float, container: str) -> bytes:
    """Return a small file that holds so much silence in two channels."""
    file = io.BytesIO()
    block = np.zeros((4_096, 2), np.float32)
    with soundfile.SoundFile(file, "w", 44_100, 2, format=container) as target:
        for _ in range(round(seconds * 44_100 / len(block))):
            target.write(block)
    return file.getvalue()


def with_flac_total(data: bytes, frames: int) -> bytes:
    """Return a FLAC whose header tells another total (RFC 9639 section 8.2)."""
    field = int.from_bytes(data[18:26], "big") >> 36 << 36 | frames
    return data[:18] + field.to_bytes(8, "big") + data[26:]


def with_wav_size(data: bytes, size: int) -> bytes:
    """Return a plain WAV whose ``data`` chunk claims another size."""
    return data[:40] + struct.pack("<I", size) + data[44:]


GOOD = {
    "wav": encoded(voice(), 16_000),
    "wav of 8 bits": encoded(voice(), 16_000, subtype="PCM_U8"),
    "wav of 24 bits": encoded(voice(), 16_000, subtype="PCM_24"),
    "wav of floats": encoded(voice(rate=48_000), 48_000, subtype="FLOAT"),
    "stereo": encoded(voice(rate=44_100, channels=2), 44_100),
    "flac": encoded(voice(), 16_000, "FLAC"),
    "vorbis": encoded(voice(rate=44_100), 44_100, "OGG", "VORBIS"),
    "opus": encoded(voice(rate=48_000), 48_000, "OGG", "OPUS"),
    "flac without a total": with_flac_total(encoded(voice(), 16_000, "FLAC"), 0),
}
