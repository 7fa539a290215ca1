"""Coqui's VITS models as the engine runs them: read, loaded, spoken through.

Imports Coqui: import it where it is used.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from typing_extensions import override

from ttskit.adapters.coqui_batch import BatchedVits
from ttskit.adapters.coqui_encoder import Speakers
from ttskit.adapters.coqui_engine import CoquiModel, call_options
from ttskit.adapters.coqui_export import GraphStore
from ttskit.adapters.coqui_loading import load_model, loading, read_settings
from ttskit.adapters.coqui_onnx import OnnxVits
from ttskit.adapters.coqui_reader import Reader, cast_of, sentences
from ttskit.adapters.coqui_torch import TorchVits, decoder_of
from ttskit.adapters.coqui_vits import Manner, VitsRuntime, VitsVoice
from ttskit.adapters.torch_device import choose_device
from ttskit.errors import ConfigurationError, ModelLoadError

if TYPE_CHECKING:
    from coqpit import Coqpit

    from ttskit.adapters.coqui_engine import CoquiSettings
    from ttskit.adapters.coqui_files import CoquiFiles
    from ttskit.adapters.coqui_reader import Speaker
    from ttskit.resources.engine import EngineChunk, EngineJob
    from ttskit.voices import Voice

_LOGGER = logging.getLogger(__name__)
_KNOWN = ("length_scale", "noise_scale", "noise_scale_dp")
_WARM_UP = 24
"""Ids of a sentence that nobody hears: a network's first one takes longer than the next."""


class VitsModel(CoquiModel):
    """A VITS model, with one speaker or many.

    Args:
        files: Of the model.
        settings: How to run it.
    """

    def __init__(self, files: CoquiFiles, settings: CoquiSettings) -> None:
        self._files = files
        self._settings = settings
        self._config, self._reader = self._read()
        rate = int(self._config.audio.sample_rate)
        self._cast = cast_of(files, self._reader, settings, sample_rate=rate)
        self._speakers = Speakers(files, self._config, self._reader, self._cast)
        self._voice: VitsVoice | None = None

    @override
    def voices(self) -> list[Voice]:
        return self._speakers.voices()

    @override
    def load(self) -> None:
        torch.set_num_threads(self._settings.threads)
        self._speakers.load()
        runtime = self._runtime(choose_device(self._settings.device))
        language = next(iter(self._reader.languages), None)
        manner = self._manner({}, speaker=self._speakers.anybody(), language=language)
        latent = runtime.latent([0] * _WARM_UP, manner)
        latent.decode(0, latent.frames)
        if self._settings.batch > 1 and isinstance(runtime, TorchVits):
            runtime = BatchedVits(runtime, most=self._settings.batch)
            self.together = self._settings.batch
        self._voice = VitsVoice(self._reader, runtime, sample_rate=self._cast.sample_rate)

    @override
    def speak(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        language = self._cast.tongue(job.language)
        chosen = call_options(job, self._settings.defaults, _KNOWN)
        manner = self._manner(chosen, speaker=self._speakers.speaker(job), language=language)
        manner = replace(
            manner.at_speed(job.speed, has_blanks=self._reader.has_blanks), seed=job.seed
        )
        if self._voice is None:
            raise ModelLoadError("the model is not loaded")
        yield from self._voice.speak(
            sentences(job.text, job.language or language),
            language=language,
            manner=manner,
            want_words=job.want_words,
            is_live=job.is_live,
            stop=stop,
        )

    def _read(self) -> tuple[Coqpit, Reader]:
        """Return the model's settings, and what reads text for it."""
        config = read_settings(self._files)
        with loading(self._files.name):
            return config, Reader(config)

    def _network(self, device: torch.device) -> torch.nn.Module:
        """Return the network in memory."""
        return load_model(self._config, self._files, device)

    def _manner(
        self, chosen: Mapping[str, float], *, speaker: Speaker | None, language: str | None
    ) -> Manner:
        own = self._config.model_args
        return Manner(
            length_scale=chosen.get("length_scale", own.length_scale),
            noise_scale=chosen.get("noise_scale", own.inference_noise_scale),
            noise_scale_dp=chosen.get("noise_scale_dp", own.inference_noise_scale_dp),
            speaker=speaker,
            language=self._reader.language_id(language),
        )

    def _runtime(self, device: torch.device) -> VitsRuntime:
        """Return the network in memory, run by what was asked for or is best here.

        Raises:
            ConfigurationError: onnxruntime was asked for where it cannot be.
        """
        asked = self._settings.runtime
        why_not = self._why_not_onnx(device)
        if asked == "onnx" and why_not:
            raise ConfigurationError(f"runtime onnx {why_not}; set runtime: auto")
        if asked != "torch" and not why_not:
            try:
                return self._onnx()
            except ModelLoadError as error:
                if asked == "onnx":
                    raise
                _LOGGER.warning("%s; torch runs it", error.message)
        return TorchVits(self._network(device))

    def _onnx(self) -> VitsRuntime:
        cpu = torch.device("cpu")
        graphs = GraphStore().get(self._files, lambda: self._network(cpu))
        decoder = decoder_of(self._config.model_args)
        return OnnxVits(graphs, decoder=decoder, threads=self._settings.threads)

    def _why_not_onnx(self, device: torch.device) -> str | None:
        if device.type != "cpu":
            return "is for the CPU"
        if self._reader.embeds:
            return "cannot run a model that knows its speakers by embeddings"
        for module in ("onnx", "onnxruntime"):
            if importlib.util.find_spec(module) is None:
                return f"needs the package {module}"
        return None
