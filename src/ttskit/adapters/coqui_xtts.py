"""Coqui's XTTS: streamed while it is made, in its own voices or in that of a sample.

Imports Coqui: import it where it is used. Read: coqui-tts 0.28.0, ``xtts.py``, ``gpt.py``,
``stream_generator.py`` and ``tokenizer.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torchaudio
from transformers import StoppingCriteria, StoppingCriteriaList
from typing_extensions import override

from ttskit.adapters.coqui_cast import Cast
from ttskit.adapters.coqui_clones import Clones, require_length
from ttskit.adapters.coqui_engine import CoquiModel, call_options
from ttskit.adapters.coqui_growing import XTTS_DECODER, GrowingDecoder
from ttskit.adapters.coqui_kinds import CHARACTERS
from ttskit.adapters.coqui_latents import SPEAKERS, Latents, read_speakers
from ttskit.adapters.coqui_loading import loading, read_settings
from ttskit.adapters.coqui_script import Script
from ttskit.adapters.coqui_torch import sharing
from ttskit.adapters.coqui_xtts_loading import chosen_type, load_xtts
from ttskit.adapters.torch_device import choose_device
from ttskit.adapters.torch_seed import Dice
from ttskit.errors import (
    GenerationError,
    ModelLoadError,
    VoiceNotFoundError,
)
from ttskit.resources.engine import EngineChunk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ttskit.adapters.coqui_engine import CoquiSettings
    from ttskit.adapters.coqui_files import CoquiFiles
    from ttskit.codecs.pcm import Samples
    from ttskit.resources.engine import EngineJob
    from ttskit.voices import Voice

_KNOWN = ("temperature", "top_k", "top_p", "repetition_penalty")
_HEARD_RATE = 22_050
"""Hz at which XTTS hears samples of voices."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A voice in a language and a manner."""

    language: str
    latents: Latents
    speed: float
    choice: Mapping[str, float]
    """Of the next sound: temperature and its like."""


class XttsModel(CoquiModel):
    """An XTTS model; it speaks like its own speakers, or like a sample.

    Args:
        files: Of the model.
        settings: How to run it.
    """

    def __init__(self, files: CoquiFiles, settings: CoquiSettings) -> None:
        self._files = files
        self._settings = settings
        self._config = read_settings(files)
        with loading(files.name):
            self._speakers = read_speakers(files.checkpoint.parent / SPEAKERS)
            rate = int(self._config.model_args.output_sample_rate)
        languages = [one for one in self._config.languages if one.split("-")[0] in CHARACTERS]
        if not languages:
            raise ModelLoadError(f"{files.name} speaks no language that Coqui can read")
        self._cast = Cast(
            files.name, list(self._speakers), languages, rate, settings.voice, settings.language
        )
        self._clones = Clones(self._cloned)
        self._model: torch.nn.Module | None = None

    @override
    def voices(self) -> list[Voice]:
        return self._cast.voices() if self._speakers else []

    @override
    def load(self) -> None:
        torch.set_num_threads(self._settings.threads)
        device = choose_device(self._settings.device)
        dtype = chosen_type(self._settings.dtype, device)
        self._model = load_xtts(self._config, self._files, device, dtype)

    @override
    def speak(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        model = self._loaded()
        language = self._cast.tongue(job.language) or self._cast.languages[0]
        choice = self._choice(call_options(job, self._settings.defaults, _KNOWN))
        part = _Part(language, self._latents(job), job.speed, choice)
        dice = nullcontext() if job.seed is None else Dice(job.seed, model.device)
        script = Script(model.tokenizer, language, most_ids=model.args.gpt_max_text_tokens - 1)
        for line in script.lines(job.text):
            sounds = _sounds(model, line, part, stop)
            while not stop.is_set():
                with dice:
                    samples = next(sounds, None)
                if samples is None:
                    break
                yield EngineChunk(samples, self._cast.sample_rate)
            else:
                return

    def _loaded(self) -> torch.nn.Module:
        if self._model is None:
            raise ModelLoadError("the model is not loaded")
        return self._model

    def _choice(self, chosen: Mapping[str, float]) -> dict[str, float]:
        both = {name: self._config[name] for name in _KNOWN} | dict(chosen)
        return both | {"top_k": int(both["top_k"])}

    def _latents(self, job: EngineJob) -> Latents:
        if job.reference is not None:
            return self._clones.voice(job.reference)
        speaker = self._cast.speaker(job.voice) if self._speakers else None
        if speaker is None:
            raise VoiceNotFoundError(
                "the model came without speakers of its own; the request has to bring a reference"
            )
        return self._speakers[speaker]

    def _cloned(self, samples: Samples, sample_rate: int) -> Latents:
        """Return what ``get_conditioning_latents`` would, without its decoder of audio files."""
        require_length(samples, sample_rate)
        model, config = self._loaded(), self._config
        heard = torchaudio.functional.resample(
            torch.from_numpy(samples).unsqueeze(0), sample_rate, _HEARD_RATE
        ).clip(-1, 1)
        heard = heard[:, : _HEARD_RATE * config.max_ref_len].to(model.device)
        if config.sound_norm_refs:
            heard = heard / heard.abs().max().clip(min=1e-5) * 0.75
        manner = model.get_gpt_cond_latents(
            heard,
            _HEARD_RATE,
            length=config.gpt_cond_len,
            chunk_length=config.gpt_cond_chunk_len,
        )
        timbre = model.get_speaker_embedding(heard, _HEARD_RATE)
        return Latents(manner.cpu(), timbre.cpu())


def _sounds(
    model: torch.nn.Module, line: str, part: _Part, stop: threading.Event
) -> Iterator[Samples]:
    """Yield a line's samples as they are made; ends early once ``stop`` is set.

    Raises:
        GenerationError: The model spoke for as long as it can and came to no end.
    """
    watch = _Watch(stop, last=model.gpt.stop_audio_token)
    inner = model.hifigan_decoder
    growing = GrowingDecoder(inner.waveform_decoder, radius=XTTS_DECODER.radius())
    speaking = sharing(model, hifigan_decoder=sharing(inner, waveform_decoder=growing))
    try:
        for sound in speaking.inference_stream(
            line,
            part.language,
            part.latents.manner,
            part.latents.timbre,
            speed=part.speed,
            stopping_criteria=StoppingCriteriaList([watch]),
            **part.choice,
        ):
            yield np.clip(sound.float().cpu().numpy(), -1, 1)
    except _StoppedError:
        return
    if not watch.is_over:
        raise GenerationError("the model came to no end and was cut off")


class _StoppedError(Exception):
    """Whoever listened is gone."""


class _Watch(StoppingCriteria):  # type: ignore[misc] # transformers is not followed
    """Looks on after each sound that the network chooses, some 20 a second of speech.

    Args:
        stop: Ends it.
        last: The number that the network chooses when all is said.
    """

    def __init__(self, stop: threading.Event, *, last: int) -> None:
        self._stop = stop
        self._last = last
        self.is_over = False

    @override
    def __call__(self, input_ids: torch.Tensor, scores: object, **settings: object) -> torch.Tensor:
        # To say "done" would have all of it made heard once more.
        if self._stop.is_set():
            raise _StoppedError
        self.is_over = int(input_ids[0, -1]) == self._last
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
