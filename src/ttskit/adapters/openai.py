"""OpenAI's speech endpoint, and the many servers that copy it.

Source: OpenAI's OpenAPI file (``CreateSpeechRequest``) and Python SDK 3.52.0.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from ttskit.adapters.base import (
    NATIVE,
    UNSUPPORTED,
    AudioSource,
    Capabilities,
    Runs,
    Utterance,
)
from ttskit.adapters.cloud import (
    ApiKey,
    BaseURL,
    CloudAdapter,
    CloudOptions,
    first_of_all,
    revealed,
    sniffed,
)
from ttskit.adapters.models import cost
from ttskit.adapters.openai_servers import MAX_CHARACTERS, PRESETS, Format, languages
from ttskit.adapters.options import CallOptions, given
from ttskit.adapters.refusals import Refusals
from ttskit.errors import (
    AuthenticationError,
    ContentRejectedError,
    PermissionDeniedError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TextTooLongError,
    TTSError,
    UnsupportedFeatureError,
    UnsupportedFormatError,
    VoiceNotFoundError,
)
from ttskit.resources.http.framing import json_object
from ttskit.voices import Voice

Instructions = Annotated[str, Field(max_length=4_096)]


class OpenAIOptions(CloudOptions):
    """The section of tts.yaml."""

    preset: Literal[
        "openai",
        "kokoro-fastapi",
        "speaches",
        "localai",
        "alltalk",
        "vllm-omni",
        "groq",
        "deepinfra",
        "compatible",
    ] = Field(default="openai", description="The kind of server.")
    base_url: BaseURL = Field(
        default="", description="Up to `/v1`; where none is given, the preset's own."
    )
    api_key: ApiKey | None = Field(default=None, description="Servers of your own may need none.")
    organization: str | None = Field(default=None, description="`OpenAI-Organization`.")
    project: str | None = Field(default=None, description="`OpenAI-Project`.")
    format: Format | None = Field(
        default=None, description="What the server is asked for; None: what suits it best."
    )
    sample_rate: Annotated[int, Field(ge=8_000, le=48_000)] | None = Field(
        default=None, description="Of its PCM, in Hz, where it is not the preset's."
    )
    instructions: Instructions | None = Field(
        default=None, description="How to speak, in words; for models that take them."
    )
    max_characters: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Of one request, where it is not the preset's."
    )

    @model_validator(mode="before")
    @classmethod
    def _preset_address(cls, section: object) -> object:
        if not isinstance(section, Mapping) or section.get("base_url"):
            return section
        preset = PRESETS.get(str(section.get("preset", "openai")))
        if preset is not None and preset.base_url is None:
            raise ValueError("the preset 'compatible' needs a base_url")
        return {**section, "base_url": preset.base_url if preset else "https://api.openai.com/v1"}

    @model_validator(mode="after")
    def _known_server_needs_key(self) -> Self:
        preset = PRESETS[self.preset]
        if preset.variable and self.api_key is None and self.base_url == preset.base_url:
            raise ValueError(f"needs an api_key, here or in {preset.variable}")
        return self


class OpenAICallOptions(CallOptions):
    """What one request may set, as ``provider_options={"openai": {...}}``."""

    instructions: Instructions | None = Field(default=None, description="How to speak, in words.")
    extra: Mapping[str, object] | None = Field(
        default=None, description="Members for the body as they are, for a server's own knobs."
    )


def _codes(document: Mapping[str, object]) -> Iterable[object]:
    """Return the codes in every shape of error that the endpoint's copies have."""
    error = document.get("error", document.get("detail", document))
    if isinstance(error, Mapping):
        yield error.get("code")
        yield error.get("param") if error.get("param") in ("voice", "model") else None
        yield error.get("error")
        yield error.get("type")


_KINDS: Mapping[str, type[TTSError]] = MappingProxyType(
    {
        "invalid_api_key": AuthenticationError,
        "insufficient_quota": QuotaExceededError,
        "rate_limit_exceeded": RateLimitedError,
        "string_above_max_length": TextTooLongError,
        "model_not_found": UnsupportedFeatureError,
        "model_decommissioned": UnsupportedFeatureError,
        "model": UnsupportedFeatureError,
        "invalid_model": UnsupportedFeatureError,
        "model_terms_required": PermissionDeniedError,
        "unsupported_country_region_territory": PermissionDeniedError,
        "voice": VoiceNotFoundError,
        "voice_not_found": VoiceNotFoundError,
        "invalid_voice": VoiceNotFoundError,
        "unsupported_format": UnsupportedFormatError,
        "content_policy_violation": ContentRejectedError,
        "server_error": ProviderUnavailableError,
        "overloaded": ProviderUnavailableError,
    }
)


class OpenAIAdapter(CloudAdapter[OpenAIOptions]):
    """Raw audio as it is made, in 24 kHz PCM where the server has it."""

    name = "openai"
    secrets = MappingProxyType({"api_key": "OPENAI_API_KEY"})
    call_model = OpenAICallOptions
    capabilities = Capabilities(
        formats=("pcm", "wav", "mp3", "opus", "aac", "flac"),
        runs=Runs.CLOUD,
        streaming=NATIVE,
        speed=NATIVE,
        models=NATIVE,
        styles=NATIVE,
        max_characters=MAX_CHARACTERS,
    )
    refusals = Refusals(
        _KINDS, _codes, statuses={422: UnsupportedFeatureError, 498: ProviderUnavailableError}
    )

    def __init__(self, options: OpenAIOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        self._preset = PRESETS[options.preset]
        self._format: Format = options.format or self._preset.format
        self.capabilities = replace(
            type(self).capabilities,
            formats=first_of_all(self._format, type(self).capabilities.formats),
            speed_range=self._preset.speed_range,
            styles=NATIVE if self._preset.takes_instructions else UNSUPPORTED,
            max_characters=options.max_characters or self._preset.max_characters,
        )

    @classmethod
    @override
    def variables(cls, section: Mapping[str, object]) -> Mapping[str, str]:
        preset = PRESETS.get(str(section.get("preset", "openai")))
        if preset is None or preset.variable is None or section.get("base_url"):
            return {}
        return {"api_key": preset.variable}

    @override
    def headers(self) -> Mapping[str, str]:
        options = self.options
        return given(
            {
                "Authorization": revealed(options.api_key, "Bearer {}"),
                "OpenAI-Organization": options.organization or None,
                "OpenAI-Project": options.project or None,
            }
        )

    @override
    async def voices(self) -> list[Voice]:
        ids = list(self._preset.voices)
        if self._preset.voices_path is not None:
            ids = await self._listed(self._preset.voices_path)
        default = self.options.voice or self._preset.voice
        if default is not None:
            ids = [default, *(one for one in ids if one != default)]
        return [Voice(one, self.provider, one, languages=languages(one)) for one in ids]

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        async with self._http.stream("POST", "/audio/speech", json=self._body(utterance)) as reply:
            await self._expect_audio(reply)
            found, chunks = await sniffed(reply, self._format)
            yield AudioSource(
                chunks,
                format=found,
                sample_rate=self._rate if found == "pcm" else 0,
                request_id=reply.headers.get("x-request-id"),
                cost=self._cost(utterance),
            )

    @override
    async def check(self) -> None:
        await self._http.fetch("GET", "/models")

    @property
    def _rate(self) -> int:
        return self.options.sample_rate or self._preset.sample_rate

    @property
    @override
    def billed_as(self) -> str | None:
        if self.options.preset != "openai":
            return None
        return self.options.model or self._preset.model

    def _cost(self, utterance: Utterance) -> float | None:
        if self.options.preset != "openai":
            return None
        return cost(self.name, self._model(utterance), len(utterance.text))

    def _model(self, utterance: Utterance) -> str | None:
        return utterance.model or self.options.model or self._preset.model

    def _body(self, utterance: Utterance) -> dict[str, object]:
        """Return what was set and nothing else: OpenAI refuses members it does not know."""
        options, preset = self._settings(utterance), self._preset
        extra = self._own(OpenAICallOptions, utterance).extra
        return given(
            model=self._model(utterance),
            input=utterance.text,
            voice=utterance.voice or options.voice or preset.voice,
            response_format=self._format,
            speed=None if utterance.speed == 1 else utterance.speed,
            instructions=options.instructions or None,
        ) | dict(extra or {})

    async def _listed(self, path: str) -> list[str]:
        """Return the ids in a list of voices: of names, or of objects."""
        listing = json_object(await self._http.fetch("GET", path)).get("voices")
        entries = listing if isinstance(listing, list) else []
        ids = [one.get("id", one.get("name")) if isinstance(one, dict) else one for one in entries]
        return [one for one in ids if isinstance(one, str) and one]
