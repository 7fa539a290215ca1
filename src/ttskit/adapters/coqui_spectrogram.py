"""Coqui's models that draw spectrograms, and the vocoders that make sound of them.

Imports Coqui: import it where it is used. Read: coqui-tts 0.28.0, ``synthesizer.py`` and
``base_tts.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from TTS.tts.utils.synthesis import inv_spectrogram
from TTS.utils.audio import AudioProcessor
from TTS.vocoder.utils.generic_utils import interpolate_vocoder_input
from typing_extensions import override

from ttskit.adapters.coqui_encoder import Speakers
from ttskit.adapters.coqui_engine import CoquiModel, call_options
from ttskit.adapters.coqui_kinds import SCALED
from ttskit.adapters.coqui_loading import load_model, load_vocoder, loading, read_settings
from ttskit.adapters.coqui_reader import Reader, cast_of, sentences
from ttskit.adapters.coqui_torch import sharing
from ttskit.adapters.torch_device import choose_device
from ttskit.adapters.torch_seed import Dice
from ttskit.errors import ModelLoadError
from ttskit.resources.engine import EngineChunk

if TYPE_CHECKING:
    from coqpit import Coqpit

    from ttskit.adapters.coqui_engine import CoquiSettings
    from ttskit.adapters.coqui_files import CoquiFiles
    from ttskit.adapters.coqui_reader import Speaker
    from ttskit.adapters.coqui_reading import Reading
    from ttskit.codecs.pcm import Samples
    from ttskit.resources.engine import EngineJob
    from ttskit.voices import Voice

_CONDITIONS = ("d_vectors", "speaker_ids", "style_mel", "style_text")
"""What some kind looks for besides a text, be it None: Tacotrons with styles look for a style."""
_NOISY = "glow_tts"
"""The one kind whose variation can be set."""


class Vocoder(Protocol):
    """Makes sound of a spectrogram."""

    sample_rate: int

    def sound(self, spectrogram: Samples) -> Samples:
        """Return the sound of a spectrogram of shape (frames, bands), as its model draws it."""


class SpectrogramModel(CoquiModel):
    """A model that draws spectrograms, with one speaker or many.

    Args:
        files: Of the model and of its vocoder; without one, Griffin and Lim's way makes the sound.
        settings: How to run it.
    """

    def __init__(self, files: CoquiFiles, settings: CoquiSettings) -> None:
        self._files = files
        self._settings = settings
        self._config = read_settings(files)
        self._kind = str(self._config.model).lower()
        with loading(files.name):
            self._reader = Reader(self._config)
        self._cast = cast_of(files, self._reader, settings, sample_rate=self._rate())
        self._speakers = Speakers(files, self._config, self._reader, self._cast)
        self._loaded: tuple[torch.nn.Module, Vocoder] | None = None

    @override
    def voices(self) -> list[Voice]:
        return self._speakers.voices()

    @override
    def load(self) -> None:
        torch.set_num_threads(self._settings.threads)
        device = choose_device(self._settings.device)
        self._speakers.load()
        model = load_model(self._config, self._files, device)
        vocoder: Vocoder = GriffinLim(model.ap, self._config)
        if self._files.vocoder is not None:
            vocoder = Network(*load_vocoder(self._files, device), drawn=model.ap)
        self._loaded = (model, vocoder)

    @override
    def speak(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        if self._loaded is None:
            raise ModelLoadError("the model is not loaded")
        model, vocoder = self._loaded
        language = self._cast.tongue(job.language)
        model = sharing(model)
        self._set(model, call_options(job, self._settings.defaults, self._known()), job.speed)
        who = self._conditions(self._speakers.speaker(job), language, model.device)
        dice = nullcontext() if job.seed is None else Dice(job.seed, model.device)
        for sentence in sentences(job.text, job.language or language):
            reading = self._reader.read(sentence.text, language)
            if stop.is_set():
                return
            if not reading.is_silent:
                with dice:
                    samples = self._sound(model, vocoder, reading, who)
                yield EngineChunk(samples, vocoder.sample_rate)

    def _rate(self) -> int:
        """Return Hz: the vocoder's, where there is one."""
        config = self._config
        if self._files.vocoder_config is not None:
            from TTS.config import load_config

            config = load_config(self._files.vocoder_config)
        return int(config.audio.sample_rate)

    def _known(self) -> tuple[str, ...]:
        scaled = ("length_scale",) if self._kind in SCALED else ()
        return (*scaled, "noise_scale") if self._kind == _NOISY else scaled

    def _set(self, model: torch.nn.Module, chosen: Mapping[str, float], speed: float) -> None:
        if self._kind in SCALED:
            model.length_scale = chosen.get("length_scale", model.length_scale) / speed
        if "noise_scale" in chosen:
            model.inference_noise_scale = chosen["noise_scale"]

    def _conditions(
        self, speaker: Speaker | None, language: str | None, device: torch.device
    ) -> dict[str, torch.Tensor | None]:
        who = "d_vectors" if isinstance(speaker, tuple) else "speaker_ids"
        given = {who: speaker, "language_ids": self._reader.language_id(language)}
        plain: dict[str, torch.Tensor | None] = dict.fromkeys(_CONDITIONS)
        return plain | {
            name: None if value is None else torch.tensor([value], device=device)
            for name, value in given.items()
        }

    def _sound(
        self,
        model: torch.nn.Module,
        vocoder: Vocoder,
        reading: Reading,
        who: Mapping[str, torch.Tensor | None],
    ) -> Samples:
        ids = torch.tensor([reading.ids], device=model.device)
        lengths = torch.tensor([len(reading.ids)], device=model.device)
        with torch.inference_mode():
            made = model.inference(ids, aux_input={"x_lengths": lengths, **who})
        drawn = made["model_outputs"][0].float().cpu().numpy()
        # A few models have their vocoder within.
        sound = drawn.ravel() if min(drawn.shape) == 1 else vocoder.sound(drawn)
        if self._config.audio.do_trim_silence:
            sound = sound[: model.ap.find_endpoint(sound)]
        return np.clip(sound, -1, 1).astype(np.float32, copy=False)


class GriffinLim(Vocoder):
    """Sound without a vocoder: understandable, and not more."""

    def __init__(self, processor: AudioProcessor, config: Coqpit) -> None:
        self._processor = processor
        self._config = config
        self.sample_rate = int(config.audio.sample_rate)

    @override
    def sound(self, spectrogram: Samples) -> Samples:
        made: Samples = inv_spectrogram(spectrogram, self._processor, self._config)
        return made


class Network(Vocoder):
    """A vocoder of Coqui.

    Args:
        model: Loaded.
        config: Its settings.
        drawn: How the spectrograms that it gets were made.
    """

    def __init__(self, model: torch.nn.Module, config: Coqpit, *, drawn: AudioProcessor) -> None:
        self._model = model
        self._drawn = drawn
        self._own = AudioProcessor(config.audio)
        self.sample_rate = int(config.audio.sample_rate)

    @override
    def sound(self, spectrogram: Samples) -> Samples:
        scale = self.sample_rate / self._drawn.sample_rate
        plain = self._own.normalize(self._drawn.denormalize(spectrogram.T))
        if scale == 1:
            bands = torch.tensor(plain).unsqueeze(0)
        else:
            bands = interpolate_vocoder_input([1, scale], plain)
        with torch.inference_mode():
            made = self._model.inference(bands.to(next(self._model.parameters()).device))
        samples: Samples = made.flatten().float().cpu().numpy()
        return samples
