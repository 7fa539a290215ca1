"""Azure Speech: REST, or a WebSocket where words are to be timed.

Source: MicrosoftDocs/azure-ai-docs, rest-text-to-speech.md and speech-synthesis-markup-voice.md.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator
from typing_extensions import override

from ttskit.adapters.azure_formats import Format, azure_id, bare_rate, ours
from ttskit.adapters.azure_ssml import billed, document, element, inner
from ttskit.adapters.base import (
    EMULATED,
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
    default_first,
    first_of_all,
    revealed,
)
from ttskit.adapters.models import cost
from ttskit.adapters.options import CallOptions, given, voice_not_found
from ttskit.adapters.refusals import Refusals
from ttskit.errors import InvalidParameterError, QuotaExceededError, TTSError
from ttskit.request import Timestamps
from ttskit.resources.http.address import Address
from ttskit.resources.http.framing import json_object
from ttskit.text.ssml.escape import escape
from ttskit.voices import Gender, Voice

if TYPE_CHECKING:
    from ttskit.resources.host import Resources

MAX_CHARACTERS = 1_500
"""Ours: audio beyond ten minutes is cut off without a word, and slow Chinese reaches them here."""
_HD = "DragonHD"
"""In the names of voices that read only part of SSML, and time no words."""
_LOCALE = re.compile(r"[a-z]{2,3}(?:-[A-Z][a-z]{3})?-[A-Z0-9]{2,3}")
_REGION = r"^[a-z][a-z0-9]*$"
_GENDERS = MappingProxyType(
    {"Female": Gender.FEMALE, "Male": Gender.MALE, "Neutral": Gender.NEUTRAL}
)

Name = Annotated[str, Field(min_length=1)]
StyleDegree = Annotated[float, Field(ge=0.01, le=2)]


class AzureOptions(CloudOptions):
    """The section of tts.yaml."""

    region: str | None = Field(default=None, pattern=_REGION, description="Such as `westeurope`.")
    base_url: BaseURL = Field(
        default="", description="None: the region's. A resource of your own, or a container."
    )
    api_key: ApiKey | None = Field(default=None, description="This or `access_token` is needed.")
    access_token: ApiKey | None = Field(
        default=None, description="Lasts ten minutes; or `aad#RESOURCE_ID#TOKEN`. For `api_key`."
    )
    voice: str = Field(
        default="en-US-AvaMultilingualNeural",
        min_length=1,
        description="Where none is asked for.",
    )
    deployment_id: str | None = Field(
        default=None, min_length=1, description="Of a custom voice, which `voice` names."
    )
    language: str = Field(
        default="en-US", description="Where neither the request nor the voice's name tells."
    )
    format: Format = Field(default="pcm", description="Ours, at 24 kHz, or one of Azure's ids.")
    style: Name | None = Field(default=None, description="Of the voice, such as `cheerful`.")
    style_degree: StyleDegree | None = Field(default=None, description="How much of the style.")
    role: Name | None = Field(default=None, description="Whom the voice plays, such as `Girl`.")
    lexicon: Name | None = Field(
        default=None, description="The address of a lexicon that anybody can read."
    )

    @model_validator(mode="before")
    @classmethod
    def _region_address(cls, section: object) -> object:
        if not isinstance(section, Mapping) or section.get("base_url"):
            return section
        region = str(section.get("region") or "")
        if not region:
            raise ValueError("region is missing; give it here or in AZURE_SPEECH_REGION")
        if not re.fullmatch(_REGION, region):
            return section  # its own pattern refuses it
        return {**section, "base_url": _host(region, "tts")}

    @model_validator(mode="after")
    def _no_model(self) -> Self:
        if self.model is not None:
            raise ValueError("model cannot be chosen: every voice is one")
        return self

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if self.api_key is None and self.access_token is None:
            raise ValueError("api_key is missing; give it here or in AZURE_SPEECH_KEY")
        if self.api_key is not None and self.access_token is not None:
            raise ValueError("give api_key or access_token, not both")
        return self

    @property
    def speech_address(self) -> Address:
        """Where speech is made: custom voices have hosts of their own."""
        is_regional = self.region and self.base_url == _host(self.region, "tts")
        if self.deployment_id and self.region and is_regional:
            return Address.of(_host(self.region, "voice"))
        return self.address


class AzureCallOptions(CallOptions):
    """What one request may set, as ``provider_options={"azure": {...}}``."""

    style: Name | None = None
    style_degree: StyleDegree | None = None
    role: Name | None = None
    lexicon: Name | None = None


def _codes(document: Mapping[str, object]) -> Iterable[object]:
    error = document.get("error")
    if isinstance(error, Mapping):
        yield error.get("code")


class AzureAdapter(CloudAdapter[AzureOptions]):
    """Raw audio as it is made."""

    name = "azure"
    secrets = MappingProxyType({"api_key": "AZURE_SPEECH_KEY", "region": "AZURE_SPEECH_REGION"})
    capabilities = Capabilities(
        formats=("pcm", "wav", "mp3", "opus", "mulaw", "alaw"),
        runs=Runs.CLOUD,
        streaming=NATIVE,
        word_timestamps=NATIVE,
        ssml=frozenset({"speak", "break", "say-as", "p", "s", "sub", "prosody", "phoneme", "lang"}),
        speed=NATIVE,
        speed_range=(0.5, 2.0),
        pitch=NATIVE,
        pitch_range=(-12.0, 7.0),
        styles=NATIVE,
        max_characters=MAX_CHARACTERS,
    )
    call_model = AzureCallOptions
    refusals = Refusals(codes=_codes, statuses={403: QuotaExceededError})

    def __init__(self, options: AzureOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        self.capabilities = self.able(None, None)

    @override
    def able(self, voice: str | None, model: str | None) -> Capabilities:
        able = type(self).capabilities
        able = replace(able, formats=first_of_all(ours(self.options.format), able.formats))
        if _HD in (voice or self.options.voice):
            read = able.ssml - {"prosody", "phoneme"}
            able = replace(able, ssml=read, speed=UNSUPPORTED, pitch=UNSUPPORTED)
            able = replace(able, word_timestamps=EMULATED)
        return able

    @classmethod
    @override
    def variables(cls, section: Mapping[str, object]) -> Mapping[str, str]:
        known = super().variables(section)
        has_token = bool(section.get("access_token"))
        return {name: one for name, one in known.items() if name != "api_key" or not has_token}

    @override
    def headers(self) -> Mapping[str, str]:
        return given(
            {
                "Ocp-Apim-Subscription-Key": revealed(self.options.api_key),
                "Authorization": revealed(self.options.access_token, "Bearer {}"),
            }
        )

    @override
    async def open(self, resources: Resources) -> None:
        await super().open(resources)
        self._speech_http = resources.http(
            self.options.speech_address,
            provider=self.provider,
            headers=self.headers(),
            judge=self._judge,
        )

    @override
    async def voices(self) -> list[Voice]:
        first = self.options.voice
        if self.options.deployment_id is not None:
            return [Voice(first, self.provider, first)]
        listed = map(self._voice, await self._listing())
        return default_first(Voice(first, self.provider, first), listed)

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        voice = utterance.voice or self.options.voice
        content = self._content(utterance)
        async with AsyncExitStack() as stack:
            try:
                source = await stack.enter_async_context(self._spoken(voice, utterance, content))
            except InvalidParameterError as refusal:
                raise await self._explained(refusal, voice) from None
            source.cost = self._cost(voice, content)
            yield source

    @override
    async def check(self) -> None:
        await self._listing()

    def _spoken(
        self, voice: str, utterance: Utterance, content: str
    ) -> contextlib.AbstractAsyncContextManager[AudioSource]:
        locale = _LOCALE.match(voice)
        language = utterance.language or (locale[0] if locale else self.options.language)
        asked = document(voice, language, content)
        if utterance.timestamps is Timestamps.NONE or _HD in voice:
            return self._untimed(asked)
        from ttskit.adapters.azure_socket import timed_speech  # with all of HTTP below it

        return timed_speech(
            self._speech_http,
            utterance,
            asked,
            form=self.options.format,
            deployment_id=self.options.deployment_id,
        )

    @asynccontextmanager
    async def _untimed(self, asked: str) -> AsyncIterator[AudioSource]:
        form = self.options.format
        async with self._speech_http.stream(
            "POST",
            "/cognitiveservices/v1",
            query={"deploymentId": self.options.deployment_id},
            content=asked.encode(),
            headers={
                "Content-Type": "application/ssml+xml",
                "X-Microsoft-OutputFormat": azure_id(form),
            },
        ) as reply:
            await self._expect_audio(reply)
            yield AudioSource(
                reply,
                format=ours(form),
                sample_rate=bare_rate(form),
                request_id=reply.headers.get(self.refusals.request_id),
            )

    def _content(self, utterance: Utterance) -> str:
        """Return what the voice is to say, and how."""
        options = self._settings(utterance)
        said = inner(utterance.text) if utterance.is_ssml else escape(utterance.text)
        prosody = {
            "rate": None if utterance.speed == 1 else f"{utterance.speed:g}",
            "pitch": f"{utterance.pitch:+g}st" if utterance.pitch else None,
        }
        manner = {
            "style": options.style,
            "styledegree": options.style_degree,
            "role": options.role,
        }
        content = element("mstts:express-as", manner, element("prosody", prosody, said))
        return element("lexicon", {"uri": options.lexicon}, "") + content

    async def _explained(self, refusal: TTSError, voice: str) -> TTSError:
        """Return what a status 400, whose body is empty, is about: mostly the voice."""
        if self.options.deployment_id is not None:
            return refusal
        with contextlib.suppress(TTSError):
            known = [str(entry["ShortName"]) for entry in await self._listing()]
            if voice not in known:
                missing = voice_not_found(voice, known)
                missing.provider, missing.request_id = self.provider, refusal.request_id
                return missing
        return refusal

    async def _listing(self) -> list[Mapping[str, object]]:
        data = await self._http.fetch("GET", "/cognitiveservices/voices/list")
        listing = json_object(b'{"voices": %b}' % data)["voices"]  # it is a bare list
        entries = listing if isinstance(listing, list) else []
        return [one for one in entries if isinstance(one, Mapping) and one.get("ShortName")]

    def _voice(self, entry: Mapping[str, object]) -> Voice:
        roles = ", ".join(_names(entry.get("RolePlayList")))
        notes = (entry.get("LocaleName"), entry.get("Status"), roles and f"roles: {roles}")
        locale = entry.get("Locale")
        return Voice(
            str(entry["ShortName"]),
            self.provider,
            str(entry.get("DisplayName") or entry["ShortName"]),
            languages=tuple(
                dict.fromkeys(_names([locale]) + _names(entry.get("SecondaryLocaleList")))
            ),
            gender=_GENDERS.get(str(entry.get("Gender")), Gender.UNKNOWN),
            styles=tuple(_names(entry.get("StyleList"))),
            description="; ".join(str(note) for note in notes if note),
        )

    @property
    @override
    def billed_as(self) -> str | None:
        return self._billed_as(self.options.voice)

    def _cost(self, voice: str, content: str) -> float | None:
        return cost(self.name, self._billed_as(voice), billed(content))

    def _billed_as(self, voice: str) -> str | None:
        if self.options.deployment_id is not None:
            return None
        return "neural-hd" if _HD in voice else "neural"


def _host(region: str, service: str) -> str:
    domain = "azure.cn" if region.startswith("china") else "microsoft.com"
    return f"https://{region}.{service}.speech.{domain}"


def _names(listed: object) -> list[str]:
    names = listed if isinstance(listed, list) else []
    return [name for name in names if isinstance(name, str) and name]
