"""A tiny Tortoise with random weights, its files where the hub has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_SETTINGS = {
    "model": "tortoise",
    "num_autoregressive_samples": 2,
    "diffusion_iterations": 3,
    "model_args": {
        "ar_layers": 1,
        "ar_model_dim": 64,
        "ar_heads": 2,
        "diff_model_channels": 64,
        "diff_num_layers": 1,
        "diff_in_latent_channels": 64,
        "diff_num_heads": 2,
        "clvp_dim_text": 64,
        "clvp_dim_speech": 64,
        "clvp_dim_latent": 64,
        "clvp_text_enc_depth": 1,
        "clvp_speech_enc_depth": 1,
        "clvp_text_heads": 2,
        "clvp_speech_heads": 2,
    },
}


def make_tortoise(folder: Path, *, lasts: int = 12, has_voice: bool = True) -> Path:
    """Write a model; return its folder.

    Args:
        folder: Of the model.
        lasts: How many sounds it makes of any text; 0: it never ends by itself.
        has_voice: It comes with what its own voice is made of.
    """
    import torch
    from TTS.config import load_config
    from TTS.tts.layers.tortoise.random_latent_generator import RandomLatentConverter
    from TTS.tts.models.tortoise import Tortoise

    (folder / ".models").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "config.json").write_text(json.dumps(_SETTINGS))
    torch.manual_seed(1)
    model = Tortoise(load_config(folder / "config.json"))
    _end_after(model.autoregressive, lasts)
    parts = {
        ".models/autoregressive.pth": model.autoregressive.state_dict(),
        ".models/diffusion_decoder.pth": model.diffusion.state_dict(),
        ".models/clvp2.pth": model.clvp.state_dict(),
        ".models/vocoder.pth": {"model_g": model.vocoder.state_dict()},
        "data/mel_norms.pth": torch.ones(80),
    }
    if has_voice:
        parts[".models/rlg_auto.pth"] = RandomLatentConverter(64).state_dict()
        parts[".models/rlg_diffuser.pth"] = RandomLatentConverter(128).state_dict()
    for name, weights in parts.items():
        torch.save(weights, folder / name)
    return folder


def _end_after(chooser: torch.nn.Module, lasts: int) -> None:
    """Have the network choose the sound that ends all at one place, and nowhere else."""
    import torch

    end, place = chooser.stop_mel_token, chooser.mel_pos_embedding.emb.weight
    mark = torch.ones(place.shape[1])
    mark[::2] = -1
    with torch.no_grad():
        chooser.mel_head.weight[end] = mark
        chooser.mel_head.bias[end] = -20 if lasts else -1_000
        if lasts:
            place[lasts:] += 100 * mark
