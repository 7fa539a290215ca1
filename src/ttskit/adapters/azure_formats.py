"""What Azure Speech can send of what ttskit can read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, cast

Format = Literal[
    "pcm",
    "wav",
    "mp3",
    "opus",
    "mulaw",
    "alaw",
    "raw-8khz-16bit-mono-pcm",
    "raw-16khz-16bit-mono-pcm",
    "raw-22050hz-16bit-mono-pcm",
    "raw-24khz-16bit-mono-pcm",
    "raw-44100hz-16bit-mono-pcm",
    "raw-48khz-16bit-mono-pcm",
    "raw-8khz-8bit-mono-mulaw",
    "raw-8khz-8bit-mono-alaw",
    "riff-8khz-16bit-mono-pcm",
    "riff-16khz-16bit-mono-pcm",
    "riff-22050hz-16bit-mono-pcm",
    "riff-24khz-16bit-mono-pcm",
    "riff-44100hz-16bit-mono-pcm",
    "riff-48khz-16bit-mono-pcm",
    "riff-8khz-8bit-mono-mulaw",
    "riff-8khz-8bit-mono-alaw",
    "audio-16khz-32kbitrate-mono-mp3",
    "audio-16khz-64kbitrate-mono-mp3",
    "audio-16khz-128kbitrate-mono-mp3",
    "audio-24khz-48kbitrate-mono-mp3",
    "audio-24khz-96kbitrate-mono-mp3",
    "audio-24khz-160kbitrate-mono-mp3",
    "audio-48khz-96kbitrate-mono-mp3",
    "audio-48khz-192kbitrate-mono-mp3",
    "ogg-16khz-16bit-mono-opus",
    "ogg-24khz-16bit-mono-opus",
    "ogg-48khz-16bit-mono-opus",
]
"""Azure's own ids, and ours for the customary one of each kind.

Left out: AMR-WB, SILK, G.722, WebM, and Opus without a container.
"""
CUSTOMARY: Mapping[str, Format] = MappingProxyType(
    {
        "pcm": "raw-24khz-16bit-mono-pcm",
        "wav": "riff-24khz-16bit-mono-pcm",
        "mp3": "audio-24khz-96kbitrate-mono-mp3",
        "opus": "ogg-24khz-16bit-mono-opus",
        "mulaw": "raw-8khz-8bit-mono-mulaw",
        "alaw": "raw-8khz-8bit-mono-alaw",
    }
)
_RATE = re.compile(r"-([0-9]+)(k?)hz-")


def azure_id(format: Format) -> str:
    """Return Azure's id of a format."""
    return CUSTOMARY.get(format, format)


def ours(format: Format) -> str:
    """Return our name of a format."""
    name = azure_id(format)
    return "wav" if name.startswith("riff-") else name.rpartition("-")[2]


def bare(format: Format) -> Format:
    """Return the format without a RIFF header; as it is where it has none."""
    return cast("Format", azure_id(format).replace("riff-", "raw-"))


def bare_rate(format: Format) -> int:
    """Return the Hz of audio without a header; 0 where it has one."""
    name = azure_id(format)
    match = _RATE.search(name)
    if match is None or not name.startswith("raw-"):
        return 0
    return int(match[1]) * (1_000 if match[2] else 1)
