from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.codecs.pcm import Samples
from ttskit.codecs.splice import (
    fade_edges,
    join,
    match_channels,
    silence,
    speech_bounds,
    trim_silence,
)

RATE = 8_000


def loud(frames: int, value: float = 0.5) -> Samples:
    return np.full(frames, value, np.float32)


def with_silence(before: int, frames: int, after: int) -> Samples:
    return np.concatenate([loud(before, 0), loud(frames), loud(after, 0)])


def largest_step(samples: Samples) -> float:
    return float(np.abs(np.diff(samples)).max())


@pytest.mark.parametrize(("channels", "shape"), [(1, (2_000,)), (2, (2_000, 2))])
def test_silence_has_its_length_and_channels(channels: int, shape: tuple[int, ...]) -> None:
    quiet = silence(0.25, RATE, channels)
    assert quiet.shape == shape
    assert not quiet.any()


@given(before=st.integers(0, 900), frames=st.integers(1, 900), after=st.integers(0, 900))
def test_trimming_keeps_the_speech_and_what_was_asked_for(
    before: int, frames: int, after: int
) -> None:
    trimmed = trim_silence(with_silence(before, frames, after), RATE, keep_s=0.05)
    assert np.array_equal(trimmed, with_silence(min(before, 400), frames, min(after, 400)))


def test_bounds_tell_where_the_trimmed_speech_was() -> None:
    assert speech_bounds(with_silence(1_000, 500, 1_000), RATE, keep_s=0.01) == (920, 1_580)


@pytest.mark.parametrize("frames", [0, 100])
def test_silence_alone_is_trimmed_to_nothing(frames: int) -> None:
    assert len(trim_silence(loud(frames, 0.001), RATE)) == 0


def test_speech_in_either_channel_is_kept() -> None:
    stereo = np.stack([with_silence(500, 100, 0), with_silence(0, 100, 500)], 1)
    assert trim_silence(stereo, RATE).shape == (600, 2)


def test_a_cut_in_mid_sound_is_joined_without_a_click() -> None:
    joined = join([loud(800), loud(800, -0.5), loud(800)], RATE)
    assert largest_step(joined) < 0.05
    assert joined[0] == joined[-1] == 0.5


def test_silent_borders_are_left_as_they_are() -> None:
    pieces = [with_silence(10, 100, 10), with_silence(10, 100, 10)]
    assert np.array_equal(join(pieces, RATE), np.concatenate(pieces))


@given(sizes=st.lists(st.integers(0, 100), min_size=1, max_size=6), channels=st.integers(1, 2))
def test_joining_keeps_every_frame(sizes: list[int], channels: int) -> None:
    pieces = [match_channels(loud(size), channels) for size in sizes]
    assert len(join(pieces, RATE)) == sum(sizes)


def test_fading_does_not_change_what_was_given() -> None:
    samples = loud(800)
    faded = fade_edges(samples, RATE)
    assert samples.min() == 0.5
    assert faded[0] < 0.01
    assert faded[-1] < 0.01


def test_mono_goes_to_every_channel_and_back() -> None:
    mono = np.linspace(-1, 1, 50, dtype=np.float32)
    stereo = match_channels(mono, 2)
    assert stereo.shape == (50, 2)
    assert np.array_equal(match_channels(stereo, 1), mono)


def test_channels_are_averaged_to_mono() -> None:
    stereo = np.array([[1.0, 0.0], [0.5, -0.5]], np.float32)
    assert np.array_equal(match_channels(stereo, 1), [0.5, 0.0])


@pytest.mark.parametrize(("shape", "channels"), [((5,), 1), ((5, 1), 1), ((5, 2), 2)])
def test_matching_channels_only_settles_the_shape(shape: tuple[int, ...], channels: int) -> None:
    matched = match_channels(np.ones(shape, np.float32), channels)
    assert matched.shape == ((5,) if channels == 1 else (5, channels))
