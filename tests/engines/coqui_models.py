"""Tiny Coqui models with random weights: they load and run as real ones do, and say nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
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


YOUR_TTS_SPEAKERS = ("female-en-5", "female-en-5\n", "male-pt-3\n")
"""As the published model has them: some of their names end with a line."""
_ENCODER = {
    "model": "speaker_encoder",
    "audio": {
        "sample_rate": 16_000,
        "fft_size": 512,
        "win_length": 400,
        "hop_length": 160,
        "num_mels": 16,
        "preemphasis": 0.97,
    },
    "model_params": {
        "model_name": "resnet",
        "input_dim": 16,
        "proj_dim": 8,
        "use_torch_spec": True,
        "log_input": True,
    },
}


def make_your_tts(
    folder: Path,
    *,
    speakers: Sequence[str] = YOUR_TTS_SPEAKERS,
    encoder: Mapping[str, object] | None = None,
) -> Path:
    """Write a model as YourTTS is, its paths those of where it was trained; return its folder.

    Args:
        folder: Of the model.
        speakers: Of its file of embeddings.
        encoder: Settings of the network that knows people by samples; None: it comes without one.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    clips = {
        f"clip_{number}.wav": {"name": name, "embedding": rng.normal(size=8).tolist()}
        for number, name in enumerate(speakers)
    }
    (folder / "speakers.json").write_text(json.dumps(clips))
    (folder / "language_ids.json").write_text(json.dumps({"en": 0, "fr-fr": 1, "pt-br": 2}))
    if encoder is not None:
        make_encoder(folder, encoder)
    trained = {
        "use_d_vector_file": True,
        "d_vector_dim": 8,
        "use_language_embedding": True,
        "embedded_language_dim": 4,
        "num_languages": 3,
    }
    files = {
        "d_vector_file": [str(folder / "speakers.json")],
        "language_ids_file": str(folder / "language_ids.json"),
    }
    make_vits(folder, trained | files, use_language_embedding=True)
    settings = json.loads((folder / "config.json").read_text())
    settings["model_args"] |= {
        "d_vector_file": ["/home/trainer/vctk_embeddings.json"],
        "language_ids_file": "/home/trainer/language_ids.json",
        "speaker_encoder_model_path": "/home/trainer/SE_checkpoint.pth.tar",
        "speaker_encoder_config_path": "/home/trainer/config_se.json",
        "use_speaker_encoder_as_loss": True,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def make_encoder(folder: Path, settings: Mapping[str, object]) -> None:
    """Write a network that knows people by samples, as Coqui's releases call it."""
    import torch
    from TTS.config import load_config
    from TTS.encoder.utils.generic_utils import setup_encoder_model

    params = _ENCODER["model_params"] | dict(settings)  # type: ignore[operator] # a dict
    (folder / "config_se.json").write_text(json.dumps(_ENCODER | {"model_params": params}))
    torch.manual_seed(4)
    encoder = setup_encoder_model(load_config(folder / "config_se.json"))
    torch.save({"model": encoder.state_dict()}, folder / "model_se.pth")


_TACOTRON2: dict[str, object] = {
    "max_decoder_steps": 40,
    "r": 2,
    "prenet_dropout_at_inference": True,
}
_HMM: dict[str, object] = {
    "encoder_in_out_features": 32,
    "outputnet_size": [16],
    "max_sampling_time": 60,
    "prenet_dim": 16,
    "memory_rnn_dim": 32,
}
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
    "tacotron2": _TACOTRON2,
    "tacotron": {"max_decoder_steps": 40, "r": 2, "out_channels": 257},
}
"""Kinds, and settings that make them small or short."""
RARER_SPECTROGRAMS: dict[str, tuple[str, dict[str, object]]] = {
    "OverFlow": ("overflow", _HMM | {"out_channels": 80}),
    "Neural HMM": ("neuralhmm_tts", _HMM),
    "AlignTTS": ("align_tts", {"model_args": {"length_scale": 5.0}}),
    "DelightfulTTS": ("delightful_tts", {}),
    "FastSpeech": ("fast_speech", {"model_args": {"length_scale": 5.0}}),
    "FastSpeech 2": ("fastspeech2", {"model_args": {"length_scale": 5.0}}),
    "Tacotron 2 with styles": ("tacotron2", _TACOTRON2 | {"use_gst": True, "gst": {}}),
    "Capacitron": ("tacotron2", _TACOTRON2 | {"use_capacitron_vae": True, "capacitron_vae": {}}),
}
"""Further kinds, and settings of theirs."""
VOCODERS = (
    "fullband_melgan",
    "multiband_melgan",
    "melgan",
    "univnet",
    "parallel_wavegan",
    "wavegrad",
)
"""Besides HiFi-GAN."""


def make_spectrogram_model(folder: Path, kind: str, **settings: object) -> Path:
    """Write a model that draws spectrograms of plain letters; return its folder."""
    plain = {
        "model": kind,
        "audio": _AUDIO,
        "use_phonemes": False,
        "text_cleaner": "basic_cleaners",
        "test_sentences": [],
    }
    return _write(folder, plain | SPECTROGRAMS.get(kind, {}) | settings)


def make_vocoder(folder: Path, *, sample_rate: int = 16_000, **sizes: object) -> Path:
    """Write a HiFi-GAN, some of its sizes given; return its folder."""
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
    return _write_vocoder(folder, settings)


def make_other_vocoder(folder: Path, kind: str) -> Path:
    """Write a vocoder of another kind, at its usual sizes; return its folder."""
    return _write_vocoder(folder, {"model": kind, "audio": {"sample_rate": 16_000}})


def _write_vocoder(folder: Path, settings: Mapping[str, object]) -> Path:
    import torch
    from TTS.config import load_config
    from TTS.vocoder.models import setup_model

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))
    torch.manual_seed(2)
    model = setup_model(load_config(folder / "config.json"))
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    return folder


TINY_XTTS = {
    "gpt_layers": 1,
    "gpt_n_model_channels": 32,
    "gpt_n_heads": 2,
    "gpt_num_audio_tokens": 64,
    "gpt_start_audio_token": 62,
    "gpt_stop_audio_token": 63,
    "gpt_max_audio_tokens": 150,
    # An eighth of the real ones' sound for each: the decoder's size is not a setting.
    "gpt_code_stride_len": 128,
    "gpt_use_perceiver_resampler": True,
    "decoder_input_dim": 32,
}
XTTS_LANGUAGES = ["en", "de", "pl", "hi", "zh-cn", "ja"]


def make_xtts(
    folder: Path,
    *,
    speakers: Sequence[str] = ("Ana", "Bob"),
    lasts: int = 25,
    arguments: Mapping[str, object] | None = None,
    **settings: object,
) -> Path:
    """Write an XTTS checkpoint that reads letters; return its folder.

    Args:
        folder: Of the checkpoint.
        speakers: Those that come with it.
        lasts: How many sounds it makes of any text; 0: it never ends by itself.
        arguments: Of the networks.
        settings: Beside them.
    """
    import torch
    from TTS.config import load_config
    from TTS.tts.models import setup_model

    folder.mkdir(parents=True, exist_ok=True)
    plain = {
        "model": "xtts",
        "languages": XTTS_LANGUAGES,
        "model_args": TINY_XTTS | write_letters(folder / "vocab.json") | dict(arguments or {}),
    }
    (folder / "config.json").write_text(json.dumps(plain | settings))
    torch.manual_seed(1)
    model = setup_model(load_config(folder / "config.json"))
    enliven(model)
    _end_after(model.gpt, lasts)
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    known = {
        name: {
            "gpt_cond_latent": torch.randn(1, 32, 32),
            "speaker_embedding": torch.randn(1, 512, 1),
        }
        for name in speakers
    }
    if known:
        torch.save(known, folder / "speakers_xtts.pth")
    return folder


def _end_after(gpt: torch.nn.Module, lasts: int) -> None:
    """Have the network choose the sound that ends all at one place, and nowhere else."""
    import torch

    end, place = gpt.stop_audio_token, gpt.mel_pos_embedding.emb.weight
    mark = torch.ones(place.shape[1])
    mark[::2] = -1
    with torch.no_grad():
        gpt.mel_head.weight.mul_(4)  # else any sound is as good as another
        gpt.mel_head.weight[end] = mark
        gpt.mel_head.bias[end] = -20
        if lasts:
            place[lasts:] += 100 * mark


def write_letters(file: Path) -> dict[str, object]:
    """Write a vocabulary; return what the networks have to know of it."""
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", *(f"[{one}]" for one in XTTS_LANGUAGES)]
    symbols = [*special, *"abcdefghijklmnopqrstuvwxyz.,!?'ąćęłńóśźżäöüßनमस्ते"]
    numbers = {symbol: number for number, symbol in enumerate(dict.fromkeys(symbols))}
    letters = Tokenizer(BPE(numbers, [], unk_token="[UNK]"))  # noqa: S106 - not a password
    letters.add_special_tokens(special)
    letters.save(str(file))
    return {
        "gpt_number_text_tokens": len(numbers),
        "gpt_start_text_token": numbers["[START]"],
        "gpt_stop_text_token": numbers["[STOP]"],
    }


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
