"""Families in which one person speaks: VITS and MMS, SpeechT5, Bark. Read: transformers 5.24."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from typing_extensions import override

from ttskit.adapters.options import given
from ttskit.adapters.transformers_family import Family, Script, Torch, Watch, described
from ttskit.errors import DependencyMissingError, ModelLoadError
from ttskit.voices import Voice

_PRESET = re.compile(r"(?:v2/)?([a-z]{2})_speaker_\d+")


class Vits(Family):
    """VITS, and the MMS voices of a thousand languages: the whole utterance at once."""

    takes = frozenset({"noise_scale", "noise_scale_duration"})
    speed = True
    halves = False

    @override
    def load(self, watch: Watch) -> None:
        self._tokenizer = self.checkpoint.reader("VitsTokenizer")
        if self._tokenizer.is_uroman and importlib.util.find_spec("uroman") is None:
            raise DependencyMissingError("this voice reads romanised text; run: pip install uroman")
        self._model = self.checkpoint.model("VitsModel", halves=False)
        self.sample_rate = self._model.config.sampling_rate
        for part in (self._model.text_encoder, self._model.flow, self._model.decoder):
            watch.over(part)

    @override
    def voices(self) -> list[Voice]:
        count = int(self.checkpoint.config().get("num_speakers", 1))
        if count <= 1:
            return [described("default", "")]
        return [described(str(number), "") for number in range(count)]

    @override
    def generate(self, script: Script) -> Iterator[Torch]:
        inputs = self._tokenizer(script.text, return_tensors="pt")
        if inputs["input_ids"].shape[1] <= 1:  # no letter that it knows: at most a blank
            return
        model, settings = self._model, script.settings
        # Attributes of the model: set for each call, so that none inherits another's.
        model.noise_scale = _or(settings.noise_scale, model.config.noise_scale)
        model.noise_scale_duration = _or(
            settings.noise_scale_duration, model.config.noise_scale_duration
        )
        made = model(
            **inputs.to(model.device),
            speaker_id=int(script.voice) if script.voice.isdigit() else None,
            speaking_rate=model.config.speaking_rate * script.speed,
        )
        yield made.waveform[0]


class SpeechT5(Family):
    """SpeechT5 with its HiFi-GAN: speakers are vectors in ``NAME.npy`` files."""

    takes = frozenset({"threshold", "max_length_ratio"})
    halves = False
    max_characters = 500
    """It has 600 places for letters."""

    @override
    def load(self, watch: Watch) -> None:
        self._processor = self.checkpoint.reader("SpeechT5Processor")
        self._model = self.checkpoint.model("SpeechT5ForTextToSpeech", halves=False)
        self._vocoder = self.checkpoint.model(
            "SpeechT5HifiGan",
            halves=False,
            directory=self.checkpoint.hub.directory(self.checkpoint.vocoder),
        )
        self.sample_rate = self._vocoder.config.sampling_rate
        watch.over(self._model.speecht5.decoder.wrapped_decoder)
        watch.over(self._vocoder)

    @override
    def voices(self) -> list[Voice]:
        return [described(name, "a speaker's vector") for name in self._vectors()]

    @override
    def generate(self, script: Script) -> Iterator[Torch]:
        settings = script.settings
        inputs = self._processor(text=script.text, return_tensors="pt")
        yield self._model.generate_speech(
            inputs["input_ids"].to(self._model.device),
            self._speaker(self._vectors()[script.voice]),
            vocoder=self._vocoder,
            **given(threshold=settings.threshold, maxlenratio=settings.max_length_ratio),
        )

    def _vectors(self) -> dict[str, Path]:
        return self.checkpoint.samples(".npy")

    def _speaker(self, path: Path) -> Torch:
        import numpy as np  # an adapter is imported long before it speaks, like the next
        import torch

        vector = np.load(path, allow_pickle=False).astype(np.float32).reshape(1, -1)
        if vector.shape[1] != self._model.config.speaker_embedding_dim:
            raise ModelLoadError(f"{path.name} is no speaker's vector of this checkpoint")
        return torch.from_numpy(vector).to(self._model.device)


class Bark(Family):
    """Bark: presets are people; 13 seconds at most."""

    takes = frozenset({"temperature", "top_k", "top_p", "max_new_tokens"})
    max_characters = 200

    @override
    def load(self, watch: Watch) -> None:
        self._processor = self.checkpoint.reader("BarkProcessor")
        self._model = self.checkpoint.model("BarkModel", halves=True)
        self.sample_rate = self._model.generation_config.sample_rate
        for part in (
            self._model.semantic,
            self._model.coarse_acoustics,
            self._model.fine_acoustics,
        ):
            watch.over(part)

    @override
    def voices(self) -> list[Voice]:
        listed = self.checkpoint.config("speaker_embeddings_path.json")
        presets = [name for name in listed if name != "repo_or_path"]
        # Without a preset somebody else speaks each time.
        return [_preset(name) for name in sorted(presets, key=_is_foreign)] or [
            described("random", "somebody else each time")
        ]

    @override
    def generate(self, script: Script) -> Iterator[Torch]:
        settings = script.settings
        preset = None if script.voice == "random" else script.voice
        inputs = self._processor(script.text, voice_preset=preset)
        made = self._model.generate(
            **inputs.to(self._model.device),
            **given(
                temperature=settings.temperature,
                top_k=settings.top_k,
                top_p=settings.top_p,
                semantic_max_new_tokens=settings.max_new_tokens,
            ),
        )
        yield made[0]


def _preset(name: str) -> Voice:
    match = _PRESET.fullmatch(name)
    return described(name, "a preset", *([match[1]] if match else []))


def _is_foreign(preset: str) -> bool:
    """Sort English presets before the others."""
    match = _PRESET.fullmatch(preset)
    return match is not None and match[1] != "en"


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
