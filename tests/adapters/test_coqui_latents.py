"""Cloned voices are remembered, and not for ever; growing sound is made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ttskit.codecs.pcm import Samples, to_pcm
from ttskit.codecs.wav import wav_header

pytestmark = pytest.mark.engine("coqui")


def write_sample(path: Path, level: float, *, channels: int = 1) -> str:
    samples = np.full(2_400 * channels, level, np.float32)
    path.write_bytes(wav_header(24_000, channels, 2_400) + to_pcm(samples))
    return str(path)


def test_the_voices_used_longest_ago_are_cloned_anew(tmp_path: Path) -> None:
    import torch

    from ttskit.adapters.coqui_clones import Clones
    from ttskit.adapters.coqui_latents import Latents

    def mean(samples: Samples, sample_rate: int) -> Latents:
        assert sample_rate == 24_000
        return Latents(torch.tensor(samples.mean()), torch.tensor(0.0))

    clones = Clones(mean, most=2)
    one, two, three = (write_sample(tmp_path / f"{n}.wav", n / 10) for n in (1, 2, 3))
    for path, made in ((one, 1), (two, 2), (one, 2), (three, 3), (one, 3), (two, 4)):
        expected = int(Path(path).stem) / 10
        assert float(clones.voice(path).manner) == pytest.approx(expected, abs=1e-4)
        assert clones.made == made
    assert float(clones.voice(write_sample(tmp_path / "4.wav", 0.4, channels=2)).manner) > 0.39


@pytest.mark.parametrize("tail", [0, 3], ids=["only more", "the last ones changed"])
def test_growing_sound_is_what_all_at_once_would_be(tail: int) -> None:
    import torch
    from TTS.vocoder.models.hifigan_generator import HifiganGenerator

    from ttskit.adapters.coqui_growing import XTTS_DECODER, GrowingDecoder

    torch.manual_seed(0)
    one = XTTS_DECODER
    sizes = (one.block, one.dilations, one.kernels, one.rate_kernels)
    decoder = HifiganGenerator(4, 1, *sizes, 32, one.rates, inference_padding=0)
    growing = GrowingDecoder(decoder, radius=one.radius())
    frames = torch.randn(1, 4, 90)
    with torch.inference_mode():
        for end in (20, 45, 46, 90):
            given = frames[:, :, :end].clone()
            given[:, :, end - tail :] = 0
            assert torch.allclose(growing(given), decoder(given), atol=1e-6)
    assert growing.made < 20 + 45 + 46 + 90
