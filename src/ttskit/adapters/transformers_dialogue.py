"""Families that speak in turns: Dia, CSM, Higgs Audio v2, VibeVoice. Read: transformers 5.24.

Each has a markup of its own for speakers; a text's ``[S1]`` and ``[S2]`` become that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typing_extensions import override

from ttskit.adapters.options import given
from ttskit.adapters.transformers_family import (
    Family,
    Script,
    Torch,
    TransformersCallOptions,
    Turn,
    Watch,
    needs_transcript,
    read_sample,
)

_SAMPLING = frozenset({"temperature", "top_k", "top_p", "max_new_tokens"})
_INSTRUCTION = "Generate audio following instruction."
_DIRECTION = (
    "You are an AI assistant designed to convert text into speech.\n"
    "If the user's message includes a [SPEAKER*] tag, do not read out the tag and generate speech"
    " for the following text, using the specified voice.\n"
    "If no speaker tag is present, select a suitable voice on your own."
)
_SCENE = "Audio is recorded from a quiet room."

Message = dict[str, Any]
"""One of a chat template's messages: a role and its items."""


class _Dialogue(Family):
    """What they share: a processor, a model, speakers that are numbered."""

    clones = True
    processor: str
    model: str

    @override
    def load(self, watch: Watch) -> None:
        self._processor = self.checkpoint.reader(self.processor)
        self._model = self.checkpoint.model(self.model, halves=True)
        self.sample_rate = int(self._processor.feature_extractor.sampling_rate)
        watch.over(self._model)

    @override
    def check(self, script: Script) -> None:
        self._too_many(script.turns())
        if "reference_text" in self.takes:
            needs_transcript(script)

    def _sample(self, script: Script) -> Any:  # noqa: ANN401 - an array, where there is a sample
        return None if script.sample is None else read_sample(script.sample, self.sample_rate)

    def _inputs(self, messages: list[Message], **more: object) -> Torch:
        inputs = self._processor.apply_chat_template(
            messages, tokenize=True, return_dict=True, return_tensors="pt", **more
        )
        return inputs.to(self._model.device, self._model.dtype)


class Dia(_Dialogue):
    """Dia: two people, laughs and sighs in parentheses; all turns in one piece."""

    takes = _SAMPLING | {"guidance_scale", "reference_text"}
    speakers = 2
    max_characters = 500
    """Some 35 seconds: what its decoder has places for."""
    processor, model = "DiaProcessor", "DiaForConditionalGeneration"

    @override
    def generate(self, script: Script) -> Iterator[Torch]:
        turns = script.turns()
        said = needs_transcript(script)
        if said is not None:
            turns = [Turn(turns[0].speaker, said), *turns]
        inputs = self._processor(
            text=[" ".join(f"[S{turn.speaker}] {turn.text}" for turn in turns)],
            audio=self._sample(script),
            padding=True,
            max_length=None,
            return_tensors="pt",
        ).to(self._model.device)
        options = sampling(script.settings) | given(guidance_scale=script.settings.guidance_scale)
        # What the checkpoint says of it would be taken for a mistake, with a warning.
        options.setdefault("max_new_tokens", self._model.generation_config.max_length)
        made = self._model.generate(**inputs, **options)
        start = None
        if said is not None:  # the sample itself is no part of what is said
            start = self._processor.get_audio_prompt_len(inputs["decoder_attention_mask"])
        yield self._processor.decode(made, audio_prompt_len=start)


class Csm(_Dialogue):
    """CSM: a turn at a time, each with what was said before it in its ears."""

    takes = _SAMPLING | {"reference_text"}
    speakers = 4
    max_characters = 400
    processor, model = "CsmProcessor", "CsmForConditionalGeneration"

    @override
    def generate(self, script: Script) -> Iterator[Torch]:
        turns = script.turns()
        said, sample = needs_transcript(script), self._sample(script)
        heard: list[Message] = []
        if said is not None:
            heard.append(_message(_role(turns[0]), _text(said), _audio(sample)))
        for turn in turns:
            asked = _message(_role(turn), _text(turn.text))
            (audio,) = self._model.generate(
                **self._inputs([*heard, asked]), output_audio=True, **sampling(script.settings)
            )
            yield audio
            samples = audio.float().cpu().numpy().reshape(-1)
            heard.append(_message(_role(turn), _text(turn.text), _audio(samples)))


class Higgs(_Dialogue):
    """Higgs Audio v2: told the scene and who is in it; all turns in one piece."""

    takes = _SAMPLING | {"system", "scene", "reference_text"}
    speakers = 4
    processor, model = "HiggsAudioV2Processor", "HiggsAudioV2ForConditionalGeneration"

    @override
    def generate(self, script: Script) -> Iterator[Torch]:
        inputs = self._inputs(
            self._messages(script),
            add_generation_prompt=True,
            sampling_rate=self.sample_rate,
        )
        made = self._model.generate(**inputs, **sampling(script.settings))
        yield self._processor.decode(made)

    def _messages(self, script: Script) -> list[Message]:
        turns, settings = script.turns(), script.settings
        is_dialogue = len(turns) > 1 or turns[0].speaker > 1
        told = settings.system or (_DIRECTION if is_dialogue else _INSTRUCTION)
        messages = [
            _message("system", _text(told)),
            _message("scene", _text(settings.scene or _SCENE)),
        ]
        said = needs_transcript(script)
        if said is not None:
            messages.append(_message("user", _text(said)))
            messages.append(_message("assistant", _audio(self._sample(script))))
        lines = [f"[SPEAKER{turn.speaker - 1}] {turn.text}" for turn in turns]
        text = "\n".join(lines) if is_dialogue else turns[0].text
        return [*messages, _message("user", _text(text))]


class VibeVoice(_Dialogue):
    """VibeVoice: up to four people for up to 90 minutes; all turns in one piece."""

    takes = frozenset({"max_new_tokens", "guidance_scale", "diffusion_steps"})
    speakers = 4
    processor, model = "VibeVoiceProcessor", "VibeVoiceForConditionalGeneration"

    @override
    def generate(self, script: Script) -> Iterator[Torch]:
        turns, settings = script.turns(), script.settings
        messages = [_message(_role(turn), _text(turn.text)) for turn in turns]
        if script.sample is not None:
            messages[0]["content"].append(_audio(self._sample(script)))
        made = self._model.generate(
            **self._inputs(messages),
            return_dict_in_generate=True,
            **given(
                max_new_tokens=settings.max_new_tokens,
                guidance_scale=settings.guidance_scale,
                num_diffusion_steps=settings.diffusion_steps,
            ),
        )
        if made.audio[0] is not None:
            yield made.audio[0]


def sampling(settings: TransformersCallOptions) -> dict[str, object]:
    """Return what most models call the same."""
    return given(
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        max_new_tokens=settings.max_new_tokens,
    )


def _role(turn: Turn) -> str:
    """Return the speaker as CSM and VibeVoice number them."""
    return str(turn.speaker - 1)


def _message(role: str, *items: Message) -> Message:
    return {"role": role, "content": list(items)}


def _text(text: str) -> Message:
    return {"type": "text", "text": text}


def _audio(samples: object) -> Message:
    return {"type": "audio", "audio": samples}
