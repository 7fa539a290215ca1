"""Tiny Coqui models with random weights: they load and run as real ones do, and say nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_AUDIO = {"sample_rate": 16_000, "hop_length": 64, "fft_size": 512, "win_length": 512}
TINY_VITS = {
    "hidden_channels": 16,
    "hidden_channels_ffn_text_encoder": 32,
    "num_heads_text_encoder": 2,
    "num_layers_text_encoder": 1,
    "num_layers_flow": 1,
    "num_layers_posterior_encoder": 1,
    "resblock_type_decoder": "2",
    "resblock_kernel_sizes_decoder": [3],
    "resblock_dilation_sizes_decoder": [[1, 2]],
    "upsample_rates_decoder": [8, 8],
    "upsample_kernel_sizes_decoder": [16, 16],
    "upsample_initial_channel_decoder": 16,
    "out_channels": 257,
    "init_discriminator": False,
    "speaker_embedding_channels": 8,
}


def make_vits(
    folder: Path, arguments: Mapping[str, object] | None = None, **settings: object
) -> Path:
    """Write a VITS checkpoint that reads plain letters; return its folder."""
    plain = {
        "model": "vits",
        "model_args": TINY_VITS | dict(arguments or {}),
        "audio": _AUDIO,
        "use_phonemes": False,
        "text_cleaner": "basic_cleaners",
        "add_blank": True,
        "test_sentences": [],
    }
    return _write(folder, plain | settings)


SPECTROGRAMS: dict[str, dict[str, object]] = {
    "glow_tts": {
        "hidden_channels_enc": 16,
        "hidden_channels_dec": 16,
        "hidden_channels_dp": 16,
        "num_flow_blocks_dec": 2,
        "num_block_layers": 1,
        "encoder_params": {
            "kernel_size": 3,
            "dropout_p": 0.1,
            "num_layers": 1,
            "num_heads": 2,
            "hidden_channels_ffn": 16,
            "input_length": None,
        },
    },
    "fast_pitch": {"model_args": {"length_scale": 5.0}},
    "speedy_speech": {"model_args": {"length_scale": 5.0}},
    "tacotron2": {"max_decoder_steps": 40, "r": 2, "prenet_dropout_at_inference": True},
    "tacotron": {"max_decoder_steps": 40, "r": 2, "out_channels": 257},
}
"""Kinds, and settings that make them small or short."""


def make_spectrogram_model(folder: Path, kind: str, **settings: object) -> Path:
    """Write a model that draws spectrograms of plain letters; return its folder."""
    plain = {
        "model": kind,
        "audio": _AUDIO,
        "use_phonemes": False,
        "text_cleaner": "basic_cleaners",
        "test_sentences": [],
    }
    return _write(folder, plain | SPECTROGRAMS[kind] | settings)


def make_vocoder(folder: Path, *, sample_rate: int = 16_000, **sizes: object) -> Path:
    """Write a HiFi-GAN, some of its sizes given; return its folder."""
    import torch
    from TTS.config import load_config
    from TTS.vocoder.models import setup_model

    settings = {
        "model": "hifigan",
        "audio": {**_AUDIO, "sample_rate": sample_rate},
        "generator_model_params": {
            "upsample_factors": [8, 8],
            "upsample_kernel_sizes": [16, 16],
            "upsample_initial_channel": 16,
            "resblock_kernel_sizes": [3],
            "resblock_dilation_sizes": [[1, 3, 5]],
            "resblock_type": "1",
            **sizes,
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))
    torch.manual_seed(2)
    model = setup_model(load_config(folder / "config.json"))
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    return folder


def _write(folder: Path, settings: Mapping[str, object]) -> Path:
    import torch
    from TTS.config import load_config
    from TTS.tts.models import setup_model

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))
    torch.manual_seed(1)
    model = setup_model(load_config(folder / "config.json"))
    enliven(model)
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    return folder


def enliven(model: torch.nn.Module) -> None:
    """Let every part have a say: some begin as zeros, and random ones stop or rush at once."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not weight.any():
                weight.normal_(0, 0.1)
            if name.endswith("bias") and "stopnet" in name:
                weight.fill_(-10)
            if name.endswith("bias") and re.search(r"duration_predictor.*(proj|conv_last)", name):
                weight.fill_(1)
