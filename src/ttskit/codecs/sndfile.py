"""FLAC, Vorbis, Opus and MP3 through libsndfile."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
import soundfile
from typing_extensions import override

from ttskit.codecs.blocks import Blocks
from ttskit.codecs.mpeg import FrameCutter, mp3_frame_size
from ttskit.codecs.pcm import AnySamples, Samples, as_samples, to_int16
from ttskit.codecs.sink import Sink
from ttskit.codecs.spec import Reader, Spec, Writer
from ttskit.codecs.whole import check_whole
from ttskit.errors import InvalidResponseError
from ttskit.request import AudioFormat

_SUBTYPES = {
    AudioFormat.FLAC: ("FLAC", "PCM_16"),
    AudioFormat.OGG: ("OGG", "VORBIS"),
    AudioFormat.OPUS: ("OGG", "OPUS"),
    AudioFormat.MP3: ("MP3", "MPEG_LAYER_III"),
}
_BLOCK = 4_096
"""Frames handed over at a time. Vorbis looks ahead as far as it can see, so that the same audio in
other chunks would sound different, and libsndfile overflows its stack on very long ones."""
_READ_BLOCK = 65_536
"""Frames read at a time: soundfile seeks after each, and MP3 is decoded again for every seek."""
_UNKNOWN_TOTAL = 2**62
_MPEG_1_FROM, _MPEG_2_FROM = 32_000, 16_000
"""The lowest sample rates of these versions, Hz; MPEG-2.5 has those below."""
_BAD_SEEK = 39
"""libsndfile's SFE_BAD_SEEK."""
Look = Callable[[int, int, int | None], None]


class SndfileWriter(Writer):
    """Writes one file with libsndfile."""

    def __init__(self, spec: Spec) -> None:
        self._sink = Sink(hold=not spec.streaming)
        self._strip = FrameCutter(mp3_frame_size) if _has_placeholder(spec) else None
        self._lossless = spec.format is AudioFormat.FLAC
        container, subtype = _SUBTYPES[spec.format]
        self._total = spec.frames if spec.streaming and self._lossless else None
        self._stripped = False
        self._blocks = Blocks(_BLOCK, spec.channels)
        self._file = soundfile.SoundFile(
            self._sink,
            "w",
            spec.sample_rate,
            spec.channels,
            subtype,
            format=container,
            **_quality(spec),
        )

    @override
    def write(self, samples: AnySamples) -> bytes:
        for block in self._blocks.feed(as_samples(samples)):
            self._put(block)
        return self._corrected(self._sink.take())

    @override
    def close(self) -> bytes:
        self._put(self._blocks.rest())
        self._file.close()
        return self._corrected(self._sink.rest())

    def _put(self, block: Samples) -> None:
        self._file.write(to_int16(block) if self._lossless else np.clip(block, -1, 1))

    def _corrected(self, data: bytes) -> bytes:
        """Put right what libsndfile would go back for, did it still have the first bytes."""
        if self._strip:
            frames = self._strip.feed(data)
            first = 0 if self._stripped else 1
            self._stripped = self._stripped or bool(frames)
            return b"".join(frames[first:])
        if self._total is not None and data:
            data, self._total = _with_flac_total(data, self._total), None
        return data


def _has_placeholder(spec: Spec) -> bool:
    """Whether the first MP3 frame is an Info tag that nobody will fill in, and that misleads."""
    return spec.streaming and spec.format is AudioFormat.MP3


def _with_flac_total(data: bytes, frames: int) -> bytes:
    """Return the start of a FLAC with its total put in: 36 bits from byte 21.5 (RFC 9639, 8.2)."""
    field = int.from_bytes(data[18:26], "big") >> 36 << 36 | frames
    return data[:18] + field.to_bytes(8, "big") + data[26:]


def _quality(spec: Spec) -> dict[str, float | str]:
    """Return the bit rate in libsndfile's terms: 0 the highest the format has, 1 the lowest."""
    if spec.format is AudioFormat.OPUS:
        return {"compression_level": _level(spec, 6_000 * spec.channels, 256_000 * spec.channels)}
    if spec.format is AudioFormat.MP3:
        level = _level(spec, *_mp3_bit_rates(spec.sample_rate))
        return {"compression_level": level, "bitrate_mode": "CONSTANT"}
    return {}


def _level(spec: Spec, low: int, high: int) -> float:
    # libsndfile takes 1 itself for an error where the format is MP3.
    return min(0.99, max(0.0, (high - spec.bit_rate) / (high - low)))


def _mp3_bit_rates(sample_rate: int) -> tuple[int, int]:
    if sample_rate >= _MPEG_1_FROM:
        return 32_000, 320_000
    return 8_000, 160_000 if sample_rate >= _MPEG_2_FROM else 64_000


class SndfileReader(Reader):
    """Reads one file with libsndfile, which needs it whole: the audio comes at the end.

    Args:
        look: Called with channels, Hz and frames (None: the header does not say) before anything
            is decoded; what it raises is raised by ``end``.
    """

    def __init__(self, look: Look | None = None) -> None:
        self._look = look
        self._data = bytearray()
        self._file: soundfile.SoundFile | None = None

    @property
    @override
    def sample_rate(self) -> int:
        return self._file.samplerate if self._file else 0

    @property
    @override
    def channels(self) -> int:
        return self._file.channels if self._file else 1

    @override
    def feed(self, data: bytes) -> Iterator[Samples]:
        self._data += data
        return iter(())

    @override
    def end(self) -> Iterator[Samples]:
        check_whole(self._data)
        with soundfile.SoundFile(io.BytesIO(self._data)) as self._file:
            is_open_ended = self._file.frames >= _UNKNOWN_TOTAL
            if self._look is not None:
                frames = None if is_open_ended else self._file.frames
                self._look(self._file.channels, self._file.samplerate, frames)
            blocks = _open_ended if is_open_ended else _counted
            for block in blocks(self._file):
                yield block if self._file.channels > 1 else block.reshape(-1)


def _counted(file: soundfile.SoundFile) -> Iterator[Samples]:
    left = file.frames
    while left > 0:
        block = file.read(min(_READ_BLOCK, left), dtype="float32", always_2d=True)
        if not len(block):
            raise InvalidResponseError("the audio ends before its header says")
        left -= len(block)
        yield block


def _open_ended(file: soundfile.SoundFile) -> Iterator[Samples]:
    """Yield the audio of a streamed FLAC, whose header knows no total.

    After each read soundfile seeks to where it stands. At an end that libsndfile did not know of
    this fails and the count of frames is lost, so what was read is told from what was not by NaN.
    """
    filled = _READ_BLOCK
    while filled == _READ_BLOCK:
        block = np.full((_READ_BLOCK, file.channels), np.nan, np.float32)
        try:
            file.read(out=block)
        except soundfile.LibsndfileError as error:
            if error.code != _BAD_SEEK:
                raise
        filled = _READ_BLOCK - int(np.isnan(block[:, 0]).sum())
        yield block[:filled]
