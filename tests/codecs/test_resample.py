from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttskit.codecs.pcm import Samples
from ttskit.codecs.resample import Resampler, resample
from ttskit.errors import InvalidParameterError

RATES = st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000])


def noise(frames: int, channels: int = 1) -> Samples:
    shape = frames if channels == 1 else (frames, channels)
    return np.random.default_rng(7).uniform(-0.5, 0.5, shape).astype(np.float32)


def in_chunks(samples: Samples, sizes: list[int], source: int, target: int) -> Samples:
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    resampler, parts, at = Resampler(source, target, channels), [], 0
    for size in sizes:
        parts.append(resampler.feed(samples[at : at + size]))
        at += size
    return np.concatenate([*parts, resampler.feed(samples[at:]), resampler.finish()])


@given(frames=st.integers(0, 20_000), source=RATES, target=RATES)
def test_the_duration_stays(frames: int, source: int, target: int) -> None:
    resampled = resample(noise(frames), source_rate=source, target_rate=target)
    assert len(resampled) == round(frames * target / source)


@settings(deadline=None)
@given(
    frames=st.integers(0, 20_000),
    sizes=st.lists(st.integers(0, 6_000), max_size=8),
    rates=st.tuples(RATES, RATES),
    channels=st.sampled_from([1, 2]),
)
def test_any_chunking_gives_the_same_audio(
    frames: int, sizes: list[int], rates: tuple[int, int], channels: int
) -> None:
    samples = noise(frames, channels)
    chunked = in_chunks(samples, sizes, *rates)
    assert len(chunked) == round(frames * rates[1] / rates[0])
    assert np.array_equal(chunked, in_chunks(samples, [], *rates))


@pytest.mark.parametrize("target", [8_000, 16_000, 48_000])
def test_a_stream_sounds_like_the_whole(target: int, tone: Callable[..., Samples]) -> None:
    samples = tone(24_000)
    whole = resample(samples, source_rate=24_000, target_rate=target)
    streamed = in_chunks(samples, [777] * 20, 24_000, target)
    assert np.abs(whole - streamed).max() < 1e-4


def test_pitch_stays(tone: Callable[..., Samples]) -> None:
    resampled = resample(tone(24_000), source_rate=24_000, target_rate=16_000)
    assert np.argmax(np.abs(np.fft.rfft(resampled))) == 440


def test_channels_stay(tone: Callable[..., Samples]) -> None:
    stereo = tone(2_400, channels=2)
    assert resample(stereo, source_rate=24_000, target_rate=48_000).shape == (4_800, 2)


def test_the_same_rate_costs_nothing() -> None:
    samples = noise(100)
    assert resample(samples, source_rate=24_000, target_rate=24_000) is samples


@pytest.mark.parametrize("rates", [(0, 8_000), (8_000, -1), (8_000, 10_000_000)])
def test_a_rate_out_of_range_is_refused(rates: tuple[int, int]) -> None:
    with pytest.raises(InvalidParameterError):
        resample(noise(10), source_rate=rates[0], target_rate=rates[1])
    with pytest.raises(InvalidParameterError):
        Resampler(*rates)
