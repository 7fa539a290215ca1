"""Hume's Octave voices.

Source of all facts: Hume's API reference (``/v0/tts``) and Python SDK 0.14.1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import override

from ttskit.adapters.base import (
    EMULATED,
    NATIVE,
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
)
from ttskit.adapters.hume_replies import SpokenLines
from ttskit.adapters.hume_voices import CUSTOM, LIBRARIES, VoicePage, named, prefix
from ttskit.adapters.models import cost
from ttskit.adapters.options import CallOptions, given
from ttskit.adapters.refusals import Refusals
from ttskit.adapters.timing import WordFinder
from ttskit.errors import VoiceNotFoundError
from ttskit.request import Timestamps
from ttskit.resources.http.address import Query
from ttskit.voices import Voice

SAMPLE_RATE = 48_000
"""Hz of all audio."""
TIMED_MODEL = "2"
"""The only version that times words."""
DEFAULT_VOICE = "Male English Actor"
"""The one in the SDK's own examples."""
PAGE = 100
"""Voices; the most that one page holds."""

Format = Literal["pcm", "wav", "mp3"]
Description = Annotated[str, Field(min_length=1, max_length=100)]
Temperature = Annotated[float, Field(ge=0, le=2)]
TrailingSilence = Annotated[float, Field(ge=0, le=5)]


class HumeOptions(CloudOptions):
    """The section of tts.yaml."""

    base_url: BaseURL = Field(
        default="https://api.hume.ai", description="Where the API is; a proxy's, perhaps."
    )
    api_key: ApiKey = Field(description="From app.hume.ai.")
    model: Literal["1", "2"] = Field(
        default="2", description="The version of Octave; only `2` times words."
    )
    voice: str = Field(
        default=DEFAULT_VOICE,
        min_length=1,
        description="A name or id of Hume's library; `custom/` before one of your own.",
    )
    format: Format = Field(default="pcm", description="What is asked for.")
    description: Description | None = Field(
        default=None, description="How to speak, in words: `calm, almost whispering`."
    )
    trailing_silence: TrailingSilence | None = Field(
        default=None, description="Seconds after each utterance."
    )
    temperature: Temperature | None = Field(
        default=None, description="Low is even, high is varied; None: 0.8 or 0.75 by version."
    )
    split_utterances: bool | None = Field(
        default=None,
        description="Hume may cut an utterance into snippets; None: unless words are timed.",
    )
    instant_mode: bool | None = Field(
        default=None, description="The first audio comes sooner; None: Hume's own choice."
    )


class HumeCallOptions(CallOptions):
    """What one request may set, as ``provider_options={"hume": {...}}``."""

    description: Description | None = None
    trailing_silence: TrailingSilence | None = None
    temperature: Temperature | None = None
    generation_id: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Of an earlier generation that this one continues."
    )


def _codes(document: Mapping[str, object]) -> Iterable[object]:
    """Return the codes in the errors of validation, of the API and of the gateway before it."""
    details = document.get("detail")
    for one in details if isinstance(details, list) else ():
        place = one.get("loc") if isinstance(one, dict) else None
        if isinstance(place, list) and "voice" in place:
            yield "voice"
    yield document.get("code")
    fault = document.get("fault")
    detail = fault.get("detail") if isinstance(fault, dict) else None
    yield detail.get("errorcode") if isinstance(detail, dict) else None


class HumeAdapter(CloudAdapter[HumeOptions]):
    """Audio as it is made; lines with words and audio where times are wanted."""

    name = "hume"
    call_model = HumeCallOptions
    secrets = MappingProxyType({"api_key": "HUME_API_KEY"})
    capabilities = Capabilities(
        formats=("pcm", "wav", "mp3"),
        runs=Runs.CLOUD,
        streaming=NATIVE,
        word_timestamps=NATIVE,
        speed=NATIVE,
        speed_range=(0.5, 2.0),
        models=NATIVE,
        styles=NATIVE,
        context=NATIVE,
        max_characters=5_000,
    )
    refusals = Refusals(
        MappingProxyType({"voice": VoiceNotFoundError}),
        _codes,
        statuses=MappingProxyType({404: VoiceNotFoundError}),
    )

    def __init__(self, options: HumeOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        self.capabilities = self.able(None, None)

    @override
    def able(self, voice: str | None, model: str | None) -> Capabilities:
        able = type(self).capabilities
        is_timed = (model or self.options.model) == TIMED_MODEL
        return replace(
            able,
            formats=first_of_all(self.options.format, able.formats),
            word_timestamps=NATIVE if is_timed else EMULATED,
        )

    @override
    def headers(self) -> Mapping[str, str]:
        return {"X-Hume-Api-Key": self.options.api_key.get_secret_value()}

    @override
    async def voices(self) -> list[Voice]:
        listed = [one for library in LIBRARIES for one in await self._listed(library)]
        default = self.options.voice
        first = next(
            (one for one in listed if default in (one.id, prefix(one.id) + one.name)),
            Voice(default, self.provider, default.removeprefix(CUSTOM)),
        )
        return default_first(first, listed)

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        model = utterance.model or self.options.model
        is_timed = utterance.timestamps is not Timestamps.NONE and model == TIMED_MODEL
        body = self._body(utterance, model, is_timed=is_timed)
        path = "/v0/tts/stream/json" if is_timed else "/v0/tts/stream/file"
        async with self._http.stream("POST", path, json=body) as reply:
            source = AudioSource(
                reply,
                format=self.options.format,
                sample_rate=SAMPLE_RATE if self.options.format == "pcm" else 0,
                request_id=reply.headers.get("x-request-id"),
                cost=cost(self.name, model, len(utterance.text)),
            )
            if is_timed:
                finder = WordFinder(utterance.text)
                source.chunks = SpokenLines(reply, self.refusals, finder, source)
            else:
                await self._expect_audio(reply)
            yield source

    @override
    async def check(self) -> None:
        await self._page("HUME_AI", 0, 1)

    def _body(self, utterance: Utterance, model: str, *, is_timed: bool) -> dict[str, object]:
        options = self._settings(utterance)
        earlier = next(reversed(utterance.previous_ids), None)
        if earlier is None and not utterance.index:
            earlier = self._own(HumeCallOptions, utterance).generation_id
        voice = named(utterance.voice or options.voice)
        said = given(
            text=utterance.text,
            voice=voice,
            description=options.description,
            speed=None if utterance.speed == 1 else utterance.speed,
            trailing_silence=options.trailing_silence,
        )
        splits = options.split_utterances
        return given(
            utterances=[said],
            context=_context(earlier, utterance.previous_text, voice),
            format={"type": options.format},
            version=model,
            include_timestamp_types=["word"] if is_timed else None,
            split_utterances=False if is_timed and splits is None else splits,
            strip_headers=True,
            temperature=options.temperature,
            instant_mode=options.instant_mode,
        )

    async def _listed(self, library: str) -> list[Voice]:
        """Return the voices of a library that the configured model speaks with, of all pages."""
        voices: list[Voice] = []
        number = 0
        while True:
            page = await self._page(library, number, PAGE)
            voices += page.speaking(self.options.model, library, self.provider)
            number += 1
            if number >= page.total_pages or not page.voices_page:
                return voices

    async def _page(self, library: str, number: int, size: int) -> VoicePage:
        query: Query = {"provider": library, "page_number": number, "page_size": size}
        return VoicePage.read(await self._http.fetch("GET", "/v0/tts/voices", query=query))


def _context(
    generation_id: str | None, previous_text: str | None, voice: dict[str, str]
) -> dict[str, object] | None:
    """Return what was said before: a generation, or else a text in the same voice."""
    if generation_id is not None:
        return {"generation_id": generation_id}
    if previous_text:
        return {"utterances": [{"text": previous_text, "voice": voice}]}
    return None
