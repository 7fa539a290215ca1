from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ttskit.codecs.decode import decode, open_decoder
from ttskit.codecs.encode import encode, open_encoder
from ttskit.codecs.formats import Backend
from ttskit.codecs.pcm import Samples, to_pcm
from ttskit.errors import InvalidParameterError, InvalidResponseError, UnsupportedFormatError

Tone = Callable[..., Samples]

with_av = pytest.mark.engine("av")
EVERY_READER = [
    *[pytest.param(name, None, id=name) for name in ["pcm", "mulaw", "alaw", "wav"]],
    *[pytest.param(n, "soundfile", id=f"{n}-soundfile") for n in ["flac", "ogg", "opus", "mp3"]],
    *[
        pytest.param(name, "av", id=f"{name}-av", marks=with_av)
        for name in ["flac", "ogg", "opus", "mp3", "aac", "m4a"]
    ],
]
CONTAINERS = EVERY_READER[3:]


def sound(frames: int = 3_000) -> Samples:
    return np.random.default_rng(5).uniform(-0.3, 0.3, frames).astype(np.float32)


def in_chunks(
    data: bytes, name: str, sizes: list[int], backend: Backend | None = None, channels: int = 1
) -> Samples:
    decoder = open_decoder(name, sample_rate=24_000, channels=channels, backend=backend)
    borders = [0, *np.cumsum(sizes, dtype=int).tolist(), len(data)]
    parts = [decoder.decode(data[a:b]) for a, b in pairwise(borders)]
    parts.append(decoder.finish())
    return np.concatenate([part for part in parts if len(part)])


@pytest.mark.parametrize(("name", "backend"), EVERY_READER)
@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 900), max_size=8))
def test_any_chunking_gives_the_same_audio(
    name: str, backend: Backend | None, sizes: list[int]
) -> None:
    data = encode(sound(), name, sample_rate=24_000)
    chunked = in_chunks(data, name, sizes, backend)
    assert len(chunked) >= 3_000 - 256
    assert np.array_equal(chunked, in_chunks(data, name, [], backend))


@pytest.mark.parametrize(("name", "backend"), EVERY_READER)
def test_audio_may_come_byte_by_byte(name: str, backend: Backend | None) -> None:
    data = encode(sound(400), name, sample_rate=24_000)
    bytewise = in_chunks(data, name, [1] * len(data), backend)
    assert np.array_equal(bytewise, in_chunks(data, name, [], backend))


@pytest.mark.parametrize("name", ["pcm", "mulaw", "alaw", "wav", "flac"])
def test_stereo_frames_may_be_cut_anywhere(name: str) -> None:
    stereo = sound(600).reshape(300, 2)
    data = encode(stereo, name, sample_rate=24_000)
    chunked = in_chunks(data, name, [1, 2, 3, 5, 7, 64, 1], channels=2)
    assert np.abs(chunked - stereo).max() < 0.02


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("pcm", None),
        ("mulaw", None),
        ("alaw", None),
        ("wav", None),
        pytest.param("mp3", "av", marks=with_av),
    ],
)
def test_audio_comes_out_while_it_arrives(name: str, backend: Backend | None) -> None:
    data = encode(sound(24_000), name, sample_rate=24_000)
    decoder = open_decoder(name, sample_rate=24_000, backend=backend)
    assert len(decoder.decode(data[: len(data) // 2])) > 10_000
    assert decoder.sample_rate == 24_000


@pytest.mark.parametrize(("name", "backend"), CONTAINERS)
def test_the_content_tells_its_format(name: str, backend: Backend | None) -> None:
    decoded = decode(encode(sound(), name, sample_rate=24_000), backend=backend)
    assert decoded.format == name


@pytest.mark.parametrize(
    ("subtype", "step"),
    [
        ("PCM_U8", 2**-7),
        ("PCM_16", 2**-15),
        ("PCM_24", 2**-23),
        ("PCM_32", 2**-23),
        ("FLOAT", 0),
        ("DOUBLE", 0),
        ("ULAW", 0.02),
        ("ALAW", 0.02),
    ],
)
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
def test_every_kind_of_wav_is_read(container: str, subtype: str, step: float) -> None:
    samples, file = sound(999), io.BytesIO()
    soundfile.write(file, samples, 16_000, subtype, format=container)
    decoded = decode(file.getvalue())
    assert decoded.sample_rate == 16_000
    assert np.abs(decoded.samples - samples).max() <= step


def test_an_adpcm_wav_is_refused() -> None:
    file = io.BytesIO()
    soundfile.write(file, sound(999), 16_000, "IMA_ADPCM", format="WAV")
    with pytest.raises(InvalidResponseError, match="not supported"):
        decode(file.getvalue())


@pytest.mark.parametrize("name", ["mulaw", "alaw"])
@pytest.mark.parametrize("level", [-1e-4, -1e-3, -0.01, -0.05])
def test_a_quiet_negative_start_is_no_text(name: str, level: float) -> None:
    hum = np.full(400, level, np.float32)
    assert len(decode(encode(hum, name, sample_rate=8_000), name, sample_rate=8_000).samples) == 400


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000], ids=hex)
def test_a_streamed_wav_may_have_any_placeholder_for_its_size(size: int) -> None:
    whole = encode(sound(), "wav", sample_rate=24_000)
    data = whole[:40] + size.to_bytes(4, "little") + whole[44:]
    assert in_chunks(data, "wav", [50, 1]).shape == (3_000,)


def test_chunks_around_the_samples_of_a_wav_are_left_out() -> None:
    whole = encode(sound(), "wav", sample_rate=24_000)
    extra = b"LIST\x05\0\0\0INFO!\0"
    data = whole[:12] + extra + whole[12:36] + extra + whole[36:] + extra
    assert in_chunks(data, "wav", [14, 9, 30]).shape == (3_000,)


@pytest.mark.parametrize(
    "reply",
    [
        b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>",
        b'{"error": "quota"}',
        b'\n [{"detail": "the model is loading, please try again in a while"}]',
        b"Internal Server Error: upstream connect error or disconnect",
    ],
    ids=["html", "short json", "json", "text"],
)
@pytest.mark.parametrize("name", ["pcm", "mulaw", "alaw", "wav", "flac", "ogg", "opus", "mp3"])
def test_text_in_place_of_audio_is_refused(name: str, reply: bytes) -> None:
    for sizes in ([], [1] * len(reply)):
        with pytest.raises(InvalidResponseError, match="text"):
            in_chunks(reply, name, sizes)


@pytest.mark.parametrize(("name", "backend"), EVERY_READER)
def test_an_empty_reply_is_refused(name: str, backend: Backend | None) -> None:
    with pytest.raises(InvalidResponseError, match="empty"):
        in_chunks(b"", name, [], backend)


@pytest.mark.parametrize(("name", "backend"), CONTAINERS)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.777, 0.999])
def test_a_file_cut_short_is_refused(name: str, backend: Backend | None, part: float) -> None:
    data = encode(sound(24_000), name, sample_rate=24_000)
    with pytest.raises(InvalidResponseError):
        in_chunks(data[: int(len(data) * part)], name, [], backend)


@pytest.mark.parametrize("name", ["flac", "ogg", "opus"])
@given(part=st.floats(0.01, 0.99))
@settings(max_examples=30, deadline=None)
def test_a_stream_cut_short_is_refused(name: str, part: float) -> None:
    encoder = open_encoder(name, sample_rate=24_000)
    data = encoder.encode(sound(9_000)) + encoder.finish()
    cut = int(len(data) * part)
    # Between two frames a cut leaves no trace, as check_whole says.
    assume(name != "flac" or data[cut : cut + 2] != b"\xff\xf8")
    with pytest.raises(InvalidResponseError):
        in_chunks(data[:cut], name, [])


@pytest.mark.parametrize(("name", "channels"), [("pcm", 1), ("pcm", 2), ("mulaw", 2), ("alaw", 2)])
def test_raw_audio_that_ends_within_a_frame_is_refused(name: str, channels: int) -> None:
    with pytest.raises(InvalidResponseError, match="within a frame"):
        in_chunks(bytes(101), name, [], channels=channels)


@pytest.mark.parametrize(("name", "backend"), CONTAINERS)
@settings(max_examples=30, deadline=None)
@given(at=st.integers(0, 3_000), junk=st.binary(min_size=1, max_size=90))
def test_damage_is_an_error_of_ours_or_audio(
    name: str, backend: Backend | None, at: int, junk: bytes
) -> None:
    data = encode(sound(2_000), name, sample_rate=24_000)
    damaged = data[: at % len(data)] + junk + data[at % len(data) + len(junk) :]
    try:
        samples = in_chunks(damaged, name, [100], backend)
    except InvalidResponseError:
        return
    assert np.isfinite(samples).all()


@settings(deadline=None)
@given(data=st.binary(min_size=1, max_size=300))
def test_random_bytes_are_no_audio(data: bytes) -> None:
    for name in ("wav", "flac", "opus"):
        with pytest.raises(InvalidResponseError):
            in_chunks(data, name, [])


@pytest.mark.parametrize("declared", ["pcm", "mulaw", "alaw", "mp3", "ogg", "wav"])
def test_audio_of_another_format_is_refused(declared: str) -> None:
    with pytest.raises(InvalidResponseError, match=f"is flac, not {declared}"):
        in_chunks(encode(sound(), "flac", sample_rate=24_000), declared, [])


def test_quiet_pcm_is_not_taken_for_mpeg() -> None:
    below_zero = np.full(100, -5 / 32_768, np.float32)
    assert to_pcm(below_zero)[:2] == b"\xfb\xff"
    assert len(in_chunks(b"\xff" + to_pcm(below_zero)[:-1], "pcm", [])) == 100


@pytest.mark.parametrize("declared", ["ogg", "opus"])
@pytest.mark.parametrize("name", ["ogg", "opus"])
def test_either_name_does_for_an_ogg_file(name: str, declared: str) -> None:
    decoded = decode(encode(sound(), name, sample_rate=24_000), declared)
    assert decoded.format == name


@pytest.mark.parametrize(("name", "backend"), EVERY_READER)
def test_more_audio_than_allowed_is_refused(name: str, backend: Backend | None) -> None:
    data = encode(np.zeros(240_000, np.float32), name, sample_rate=24_000)
    with pytest.raises(InvalidResponseError, match="longer than 5 s"):
        decode(data, name, sample_rate=24_000, max_seconds=5, backend=backend)


def test_a_bomb_is_stopped_before_it_fills_the_memory() -> None:
    encoder = open_encoder("flac", sample_rate=8_000)
    minute = np.zeros(8_000 * 60, np.float32)
    bomb = b"".join(encoder.encode(minute) for _ in range(20)) + encoder.finish()
    assert len(bomb) < 100_000
    with pytest.raises(InvalidResponseError, match="longer than 60 s"):
        decode(bomb, max_seconds=60)


def test_samples_that_are_no_numbers_are_refused() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.array([0.1, np.nan], np.float32), 24_000, "FLOAT", format="WAV")
    with pytest.raises(InvalidResponseError, match="finite"):
        decode(file.getvalue())


@pytest.mark.parametrize("tag", [b"ID3\x04\0\0\0\0\x02\x01" + bytes(257), b"\0" * 70], ids=repr)
@pytest.mark.parametrize("trailer", [b"", b"TAG" + bytes(125)], ids=["", "id3v1"])
@with_av
def test_tags_around_an_mp3_are_left_out(tag: bytes, trailer: bytes) -> None:
    data = encode(sound(), "mp3", sample_rate=24_000)
    tagged = in_chunks(tag + data + trailer, "mp3", [100] * 5, "av")
    assert np.array_equal(tagged, in_chunks(data, "mp3", [], "av"))


@with_av
def test_both_libraries_read_the_same_from_an_mp3(tone: Tone) -> None:
    data = encode(tone(24_000), "mp3", sample_rate=24_000)
    ours, theirs = (in_chunks(data, "mp3", [], backend) for backend in ("av", "soundfile"))
    assert np.abs(ours - theirs).max() < 1e-3


def test_raw_audio_needs_its_sample_rate() -> None:
    with pytest.raises(InvalidParameterError, match="sample rate"):
        open_decoder("pcm")


@pytest.mark.usefixtures("without_av")
def test_without_pyav_aac_is_refused_with_the_remedy() -> None:
    with pytest.raises(UnsupportedFormatError, match=r"ttskit\[codecs\]"):
        open_decoder("aac")


@pytest.mark.usefixtures("without_av")
def test_without_pyav_soundfile_reads_mp3() -> None:
    assert len(decode(encode(sound(), "mp3", sample_rate=24_000)).samples) >= 3_000


def test_a_streamed_flac_is_whole_however_its_last_frame_looks() -> None:
    # What stands for this sound holds the two bytes that begin a frame some thirty times.
    burst = np.zeros(640, np.float32)
    burst[:96] = np.random.default_rng(0).normal(scale=0.1, size=96)
    encoder = open_encoder("flac", sample_rate=16_000)
    before = np.zeros(8_192, np.float32)
    data = encoder.encode(before) + encoder.encode(burst) + encoder.finish()
    assert data.count(b"\xff\xf8") > 16
    assert len(decode(data).samples) == len(before) + len(burst)
    with pytest.raises(InvalidResponseError):
        decode(data[:-100])
