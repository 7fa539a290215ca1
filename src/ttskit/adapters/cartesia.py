"""Cartesia's Sonic voices.

Source of all facts: Cartesia's API reference and Python SDK 4.2.0.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from typing_extensions import override

from ttskit.adapters.base import (
    NATIVE,
    AudioSource,
    Capabilities,
    Runs,
    TimedText,
    Utterance,
)
from ttskit.adapters.cartesia_replies import ListedVoice, SpokenEvents, VoicePage
from ttskit.adapters.cloud import ApiKey, BaseURL, default_first, first_of_all
from ttskit.adapters.floats import Floats
from ttskit.adapters.models import cost
from ttskit.adapters.options import CallOptions, given
from ttskit.adapters.refusals import Refusals
from ttskit.adapters.replies import EVENTS
from ttskit.adapters.streamed import StreamedAdapter, StreamedOptions
from ttskit.adapters.timing import WordFinder
from ttskit.errors import RateLimitedError, VoiceNotFoundError
from ttskit.request import Timestamps
from ttskit.voices import Gender, Voice

if TYPE_CHECKING:
    from ttskit.adapters.cartesia_socket import Context
    from ttskit.resources.http.lines import Lines

VERSION = "2026-08-14"
"""Of the API, which decides the shapes of everything below."""
DEFAULT_VOICE = "e07c00bc-4134-4eae-9ea4-1a55fb45746b"
"""The one in the SDK's own example."""
LANGUAGES = frozenset((
    "ar", "bg", "bn", "cs", "da", "de", "el", "en", "es", "fi", "fr", "gu", "he", "hi", "hr", "hu",
    "id", "it", "ja", "ka", "kn", "ko", "ml", "mr", "ms", "nl", "no", "or", "pa", "pl", "pt", "ro",
    "ru", "sk", "sv", "ta", "te", "th", "tl", "tr", "uk", "ur", "vi", "zh",
))  # fmt: skip
PAGE = 100
"""Voices; the most that one page holds."""

Format = Literal["pcm", "f32", "wav", "mp3", "mulaw", "alaw"]
_RAW: Mapping[str, str] = MappingProxyType(
    {"pcm": "pcm_s16le", "f32": "pcm_f32le", "mulaw": "pcm_mulaw", "alaw": "pcm_alaw"}
)
_TELEPHONY = frozenset({"mulaw", "alaw"})
_WIDTHS: Mapping[str, int] = MappingProxyType({"pcm": 2, "f32": 4, "mulaw": 1, "alaw": 1})
"""Bytes a sample."""
_GENDERS: Mapping[str, Gender] = MappingProxyType(
    {"masculine": Gender.MALE, "feminine": Gender.FEMALE, "gender_neutral": Gender.NEUTRAL}
)

Volume = Annotated[float, Field(ge=0.5, le=2.0)]
Emotion = Annotated[str, Field(min_length=1, max_length=40)]
Id = Annotated[str, Field(min_length=1, max_length=200)]


class CartesiaOptions(StreamedOptions):
    """The section of tts.yaml."""

    base_url: BaseURL = Field(
        default="https://api.cartesia.ai", description="Where the API is; a proxy's, perhaps."
    )
    api_key: ApiKey = Field(description="From play.cartesia.ai.")
    model: str = Field(
        default="sonic-3.5", min_length=1, description="The model where none is asked for."
    )
    voice: str = Field(
        default=DEFAULT_VOICE, min_length=1, description="The voice where none is asked for."
    )
    language: str | None = Field(
        default=None,
        min_length=2,
        description="The language where none is asked for, BCP 47: `en`, `pt-BR`.",
    )
    format: Format = Field(
        default="pcm", description="What is asked for; timed words come in `pcm` at least."
    )
    sample_rate: Literal[8000, 16000, 22050, 24000, 44100, 48000] | None = Field(
        default=None, description="Hz; None: 44,100, and 8,000 for `mulaw` and `alaw`."
    )
    bit_rate: Literal[32000, 64000, 96000, 128000, 192000] = Field(
        default=128_000, description="Of mp3, in bits a second."
    )
    emotion: Emotion | None = Field(
        default=None, description="Such as `calm`, `excited` or `sarcastic`; from sonic-3 on."
    )
    volume: Volume | None = Field(
        default=None, description="Factor of the loudness, by the model itself; from sonic-3 on."
    )
    normalization: str | None = Field(
        default=None,
        min_length=1,
        description="How numbers and dates are spelt out: `auto`, `off` or a locale.",
    )
    pronunciation_dict_id: Id | None = Field(
        default=None, description="A dictionary of the account's; from sonic-3 on."
    )
    save: bool = Field(default=False, description="Cartesia keeps the audio; not of timed words.")


class CartesiaCallOptions(CallOptions):
    """What one request may set, as ``provider_options={"cartesia": {...}}``."""

    emotion: Emotion | None = None
    volume: Volume | None = None
    normalization: str | None = None
    pronunciation_dict_id: Id | None = None


def _codes(document: Mapping[str, object]) -> Iterable[object]:
    yield document.get("error_code")


class CartesiaAdapter(StreamedAdapter[CartesiaOptions, "Context"]):
    """Raw audio as it is made; events with words and audio where times are wanted."""

    name = "cartesia"
    call_model = CartesiaCallOptions
    secrets = MappingProxyType({"api_key": "CARTESIA_API_KEY"})
    capabilities = Capabilities(
        languages=LANGUAGES,
        formats=("pcm", "f32", "wav", "mp3", "mulaw", "alaw"),
        runs=Runs.CLOUD,
        streaming=NATIVE,
        word_timestamps=NATIVE,
        speed=NATIVE,
        speed_range=(0.6, 1.5),
        models=NATIVE,
        styles=NATIVE,
    )
    refusals = Refusals(
        MappingProxyType({"concurrency_limited": RateLimitedError}),
        _codes,
        statuses=MappingProxyType({404: VoiceNotFoundError}),
    )

    def __init__(self, options: CartesiaOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        able = type(self).capabilities
        self.capabilities = replace(able, formats=first_of_all(options.format, able.formats))
        self._read_as_one(is_possible=options.format in _RAW)

    @override
    def headers(self) -> Mapping[str, str]:
        key = self.options.api_key.get_secret_value()
        return {"Authorization": f"Bearer {key}", "Cartesia-Version": VERSION}

    @override
    async def voices(self) -> list[Voice]:
        default = self.options.voice
        listed = map(self._voice, await self._listed())
        return default_first(Voice(default, self.provider, default), listed)

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        is_timed = utterance.timestamps is not Timestamps.NONE
        form = self._format(is_timed=is_timed)
        body = self._body(utterance, form, is_timed=is_timed)
        if form in _RAW and self._by_socket(utterance):
            async with self._over_socket(utterance, form, body) as source:
                yield source
            return
        path = "/tts/sse" if is_timed else "/tts/bytes"
        async with self._http.stream("POST", path, json=body) as reply:
            if reply.content_type != EVENTS:
                await self._expect_audio(reply)
            words: list[TimedText] = []
            chunks = (
                SpokenEvents(reply, self.refusals, WordFinder(utterance.text), words)
                if is_timed
                else reply
            )
            yield AudioSource(
                Floats(chunks) if form == "f32" else chunks,
                format=form,
                sample_rate=self._rate(form) if form in _RAW else 0,
                words=words,
                request_id=reply.headers.get("x-request-id"),
                cost=cost(self.name, utterance.model or self.options.model, len(utterance.text)),
            )

    @asynccontextmanager
    async def _over_socket(
        self, utterance: Utterance, form: Format, body: dict[str, object]
    ) -> AsyncIterator[AudioSource]:
        from ttskit.adapters.cartesia_socket import PATH, ContextAudio  # with HTTP below it

        text = str(body.pop("transcript"))
        terms = {name: value for name, value in body.items() if name != "save"}
        call = self._http.websocket(PATH)
        async with self._lines.ask(
            call,
            lambda context: context.opening(utterance.lane, terms, text),
            lane=utterance.lane,
        ) as line:
            words: list[TimedText] = []
            chunks = ContextAudio(
                line,
                self.refusals,
                WordFinder(utterance.text),
                words,
                bytes_per_second=_WIDTHS[form] * self._rate(form),
            )
            yield AudioSource(
                Floats(chunks) if form == "f32" else chunks,
                format=form,
                sample_rate=self._rate(form),
                words=words,
                request_id=line.memory.id,
                cost=cost(self.name, utterance.model or self.options.model, len(utterance.text)),
            )

    @override
    def _sockets(self) -> Lines[Context]:
        from ttskit.adapters.cartesia_socket import KEEPING, Context
        from ttskit.resources.http.lines import Lines

        return Lines(self._http, KEEPING, remember=Context, farewell=Context.farewell)

    @override
    async def check(self) -> None:
        await self._http.fetch("GET", "/voices", query={"limit": 1})

    def _format(self, *, is_timed: bool) -> Format:
        """Return what is asked for: where words are timed there are no containers."""
        return "pcm" if is_timed and self.options.format not in _RAW else self.options.format

    def _rate(self, form: Format) -> int:
        return self.options.sample_rate or (8_000 if form in _TELEPHONY else 44_100)

    def _body(self, utterance: Utterance, form: Format, *, is_timed: bool) -> dict[str, object]:
        options = self._settings(utterance)
        language = utterance.language or options.language
        has_region = language is not None and "-" in language
        manner = given(
            speed=None if utterance.speed == 1 else utterance.speed,
            volume=options.volume,
            emotion=options.emotion,
        )
        times = {"add_timestamps": True, "use_normalized_timestamps": False}
        return given(
            model_id=utterance.model or options.model,
            transcript=utterance.text,
            voice=utterance.voice or options.voice,
            output_format=self._output(form),
            language=None if has_region else language,
            locale=language if has_region else None,
            generation_config=manner or None,
            normalization=options.normalization,
            pronunciation_dict_id=options.pronunciation_dict_id,
            save=True if options.save and not is_timed else None,
            **(times if is_timed else {}),
        )

    def _output(self, form: Format) -> dict[str, object]:
        rate = self._rate(form)
        if form == "mp3":
            return {"container": "mp3", "sample_rate": rate, "bit_rate": self.options.bit_rate}
        container = "raw" if form in _RAW else form
        encoding = _RAW.get(form, "pcm_s16le")
        return {"container": container, "encoding": encoding, "sample_rate": rate}

    async def _listed(self) -> list[ListedVoice]:
        """Return all voices, page by page; one that leads nowhere new is the last."""
        voices: dict[str, ListedVoice] = {}
        after: str | None = None
        while True:
            query = {"limit": PAGE, "starting_after": after}
            page = VoicePage.read(await self._http.fetch("GET", "/voices", query=query))
            fresh = {one.id: one for one in page.data if one.id not in voices}
            voices |= fresh
            if not page.has_more or not fresh:
                return list(voices.values())
            after = page.data[-1].id

    def _voice(self, one: ListedVoice) -> Voice:
        return Voice(
            one.id,
            self.provider,
            one.name,
            languages=one.languages,
            gender=_GENDERS.get(one.gender or "", Gender.UNKNOWN),
            description=one.description or one.tagline or "",
            cloned=one.is_owner,
        )
