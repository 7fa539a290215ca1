from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ttskit.codecs.pcm import (
    as_samples,
    check_finite,
    concatenated,
    from_pcm,
    to_int16,
    to_pcm,
)
from ttskit.errors import InvalidResponseError


@given(hnp.arrays(np.dtype("<i2"), st.integers(0, 500)))
def test_every_16_bit_number_survives_the_round_trip(numbers: np.ndarray) -> None:
    assert to_pcm(from_pcm(numbers.tobytes())) == numbers.tobytes()


def test_numbers_as_they_came_are_converted_only_beside_others() -> None:
    numbers, floats = np.array([-32768, 16384], np.int16), np.array([0.25], np.float32)
    assert concatenated([numbers, numbers]).dtype == np.int16
    mixed = concatenated([numbers, floats])
    assert mixed.dtype == np.float32
    assert mixed.tolist() == [-1.0, 0.5, 0.25]
    assert as_samples(floats) is floats


@pytest.mark.parametrize(
    ("sample", "number"), [(1.5, 32767), (1.0, 32767), (-1.0, -32768), (-9, -32768)]
)
def test_samples_beyond_full_scale_are_clipped(sample: float, number: int) -> None:
    assert to_int16(np.array([sample], np.float32))[0] == number


def test_channels_are_interleaved() -> None:
    stereo = np.array([[0.5, -0.5], [0.25, -0.25]], np.float32)
    assert np.array_equal(from_pcm(to_pcm(stereo), channels=2), stereo)


def test_bytes_that_end_within_a_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="reshape"):
        from_pcm(bytes(6), channels=2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(InvalidResponseError, match="finite"):
        check_finite(np.array([0.0, bad, 0.0], np.float32))
