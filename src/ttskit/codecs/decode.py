"""Bytes of any format to samples, whole or as they arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from typing_extensions import override

from ttskit.codecs.alaw import from_alaw
from ttskit.codecs.foreign import translated
from ttskit.codecs.formats import Backend, choose_backend, format_info
from ttskit.codecs.mpeg import SYNC
from ttskit.codecs.mulaw import from_mulaw
from ttskit.codecs.pcm import Samples, check_finite, from_pcm
from ttskit.codecs.resample import HIGHEST_RATE, LOWEST_RATE
from ttskit.codecs.sniff import HEAD_BYTES, is_text, sniff
from ttskit.codecs.spec import Reader
from ttskit.codecs.wav import WavReader
from ttskit.errors import InvalidParameterError, InvalidResponseError
from ttskit.request import AudioFormat

MAX_SECONDS = 3_600.0
"""Default bound of what is decoded, in seconds: a small file can hold days of silence."""
_MAX_CHANNELS = 8
_RAW = (AudioFormat.PCM, AudioFormat.MULAW, AudioFormat.ALAW)
_TELEPHONY = (AudioFormat.MULAW, AudioFormat.ALAW)
_OGG = {AudioFormat.OGG, AudioFormat.OPUS}


class Decoder(Protocol):
    """Takes the bytes of one file however they are cut, gives the samples as they are ready."""

    @property
    def sample_rate(self) -> int:
        """Hz; 0 until it is known."""

    @property
    def channels(self) -> int:
        """Samples a frame; certain once samples came."""

    def decode(self, data: bytes) -> Samples:
        """Return the frames that are ready after these further bytes; may be empty.

        Raises:
            InvalidResponseError: The bytes are no such audio, or more of it than allowed.
        """

    def finish(self) -> Samples:
        """Return the frames that are left; called once.

        Raises:
            InvalidResponseError: The audio is broken, cut short or empty.
        """


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded file."""

    samples: Samples
    sample_rate: int
    """Hz."""
    format: AudioFormat


def open_decoder(
    format: str,
    *,
    sample_rate: int = 0,
    channels: int = 1,
    max_seconds: float | None = MAX_SECONDS,
    backend: Backend | None = None,
) -> Decoder:
    """Return a decoder for one file.

    pcm, mulaw, alaw and wav come out as they go in, mp3 and aac codec frame by codec frame where
    PyAV is installed; flac, ogg, opus and m4a (and mp3 without PyAV) are decoded by ``finish``.

    Args:
        format: A name of ``AudioFormat``. For ogg and opus either name does.
        sample_rate: Hz of pcm, mulaw and alaw; the other formats say it themselves.
        channels: Of pcm, mulaw and alaw.
        max_seconds: More audio than that is refused; None: no bound.
        backend: The library to use; None: the best that is installed.

    Raises:
        UnsupportedFormatError: The format is unknown, or its library is not installed.
        InvalidParameterError: A raw format without its sample rate, or channels out of range.
    """
    name = format_info(format).name
    check_raw(name, sample_rate, channels)
    reader = _reader(name, _RawShape(sample_rate, channels), backend)
    return _FileDecoder(name, reader, max_seconds)


def decode(
    data: bytes,
    format: str | None = None,
    *,
    sample_rate: int = 0,
    channels: int = 1,
    max_seconds: float | None = MAX_SECONDS,
    backend: Backend | None = None,
) -> Decoded:
    """Return the audio of a whole file.

    Args:
        data: The file's content.
        format: A name of ``AudioFormat``; None: told from the content, which raw numbers do not
            allow.
        sample_rate: As for ``open_decoder``, and so are the others.
        channels: See there.
        max_seconds: See there.
        backend: See there.

    Raises:
        InvalidResponseError: This is no audio, is broken or cut short, or more than allowed.
        UnsupportedFormatError: The format is unknown, or its library is not installed.
        InvalidParameterError: See ``open_decoder``.
    """
    found = sniff(data[:HEAD_BYTES])
    name = format_info(format).name if format else found
    if name is None:
        refuse_head(data[:HEAD_BYTES], None)
        raise InvalidResponseError("this is no audio of a known format")
    decoder = open_decoder(
        name, sample_rate=sample_rate, channels=channels, max_seconds=max_seconds, backend=backend
    )
    parts = [decoder.decode(data), decoder.finish()]
    samples = np.concatenate([part for part in parts if len(part)])
    actual = found if found and name not in _RAW else name
    return Decoded(samples, decoder.sample_rate, actual)


class _FileDecoder:
    """Keeps watch over a reader: what goes in is audio, what comes out is sane and bounded."""

    def __init__(self, name: AudioFormat, reader: Reader, max_seconds: float | None) -> None:
        self._name = name
        self._reader = reader
        self._max_seconds = max_seconds
        self._head: bytes | None = b""
        self._frames = 0

    @property
    def sample_rate(self) -> int:
        return self._reader.sample_rate

    @property
    def channels(self) -> int:
        return self._reader.channels

    def decode(self, data: bytes) -> Samples:
        if self._head is not None:
            data = self._head + data
            if len(data) < HEAD_BYTES:
                self._head = data
                return self._gathered(())
            self._head = None
            refuse_head(data[:HEAD_BYTES], self._name)
        return self._gathered(self._reader.feed(data))

    def finish(self) -> Samples:
        if self._head is not None:
            refuse_head(self._head, self._name)
        samples = self._gathered(self._last_blocks(self._head or b""))
        if not self._frames:
            raise InvalidResponseError(f"the {self._name} holds no audio")
        return samples

    def _last_blocks(self, held: bytes) -> Iterator[Samples]:
        yield from self._reader.feed(held)
        yield from self._reader.end()

    def _gathered(self, blocks: Iterable[Samples]) -> Samples:
        with translated(InvalidResponseError, f"the {self._name} is broken or cut short"):
            kept = list(self._watched(blocks))
        if len(kept) == 1:
            return kept[0]
        channels = self._reader.channels
        nothing = np.zeros(0 if channels == 1 else (0, channels), np.float32)
        return np.concatenate(kept) if kept else nothing

    def _watched(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        for block in blocks:
            rate, channels = self._reader.sample_rate, self._reader.channels
            if not LOWEST_RATE <= rate <= HIGHEST_RATE or channels > _MAX_CHANNELS:
                raise InvalidResponseError(f"no speech has {channels} channels at {rate} Hz")
            self._frames += len(block)
            if self._max_seconds is not None and self._frames > self._max_seconds * rate:
                raise too_long(self._max_seconds)
            check_finite(block)
            if len(block):
                yield block


@dataclass(frozen=True, slots=True)
class _RawShape:
    sample_rate: int
    channels: int


class _RawReader(Reader):
    """Reads samples without a header; bytes of a frame that is not whole yet are kept."""

    def __init__(self, shape: _RawShape, width: int, to_samples: Callable[..., Samples]) -> None:
        self._shape = shape
        self._block = width * shape.channels
        self._to_samples = to_samples
        self._rest = b""

    @property
    @override
    def sample_rate(self) -> int:
        return self._shape.sample_rate

    @property
    @override
    def channels(self) -> int:
        return self._shape.channels

    @override
    def feed(self, data: bytes) -> Iterator[Samples]:
        data = self._rest + data if self._rest else data
        whole = len(data) - len(data) % self._block
        self._rest = data[whole:]
        if whole:
            yield self._to_samples(memoryview(data)[:whole], channels=self._shape.channels)

    @override
    def end(self) -> Iterator[Samples]:
        if self._rest:
            raise InvalidResponseError("the audio ends within a frame")
        return iter(())


def _reader(name: AudioFormat, shape: _RawShape, backend: Backend | None) -> Reader:
    if name is AudioFormat.PCM:
        return _RawReader(shape, 2, from_pcm)
    if name is AudioFormat.MULAW:
        return _RawReader(shape, 1, from_mulaw)
    if name is AudioFormat.ALAW:
        return _RawReader(shape, 1, from_alaw)
    if name is AudioFormat.WAV:
        return WavReader()
    if choose_backend(name, format_info(name).readers, backend) == "soundfile":
        from ttskit.codecs.sndfile import SndfileReader  # loaded where needed

        return SndfileReader()
    from ttskit.codecs.libav import AvFileReader, AvPacketReader  # optional

    incremental = name in (AudioFormat.MP3, AudioFormat.AAC)
    return AvPacketReader(name) if incremental else AvFileReader()


def check_raw(name: AudioFormat, sample_rate: int, channels: int) -> None:
    """Accept what is told of audio that cannot tell it itself, or raise.

    Raises:
        InvalidParameterError: A raw format without its sample rate, or channels out of range.
    """
    if name in _RAW and not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise InvalidParameterError(f"{name} needs the sample rate it was made with")
    if not 1 <= channels <= _MAX_CHANNELS:
        raise InvalidParameterError(f"audio has 1 to {_MAX_CHANNELS} channels here")


def too_long(max_seconds: float | None) -> InvalidResponseError:
    """Return the error for more audio than allowed."""
    return InvalidResponseError(f"the audio is longer than {max_seconds:g} s")


def refuse_head(head: bytes, name: AudioFormat | None) -> None:
    """Refuse what begins like something other than the audio that was expected.

    Raises:
        InvalidResponseError: It is empty, text, or audio of another format.
    """
    if not head:
        raise InvalidResponseError("there is no audio: the reply is empty")
    if is_text(head, is_telephony=name in _TELEPHONY):
        raise InvalidResponseError("this is text (a web page or JSON, perhaps), no audio")
    found = sniff(head)
    # Raw samples just below zero look like the sync word of an MPEG frame.
    certain = found is not None and not (name in _RAW and head[0] == SYNC)
    if name and certain and found != name and {found, name} != _OGG:
        raise InvalidResponseError(f"the audio is {found}, not {name}")
