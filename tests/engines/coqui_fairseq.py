"""A tiny VITS with random weights in fairseq's files, as the archives of MMS hold them."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

from tests.engines.coqui_models import enliven

NAME = "tts_models/abc/fairseq/vits"
SYMBOLS = "k'abcdefghijlmnopqrstuvwxyz _-"
"""The first one's number is the blank's, too, as in the published models."""
_MODEL = {
    "inter_channels": 16,
    "hidden_channels": 16,
    "filter_channels": 32,
    "n_heads": 2,
    "n_layers": 1,
    "kernel_size": 3,
    "p_dropout": 0.1,
    "resblock": "2",
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 2]],
    "upsample_rates": [8, 8],
    "upsample_initial_channel": 16,
    "upsample_kernel_sizes": [16, 16],
    "n_layers_q": 3,
    "use_spectral_norm": False,
}
_FAIRSEQ_NAMES = (
    (r"^text_encoder\.", "enc_p."),
    (r"^waveform_decoder\.", "dec."),
    (r"^posterior_encoder\.", "enc_q."),
    (r"^flow\.flows\.(\d+)", lambda found: f"flow.flows.{2 * int(found[1])}"),
    (r"^duration_predictor\.((?:post_)?flows\.0)\.translation$", r"dp.\1.m"),
    (r"^duration_predictor\.((?:post_)?flows\.0)\.log_scale$", r"dp.\1.logs"),
    (
        r"^duration_predictor\.((?:post_)?flows)\.([1-9])",
        lambda found: f"dp.{found[1]}.{2 * int(found[2]) - 1}",
    ),
    (r"^duration_predictor\.", "dp."),
    (r"\.parametrizations\.weight\.original0$", ".weight_g"),
    (r"\.parametrizations\.weight\.original1$", ".weight_v"),
)
"""In both lists of flows fairseq counts the flips between them, too."""


def make_fairseq(folder: Path, *, uroman: bool = False, **sizes: object) -> Path:
    """Write a model; return its folder.

    Args:
        folder: Of the model.
        uroman: It was trained on what uroman writes.
        sizes: Of the network, in fairseq's words.
    """
    import torch
    from torch import nn
    from TTS.tts.configs.vits_config import VitsConfig
    from TTS.tts.models.vits import Vits

    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "train": {"segment_size": 8192},
        "data": {
            "training_files": "train.uroman" if uroman else "train.ltr",
            "text_cleaners": ["transliteration_cleaners"],
            "sampling_rate": 16_000,
            "filter_length": 512,
            "hop_length": 64,
            "win_length": 512,
            "add_blank": True,
            "n_speakers": 0,
        },
        "model": _MODEL | sizes,
    }
    (folder / "config.json").write_text(json.dumps(told))
    (folder / "vocab.txt").write_text("".join(f"{symbol}\n" for symbol in SYMBOLS))
    config = VitsConfig()
    own = config.model_args
    own.hidden_channels, own.hidden_channels_ffn_text_encoder = 16, 32
    own.num_heads_text_encoder, own.num_layers_text_encoder = 2, 1
    own.resblock_type_decoder, own.resblock_kernel_sizes_decoder = "2", [3]
    own.resblock_dilation_sizes_decoder = [[1, 2]]
    own.upsample_rates_decoder, own.upsample_kernel_sizes_decoder = [8, 8], [16, 16]
    own.upsample_initial_channel_decoder, own.out_channels = 16, 257
    own.init_discriminator = False
    config.audio.hop_length = 64
    torch.manual_seed(1)
    model = Vits(config)
    model.text_encoder.emb = nn.Embedding(len(SYMBOLS), own.hidden_channels)
    enliven(model)
    weights = {_fairseq_name(name): value for name, value in model.state_dict().items()}
    torch.save({"model": weights, "iteration": 1}, folder / "G_100000.pth")
    return folder


def make_tarball(folder: Path, *, under: str = "abc") -> bytes:
    """Return an archive of MMS: the files of a folder, in a folder of a language."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, f"{under}/{file.name}")
    return packed.getvalue()


def _fairseq_name(name: str) -> str:
    for pattern, replacement in _FAIRSEQ_NAMES:
        name = re.sub(pattern, replacement, name)
    return name
