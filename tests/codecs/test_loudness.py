from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.codecs.loudness import apply_gain, gain_to, speech_level
from ttskit.codecs.pcm import Samples

RATE = 24_000


def sine(seconds: float, amplitude: float) -> Samples:
    times = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * 440 * times)).astype(np.float32)


def test_a_full_scale_sine_is_3_db_below_a_square_wave() -> None:
    assert speech_level(sine(1, 1.0), RATE) == pytest.approx(-3.01, abs=0.01)


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.4, 3.0])
def test_the_level_does_not_depend_on_the_length(seconds: float) -> None:
    assert speech_level(sine(seconds, 0.1), RATE) == pytest.approx(-23.01, abs=0.1)


def test_pauses_do_not_lower_the_level() -> None:
    pause = np.zeros(3 * RATE, np.float32)
    speech = sine(4, 0.1)
    level = speech_level(np.concatenate([pause, speech, pause]), RATE)
    assert level == pytest.approx(speech_level(speech, RATE), abs=0.5)


@pytest.mark.parametrize("frames", [0, 10, 48_000])
def test_silence_has_no_level(frames: int) -> None:
    assert speech_level(np.zeros(frames, np.float32), RATE) is None


def test_stereo_is_as_loud_as_each_of_its_channels() -> None:
    mono = sine(1, 0.2)
    assert speech_level(np.stack([mono, mono], 1), RATE) == pytest.approx(speech_level(mono, RATE))


@given(amplitude=st.floats(0.01, 0.3), db=st.floats(-10, 6))
def test_gain_moves_the_level_by_its_db(amplitude: float, db: float) -> None:
    samples = sine(0.5, amplitude)
    before, after = speech_level(samples, RATE), speech_level(apply_gain(samples, db), RATE)
    assert before is not None
    assert after == pytest.approx(before + db, abs=0.05)


@given(db=st.floats(-40, 40))
def test_gain_never_leaves_full_scale(db: float) -> None:
    assert np.abs(apply_gain(sine(0.01, 1.0), db)).max() <= 1.0


def test_limiting_keeps_the_order_of_samples() -> None:
    ramp = np.linspace(-1, 1, 999, dtype=np.float32)
    assert np.all(np.diff(apply_gain(ramp, 9.0)) >= 0)


@given(cut=st.integers(0, 240))
def test_chunks_may_be_amplified_apart(cut: int) -> None:
    samples = sine(0.01, 0.9)
    parts = [apply_gain(samples[:cut], 6.0), apply_gain(samples[cut:], 6.0)]
    assert np.array_equal(np.concatenate(parts), apply_gain(samples, 6.0))


def test_the_given_samples_stay_as_they_are() -> None:
    samples = sine(0.01, 0.9)
    before = samples.copy()
    apply_gain(samples, 12.0)
    assert np.array_equal(samples, before)


@pytest.mark.parametrize(
    ("level", "gain"), [(-30.0, 7.0), (-20.0, -3.0), (-60.0, 12.0), (0.0, -12.0), (None, 0.0)]
)
def test_the_gain_to_a_target_is_bounded(level: float | None, gain: float) -> None:
    assert math.isclose(gain_to(level, -23.0), gain)


def test_two_voices_end_up_equally_loud(tone: Callable[..., Samples]) -> None:
    quiet, loud = sine(1, 0.05), tone(RATE)
    levels = [
        speech_level(apply_gain(voice, gain_to(speech_level(voice, RATE), -20)), RATE)
        for voice in (quiet, loud)
    ]
    assert levels == [pytest.approx(-20, abs=0.2)] * 2
