from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.codecs.pcm import Pcm
from ttskit.codecs.pcm_frames import PcmFrames
from ttskit.errors import InvalidParameterError, InvalidResponseError

NOISE = np.random.default_rng(7).integers(-9_000, 9_000, 2_000, np.int16)


def _read(pieces: list[bytes], channels: int = 1) -> Pcm:
    frames = PcmFrames(24_000, channels)
    parts = [frames.decode(piece) for piece in pieces]
    return np.concatenate([*parts, frames.finish()])


@given(st.lists(st.integers(0, 4_000), max_size=12), st.sampled_from([1, 2]))
def test_any_chunking_gives_the_frames_as_they_came(cuts: list[int], channels: int) -> None:
    data = NOISE.tobytes()
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    read = _read(pieces, channels)
    assert read.dtype == np.int16
    assert read.shape == ((2_000,) if channels == 1 else (1_000, 2))
    assert read.tobytes() == data


def test_frames_of_a_few_bytes_are_whole() -> None:
    assert _read([b"\x01", b"\x02"]).tolist() == [0x0201]


@pytest.mark.parametrize("channels", [1, 2])
def test_bytes_that_end_within_a_frame_are_refused(channels: int) -> None:
    with pytest.raises(InvalidResponseError, match="within a frame"):
        _read([NOISE.tobytes(), b"\0"], channels)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [(b"<!DOCTYPE html><html>", "text"), (b"RIFF\0\0\0\0WAVEfmt ", "audio is wav")],
)
def test_what_is_no_raw_audio_is_refused(reply: bytes, reason: str) -> None:
    with pytest.raises(InvalidResponseError, match=reason):
        _read([reply[:5], reply[5:] + b" speech" * 20])


def test_an_empty_reply_is_refused() -> None:
    with pytest.raises(InvalidResponseError, match="empty"):
        _read([])


def test_more_audio_than_allowed_is_refused() -> None:
    frames = PcmFrames(1_000, max_seconds=1)
    frames.decode(bytes(range(1, 101)) * 20)
    with pytest.raises(InvalidResponseError, match="longer than 1 s"):
        frames.decode(b"\0\0")


def test_frames_need_their_sample_rate() -> None:
    with pytest.raises(InvalidParameterError, match="sample rate"):
        PcmFrames(0)
