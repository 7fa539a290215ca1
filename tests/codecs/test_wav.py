from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.codecs.decode import decode
from ttskit.codecs.wav import HEADER_BYTES, wav_header
from ttskit.errors import InvalidResponseError


def sizes(header: bytes) -> tuple[int, int]:
    return struct.unpack_from("<I", header, 4)[0], struct.unpack_from("<I", header, 40)[0]


@given(rate=st.integers(1, 192_000), channels=st.integers(1, 8), frames=st.integers(0, 1_000))
def test_the_header_is_that_of_the_standard_library(rate: int, channels: int, frames: int) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as theirs:
        theirs.setparams((channels, 2, rate, frames, "NONE", "not compressed"))
        theirs.writeframes(bytes(2 * channels * frames))
    assert wav_header(rate, channels, frames) == file.getvalue()[:HEADER_BYTES]


@pytest.mark.parametrize("frames", [None, 2**31, 2**31 - 1], ids=str)
def test_a_size_that_is_unknown_or_too_big_is_the_placeholder(frames: int | None) -> None:
    assert sizes(wav_header(24_000, 1, frames)) == (0xFFFFFFFF, 0xFFFFFFFF)


def test_the_standard_library_reads_a_streamed_wav() -> None:
    data = wav_header(24_000, 1, None) + bytes(2_000)
    with wave.open(io.BytesIO(data)) as file:
        assert len(file.readframes(5_000)) == 2_000


@pytest.mark.parametrize("bits", [0, 7, 12, 64])
def test_sample_sizes_that_do_not_exist_are_refused(bits: int) -> None:
    header = bytearray(wav_header(24_000, 1, 100))
    header[34] = bits
    with pytest.raises(InvalidResponseError, match="not supported"):
        decode(bytes(header) + bytes(200))


@pytest.mark.parametrize("size", [0, 15, 4_097, 2**32 - 1])
def test_a_format_chunk_of_no_sensible_size_is_refused(size: int) -> None:
    header = bytearray(wav_header(24_000, 1, 100))
    header[16:20] = size.to_bytes(4, "little")
    with pytest.raises(InvalidResponseError, match="header is broken"):
        decode(bytes(header) + bytes(200))


@pytest.mark.parametrize(("rate", "channels"), [(1, 1), (2**31, 1), (24_000, 9)])
def test_a_rate_or_channels_that_no_speech_has_are_refused(rate: int, channels: int) -> None:
    header = bytearray(wav_header(24_000, channels, 100))
    header[24:28] = rate.to_bytes(4, "little")
    with pytest.raises(InvalidResponseError, match="no speech has"):
        decode(bytes(header) + bytes(200 * channels))


def test_samples_before_their_format_are_refused() -> None:
    data = b"RIFF\xff\xff\xff\xffWAVEdata\xff\xff\xff\xff" + bytes(100)
    with pytest.raises(InvalidResponseError, match="within its header"):
        decode(data)


def test_an_audible_clip_survives_with_a_list_chunk_of_odd_size() -> None:
    samples = np.linspace(-0.5, 0.5, 300, dtype=np.float32)
    pcm = (samples * 32_768).astype("<i2").tobytes()
    header = wav_header(24_000, 1, 300)
    data = header[:36] + b"note\x03\0\0\0abc\0" + header[36:] + pcm
    assert np.abs(decode(data).samples - samples).max() < 1e-4
