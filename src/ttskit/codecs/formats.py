"""The audio formats: what each can carry, which library reads and writes it, how it is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import PurePath
from types import MappingProxyType
from typing import Literal, TypeAlias

from ttskit.errors import InvalidParameterError, UnsupportedFormatError
from ttskit.request import AudioFormat

Backend: TypeAlias = Literal["soundfile", "av"]

# RFC 6716 section 2: Opus works at these rates only.
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
# ISO/IEC 11172-3 and 13818-3, with the customary extension MPEG-2.5 below 16 kHz.
_MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
# ISO/IEC 14496-3, table of sampling frequency indices; 7 350 Hz is left out for want of players.
_AAC_RATES = (*_MP3_RATES, 64_000, 88_200, 96_000)


@dataclass(frozen=True, slots=True)
class FormatInfo:
    """The facts about one format."""

    name: AudioFormat
    suffixes: tuple[str, ...]
    """File name endings with the dot, the customary one first."""
    media_type: str
    lossless: bool
    max_channels: int = 2
    sample_rates: tuple[int, ...] | None = None
    """Hz, ascending; None: any."""
    customary_rate: int | None = None
    """Hz expected by those who use the format, whatever the engine's rate; None: the engine's."""
    bit_rate: int | None = None
    """Default bits a second for one channel; None: the format has no bit rate to choose."""
    writers: tuple[Backend, ...] = ()
    """Libraries that can encode it, best first; empty: ttskit does it by itself."""
    readers: tuple[Backend, ...] = ()
    """Libraries that can decode it, best first."""

    @property
    def suffix(self) -> str:
        """The customary file name ending, with the dot."""
        return self.suffixes[0]

    @property
    def needs(self) -> Backend | None:
        """The library without which the format cannot be written; None: none."""
        return self.writers[-1] if self.writers else None


_EITHER: tuple[Backend, ...] = ("av", "soundfile")
_ROWS = (
    FormatInfo(AudioFormat.WAV, (".wav", ".wave"), "audio/wav", lossless=True, max_channels=8),
    FormatInfo(
        AudioFormat.FLAC,
        (".flac",),
        "audio/flac",
        lossless=True,
        max_channels=8,
        writers=("soundfile",),
        readers=("soundfile", "av"),
    ),
    FormatInfo(
        AudioFormat.OGG,
        (".ogg", ".oga"),
        "audio/ogg",
        lossless=False,
        writers=("soundfile",),
        readers=("soundfile", "av"),
    ),
    FormatInfo(
        AudioFormat.OPUS,
        (".opus",),
        "audio/ogg; codecs=opus",
        lossless=False,
        sample_rates=_OPUS_RATES,
        bit_rate=32_000,
        writers=_EITHER,
        readers=("soundfile", "av"),
    ),
    FormatInfo(
        AudioFormat.MP3,
        (".mp3",),
        "audio/mpeg",
        lossless=False,
        sample_rates=_MP3_RATES,
        bit_rate=64_000,
        writers=_EITHER,
        readers=_EITHER,
    ),
    FormatInfo(
        AudioFormat.AAC,
        (".aac",),
        "audio/aac",
        lossless=False,
        sample_rates=_AAC_RATES,
        bit_rate=64_000,
        writers=("av",),
        readers=("av",),
    ),
    FormatInfo(
        AudioFormat.M4A,
        (".m4a", ".mp4"),
        "audio/mp4",
        lossless=False,
        sample_rates=_AAC_RATES,
        bit_rate=64_000,
        writers=("av",),
        readers=("av",),
    ),
    FormatInfo(AudioFormat.PCM, (".pcm", ".raw"), "audio/pcm", lossless=True, max_channels=8),
    FormatInfo(
        AudioFormat.MULAW,
        (".ulaw", ".mulaw", ".ul"),
        "audio/basic",
        lossless=False,
        customary_rate=8_000,
    ),
    FormatInfo(
        AudioFormat.ALAW,
        (".alaw", ".al"),
        "audio/PCMA",
        lossless=False,
        customary_rate=8_000,
    ),
)

FORMATS: Mapping[AudioFormat, FormatInfo] = MappingProxyType({row.name: row for row in _ROWS})
"""Every format by name."""
_BY_NAME: Mapping[str, FormatInfo] = {str(name): info for name, info in FORMATS.items()}


def format_info(name: str) -> FormatInfo:
    """Return the facts about the format of this name.

    Raises:
        UnsupportedFormatError: The name is none of ours; the message lists those.
    """
    info = _BY_NAME.get(name)
    if info is None:
        known = ", ".join(_BY_NAME)
        raise UnsupportedFormatError(f"unknown format {name[:20]!r}; known: {known}")
    return info


def format_of_path(path: str | PurePath) -> AudioFormat:
    """Return the format that the path's suffix stands for; case does not matter.

    Raises:
        UnsupportedFormatError: The suffix is missing or none of ours; the message lists those.
    """
    suffix = PurePath(path).suffix.lower()
    for info in FORMATS.values():
        if suffix in info.suffixes:
            return info.name
    known = " ".join(info.suffix for info in FORMATS.values())
    raise UnsupportedFormatError(f"no audio format has the suffix {suffix[:20]!r}; known: {known}")


def supported_rate(name: str, rate: int) -> int:
    """Return the sample rate in Hz at which the format carries audio of ``rate`` best.

    That is ``rate`` itself where the format has it, else the next higher one, so that nothing is
    lost; above the highest, the highest.

    Raises:
        InvalidParameterError: ``rate`` is not positive.
        UnsupportedFormatError: The format is none of ours.
    """
    if rate < 1:
        raise InvalidParameterError("a sample rate must be positive")
    rates = format_info(name).sample_rates
    if rates is None:
        return rate
    return min((known for known in rates if known >= rate), default=rates[-1])


def available_formats() -> tuple[AudioFormat, ...]:
    """Return the formats that can be written with what is installed here."""
    return tuple(
        info.name
        for info in FORMATS.values()
        if not info.writers or any(is_installed(backend) for backend in info.writers)
    )


def is_installed(backend: Backend) -> bool:
    """Return whether the library can be imported, without importing it."""
    return find_spec(backend) is not None


def choose_backend(
    name: AudioFormat, candidates: tuple[Backend, ...], wanted: Backend | None
) -> Backend | None:
    """Return the first candidate that is installed, or ``wanted`` and no other where it is given.

    Returns:
        None where no candidates are needed.

    Raises:
        UnsupportedFormatError: None of them is installed, or ``wanted`` cannot do this format.
    """
    if not candidates:
        return None
    allowed = [backend for backend in candidates if wanted in (None, backend)]
    for backend in allowed:
        if is_installed(backend):
            return backend
    if "av" in allowed:
        raise UnsupportedFormatError(f'{name} needs PyAV: pip install "ttskit[codecs]"')
    raise UnsupportedFormatError(f"{wanted} does not do {name} here; {candidates[0]} does")
