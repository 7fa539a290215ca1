"""Who speaks in a Coqui model: its own speakers, or samples where it reads embeddings of voices.

Imports Coqui: import it where it is used. Read: coqui-tts 0.28.0, ``managers.py`` and
``base_encoder.py``.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import librosa
import torch
from TTS.config import get_from_config_or_model_args
from TTS.tts.utils.managers import EmbeddingManager
from TTS.utils.audio.numpy_transforms import rms_volume_norm

from ttskit.adapters.coqui_clones import Clones, require_length, require_sound
from ttskit.adapters.coqui_files import encoder_of
from ttskit.adapters.coqui_loading import loading
from ttskit.errors import (
    InvalidVoiceReferenceError,
    ModelLoadError,
    UnsupportedFeatureError,
    VoiceNotFoundError,
)

if TYPE_CHECKING:
    from coqpit import Coqpit

    from ttskit.adapters.coqui_cast import Cast
    from ttskit.adapters.coqui_files import CoquiFiles
    from ttskit.adapters.coqui_reader import Reader, Speaker
    from ttskit.codecs.pcm import Samples
    from ttskit.resources.engine import EngineJob
    from ttskit.voices import Voice

Embedding = tuple[float, ...]


class Speakers:
    """Tells a network who speaks.

    Args:
        files: Of the model; those of its speaker encoder lie beside its settings, if it has one.
        config: Its settings.
        reader: Of the model.
        cast: Its speakers.
    """

    def __init__(self, files: CoquiFiles, config: Coqpit, reader: Reader, cast: Cast) -> None:
        self._reader = reader
        self._cast = cast
        self._encoder = _Encoder(files)
        self._clones: Clones[Embedding] = Clones(self._encoder.embedding)
        self._channels = int(get_from_config_or_model_args(config, "d_vector_dim") or 0)
        self._are_none = reader.embeds and not reader.speakers

    def voices(self) -> list[Voice]:
        """Return who can speak without a sample, the default one first."""
        return [] if self._are_none else self._cast.voices()

    def load(self) -> None:
        """Bring the speaker encoder into memory, where there is one.

        Raises:
            ModelLoadError: It cannot be read, or is not the one that the model was trained with.
        """
        self._encoder.load(self._channels)

    def anybody(self) -> Speaker | None:
        """Return what a network can be tried with."""
        if self._are_none:
            return (0.0,) * self._channels
        return self._reader.speaker(self._cast.speaker(None))

    def speaker(self, job: EngineJob) -> Speaker | None:
        """Return who is to speak a job; a sample's embedding is kept by what the sample holds.

        Raises:
            InvalidVoiceReferenceError: The sample cannot be read, is too short, or holds no voice.
            UnsupportedFeatureError: The model clones no voices.
            VoiceNotFoundError: Nobody is called so.
        """
        if job.reference is not None:
            if not self._encoder.is_there:
                raise UnsupportedFeatureError("this model speaks like no sample of a voice")
            return self._clones.voice(job.reference)
        if self._are_none:
            raise VoiceNotFoundError(
                "the model came without speakers of its own; the request has to bring a reference"
            )
        return self._reader.speaker(self._cast.speaker(job.voice))


class _Encoder:
    """The network that knows people by samples; small, and asked once a voice: it runs on the CPU.

    Args:
        files: Of the model that reads its embeddings.
    """

    def __init__(self, files: CoquiFiles) -> None:
        self._name = f"the speaker encoder of {files.name}"
        self._files = encoder_of(files.config)
        self._manager: EmbeddingManager | None = None

    @property
    def is_there(self) -> bool:
        """The model has such a network."""
        return self._files is not None

    def load(self, channels: int) -> None:
        """Bring it into memory; ``channels`` is what the model reads of a voice."""
        if self._files is None:
            return
        weights, config = self._files
        with loading(self._name):
            manager = EmbeddingManager(encoder_model_path=weights, encoder_config_path=config)
            made = int(manager.encoder_config.model_params["proj_dim"])
        if made != channels:
            raise ModelLoadError(
                f"{self._name} gives {made} numbers for a voice, and the model reads {channels}"
            )
        self._manager = manager

    def embedding(self, samples: Samples, sample_rate: int) -> Embedding:
        """Return what the network knows of the voice in mono samples."""
        manager = self._manager
        if manager is None:
            raise ModelLoadError("the model is not loaded")
        require_length(samples, sample_rate)
        require_sound(samples)
        try:
            with torch.inference_mode():
                made = manager.compute_embeddings(_features(manager, samples, sample_rate))[0]
        except (RuntimeError, ValueError) as error:  # nothing is left without its silence
            raise InvalidVoiceReferenceError("the sample holds no voice") from error
        if not made.isfinite().all():
            raise InvalidVoiceReferenceError("the sample holds no voice")
        return tuple(made.tolist())


def _features(manager: EmbeddingManager, samples: Samples, sample_rate: int) -> torch.Tensor:
    """Return what ``compute_embedding_from_clip`` would read, without its decoder of files."""
    processor = manager.encoder_ap
    wave = librosa.resample(samples, orig_sr=sample_rate, target_sr=processor.sample_rate)
    if processor.do_trim_silence:
        with suppress(ValueError):  # as Coqui has it: what cannot be trimmed is read whole
            wave = processor.trim_silence(wave)
    if processor.do_sound_norm:
        wave = processor.sound_norm(wave)
    if processor.do_rms_norm:
        wave = rms_volume_norm(x=wave, db_level=processor.db_level)
    if manager.encoder_config.model_params.get("use_torch_spec"):
        return torch.from_numpy(wave).unsqueeze(0)
    return torch.from_numpy(processor.melspectrogram(wave)).unsqueeze(0)
