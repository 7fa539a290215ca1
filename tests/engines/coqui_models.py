"""Tiny Coqui models with random weights: they load and run as real ones do, and say nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

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
    import torch
    from TTS.config import load_config
    from TTS.tts.models import setup_model

    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.json"
    plain = {
        "model": "vits",
        "model_args": TINY_VITS | dict(arguments or {}),
        "audio": {"sample_rate": 16_000, "hop_length": 64, "fft_size": 512, "win_length": 512},
        "use_phonemes": False,
        "text_cleaner": "basic_cleaners",
        "add_blank": True,
        "test_sentences": [],
    }
    config.write_text(json.dumps(plain | settings))
    torch.manual_seed(1)
    model = setup_model(load_config(config))
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    return folder
