from __future__ import annotations

import io

import numpy as np
import soundfile

from ttskit.codecs.mulaw import from_mulaw, to_mulaw
from ttskit.codecs.pcm import from_pcm, to_int16

EVERY_NUMBER = np.arange(-32_768, 32_768, dtype=np.int32).astype("<i2")


def test_decoding_is_that_of_libsndfile() -> None:
    codes = bytes(range(256))
    theirs, _ = soundfile.read(
        io.BytesIO(codes), dtype="int16", format="RAW", subtype="ULAW", samplerate=8_000, channels=1
    )
    assert np.array_equal(to_int16(from_mulaw(codes)), theirs)


def test_encoding_is_that_of_libsndfile() -> None:
    file = io.BytesIO()
    soundfile.write(file, EVERY_NUMBER, 8_000, "ULAW", format="RAW")
    assert to_mulaw(from_pcm(EVERY_NUMBER.tobytes())) == file.getvalue()


def test_codes_survive_the_round_trip() -> None:
    codes = bytes(range(256))
    again = to_mulaw(from_mulaw(codes))
    assert [pair for pair in zip(codes, again, strict=True) if pair[0] != pair[1]] == [(0x7F, 0xFF)]


def test_silence_is_all_ones() -> None:
    assert to_mulaw(np.zeros(3, np.float32)) == b"\xff\xff\xff"


def test_frames_may_have_two_channels() -> None:
    stereo = np.array([[0.5, -0.5]] * 4, np.float32)
    assert from_mulaw(to_mulaw(stereo), channels=2).shape == (4, 2)
