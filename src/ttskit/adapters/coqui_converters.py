"""Coqui's networks that change a voice: FreeVC, OpenVoice, kNN-VC, loaded from disk alone.

Imports Coqui: import it where it is used. Read: coqui-tts 0.28.0, ``freevc.py``, ``openvoice.py``,
``knnvc.py``. Two of them fetch further networks by themselves while they are made, allowed or not;
here they are given them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from trainer.io import get_user_data_dir
from TTS.config import load_config
from TTS.vc.configs.openvoice_config import OpenVoiceConfig
from TTS.vc.layers.freevc.speaker_encoder.speaker_encoder import SpeakerEncoder
from TTS.vc.layers.freevc.wavlm import model_uri
from TTS.vc.layers.freevc.wavlm.wavlm import WavLM, WavLMConfig
from TTS.vc.models.freevc import FreeVC
from TTS.vc.models.knnvc import KNNVC
from TTS.vc.models.openvoice import OpenVoice

from ttskit.adapters import coqui_files
from ttskit.adapters.coqui_hub import hub_piece
from ttskit.adapters.coqui_loading import load_vocoder, loading, seeing
from ttskit.adapters.coqui_torch import merge_weight_norm
from ttskit.errors import ConfigurationError, ModelLoadError

if TYPE_CHECKING:
    from coqpit import Coqpit

    from ttskit.adapters.coqui_files import CoquiFiles

WAVLM, SPEAKERS = "WavLM-Large.pt", "speaker_encoder.pt"
"""Networks besides the model's own: what is said, and who speaks."""
_SPEAKERS_URL = (
    "https://github.com/coqui-ai/TTS/releases/download/v0.13.0_models/speaker_encoder.pt"
)
"""As in ``freevc.py``, which has it within a function."""
_LAYER = r"\[\s*\(\s*\d{1,4}\s*,\s*\d{1,4}\s*,\s*\d{1,4}\s*\)\s*,?\s*\](\s*\*\s*\d{1,2})?"
_LAYERS = re.compile(rf"\s*{_LAYER}(\s*\+\s*{_LAYER}){{0,30}}\s*")
"""``[(512,10,5)] + [(512,3,2)] * 4``: WavLM has Python evaluate it."""

Find = Callable[[str], Path]
"""Returns where a network of such a name lies."""


class Converter(Protocol):
    """A network that changes voices, on its device. Samples are of shape (1, frames)."""

    rate_in: int
    """Hz of what it hears, recordings and samples alike."""
    rate_out: int

    def target(self, sample: torch.Tensor) -> torch.Tensor:
        """Return what it knows a voice by."""

    def source(self, recording: torch.Tensor) -> torch.Tensor | None:
        """Return what it has to know of the voice that is to be changed, if anything."""

    def convert(
        self, piece: torch.Tensor, source: torch.Tensor | None, target: torch.Tensor
    ) -> torch.Tensor:
        """Return a piece of the recording in the other voice, (frames,); it may end early."""


def load_converter(files: CoquiFiles, device: torch.device, *, downloads: bool) -> Converter:
    """Return a network that changes voices.

    Args:
        files: Of a kind in ``CONVERTERS``.
        device: Where it runs.
        downloads: What it needs besides may be fetched.

    Raises:
        ConfigurationError: kNN-VC has no vocoder.
        ModelLoadError: Weights are missing, cannot be read, or belong to other settings.
    """

    def find(name: str) -> Path:
        beside = files.config.parent / name
        if beside.is_file():
            return beside
        urls = {WAVLM: (model_uri, "wavlm"), SPEAKERS: (_SPEAKERS_URL, "speaker_encoder")}
        url, folder = urls[name]
        return hub_piece(url, get_user_data_dir("tts") / folder / name, downloads=downloads)

    kind = coqui_files.kind_of(files.config)
    if kind == coqui_files.OPENVOICE:
        return _OpenVoice(files, device)
    if kind == coqui_files.KNNVC:
        return _NearestNeighbours(files, device, find)
    return _FreeVC(files, device, find)


class _Listener:
    """Mixed in: takes what is said for itself; who said it is heard in none of it."""

    def source(self, recording: torch.Tensor) -> None:
        del recording


class _FreeVC(_Listener):
    def __init__(self, files: CoquiFiles, device: torch.device, find: Find) -> None:
        with loading(files.name):
            config = load_config(files.config)
            model = _OfflineFreeVC(config, find)
            model.load_checkpoint(config, files.checkpoint, eval=True)
            merge_weight_norm(model)
            self._model = model.to(device)
        self.rate_in = int(config.audio.input_sample_rate)
        self.rate_out = int(config.audio.output_sample_rate)

    def target(self, sample: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._model._extract_target_se([sample])  # noqa: SLF001 - the only way
        return found

    def convert(
        self, piece: torch.Tensor, source: torch.Tensor | None, target: torch.Tensor
    ) -> torch.Tensor:
        del source
        said = self._model.extract_wavlm_features(piece)
        sound: torch.Tensor = self._model.inference(said, g=target)
        return sound.flatten()


class _OpenVoice:
    def __init__(self, files: CoquiFiles, device: torch.device) -> None:
        if files.config != files.checkpoint.parent / coqui_files.CONFIG:
            raise ConfigurationError("OpenVoice reads its own settings, beside its weights")
        with loading(files.name):
            config = OpenVoiceConfig()
            model = OpenVoice(config)
            model.load_checkpoint(config, files.checkpoint, eval=True)
            merge_weight_norm(model)
            self._model = model.to(device)
        self.rate_in = int(config.audio.input_sample_rate)
        self.rate_out = int(config.audio.output_sample_rate)

    def target(self, sample: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._model.extract_se(sample)[0]
        return found

    def source(self, recording: torch.Tensor) -> torch.Tensor:
        return self.target(recording)

    def convert(
        self, piece: torch.Tensor, source: torch.Tensor | None, target: torch.Tensor
    ) -> torch.Tensor:
        spectrogram = self._model.extract_se(piece)[1]
        made = self._model.inference(spectrogram, {"g_src": source, "g_tgt": target})
        sound: torch.Tensor = made["model_outputs"].flatten()
        return sound


class _NearestNeighbours(_Listener):
    """kNN-VC: each moment becomes the most similar ones of the sample."""

    def __init__(self, files: CoquiFiles, device: torch.device, find: Find) -> None:
        if files.vocoder is None:
            raise ConfigurationError(
                "kNN-VC makes no sound by itself; set vocoder, such as "
                "vocoder_models/en/librispeech100/wavlm-hifigan_prematched"
            )
        with loading(files.name):
            config = load_config(files.config)
            model = _OfflineKNNVC(config, find)
            self._model = model.eval().to(device)
        self._vocoder, settings = load_vocoder(files, device)
        self.rate_in = int(config.audio.sample_rate)
        self.rate_out = int(settings.audio.sample_rate)

    def target(self, sample: torch.Tensor) -> torch.Tensor:
        # Silence at its ends was left out when the sample was checked.
        moments: torch.Tensor = self._model.get_matching_set([sample], vad_trigger_level=0)
        return moments

    def convert(
        self, piece: torch.Tensor, source: torch.Tensor | None, target: torch.Tensor
    ) -> torch.Tensor:
        del source
        said = self._model.match(self._model.get_features(piece), target)
        sound: torch.Tensor = self._vocoder.inference(said).flatten()
        return sound


class _Offline:
    """Mixed into a network that would fetch WavLM for itself while it is made."""

    def __init__(self, config: Coqpit, find: Find) -> None:
        self._find = find
        made: Any = super().__init__
        seeing(made.__func__, get_wavlm=lambda: load_wavlm(find(WAVLM)))(self, config)


class _OfflineFreeVC(_Offline, FreeVC):  # type: ignore[misc] # Coqui has no types
    def load_pretrained_speaker_encoder(self) -> None:
        self.enc_spk_ex = SpeakerEncoder(str(self._find(SPEAKERS)))


class _OfflineKNNVC(_Offline, KNNVC):  # type: ignore[misc] # Coqui has no types
    pass


def load_wavlm(path: Path) -> WavLM:
    """Return a WavLM as ``get_wavlm`` does, of any size, from a file that may be a stranger's.

    Raises:
        ModelLoadError: It is no WavLM, is damaged, or holds code.
    """
    with loading(path.name):
        kept = torch.load(path, map_location="cpu", weights_only=True)
        config = WavLMConfig(kept["cfg"])
        if not _LAYERS.fullmatch(str(config.conv_feature_layers)):
            raise ModelLoadError(f"{path.name} has settings that are more than numbers")
        wavlm = WavLM(config)
        wavlm.load_state_dict(kept["model"])
        return wavlm.eval()
