"""Deepgram's voices: Aura over ``POST /v1/speak``, Flux over ``POST /v2/speak``.

Source of all facts: Deepgram's API specification of 2026-07 and Python SDK 7.17.0. The words of
the refusal of an unknown voice are those that users of the endpoint report.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from ttskit.adapters.base import NATIVE, AudioSource, Capabilities, Runs, Utterance
from ttskit.adapters.cloud import ApiKey, BaseURL, default_first
from ttskit.adapters.models import cost
from ttskit.adapters.options import CallOptions
from ttskit.adapters.refusals import Refusals
from ttskit.adapters.streamed import StreamedAdapter, StreamedOptions
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    PermissionDeniedError,
    RateLimitedError,
    TextTooLongError,
    TTSError,
    VoiceNotFoundError,
)
from ttskit.resources.http.address import Query
from ttskit.resources.http.framing import json_object
from ttskit.voices import Gender, Voice

if TYPE_CHECKING:
    from ttskit.adapters.deepgram_socket import Flushes, Talk
    from ttskit.resources.http.lines import Lines

DEFAULT_VOICE = "aura-2-thalia-en"
"""Deepgram's own default is of the first generation."""
MAX_CHARACTERS = 2_000

Format = Literal["pcm", "wav", "mp3", "opus", "flac", "aac", "mulaw", "alaw"]
Expressivity = Annotated[int, Field(ge=-2, le=2)]
Tags = tuple[Annotated[str, Field(min_length=1, max_length=128)], ...]

_FORMATS: Mapping[Format, Mapping[str, str]] = MappingProxyType(
    {
        "pcm": {"encoding": "linear16", "container": "none"},
        "wav": {"encoding": "linear16", "container": "wav"},
        "mp3": {"encoding": "mp3"},
        "opus": {"encoding": "opus", "container": "ogg"},
        "flac": {"encoding": "flac"},
        "aac": {"encoding": "aac"},
        "mulaw": {"encoding": "mulaw", "container": "none"},
        "alaw": {"encoding": "alaw", "container": "none"},
    }
)
_SAMPLE_RATES: Mapping[Format, tuple[int, ...]] = MappingProxyType(
    {
        "pcm": (24_000, 8_000, 16_000, 32_000, 48_000),
        "wav": (24_000, 8_000, 16_000, 32_000, 48_000),
        "flac": (8_000, 16_000, 22_050, 32_000, 48_000),
        "mulaw": (8_000, 16_000),
        "alaw": (8_000, 16_000),
    }
)
"""Hz; the first is what we take where it is not set and no header would say it. Formats that are
not here have one rate and refuse the setting."""
_HEADLESS = frozenset({"pcm", "mulaw", "alaw"})
_GENDERS = MappingProxyType({"feminine": Gender.FEMALE, "masculine": Gender.MALE})
"""Told among other tags only."""
_MP3_BIT_RATES = (32_000, 48_000)


class DeepgramOptions(StreamedOptions):
    """The section of tts.yaml."""

    base_url: BaseURL = Field(
        default="https://api.deepgram.com",
        description="`https://api.eu.deepgram.com` and others keep the text in a region.",
    )
    api_key: ApiKey = Field(description="Of a project, with the right to use speech.")
    voice: str | None = Field(
        default=None,
        min_length=1,
        description=f"Such as `aura-2-thalia-en`, which says generation, name and language; "
        f"None: `{DEFAULT_VOICE}`.",
    )
    model: str | None = Field(
        default=None, min_length=1, description="What Deepgram calls a voice; give one of the two."
    )
    format: Format = Field(default="pcm", description="What Deepgram is asked for.")
    sample_rate: int | None = Field(
        default=None,
        description="Hz, of pcm, wav, flac, mulaw and alaw; None: 24000 of pcm, 8000 of the last.",
    )
    bit_rate: Annotated[int, Field(ge=4_000, le=650_000)] | None = Field(
        default=None, description="Bits a second, of mp3 (32000 or 48000), opus and aac."
    )
    expressivity: Expressivity | None = Field(
        default=None, description="Of Flux voices, from calm to lively; 0 is the voice's own."
    )
    tag: Tags = Field(default=(), description="Labels of the requests in the usage reports.")
    mip_opt_out: bool | None = Field(
        default=None, description="Keep texts out of the Model Improvement Program; may cost more."
    )

    @model_validator(mode="after")
    def _voice_is_one(self) -> Self:
        if self.voice and self.model:
            raise ValueError("voice and model are the same here: give one of them")
        return self

    @model_validator(mode="after")
    def _format_has_its_rates(self) -> Self:
        rates = _SAMPLE_RATES.get(self.format, ())
        if self.sample_rate is not None and self.sample_rate not in rates:
            known = ", ".join(map(str, sorted(rates))) or "one sample rate, which is not asked for"
            raise ValueError(f"sample_rate: {self.format} has {known}")
        if self.bit_rate is None:
            return self
        if self.format not in {"mp3", "opus", "aac"}:
            raise ValueError(f"bit_rate: {self.format} has none to choose")
        if self.format == "mp3" and self.bit_rate not in _MP3_BIT_RATES:
            raise ValueError("bit_rate: mp3 has 32000, 48000")
        return self


class DeepgramCallOptions(CallOptions):
    """What one request may set, as ``provider_options={"deepgram": {...}}``."""

    expressivity: Expressivity | None = None
    tag: Tags | None = None
    mip_opt_out: bool | None = None


def _codes(document: Mapping[str, object]) -> Iterable[object]:
    """Return the codes in both shapes of error that have one.

    An unknown voice has no code of its own, only a message.
    """
    message = str(document.get("err_msg") or document.get("message") or "").lower()
    if "no such model" in message:
        yield "NO_SUCH_MODEL"
    yield document.get("err_code")
    yield document.get("category")
    yield document.get("code")
    yield document.get("dg-error")


_KINDS: Mapping[str, type[TTSError]] = MappingProxyType(
    {
        "NO_SUCH_MODEL": VoiceNotFoundError,
        "INVALID_AUTH": AuthenticationError,
        "INSUFFICIENT_PERMISSIONS": PermissionDeniedError,
        "TOO_MANY_REQUESTS": RateLimitedError,
        # Of sockets alone:
        "BIG-0000": TextTooLongError,
        "DATA-0000": InvalidParameterError,
        "DATA-0002": InvalidParameterError,
        "MESSAGE-0000": InvalidParameterError,
    }
)


class DeepgramAdapter(StreamedAdapter[DeepgramOptions, "Talk"]):
    """Raw audio as it is made. A voice speaks one language, and its id is also the model's."""

    name = "deepgram"
    call_model = DeepgramCallOptions
    secrets = MappingProxyType({"api_key": "DEEPGRAM_API_KEY"})
    capabilities = Capabilities(
        formats=("pcm", "wav", "mp3", "opus", "flac", "aac", "mulaw", "alaw"),
        runs=Runs.CLOUD,
        streaming=NATIVE,
        speed=NATIVE,
        speed_range=(0.7, 1.5),
        max_characters=MAX_CHARACTERS,
    )
    refusals = Refusals(_KINDS, _codes, request_id="dg-request-id", code_header="dg-error")
    _flushes: Flushes

    def __init__(self, options: DeepgramOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        self._read_as_one(is_possible=options.format in _HEADLESS)

    @override
    def headers(self) -> Mapping[str, str]:
        # Not Bearer, which is for short-lived tokens.
        return {"Authorization": f"Token {self.options.api_key.get_secret_value()}"}

    @override
    async def voices(self) -> list[Voice]:
        listing = json_object(await self._http.fetch("GET", "/v1/models")).get("tts")
        entries = listing if isinstance(listing, list) else []
        listed = [_voice(one, self.provider) for one in entries if isinstance(one, dict)]
        default = _voice({"canonical_name": self._default}, self.provider)
        return default_first(default, (voice for voice in listed if voice.id))

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        voice, form = utterance.voice or self._default, self.options.format
        if self._by_socket(utterance):
            async with self._over_socket(voice, utterance) as source:
                yield source
            return
        query, body = self._query(voice, utterance), {"text": utterance.text}
        async with self._http.stream("POST", _path(voice), query=query, json=body) as reply:
            await self._expect_audio(reply)
            counted = reply.headers.get("dg-char-count", "")
            characters = int(counted) if counted.isdecimal() else len(utterance.text)
            yield AudioSource(
                reply,
                format=form,
                sample_rate=(self._rate or 0) if form in _HEADLESS else 0,
                request_id=reply.headers.get("dg-request-id"),
                cost=cost(self.name, _generation(voice), characters),
            )

    @override
    def _by_socket(self, utterance: Utterance) -> bool:
        if self.options.format not in _HEADLESS or not super()._by_socket(utterance):
            return False
        return utterance.lane is None or self._flushes.take(utterance.lane)

    @asynccontextmanager
    async def _over_socket(self, voice: str, utterance: Utterance) -> AsyncIterator[AudioSource]:
        from ttskit.adapters.deepgram_socket import TurnAudio, opening  # with HTTP below it

        query = {**self._query(voice, utterance), "container": None}
        call = self._http.websocket(_path(voice), query=query)
        async with self._lines.ask(
            call, lambda _: opening(utterance.text), lane=utterance.lane
        ) as line:
            chunks = TurnAudio(line, self.refusals, is_flux=_is_flux(voice))
            await chunks.begin()
            yield AudioSource(
                chunks,
                format=self.options.format,
                sample_rate=self._rate or 0,
                request_id=line.memory.request_id,
                cost=cost(self.name, _generation(voice), len(utterance.text)),
            )

    @override
    def _sockets(self) -> Lines[Talk]:
        from ttskit.adapters.deepgram_socket import KEEPING, Flushes, Talk
        from ttskit.resources.http.lines import Lines

        self._flushes = Flushes()
        return Lines(self._http, KEEPING, remember=Talk)

    @override
    def release(self, lane: str) -> None:
        super().release(lane)
        if self._kept is not None:
            self._flushes.forget(lane)

    @override
    async def check(self) -> None:
        await self._http.fetch("GET", "/v1/models")

    @property
    @override
    def billed_as(self) -> str | None:
        return _generation(self._default)

    @property
    def _default(self) -> str:
        return self.options.voice or self.options.model or DEFAULT_VOICE

    @property
    def _rate(self) -> int | None:
        """Hz; None where it is the provider's choice."""
        options = self.options
        if options.sample_rate is None and options.format in _HEADLESS:
            return _SAMPLE_RATES[options.format][0]
        return options.sample_rate

    def _query(self, voice: str, utterance: Utterance) -> Query:
        options = self._settings(utterance)
        speed, expressivity = utterance.speed, None
        if _is_flux(voice):
            speed = round(20 * speed) / 20  # it takes steps of 0.05
            expressivity = options.expressivity
        return {
            "model": voice,
            **_FORMATS[options.format],
            "sample_rate": self._rate,
            "bit_rate": options.bit_rate,
            "speed": None if speed == 1 else speed,
            "expressivity": expressivity,
            "tag": options.tag or None,
            "mip_opt_out": options.mip_opt_out,
        }


def _is_flux(voice: str) -> bool:
    return voice.startswith("flux-")


def _path(voice: str) -> str:
    """Return where a voice speaks: neither endpoint takes the other's."""
    return "/v2/speak" if _is_flux(voice) else "/v1/speak"


def _voice(entry: Mapping[str, object], provider: str) -> Voice:
    """Return one entry of the list of models; its id is empty where it is none."""
    ident = str(entry.get("canonical_name") or "")
    metadata = entry.get("metadata")
    facts = metadata if isinstance(metadata, dict) else {}
    tags = [tag.lower() for tag in _texts(facts.get("tags"))]
    gender = next((_GENDERS[tag] for tag in tags if tag in _GENDERS), Gender.UNKNOWN)
    manner = [tag for tag in tags if tag not in _GENDERS]
    told = [*_texts([facts.get("accent"), facts.get("age")]), *manner]
    return Voice(
        ident,
        provider,
        str(entry.get("name") or ident),
        languages=tuple(_texts(entry.get("languages"))) or (ident.rpartition("-")[2],),
        gender=gender,
        description=", ".join([*told, *_texts(facts.get("use_cases"))]),
    )


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str) and one] if isinstance(value, list) else []


def _generation(voice: str) -> str:
    """Return what a voice is billed as."""
    if _is_flux(voice):
        return "flux"
    return "aura-2" if voice.startswith("aura-2-") else "aura"
