"""Samples to bytes of any format, whole or as a stream."""

from __future__ import annotations

from typing import Protocol

from typing_extensions import override

from ttskit.codecs.alaw import to_alaw
from ttskit.codecs.foreign import translated
from ttskit.codecs.formats import Backend, FormatInfo, choose_backend, format_info, supported_rate
from ttskit.codecs.mulaw import to_mulaw
from ttskit.codecs.pcm import AnySamples, as_samples, check_finite, to_pcm
from ttskit.codecs.resample import HIGHEST_RATE, LOWEST_RATE, Resampler
from ttskit.codecs.spec import Spec, Writer
from ttskit.codecs.splice import match_channels
from ttskit.codecs.wav import WavWriter
from ttskit.errors import InvalidParameterError, UnsupportedFormatError
from ttskit.request import AudioFormat

_BIT_RATES = (8_000, 256_000)
"""What may be asked for, bits a second; each codec takes the nearest it has."""


class Encoder(Protocol):
    """Takes samples, gives the bytes of one file as they are ready.

    The pieces, joined, are one valid file with one header, whatever the chunks were.
    """

    @property
    def sample_rate(self) -> int:
        """Hz that the file has; differs from what is fed where the format cannot carry that."""

    def encode(self, samples: AnySamples) -> bytes:
        """Return the bytes that are ready after these further frames; may be empty.

        Raises:
            InvalidResponseError: A sample is no finite number.
        """

    def finish(self) -> bytes:
        """Return all bytes that are left; called once, after the last frames."""


def open_encoder(  # noqa: PLR0913 - keyword-only facts of one file
    format: str,
    *,
    sample_rate: int,
    channels: int = 1,
    bit_rate: int | None = None,
    streaming: bool = True,
    frames: int | None = None,
    backend: Backend | None = None,
) -> Encoder:
    """Return an encoder for one file.

    Args:
        format: A name of ``AudioFormat``.
        sample_rate: Hz of the samples that will be fed. A rate that the format cannot carry is
            changed to ``formats.supported_rate``, at which the file then plays.
        channels: Of the file; samples with more or fewer are matched.
        bit_rate: Bits a second, for opus, mp3, aac and m4a; None: one that suits speech.
        streaming: Bytes leave as they come. Otherwise they all come from ``finish``, with headers
            that know the total, which most players prefer in a file.
        frames: How many will be fed, where that is known: a streamed WAV or FLAC then says so.
        backend: The library to use; None: the best that is installed.

    Raises:
        UnsupportedFormatError: The format is unknown, or its library is not installed.
        InvalidParameterError: A number is out of range.

    What formats cannot say: ADTS, and MP3 when streamed, have no field for the 1 024 and 1 105
    frames of silence their encoders start with, and are longer by these and by less than one
    codec frame at the end.
    """
    info = format_info(format)
    _check(info, sample_rate, channels, bit_rate)
    rate = supported_rate(info.name, sample_rate)
    spec = Spec(
        format=info.name,
        sample_rate=rate,
        channels=channels,
        bit_rate=bit_rate or (info.bit_rate or 0) * channels,
        streaming=streaming,
        frames=None if frames is None else round(frames * rate / sample_rate),
    )
    chosen = choose_backend(info.name, info.writers, backend)
    return _FileEncoder(spec, sample_rate, chosen)


def encode(
    samples: AnySamples,
    format: str,
    *,
    sample_rate: int,
    bit_rate: int | None = None,
    backend: Backend | None = None,
) -> bytes:
    """Return the samples as one whole file, with as many channels as they have.

    Raises:
        UnsupportedFormatError: The format is unknown, or its library is not installed.
        InvalidParameterError: A number is out of range.
        InvalidResponseError: A sample is no finite number.
    """
    encoder = open_encoder(
        format,
        sample_rate=sample_rate,
        channels=1 if samples.ndim == 1 else samples.shape[1],
        bit_rate=bit_rate,
        streaming=False,
        frames=len(samples),
        backend=backend,
    )
    return encoder.encode(samples) + encoder.finish()


class _FileEncoder:
    """Brings samples to the rate and channels of the file before its writer sees them."""

    def __init__(self, spec: Spec, source_rate: int, backend: Backend | None) -> None:
        self._spec = spec
        differs = source_rate != spec.sample_rate
        self._resampler = (
            Resampler(source_rate, spec.sample_rate, spec.channels) if differs else None
        )
        self._failure = f"{spec.format} could not be written with these settings"
        with translated(UnsupportedFormatError, self._failure):
            self._writer = _writer(spec, backend)

    @property
    def sample_rate(self) -> int:
        return self._spec.sample_rate

    def encode(self, samples: AnySamples) -> bytes:
        check_finite(samples)
        matched = match_channels(samples, self._spec.channels)
        if self._resampler is not None:
            matched = self._resampler.feed(as_samples(matched))
        return self._write(matched)

    def finish(self) -> bytes:
        last = self._write(self._resampler.finish()) if self._resampler else b""
        with translated(UnsupportedFormatError, self._failure):
            return last + self._writer.close()

    def _write(self, samples: AnySamples) -> bytes:
        with translated(UnsupportedFormatError, self._failure):
            return self._writer.write(samples)


_RAW = {AudioFormat.MULAW: to_mulaw, AudioFormat.ALAW: to_alaw}


class _RawWriter(Writer):
    """Writes samples without any header."""

    def __init__(self, spec: Spec) -> None:
        self._to_bytes = _RAW.get(spec.format, to_pcm)

    @override
    def write(self, samples: AnySamples) -> bytes:
        return self._to_bytes(samples)

    @override
    def close(self) -> bytes:
        return b""


def _writer(spec: Spec, backend: Backend | None) -> Writer:
    if backend == "av":
        from ttskit.codecs.libav import AvWriter  # PyAV is optional

        return AvWriter(spec)
    if backend == "soundfile":
        from ttskit.codecs.sndfile import SndfileWriter  # loaded where needed

        return SndfileWriter(spec)
    return WavWriter(spec) if spec.format is AudioFormat.WAV else _RawWriter(spec)


def _check(info: FormatInfo, sample_rate: int, channels: int, bit_rate: int | None) -> None:
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise InvalidParameterError(
            f"sample_rate must be between {LOWEST_RATE} and {HIGHEST_RATE} Hz"
        )
    if not 1 <= channels <= info.max_channels:
        raise InvalidParameterError(f"{info.name} carries 1 to {info.max_channels} channels")
    if bit_rate is None:
        return
    if info.bit_rate is None:
        raise InvalidParameterError(f"{info.name} has no bit rate to choose")
    if not _BIT_RATES[0] <= bit_rate <= _BIT_RATES[1]:
        raise InvalidParameterError(
            f"bit_rate must be between {_BIT_RATES[0]} and {_BIT_RATES[1]} bits a second"
        )
