from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.text.ssml import values


@pytest.mark.parametrize(
    ("time", "strength", "seconds"),
    [
        ("250ms", None, 0.25),
        ("1.5s", None, 1.5),
        ("2s", "weak", 2.0),
        (None, "none", 0.0),
        (None, "x-strong", 1.25),
        (None, None, 0.75),
        ("0s", None, 0.0),
    ],
)
def test_a_pause_is_read_in_seconds(time: str | None, strength: str | None, seconds: float) -> None:
    assert values.pause(time, strength) == seconds


@pytest.mark.parametrize("time", ["", "soon", "1", "-1s", "1min", "61s", "1e9s", "9" * 400 + "s"])
def test_a_pause_that_is_no_time_or_too_long_is_refused(time: str) -> None:
    with pytest.raises(ValueError, match=r"time|number"):
        values.pause(time, None)


@pytest.mark.parametrize(
    ("value", "factor"),
    [("80%", 0.8), ("+10%", 1.1), ("-10%", 0.9), ("1.2", 1.2), ("fast", 1.5), ("medium", 1.0)],
)
def test_a_rate_is_read_as_a_factor(value: str, factor: float) -> None:
    assert values.rate(value) == pytest.approx(factor)


@pytest.mark.parametrize("value", ["0%", "-100%", "0", "+2", "quickly", "", "2st", "nan", "inf"])
def test_a_rate_that_means_nothing_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        values.rate(value)


@pytest.mark.parametrize(
    ("value", "semitones"),
    [("+2st", 2), ("-2.5st", -2.5), ("+100%", 12), ("-50%", -12), ("+160Hz", 12), ("low", -3)],
)
def test_a_pitch_is_read_in_semitones(value: str, semitones: float) -> None:
    assert values.pitch(value) == pytest.approx(semitones)


@pytest.mark.parametrize("value", ["120Hz", "20%", "-100%", "-160Hz", "loud", "2"])
def test_a_pitch_whose_shift_is_unknown_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        values.pitch(value)


@pytest.mark.parametrize(
    ("value", "decibels"),
    [("+6dB", 6), ("-6.5dB", -6.5), ("soft", -6), ("x-loud", 12), ("silent", values.SILENT_DB)],
)
def test_a_volume_is_read_in_decibels(value: str, decibels: float) -> None:
    assert values.volume(value) == decibels


@given(st.text(max_size=30) | st.from_regex(r"[+-]?[0-9.]{1,12}(%|st|Hz|dB)?", fullmatch=True))
def test_any_text_is_a_finite_number_or_refused(value: str) -> None:
    for read in (values.rate, values.pitch, values.volume):
        with contextlib.suppress(ValueError):
            assert math.isfinite(read(value))


@given(st.integers(1, 60_000))
def test_milliseconds_and_seconds_agree(milliseconds: int) -> None:
    in_seconds = values.pause(f"{milliseconds / 1000:.3f}s", None)
    assert values.pause(f"{milliseconds}ms", None) == pytest.approx(in_seconds)
