"""Tiny models of Coqui's that change voices: random weights, real loading and conversion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.engines.coqui_models import enliven, make_vocoder

if TYPE_CHECKING:
    from ttskit.adapters.coqui_converters import Find

_WIDTH = 32
_WAVLM = {
    "conv_feature_layers": "[(16,10,5)] + [(16,3,2)] * 4 + [(16,2,2)] * 2",
    "encoder_layers": 6,
    "encoder_embed_dim": _WIDTH,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 2,
    "conv_pos": 16,
    "conv_pos_groups": 4,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
}
"""As in WavLM-Large, a moment of 320 samples."""
_FREEVC = {
    "inter_channels": 16,
    "hidden_channels": 16,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
    "upsample_rates": [10, 6, 4, 2],
    "upsample_kernel_sizes": [16, 16, 4, 4],
    "upsample_initial_channel": 32,
    "ssl_dim": _WIDTH,
}
_OPENVOICE = {"sampling_rate": 22_050, "filter_length": 1024, "hop_length": 256}


def make_wavlm(path: Path, **settings: object) -> Path:
    """Write a WavLM; return its path."""
    import torch
    from TTS.vc.layers.freevc.wavlm.wavlm import WavLM, WavLMConfig

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    model = WavLM(WavLMConfig(_WAVLM))
    torch.save({"cfg": _WAVLM | settings, "model": model.state_dict()}, path)
    return path


def make_freevc(folder: Path, *, knows_speakers: bool = False) -> Path:
    """Write a FreeVC with its WavLM; return its folder.

    Args:
        folder: Where to.
        knows_speakers: A network of its own tells speakers apart, as in the published model.
    """
    import torch
    from TTS.config import load_config
    from TTS.vc.layers.freevc.speaker_encoder import speaker_encoder

    from ttskit.adapters.coqui_converters import SPEAKERS, WAVLM, _OfflineFreeVC

    settings = {
        "model": "freevc",
        "model_args": {**_FREEVC, "use_spk": knows_speakers},
        "audio": {"input_sample_rate": 16_000, "output_sample_rate": 24_000},
    }
    _settle(folder, settings)
    make_wavlm(folder / WAVLM)
    torch.manual_seed(4)
    if knows_speakers:
        sizes = speaker_encoder
        encoder = torch.nn.Module()
        encoder.lstm = torch.nn.LSTM(
            sizes.mel_n_channels, sizes.model_hidden_size, sizes.model_num_layers
        )
        encoder.linear = torch.nn.Linear(sizes.model_hidden_size, sizes.model_embedding_size)
        torch.save({"model_state": encoder.state_dict()}, folder / SPEAKERS)
    model = _OfflineFreeVC(load_config(folder / "config.json"), _beside(folder))
    enliven(model)
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    return folder


def make_openvoice(folder: Path) -> Path:
    """Write an OpenVoice, whose size cannot be chosen, with its makers' settings."""
    import torch
    from TTS.vc.configs.openvoice_config import OpenVoiceConfig
    from TTS.vc.models.openvoice import OpenVoice

    data = _OPENVOICE | {"win_length": 1024}
    _settle(folder, {"_version_": "v2", "data": data, "model": {"zero_g": True}})
    torch.manual_seed(5)
    model = OpenVoice(OpenVoiceConfig())
    enliven(model)
    torch.save({"model": model.state_dict()}, folder / "checkpoint.pth")
    return folder


def make_knnvc(folder: Path) -> Path:
    """Write the settings of a kNN-VC, and its WavLM; return its folder."""
    from ttskit.adapters.coqui_converters import WAVLM

    _settle(folder, {"model": "knnvc", "model_args": {"ssl_dim": _WIDTH}})
    make_wavlm(folder / WAVLM)
    return folder


def make_moment_vocoder(folder: Path) -> Path:
    """Write a HiFi-GAN that reads WavLM's moments; return its folder."""
    return make_vocoder(
        folder,
        upsample_factors=[8, 8, 5],
        upsample_kernel_sizes=[16, 16, 11],
        pre_linear=_WIDTH,
        inference_padding=0,
    )


def _settle(folder: Path, settings: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))


def _beside(folder: Path) -> Find:
    return lambda name: folder / name
