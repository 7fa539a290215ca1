"""Gemini's speech models.

Source of all facts: Gemini API reference, its speech generation guide, and google-genai 3.6.1.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from typing_extensions import override

from ttskit.adapters.base import (
    NATIVE,
    UNSUPPORTED,
    AudioSource,
    Capabilities,
    Runs,
    Utterance,
)
from ttskit.adapters.cloud import ApiKey, BaseURL, CloudAdapter, CloudOptions, default_first
from ttskit.adapters.gemini_replies import REFUSALS, SAMPLE_RATE, Answers
from ttskit.adapters.gemini_voices import PREBUILT
from ttskit.adapters.models import cost
from ttskit.adapters.options import CallOptions, given, voice_not_found
from ttskit.adapters.replies import EVENTS, Once
from ttskit.errors import UnsupportedFeatureError
from ttskit.resources.http.address import path
from ttskit.resources.http.framing import ServerEvent
from ttskit.voices import Voice

if TYPE_CHECKING:
    from ttskit.resources.http.client import Reply

MAX_CHARACTERS = 3_000
"""Three minutes or so: beyond them the voice drifts, and the models take little more."""
PROMPTED = ("gemini-2.5-", "gemini-3.1-")
"""Models that are told within the text how to speak, and may read a vague text in their own words.

Later ones read every word of it aloud; how to speak is told beside it.
"""
PREAMBLE = "Say"
DESIGNED = ("voice_", "voicekey_")
"""How the ids of an account's own voices begin."""
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Instructions = Annotated[str, Field(min_length=1, max_length=4_000)]
Temperature = Annotated[float, Field(ge=0, le=2)]


class GeminiOptions(CloudOptions):
    """The section of tts.yaml."""

    base_url: BaseURL = Field(
        default="https://generativelanguage.googleapis.com/v1",
        description="Up to the version: `/v1`, or `/v1beta`.",
    )
    api_key: ApiKey = Field(description="From aistudio.google.com.")
    model: str = Field(
        default="gemini-3.8-flash-tts",
        min_length=1,
        description="The model where none is asked for.",
    )
    voice: str = Field(
        default=PREBUILT[0].name,
        min_length=1,
        description="The voice where none is asked for: a prebuilt one or your own's id.",
    )
    language: Annotated[str, Field(min_length=2)] | None = Field(
        default=None,
        description="The language where none is asked for, BCP 47. None: the text tells.",
    )
    instructions: Instructions | None = Field(
        default=None, description="How to speak, in words: `cheerful and fast`."
    )
    temperature: Temperature | None = Field(
        default=None, description="Low is even, high is varied; the 3.8 models refuse it."
    )
    stream: bool = Field(
        default=True, description="Audio as it is made; False for models that only send it whole."
    )


class GeminiCallOptions(CallOptions):
    """What one request may set, as ``provider_options={"gemini": {...}}``."""

    instructions: Instructions | None = None
    temperature: Temperature | None = None


class GeminiAdapter(CloudAdapter[GeminiOptions]):
    """Raw audio as it is made, directed in words."""

    name = "gemini"
    call_model = GeminiCallOptions
    secrets = MappingProxyType({"api_key": "GEMINI_API_KEY"})
    capabilities = Capabilities(
        formats=("pcm", "wav"),
        runs=Runs.CLOUD,
        streaming=NATIVE,
        models=NATIVE,
        styles=NATIVE,
        max_characters=MAX_CHARACTERS,
    )
    refusals = REFUSALS

    def __init__(self, options: GeminiOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        streaming = NATIVE if options.stream else UNSUPPORTED
        self.capabilities = replace(type(self).capabilities, streaming=streaming)

    @override
    def headers(self) -> Mapping[str, str]:
        return {"x-goog-api-key": self.options.api_key.get_secret_value()}

    @override
    async def voices(self) -> list[Voice]:
        prebuilt = [
            Voice(one.name, self.provider, one.name, gender=one.gender, description=one.manner)
            for one in PREBUILT
        ]
        default = self.options.voice
        return default_first(Voice(default, self.provider, default), prebuilt)

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        model = utterance.model or self.options.model
        body = self._body(utterance, model)
        method = "streamGenerateContent" if self.options.stream else "generateContent"
        query = {"alt": "sse"} if self.options.stream else None
        target = f"{_path(model)}:{method}"
        async with self._http.stream("POST", target, query=query, json=body) as reply:
            chunks = Answers(await self._items(reply))
            await chunks.begin()
            form, rate = chunks.sound or ("pcm", SAMPLE_RATE)
            yield AudioSource(
                chunks,
                format=form,
                sample_rate=rate,
                request_id=chunks.response_id,
                cost=cost(self.name, model, len(utterance.text)),
            )

    @override
    async def check(self) -> None:
        await self._http.fetch("GET", _path(self.options.model))

    async def _items(self, reply: Reply) -> AsyncIterator[ServerEvent]:
        if not self.options.stream:
            return Once(ServerEvent((await reply.read()).decode(errors="replace")))
        if reply.content_type != EVENTS:
            await self._expect_audio(reply)
        return reply.events()

    def _body(self, utterance: Utterance, model: str) -> dict[str, object]:
        options = self._settings(utterance)
        voice = self._known(utterance.voice or options.voice)
        part = _part(utterance.text, options.instructions, model)
        speech = given(voiceConfig=voice, languageCode=utterance.language or options.language)
        return {
            "contents": [{"role": "user", "parts": [part]}],
            "generationConfig": given(
                responseModalities=["AUDIO"], speechConfig=speech, temperature=options.temperature
            ),
        }

    def _known(self, voice: str) -> dict[str, object]:
        """Return a voice as the API wants to be told of it.

        Raises:
            VoiceNotFoundError: It is none of the prebuilt ones, nor one of the account's own, nor
                the configured one: Gemini would only say that some argument is invalid.
        """
        if voice.startswith(DESIGNED):
            return {"voice": voice}
        known = [one.name for one in PREBUILT]
        if voice not in (*known, self.options.voice):
            raise voice_not_found(voice, known)
        return {"prebuiltVoiceConfig": {"voiceName": voice}}


def _part(text: str, instructions: str | None, model: str) -> dict[str, object]:
    """Return the text with how it is to be spoken: before it or, from 3.8 on, beside it."""
    if model.startswith(PROMPTED):
        return {"text": f"{instructions or PREAMBLE}: {text}"}
    style = None if instructions is None else {"style": instructions}
    return given(text=text, speechMetadata=style)


def _path(model: str) -> str:
    if not _MODEL.fullmatch(model):
        raise UnsupportedFeatureError(f"there can be no model {model[:60]!r}")
    return path("/models/{}", model)
