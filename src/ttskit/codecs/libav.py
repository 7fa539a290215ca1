"""Opus, MP3 and AAC through FFmpeg's libraries (PyAV); imported only where PyAV is installed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from typing_extensions import override

from ttskit.codecs.mpeg import FrameCutter, Gapless, adts_frame_size, gapless, mp3_frame_size
from ttskit.codecs.pcm import AnySamples, Samples, as_frames, as_samples
from ttskit.codecs.sink import Sink
from ttskit.codecs.spec import Reader, Spec, Writer
from ttskit.codecs.whole import check_whole
from ttskit.errors import InvalidResponseError
from ttskit.request import AudioFormat


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How FFmpeg is asked for one format."""

    container: str
    codec: str
    layout: Literal["flt", "fltp"]
    """Interleaved, or a plane for each channel: what the encoder takes."""
    options: Mapping[str, str] = field(default_factory=dict)
    whole: Mapping[str, str] = field(default_factory=dict)
    """Options of the container where it can be corrected at the end."""
    streamed: Mapping[str, str] = field(default_factory=dict)
    """Options of the container where its bytes leave at once."""


# Half of Opus' complexity costs a quarter of the time of all of it, and speech hardly suffers.
_OPUS = _Recipe(
    "ogg", "libopus", "flt", {"compression_level": "5"}, streamed={"page_duration": "100000"}
)
# LAME's quality 7 is its fast one. A streamed MP3 has no Info tag: it would promise no audio.
_MP3 = _Recipe(
    "mp3",
    "libmp3lame",
    "fltp",
    {"compression_level": "7"},
    {"id3v2_version": "0"},
    {"id3v2_version": "0", "write_xing": "0"},
)
_AAC = _Recipe("adts", "aac", "fltp")
# The index of an MP4 comes last; one that is streamed is made of fragments with an index each.
_M4A = _Recipe(
    "ipod",
    "aac",
    "fltp",
    streamed={
        "movflags": "empty_moov+delay_moov+default_base_moof",
        "frag_duration": "250000",
    },
)
_RECIPES = {
    AudioFormat.OPUS: _OPUS,
    AudioFormat.MP3: _MP3,
    AudioFormat.AAC: _AAC,
    AudioFormat.M4A: _M4A,
}
_PACKETS = {
    AudioFormat.MP3: ("mp3float", mp3_frame_size),
    AudioFormat.AAC: ("aac", adts_frame_size),
}
_FLUSH = {"flush_packets": "1"}
_LAYOUTS = {1: "mono", 2: "stereo"}


class AvWriter(Writer):
    """Writes one file with FFmpeg."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._recipe = recipe = _RECIPES[spec.format]
        self._sink = Sink(hold=not spec.streaming)
        options = {**recipe.streamed, **_FLUSH} if spec.streaming else dict(recipe.whole)
        self._container = av.open(
            self._sink, "w", format=recipe.container, container_options=options
        )
        stream = self._container.add_stream(
            recipe.codec, rate=spec.sample_rate, options=dict(recipe.options)
        )
        self._stream = cast("av.AudioStream", stream)
        self._stream.layout = _LAYOUTS[spec.channels]
        self._stream.format = recipe.layout
        self._stream.bit_rate = spec.bit_rate
        self._frames = 0

    @override
    def write(self, samples: AnySamples) -> bytes:
        if len(samples):
            self._encode(self._frame(as_samples(samples)))
        return self._sink.take()

    @override
    def close(self) -> bytes:
        self._encode(None)
        self._container.close()
        return self._sink.rest()

    def _encode(self, frame: av.AudioFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def _frame(self, samples: Samples) -> av.AudioFrame:
        planar = self._recipe.layout == "fltp"
        shaped = as_frames(samples).T if planar else samples.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(shaped, np.float32),
            format=self._recipe.layout,
            layout=_LAYOUTS[self._spec.channels],
        )
        frame.sample_rate = self._spec.sample_rate
        frame.pts = self._frames
        self._frames += len(samples)
        return frame


class AvPacketReader(Reader):
    """Reads MP3 or ADTS frame by frame, as it arrives."""

    def __init__(self, name: AudioFormat) -> None:
        codec, frame_size = _PACKETS[name]
        self._cutter = FrameCutter(frame_size)
        self._codec = cast("AudioCodecContext", av.CodecContext.create(codec, "r"))
        self._is_mp3 = name is AudioFormat.MP3
        self._started = False
        self._trim = Gapless(0, None)
        self._decoded = 0
        self._rate = 0
        self._channels = 1

    @property
    @override
    def sample_rate(self) -> int:
        return self._rate

    @property
    @override
    def channels(self) -> int:
        return self._channels

    @override
    def feed(self, data: bytes) -> Iterator[Samples]:
        for frame in self._cutter.feed(data):
            if not self._is_info(frame):
                yield from self._decode(cast("av.Packet[av.AudioStream]", av.Packet(frame)))

    @override
    def end(self) -> Iterator[Samples]:
        self._cutter.finish()
        yield from self._decode(None)
        missing = (self._trim.total or 0) - (self._decoded - self._trim.start)
        if missing > _FORGIVEN:
            raise InvalidResponseError("the audio ends before its header says")

    def _is_info(self, frame: bytes) -> bool:
        found = gapless(frame) if self._is_mp3 and not self._started else None
        self._started = True
        self._trim = found or self._trim
        return found is not None

    def _decode(self, packet: av.Packet[av.AudioStream] | None) -> Iterator[Samples]:
        for frame in self._codec.decode(packet):
            self._rate = frame.sample_rate
            self._channels = frame.layout.nb_channels
            samples = self._trimmed(cast("Samples", frame.to_ndarray()))
            yield samples[0] if self._channels == 1 else np.ascontiguousarray(samples.T)

    def _trimmed(self, planes: Samples) -> Samples:
        """Return the part that is neither the encoder's silence before nor that after the sound."""
        start, total = self._trim.start, self._trim.total
        at = self._decoded
        self._decoded += planes.shape[1]
        end = planes.shape[1] if total is None else max(0, start + total - at)
        return planes[:, max(0, start - at) : end]


_FORGIVEN = 1_152
"""Frames by which an Info tag may be wrong: one frame of MPEG-1 audio."""


class AvFileReader(Reader):
    """Reads any file that FFmpeg knows; it needs it whole, so the audio comes at the end."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._rate = 0
        self._channels = 1

    @property
    @override
    def sample_rate(self) -> int:
        return self._rate

    @property
    @override
    def channels(self) -> int:
        return self._channels

    @override
    def feed(self, data: bytes) -> Iterator[Samples]:
        self._data += data
        return iter(())

    @override
    def end(self) -> Iterator[Samples]:
        check_whole(self._data)
        with av.open(io.BytesIO(self._data), "r", metadata_errors="ignore") as container:
            streams = [one for one in container.streams.audio if _decodable(one.codec_context)]
            if not streams:
                raise InvalidResponseError("the file holds no audio of a known coding")
            stream = streams[0]
            self._rate, self._channels = stream.rate, stream.channels
            floats = av.AudioResampler(format="flt", layout=stream.layout, rate=stream.rate)
            for frame in container.decode(stream):
                for ready in floats.resample(frame):
                    yield self._shaped(ready)

    def _shaped(self, frame: av.AudioFrame) -> Samples:
        flat = cast("Samples", frame.to_ndarray()).reshape(-1)
        return flat if self._channels == 1 else flat.reshape(-1, self._channels)


def _decodable(context: object) -> bool:
    """Whether FFmpeg knows the coding: PyAV leaves the context out otherwise, unlike its types."""
    return context is not None
