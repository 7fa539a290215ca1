"""Pocket TTS, and Phonon, which is made like it: whoever is recorded. Read: transformers 5.24."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from ttskit.adapters.options import given
from ttskit.adapters.transformers_family import Family, Script, Torch, Watch, read_sample
from ttskit.errors import VoiceNotFoundError


class PocketTTS(Family):
    """Speaks like a recording, a few sentences at a time."""

    takes = frozenset({"temperature", "flow_steps", "eos_threshold"})
    clones = True
    model = "PocketTTSForConditionalGeneration"

    @override
    def load(self, watch: Watch) -> None:
        self._processor = self.checkpoint.reader("PocketTTSProcessor")
        self._model = self.checkpoint.model(self.model, halves=True)
        self.sample_rate = int(self._processor.feature_extractor.sampling_rate)
        watch.over(self._model)

    @override
    def check(self, script: Script) -> None:
        if script.sample is None:
            raise VoiceNotFoundError(
                "this model speaks like a recording: set samples to a directory of them"
            )

    @override
    def generate(self, script: Script) -> Iterator[Torch]:
        if script.sample is None:
            return
        settings = script.settings
        voice = {"type": "audio", "audio": read_sample(script.sample, self.sample_rate)}
        for text in self._processor.split_text(script.text):
            inputs = self._processor.apply_chat_template(
                [{"role": "user", "content": [voice, {"type": "text", "text": text}]}],
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            ).to(self._model.device, self._model.dtype)
            made = self._model.generate(
                **inputs,
                return_dict_in_generate=True,
                **given(
                    temperature=settings.temperature,
                    num_flow_steps=settings.flow_steps,
                    eos_threshold=settings.eos_threshold,
                ),
            )
            (audio,) = self._processor.decode(made.audio_latents, made.audio_latents_mask)
            yield audio


class Phonon(PocketTTS):
    """Gradium's Phonon."""

    model = "GradiumPhononTTSForConditionalGeneration"
