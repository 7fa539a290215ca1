"""A sound to code, and the formats with each library that can write them."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from ttskit.codecs.pcm import Samples

Tone = Callable[..., Samples]


@pytest.fixture(scope="session")
def tone() -> Tone:
    """Make a 440 Hz tone that swells and fades, so that its middle can be found again."""

    def make(frames: int, sample_rate: int = 24_000, channels: int = 1) -> Samples:
        seconds = np.arange(frames) / sample_rate
        swell = np.hanning(frames + 2)[1:-1]
        mono = (0.5 * swell * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)
        return mono if channels == 1 else np.repeat(mono[:, None], channels, axis=1)

    return make


@pytest.fixture
def without_av(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as if PyAV were not installed."""
    monkeypatch.setitem(sys.modules, "av", None)
