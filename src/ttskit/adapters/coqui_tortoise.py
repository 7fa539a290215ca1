"""Coqui's Tortoise: English, sentence by sentence, in one voice of its own or in that of a sample.

Imports Coqui: import it where it is used. Read: coqui-tts 0.28.0, ``tortoise.py`` and
``autoregressive.py``.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
import torchaudio
from transformers import StoppingCriteria, StoppingCriteriaList
from TTS.tts.layers.tortoise.random_latent_generator import RandomLatentConverter
from typing_extensions import override

from ttskit.adapters.coqui_cast import Cast
from ttskit.adapters.coqui_clones import Clones, require_length, require_sound
from ttskit.adapters.coqui_engine import CoquiModel, call_options
from ttskit.adapters.coqui_files import TORTOISE_FILES
from ttskit.adapters.coqui_loading import loading, read_settings
from ttskit.adapters.coqui_reader import sentences
from ttskit.adapters.coqui_torch import sharing
from ttskit.adapters.coqui_tortoise_loading import load_tortoise
from ttskit.adapters.coqui_xtts_loading import chosen_type
from ttskit.adapters.torch_device import choose_device
from ttskit.adapters.torch_seed import Dice
from ttskit.errors import (
    GenerationError,
    ModelLoadError,
    TextTooLongError,
    VoiceNotFoundError,
)
from ttskit.resources.engine import EngineChunk

if TYPE_CHECKING:
    from ttskit.adapters.coqui_engine import CoquiSettings
    from ttskit.adapters.coqui_files import CoquiFiles
    from ttskit.codecs.pcm import Samples
    from ttskit.resources.engine import EngineJob
    from ttskit.voices import Voice

_Latents: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Of a voice: for what chooses sounds, (1, channels), and for what draws them, (1, channels)."""
_KNOWN = ("temperature", "top_p", "repetition_penalty")
_RATE = 24_000
_HEARD_RATE, _HEARD_FRAMES = 22_050, 132_300
"""Hz, and frames of them: of a longer sample Coqui takes any 6 s, and ttskit the first."""
_LONGEST, _MOST_IDS = 200, 390
"""Characters of a sentence, some 13 s of the 23 that it says in one go, and ids that it reads."""
_OWN_VOICE = 0
"""The seed of the voice without a sample: Coqui throws dice for each text."""
_END = (45, 45, 248)
"""What Coqui puts at the end of sounds that came to one."""


class TortoiseModel(CoquiModel):
    """A Tortoise model.

    Args:
        files: Of the model; its weights lie anywhere in a folder.
        settings: How to run it.
    """

    def __init__(self, files: CoquiFiles, settings: CoquiSettings) -> None:
        self._files = files
        self._settings = settings
        self._config = read_settings(files)
        self._has_voice = all(_there(files, name) for name in TORTOISE_FILES.values())
        self._cast = Cast(files.name, [], ["en"], _RATE, settings.voice)
        self._clones: Clones[_Latents] = Clones(self._cloned)
        self._own: _Latents | None = None
        self._half = False
        self._model: torch.nn.Module | None = None

    @override
    def voices(self) -> list[Voice]:
        return self._cast.voices() if self._has_voice else []

    @override
    def load(self) -> None:
        torch.set_num_threads(self._settings.threads)
        device = choose_device(self._settings.device)
        chosen = chosen_type(self._settings.dtype, device)
        if chosen == torch.bfloat16:
            raise ModelLoadError("Tortoise works in float16 on a CUDA GPU, or in float32")
        self._half = chosen == torch.float16
        self._model = load_tortoise(self._config, self._files, device)
        if self._has_voice:
            with loading(self._files.name), Dice(_OWN_VOICE, torch.device("cpu")):
                auto, drawn = (_drawn(self._files, name) for name in TORTOISE_FILES.values())
            self._own = auto, drawn

    @override
    def speak(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        model = self._loaded()
        self._cast.tongue(job.language)
        options = call_options(job, self._settings.defaults, _KNOWN)
        latents = self._latents(job)
        dice = nullcontext() if job.seed is None else Dice(job.seed, model.device)
        for line in _lines(model.tokenizer.encode, job.text, _LONGEST):
            if stop.is_set():
                return
            with dice:
                samples = _spoken(model, line, latents, options, half=self._half, stop=stop)
            if samples is None:
                return
            yield EngineChunk(samples, _RATE)

    def _loaded(self) -> torch.nn.Module:
        if self._model is None:
            raise ModelLoadError("the model is not loaded")
        return self._model

    def _latents(self, job: EngineJob) -> _Latents:
        if job.reference is not None:
            return self._clones.voice(job.reference)
        self._cast.speaker(job.voice)
        if self._own is None:
            raise VoiceNotFoundError(
                "the model came without a voice of its own; the request has to bring a reference"
            )
        return self._own

    def _cloned(self, samples: Samples, sample_rate: int) -> _Latents:
        require_length(samples, sample_rate)
        require_sound(samples)
        wave = torch.from_numpy(samples).unsqueeze(0)
        heard, drawn = (
            torchaudio.functional.resample(wave, sample_rate, rate).clip(-1, 1)
            for rate in (_HEARD_RATE, _RATE)
        )
        latents = self._loaded().get_conditioning_latents([(heard[:, :_HEARD_FRAMES], drawn)])
        return latents[0].cpu(), latents[1].cpu()


def _there(files: CoquiFiles, name: str) -> bool:
    return any(files.checkpoint.rglob(name))


def _drawn(files: CoquiFiles, name: str) -> torch.Tensor:
    """Return half of a voice that nobody has: Coqui's, of whatever width the weights are."""
    path = next(files.checkpoint.rglob(name))
    weights = torch.load(path, map_location="cpu", weights_only=True)
    converter = RandomLatentConverter(len(weights["layers.0.bias"]))
    converter.load_state_dict(weights)
    with torch.inference_mode():
        latent: torch.Tensor = converter.eval()(torch.zeros(1))
    return latent


def _lines(encode: Callable[[str], list[int]], text: str, longest: int) -> Iterator[str]:
    """Yield the sentences of a text that can be spoken, none longer than the network reads."""
    for sentence in sentences(text, "en", longest=longest):
        if not any(character.isalnum() for character in sentence.text):
            continue
        if len(encode(sentence.text)) <= _MOST_IDS:
            yield sentence.text
        elif len(sentence.text) == 1:
            raise TextTooLongError("the model cannot read a character of the text whole")
        else:
            yield from _lines(encode, sentence.text, len(sentence.text) // 2)


def _spoken(
    model: torch.nn.Module,
    line: str,
    latents: _Latents,
    options: Mapping[str, float],
    *,
    half: bool,
    stop: threading.Event,
) -> Samples | None:
    """Return a sentence's samples; None where ``stop`` was set before they were made.

    Raises:
        GenerationError: The model spoke for as long as it can and came to no end.
    """

    def check(*_: object) -> None:
        if stop.is_set():
            raise _StoppedError

    def check_end(_: object, given: tuple[torch.Tensor, ...]) -> None:
        if tuple(given[3][0, -len(_END) :].tolist()) != _END:  # the chosen take
            raise GenerationError("the model came to no end and was cut off")

    speaking = sharing(
        model,
        diffusion=_watched(model.diffusion, check),
        autoregressive=_watched(model.autoregressive, check_end),
    )
    try:
        made = speaking.inference_with_config(
            line,
            conditioning_latents=latents,
            num_autoregressive_samples=model.config.num_autoregressive_samples,
            diffusion_iterations=model.config.diffusion_iterations,
            verbose=False,
            half=half,
            stopping_criteria=StoppingCriteriaList([_Watch(check)]),
            **options,
        )
    except _StoppedError:
        return None
    samples: Samples = made["wav"].flatten().float().cpu().numpy()
    return np.clip(samples, -1, 1)


def _watched(network: torch.nn.Module, look: Callable[..., None]) -> torch.nn.Module:
    """Return the network with the same weights, looked at before each step."""
    copied = sharing(network)
    copied.__dict__["_forward_pre_hooks"] = OrderedDict()
    copied.register_forward_pre_hook(look)
    return copied


class _StoppedError(Exception):
    """Whoever listened is gone."""


class _Watch(StoppingCriteria):  # type: ignore[misc] # transformers is not followed
    """Looks on after each sound that the network chooses."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look

    @override
    def __call__(self, input_ids: torch.Tensor, scores: object, **settings: object) -> torch.Tensor:
        self._look()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
