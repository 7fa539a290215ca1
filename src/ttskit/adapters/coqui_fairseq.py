"""VITS as fairseq writes it: Meta's MMS, a voice for each of a thousand languages.

Imports Coqui: import it where it is used. Read: coqui-tts 0.28.0, ``load_fairseq_checkpoint`` of
``vits.py``, which takes every such model for one of MMS's size; fairseq, ``examples/mms/tts``.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from TTS.tts.configs.vits_config import VitsConfig
from TTS.tts.models.vits import FairseqVocab, Vits
from TTS.tts.utils.text.cleaners import basic_cleaners, uroman_cleaners
from TTS.tts.utils.text.tokenizer import TTSTokenizer
from typing_extensions import override

from ttskit.adapters.coqui_files import read_json
from ttskit.adapters.coqui_loading import loading
from ttskit.adapters.coqui_reader import Reader
from ttskit.adapters.coqui_vits_model import VitsModel
from ttskit.errors import DependencyMissingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import torch
    from coqpit import Coqpit

    from ttskit.adapters.coqui_files import CoquiFiles

VOCABULARY = "vocab.txt"
"""Beside the weights: a symbol a line, in the order of their numbers."""
_SIZES = {
    "hidden_channels": "hidden_channels",
    "filter_channels": "hidden_channels_ffn_text_encoder",
    "n_heads": "num_heads_text_encoder",
    "n_layers": "num_layers_text_encoder",
    "kernel_size": "kernel_size_text_encoder",
    "p_dropout": "dropout_p_text_encoder",
    "resblock": "resblock_type_decoder",
    "resblock_kernel_sizes": "resblock_kernel_sizes_decoder",
    "resblock_dilation_sizes": "resblock_dilation_sizes_decoder",
    "upsample_rates": "upsample_rates_decoder",
    "upsample_initial_channel": "upsample_initial_channel_decoder",
    "upsample_kernel_sizes": "upsample_kernel_sizes_decoder",
    "use_sdp": "use_sdp",
}
"""What fairseq's settings call the sizes of the network, and what Coqui does."""


class FairseqModel(VitsModel):
    """A VITS of one person in fairseq's files. It speaks the configured language."""

    @override
    def _read(self) -> tuple[Coqpit, Reader]:
        with loading(self._files.name):
            told = read_json(self._files.config)
            config = _settings(told)
            tokenizer = _tokenizer(self._files, told)
            language = self._settings.language
            return config, Reader(config, tokenizer, [language] if language else [])

    @override
    def _network(self, device: torch.device) -> torch.nn.Module:
        with loading(self._files.name):
            model = Vits(self._config)
            model.load_fairseq_checkpoint(self._config, self._files.checkpoint, eval=True)
            return model.to(device)


def _settings(told: Mapping[str, Any]) -> Coqpit:
    """Return fairseq's settings as Coqui's.

    Raises:
        KeyError: They are not whole.
    """
    sizes, data = told["model"], told["data"]
    if sizes.get("inter_channels", sizes["hidden_channels"]) != sizes["hidden_channels"]:
        raise ValueError("Coqui's VITS has the same width everywhere")
    config = VitsConfig()
    config.languages = ["und"]  # else Coqui warns that it takes the model for an English one
    for name, own in _SIZES.items():
        if name in sizes:
            config.model_args[own] = sizes[name]
    config.model_args.out_channels = data["filter_length"] // 2 + 1
    config.model_args.init_discriminator = False
    config.audio.sample_rate = data["sampling_rate"]
    config.audio.fft_size = data["filter_length"]
    config.audio.hop_length = data["hop_length"]
    config.audio.win_length = data["win_length"]
    return config


def _tokenizer(files: CoquiFiles, told: Mapping[str, Any]) -> TTSTokenizer:
    """Return what ``load_fairseq_checkpoint`` gives its model.

    Raises:
        DependencyMissingError: The model reads Latin letters only, and what writes other scripts
            in them is not there.
    """
    clean = basic_cleaners
    if told["data"]["training_files"].endswith("uroman"):
        if importlib.util.find_spec("uroman") is None:
            raise DependencyMissingError(
                f"{files.name} reads its script in Latin letters, for which the package 'uroman' "
                'is needed; run: pip install "coqui-tts[languages]"'
            )
        clean = _uroman
    vocabulary = FairseqVocab.init_from_vocab_file(files.checkpoint.parent / VOCABULARY)
    vocabulary.pad = None  # Coqui's is the space, which is read like any other symbol
    return TTSTokenizer(
        text_cleaner=clean, characters=vocabulary, add_blank=told["data"]["add_blank"]
    )


def _uroman(text: str, lang: str | None = None) -> str:
    del lang  # MMS was trained on what uroman writes where it is told no language
    cleaned: str = uroman_cleaners(text)
    return cleaned
