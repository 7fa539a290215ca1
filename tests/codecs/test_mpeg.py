from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.codecs.encode import encode
from ttskit.codecs.mpeg import (
    FrameCutter,
    Mp3Header,
    adts_frame_size,
    gapless,
    mp3_frame_size,
)
from ttskit.errors import InvalidResponseError

RATES = [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]


def mp3(rate: int = 24_000, channels: int = 1, frames: int = 5_000) -> bytes:
    noise = np.random.default_rng(2).uniform(-0.3, 0.3, (frames, channels)).astype(np.float32)
    return encode(noise, "mp3", sample_rate=rate, backend="soundfile")


def adts_frame(size: int) -> bytes:
    head = bytes([0xFF, 0xF1, 0x58, 0x40 | size >> 11, size >> 3 & 0xFF, (size & 7) << 5, 0xFC])
    return head + bytes(size - len(head))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_every_kind_of_mp3_is_cut_into_its_frames(rate: int, channels: int) -> None:
    data, cutter = mp3(rate, channels), FrameCutter(mp3_frame_size)
    frames = cutter.feed(data)
    cutter.finish()
    assert b"".join(frames) == data
    assert {Mp3Header.parse(frame).sample_rate for frame in frames} == {rate}  # type: ignore[union-attr]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_the_info_tag_tells_the_true_length(rate: int, channels: int) -> None:
    info, audio, *_ = FrameCutter(mp3_frame_size).feed(mp3(rate, channels))
    found = gapless(info)
    assert found is not None
    assert found.start == 1_105
    assert found.total == 5_000
    assert gapless(audio) is None


@given(sizes=st.lists(st.integers(8, 400), max_size=9), cuts=st.lists(st.integers(0, 2_000)))
def test_borders_of_chunks_do_not_matter(sizes: list[int], cuts: list[int]) -> None:
    data = b"".join(map(adts_frame, sizes)) + bytes(10)
    cutter, borders = FrameCutter(adts_frame_size), sorted([0, *cuts, len(data)])
    pieces = [data[a:b] for a, b in pairwise(borders)]
    frames = [frame for piece in pieces for frame in cutter.feed(piece)]
    assert [len(frame) for frame in frames] == sizes


@pytest.mark.parametrize("size", [0, 1, 200, 70_000])
def test_an_id3_tag_of_any_size_is_left_out(size: int) -> None:
    length = bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])
    cutter = FrameCutter(adts_frame_size)
    data = b"ID3\x04\0\0" + length + b"\xff" * size + adts_frame(20)
    frames = [
        frame for at in range(0, len(data), 999) for frame in cutter.feed(data[at : at + 999])
    ]
    assert frames == [adts_frame(20)]


@pytest.mark.parametrize("trailer", [b"TAG" + bytes(125), b"APETAGEX" + bytes(50), b"LYRICSBEGIN"])
def test_a_tag_after_the_audio_is_left_out(trailer: bytes) -> None:
    cutter = FrameCutter(adts_frame_size)
    assert cutter.feed(adts_frame(20) + trailer) == [adts_frame(20)]
    assert cutter.feed(b"more of it") == []
    cutter.finish()


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(InvalidResponseError, match="no frame"):
        FrameCutter(mp3_frame_size).feed(mp3() + b"something else")


@pytest.mark.parametrize("missing", [1, 100, 190])
def test_a_stream_that_ends_within_a_frame_is_refused(missing: int) -> None:
    cutter = FrameCutter(mp3_frame_size)
    cutter.feed(mp3()[:-missing])
    with pytest.raises(InvalidResponseError, match="within a frame"):
        cutter.finish()


@given(st.binary(min_size=10, max_size=10))
def test_any_header_is_read_or_refused(head: bytes) -> None:
    sizes = [mp3_frame_size(head), adts_frame_size(head)]
    assert all(size is None or 7 < size < 8_192 for size in sizes)
