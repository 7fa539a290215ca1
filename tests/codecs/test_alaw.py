from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from ttskit.codecs.alaw import from_alaw, to_alaw
from ttskit.codecs.decode import decode
from ttskit.codecs.pcm import from_pcm, to_int16

EVERY_CODE = bytes(range(256))
EVERY_NUMBER = np.arange(-32_768, 32_768, dtype=np.int32).astype("<i2")


def test_decoding_is_that_of_libsndfile() -> None:
    theirs, _ = soundfile.read(
        io.BytesIO(EVERY_CODE),
        dtype="int16",
        format="RAW",
        subtype="ALAW",
        samplerate=8_000,
        channels=1,
    )
    assert np.array_equal(to_int16(from_alaw(EVERY_CODE)), theirs)


def test_encoding_is_that_of_libsndfile() -> None:
    file = io.BytesIO()
    soundfile.write(file, EVERY_NUMBER, 8_000, "ALAW", format="RAW")
    assert to_alaw(from_pcm(EVERY_NUMBER.tobytes())) == file.getvalue()


@pytest.mark.engine("av")
def test_a_file_is_heard_as_ffmpeg_hears_it() -> None:
    import av

    file = io.BytesIO()
    soundfile.write(file, EVERY_NUMBER, 8_000, "ALAW", format="WAV")
    ours = decode(file.getvalue())
    with av.open(io.BytesIO(file.getvalue())) as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    assert ours.sample_rate == 8_000
    assert np.array_equal(to_int16(ours.samples), np.concatenate(frames))


def test_every_code_survives_the_round_trip() -> None:
    assert to_alaw(from_alaw(EVERY_CODE)) == EVERY_CODE


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=200))
@example([0.49999976158142090])  # in 16 bits it is a half, where steps are twice as long
def test_a_sample_comes_back_within_half_a_step(samples: list[float]) -> None:
    given_ = np.array(samples, np.float32)
    back = from_alaw(to_alaw(given_))
    magnitude = np.abs(to_int16(given_) / 32_768)
    # 11 bits below 1/64 of full scale, 4 bits and the leading one above; the rest is rounding.
    step = np.maximum(2.0 ** np.floor(np.log2(np.maximum(magnitude, 2**-6))) / 16, 2**-11)
    assert np.all(np.abs(back - given_) <= step / 2 + 2**-14)


def test_frames_may_have_two_channels() -> None:
    stereo = np.array([[0.5, -0.5]] * 4, np.float32)
    assert from_alaw(to_alaw(stereo), channels=2).shape == (4, 2)
