"""Recordings are cut where they are quiet, and nothing of them is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.adapters.quiet_pieces import pieces

LIMITS = [
    {"shortest_s": 5.0, "longest_s": 8.0, "step_s": 0.02},
    {"shortest_s": 10.0, "longest_s": 20.0, "step_s": 0.04},
]


@given(
    seconds=st.floats(0, 70),
    rate=st.sampled_from([1_000, 16_000, 44_100]),
    limits=st.sampled_from(LIMITS),
    seed=st.integers(0, 2**32 - 1),
)
def test_pieces_are_the_recording_in_order_and_none_is_too_long(
    seconds: float, rate: int, limits: dict[str, float], seed: int
) -> None:
    noise = np.random.default_rng(seed).random(round(seconds * rate), dtype=np.float32)
    found = list(pieces(noise, rate, **limits))
    assert [start for start, _ in found] == [0, *(end for _, end in found[:-1])]
    assert found[-1][1] == len(noise)
    lengths = [end - start for start, end in found]
    assert max(lengths) <= limits["longest_s"] * rate
    assert all(length >= limits["shortest_s"] * rate for length in lengths[:-1])
    assert all(length % round(limits["step_s"] * rate) == 0 for length in lengths[:-1])


@pytest.mark.parametrize("limits", LIMITS)
@given(place=st.floats(0, 1), rate=st.sampled_from([1_000, 24_000]))
def test_a_recording_is_cut_in_its_pause(limits: dict[str, float], place: float, rate: int) -> None:
    sound = np.ones(30 * rate, np.float32)
    room = limits["longest_s"] - limits["shortest_s"] - 0.2
    start = round((limits["shortest_s"] + place * room) * rate)
    end = start + round(0.2 * rate)
    sound[start:end] = 0
    first, *_ = pieces(sound, rate, **limits)
    assert start < first[1] < end
