from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.errors import InvalidResponseError
from ttskit.routing.verdict import check_speech

TEXT = "A sentence of some length."


def tone(seconds: float, *, peak: float = 0.5, rate: int = 16_000) -> np.ndarray:
    wave = np.sin(np.arange(round(seconds * rate)) / 10, dtype=np.float32)
    return np.asarray(wave * peak, np.float32)


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(np.zeros(0, np.float32), id="no audio"),
        pytest.param(np.zeros(48_000, np.float32), id="silence"),
        pytest.param(tone(2, peak=0.0005), id="near silence"),
        pytest.param(tone(0.05), id="absurdly short"),
        pytest.param(np.full(48_000, np.nan, np.float32), id="not numbers"),
    ],
)
def test_what_is_no_speech_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(InvalidResponseError):
        check_speech(samples, 16_000, TEXT)


@given(characters=st.integers(1, 400), speed=st.floats(0.25, 4))
def test_speech_of_any_plausible_pace_is_accepted(characters: int, speed: float) -> None:
    seconds = characters / 30 / max(speed, 1) + 0.05
    check_speech(tone(seconds), 16_000, "x" * characters, speed=speed)


def test_the_message_does_not_repeat_the_text() -> None:
    with pytest.raises(InvalidResponseError) as failure:
        check_speech(tone(0.05), 16_000, TEXT)
    assert "sentence" not in str(failure.value)
