from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from ttskit.codecs.decode import Decoded, decode
from ttskit.codecs.encode import encode, open_encoder
from ttskit.codecs.formats import Backend
from ttskit.codecs.pcm import Samples, from_pcm, to_pcm
from ttskit.errors import InvalidParameterError, InvalidResponseError, UnsupportedFormatError

Tone = Callable[..., Samples]

with_av = pytest.mark.engine("av")
LOSSLESS = ["wav", "flac", "pcm"]
EVERY_WRITER = [
    *[pytest.param(name, None, id=name) for name in [*LOSSLESS, "mulaw", "alaw", "ogg"]],
    pytest.param("opus", "soundfile", id="opus-soundfile"),
    pytest.param("mp3", "soundfile", id="mp3-soundfile"),
    *[pytest.param(n, "av", id=f"{n}-av", marks=with_av) for n in ["opus", "mp3", "aac", "m4a"]],
]
CODEC_FRAME = {"mp3": 1_152, "aac": 1_024, "m4a": 1_024}
# What cannot say how much silence its encoder begins with: see open_encoder.
UNTRIMMED = {("aac", "whole"), ("aac", "streamed"), ("mp3", "streamed")}


def streamed(
    samples: Samples, name: str, sizes: Sequence[int] = (), *, backend: Backend | None = None
) -> bytes:
    encoder = open_encoder(
        name, sample_rate=24_000, channels=1 if samples.ndim == 1 else 2, backend=backend
    )
    borders = np.cumsum([0, *sizes, len(samples)])
    chunks = [samples[a:b] for a, b in pairwise(borders)]
    return b"".join([*map(encoder.encode, chunks), encoder.finish()])


def read(data: bytes, name: str) -> Decoded:
    return decode(data, name, sample_rate=24_000)


@pytest.mark.parametrize("make", ["whole", "streamed"])
@pytest.mark.parametrize(("name", "backend"), EVERY_WRITER)
def test_the_file_is_as_long_as_what_went_in(
    name: str, backend: Backend | None, make: str, tone: Tone
) -> None:
    samples = tone(30_011)
    write = streamed if make == "streamed" else encode_at_24k
    decoded = read(write(samples, name, backend=backend), name)
    frame = CODEC_FRAME.get(name, 1)
    allowed = 2 * frame if (name, make) in UNTRIMMED else frame
    assert decoded.sample_rate == 24_000
    assert 0 <= len(decoded.samples) - len(samples) < allowed


def encode_at_24k(samples: Samples, name: str, *, backend: Backend | None = None) -> bytes:
    return encode(samples, name, sample_rate=24_000, backend=backend)


@pytest.mark.parametrize(("name", "backend"), EVERY_WRITER)
def test_the_sound_comes_back_where_it_was(name: str, backend: Backend | None, tone: Tone) -> None:
    samples = tone(24_000)
    decoded = read(encode(samples, name, sample_rate=24_000, backend=backend), name).samples
    late = 1_024 if name == "aac" else 0
    heard = decoded[late : late + len(samples)]
    # A frame too early or too late makes 0.06 at this pitch; libsndfile's Opus is one too early.
    assert np.abs(heard - samples).max() < 0.1


@pytest.mark.parametrize(("name", "backend"), EVERY_WRITER)
def test_stereo_stays_stereo(name: str, backend: Backend | None, tone: Tone) -> None:
    stereo = tone(9_600, channels=2) * np.array([1, 0], np.float32)
    data = encode(stereo, name, sample_rate=24_000, backend=backend)
    decoded = decode(data, name, sample_rate=24_000, channels=2).samples
    left, right = np.square(decoded).mean(axis=0)
    assert left > 100 * right


@pytest.mark.parametrize("name", LOSSLESS)
@given(frames=st.integers(1, 5_000), sizes=st.lists(st.integers(0, 2_000), max_size=6))
def test_lossless_formats_give_every_sample_back(name: str, frames: int, sizes: list[int]) -> None:
    noise = np.random.default_rng(3).uniform(-1, 1, frames).astype(np.float32)
    expected = to_pcm(noise)
    assert to_pcm(read(streamed(noise, name, sizes), name).samples) == expected
    assert to_pcm(read(encode_at_24k(noise, name), name).samples) == expected


@pytest.mark.parametrize(("name", "backend"), EVERY_WRITER)
@settings(max_examples=8, deadline=None)
@given(sizes=st.lists(st.integers(0, 3_000), max_size=5))
def test_any_chunking_gives_the_same_audio(
    name: str, backend: Backend | None, sizes: list[int]
) -> None:
    noise = np.random.default_rng(3).uniform(-0.3, 0.3, 6_000).astype(np.float32)
    chunked, at_once = (streamed(noise, name, cut, backend=backend) for cut in (sizes, []))
    assert np.array_equal(read(chunked, name).samples, read(at_once, name).samples)


@pytest.mark.parametrize(("name", "backend"), EVERY_WRITER)
def test_a_stream_gives_bytes_before_its_end(
    name: str, backend: Backend | None, tone: Tone
) -> None:
    encoder = open_encoder(name, sample_rate=24_000, backend=backend)
    early = [len(encoder.encode(chunk)) for chunk in np.split(tone(96_000), 20)]
    assert sum(early) > 3 * len(encoder.finish())


@pytest.mark.parametrize("reader", ["soundfile", pytest.param("av", marks=with_av)])
@pytest.mark.parametrize("name", ["wav", "flac", "ogg", "opus", "mp3"])
def test_others_read_our_streams(name: str, reader: str, tone: Tone) -> None:
    data = streamed(tone(24_000), name, [1_000] * 5)
    assert frames_seen_by(reader, data) / 24_000 == pytest.approx(1, abs=0.1)


def frames_seen_by(reader: str, data: bytes) -> float:
    if reader == "soundfile":
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            # Not to the end: there soundfile stumbles over a FLAC whose total is unknown.
            return len(file.read(23_000)) * 24_000 / file.samplerate
    import av

    with av.open(io.BytesIO(data)) as container:
        rate = container.streams.audio[0].rate
        return sum(frame.samples for frame in container.decode(audio=0)) * 24_000 / rate


@pytest.mark.parametrize("name", ["wav", "flac"])
def test_a_stream_of_known_length_says_so(name: str, tone: Tone) -> None:
    encoder = open_encoder(name, sample_rate=24_000, frames=5_000)
    data = encoder.encode(tone(5_000)) + encoder.finish()
    assert soundfile.info(io.BytesIO(data)).frames == 5_000


def test_a_streamed_wav_has_one_header_of_44_bytes(tone: Tone) -> None:
    samples = tone(4_800)
    data = streamed(samples, "wav", [100, 0, 1_700])
    assert data.count(b"RIFF") == 1
    assert data[44:] == to_pcm(samples)


def test_a_whole_wav_knows_its_size(tone: Tone) -> None:
    data = encode_at_24k(tone(4_801), "wav")
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert int.from_bytes(data[40:44], "little") == len(data) - 44


def test_a_wav_without_sound_is_a_header() -> None:
    encoder = open_encoder("wav", sample_rate=24_000)
    assert soundfile.info(io.BytesIO(encoder.finish())).frames == 0


@pytest.mark.parametrize(("name", "backend"), EVERY_WRITER)
def test_a_stream_without_sound_ends_quietly(name: str, backend: Backend | None) -> None:
    encoder = open_encoder(name, sample_rate=24_000, backend=backend)
    assert isinstance(encoder.encode(np.zeros(0, np.float32)) + encoder.finish(), bytes)


@pytest.mark.parametrize(
    ("name", "rate", "written"),
    [("opus", 22_050, 24_000), ("opus", 44_100, 48_000), ("mp3", 96_000, 48_000)],
)
@pytest.mark.parametrize("backend", ["soundfile", pytest.param("av", marks=with_av)])
def test_a_rate_that_the_format_cannot_carry_is_changed(
    name: str, rate: int, written: int, backend: Backend, tone: Tone
) -> None:
    encoder = open_encoder(name, sample_rate=rate, backend=backend, streaming=False)
    decoded = decode(encoder.encode(tone(rate, rate)) + encoder.finish())
    assert encoder.sample_rate == written == decoded.sample_rate
    assert len(decoded.samples) == pytest.approx(written, abs=1_152)


@pytest.mark.parametrize(("name", "backend"), EVERY_WRITER[6:])
def test_a_higher_bit_rate_makes_a_bigger_file(
    name: str, backend: Backend | None, tone: Tone
) -> None:
    noise = tone(48_000) + np.random.default_rng(1).uniform(-0.2, 0.2, 48_000).astype(np.float32)
    sizes = [
        len(encode(noise, name, sample_rate=24_000, bit_rate=rate, backend=backend))
        for rate in (24_000, 64_000)
    ]
    assert sizes[1] > 1.5 * sizes[0]


def test_channels_are_matched_to_the_file(tone: Tone) -> None:
    encoder = open_encoder("pcm", sample_rate=24_000, channels=2)
    pcm = encoder.encode(tone(100)) + encoder.encode(tone(100, channels=2))
    assert np.array_equal(from_pcm(pcm, channels=2)[:100], from_pcm(pcm, channels=2)[100:])


@pytest.mark.parametrize("name", ["wav", "flac", "ogg"])
def test_samples_beyond_full_scale_are_clipped_not_wrapped(name: str) -> None:
    loud = np.full(4_000, 1.5, np.float32)
    assert read(encode_at_24k(loud, name), name).samples[1_000:3_000].min() > 0.8


def test_samples_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InvalidResponseError, match="finite"):
        encode_at_24k(np.array([np.nan], np.float32), "wav")


@pytest.mark.parametrize(
    "numbers",
    [
        {"sample_rate": 0},
        {"channels": 0},
        {"channels": 3},
        {"bit_rate": 5},
        {"bit_rate": 10_000_000},
    ],
    ids=str,
)
def test_a_number_out_of_range_is_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(InvalidParameterError):
        open_encoder("opus", **{"sample_rate": 24_000, **numbers})


def test_a_bit_rate_is_refused_where_there_is_none_to_choose() -> None:
    with pytest.raises(InvalidParameterError, match="flac has no bit rate"):
        open_encoder("flac", sample_rate=24_000, bit_rate=64_000)


@pytest.mark.usefixtures("without_av")
@pytest.mark.parametrize("name", ["opus", "mp3"])
def test_without_pyav_soundfile_writes(name: str, tone: Tone) -> None:
    assert decode(encode_at_24k(tone(2_400), name)).format == name


@pytest.mark.usefixtures("without_av")
@pytest.mark.parametrize("name", ["aac", "m4a"])
def test_without_pyav_aac_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"ttskit\[codecs\]"):
        open_encoder(name, sample_rate=24_000)
