"""LMNT's voices.

Source of all facts: LMNT's API 1.2 and Python SDK 2.13.0.
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
    UNSUPPORTED,
    AudioSource,
    Capabilities,
    Runs,
    TimedText,
    Utterance,
)
from ttskit.adapters.cloud import ApiKey, BaseURL, default_first, first_of_all
from ttskit.adapters.floats import Floats
from ttskit.adapters.lmnt_replies import ListedVoice, Speech
from ttskit.adapters.models import cost
from ttskit.adapters.options import CallOptions, given
from ttskit.adapters.refusals import Refusals
from ttskit.adapters.replies import Once, pieces
from ttskit.adapters.streamed import StreamedAdapter, StreamedOptions
from ttskit.adapters.timing import WordFinder
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    PermissionDeniedError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TTSError,
    VoiceNotFoundError,
)
from ttskit.request import Timestamps
from ttskit.voices import Gender, Voice

if TYPE_CHECKING:
    from ttskit.adapters.lmnt_socket import Talk
    from ttskit.resources.http.lines import Lines

VERSION = "1.2"
"""Of the API."""
DEFAULT_VOICE = "leah"
"""The one in the SDK's own example."""
DEFAULT_MODEL = "blizzard"
LANGUAGES = frozenset((
    "ar", "as", "bn", "cs", "da", "de", "en", "es", "fi", "fr", "hi", "id", "it", "ja", "ko", "ml",
    "mr", "nl", "pl", "pt", "ru", "sk", "sv", "ta", "te", "th", "tr", "uk", "ur", "vi", "zh",
))  # fmt: skip

Format = Literal["pcm", "f32", "mp3", "mulaw", "wav", "aac"]
_ASKED: Mapping[Format, str] = MappingProxyType(
    {"pcm": "pcm_s16le", "f32": "pcm_f32le", "mulaw": "ulaw"}
)
_SENT: Mapping[Format, str] = MappingProxyType({"mulaw": "wav"})
"""LMNT puts µ-law into a WAV."""
_WHOLE = frozenset({"wav", "aac"})
"""Formats that LMNT sends only when all of it is made."""
_RAW = frozenset({"pcm", "f32"})
_SOCKET_TERMS = frozenset({"voice", "format", "language", "sample_rate", "return_timestamps"})
"""What a socket can be told; a request that sets more goes over HTTP."""
_GENDERS: Mapping[str, Gender] = MappingProxyType(
    {"male": Gender.MALE, "female": Gender.FEMALE, "nonbinary": Gender.NEUTRAL}
)

Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]


class LMNTOptions(StreamedOptions):
    """The section of tts.yaml."""

    base_url: BaseURL = Field(
        default="https://api.lmnt.com", description="Where the API is; a proxy's, perhaps."
    )
    api_key: ApiKey = Field(description="From app.lmnt.com.")
    model: str | None = Field(
        default=None, min_length=1, description="None: LMNT's own choice; there is `blizzard`."
    )
    voice: str = Field(
        default=DEFAULT_VOICE, min_length=1, description="The voice where none is asked for."
    )
    language: Annotated[str, Field(min_length=2)] | None = Field(
        default=None,
        description="The language where none is asked for; None: LMNT finds out, and waits.",
    )
    format: Format = Field(
        default="pcm", description="What is asked for; `wav` and `aac` come only when whole."
    )
    sample_rate: Literal[8000, 16000, 24000] | None = Field(
        default=None, description="Hz; None: 24,000, and 8,000 for `mulaw`."
    )
    temperature: Temperature | None = Field(
        default=None, description="Low is neutral and even, high is expressive."
    )
    top_p: TopP | None = Field(
        default=None, description="Low is steady, high is free in how words are said."
    )
    debug: bool = Field(default=False, description="LMNT keeps the speech in your clip library.")


class LMNTCallOptions(CallOptions):
    """What one request may set, as ``provider_options={"lmnt": {...}}``."""

    temperature: Temperature | None = None
    top_p: TopP | None = None
    debug: bool | None = None


def _codes(document: Mapping[str, object]) -> Iterable[object]:
    error = document.get("error")
    if isinstance(error, Mapping):  # older ones are a text
        yield error.get("type")


_KINDS: Mapping[str, type[TTSError]] = MappingProxyType(
    {
        "invalid_request_error": InvalidParameterError,
        "authentication_error": AuthenticationError,
        "payment_required_error": QuotaExceededError,
        "permission_error": PermissionDeniedError,
        "not_found_error": VoiceNotFoundError,
        "rate_limit_error": RateLimitedError,
        "internal_server_error": ProviderUnavailableError,
    }
)


class LMNTAdapter(StreamedAdapter[LMNTOptions, "Talk"]):
    """Raw audio as it is made; where words are timed, all of it at once."""

    name = "lmnt"
    default_model = DEFAULT_MODEL
    call_model = LMNTCallOptions
    secrets = MappingProxyType({"api_key": "LMNT_API_KEY"})
    capabilities = Capabilities(
        languages=LANGUAGES,
        formats=("pcm", "f32", "mp3", "wav", "aac"),
        runs=Runs.CLOUD,
        streaming=NATIVE,
        word_timestamps=NATIVE,
        max_characters=5_000,
    )
    refusals = Refusals(_KINDS, _codes)

    def __init__(self, options: LMNTOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        able = type(self).capabilities
        self._sent = _SENT.get(options.format, options.format)
        self.capabilities = replace(
            able,
            formats=first_of_all(self._sent, able.formats),
            streaming=UNSUPPORTED if options.format in _WHOLE else NATIVE,
        )
        self._read_as_one(is_possible=options.format in _RAW)

    @override
    def headers(self) -> Mapping[str, str]:
        return {"X-API-Key": self.options.api_key.get_secret_value(), "lmnt-version": VERSION}

    @override
    async def voices(self) -> list[Voice]:
        query = {"owner": "all"}
        listing = ListedVoice.read_all(
            await self._http.fetch("GET", "/v1/ai/voice/list", query=query)
        )
        ready = [self._voice(one) for one in listing if one.state == "ready"]
        default = self.options.voice
        return default_first(Voice(default, self.provider, default), ready)

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        is_timed = utterance.timestamps is not Timestamps.NONE
        body = self._body(utterance)
        body |= {"return_timestamps": True} if is_timed else {}
        if body.keys() <= _SOCKET_TERMS | {"text"} and self._by_socket(utterance):
            async with self._over_socket(utterance, body) as source:
                yield source
            return
        path = "/v1/ai/speech" if is_timed else "/v1/ai/speech/bytes"
        async with self._http.stream("POST", path, json=body) as reply:
            chunks: AsyncIterator[bytes] = reply
            words: list[TimedText] = []
            if is_timed:
                speech = Speech.read(await reply.read())
                chunks, words = Once(*pieces(speech.audio)), speech.words(utterance.text)
            else:
                await self._expect_audio(reply)
            yield AudioSource(
                Floats(chunks) if self._sent == "f32" else chunks,
                format=self._sent,
                sample_rate=self._rate if self._sent in ("pcm", "f32") else 0,
                words=words,
                request_id=reply.headers.get("x-request-id"),
                cost=cost(self.name, self.options.model or DEFAULT_MODEL, len(utterance.text)),
            )

    @override
    def _by_socket(self, utterance: Utterance) -> bool:
        return self.options.format in _RAW and super()._by_socket(utterance)

    @asynccontextmanager
    async def _over_socket(
        self, utterance: Utterance, body: dict[str, object]
    ) -> AsyncIterator[AudioSource]:
        from ttskit.adapters.lmnt_socket import PATH, FlushAudio  # with HTTP below it

        text = str(body.pop("text"))
        async with self._lines.ask(
            self._http.websocket(PATH),
            # Here the key is no header's but the first message's; no variable holds it.
            lambda talk: talk.opening({**self.headers(), **body}, text),
            lane=utterance.lane,
            manner=tuple(sorted(body.items())),
        ) as line:
            words: list[TimedText] = []
            chunks = FlushAudio(line, self.refusals, WordFinder(utterance.text), words)
            await chunks.begin()
            yield AudioSource(
                Floats(chunks) if self._sent == "f32" else chunks,
                format=self._sent,
                sample_rate=self._rate,
                words=words,
                request_id=line.memory.request_id,
                cost=cost(self.name, self.options.model or DEFAULT_MODEL, len(utterance.text)),
            )

    @override
    def _sockets(self) -> Lines[Talk]:
        from ttskit.adapters.lmnt_socket import KEEPING, Talk
        from ttskit.resources.http.lines import Lines

        return Lines(self._http, KEEPING, remember=Talk)

    @override
    async def check(self) -> None:
        await self._http.fetch("GET", "/v1/account")

    @property
    def _rate(self) -> int:
        return self.options.sample_rate or 24_000

    def _body(self, utterance: Utterance) -> dict[str, object]:
        options = self._settings(utterance)
        language = utterance.language or options.language
        return given(
            text=utterance.text,
            voice=utterance.voice or options.voice,
            model=options.model,
            format=_ASKED.get(options.format, options.format),
            language=language and language.partition("-")[0].lower(),
            sample_rate=options.sample_rate,
            temperature=options.temperature,
            top_p=options.top_p,
            debug=options.debug or None,
        )

    def _voice(self, one: ListedVoice) -> Voice:
        return Voice(
            one.id,
            self.provider,
            one.name,
            gender=_GENDERS.get((one.gender or "").lower(), Gender.UNKNOWN),
            description=one.description or "",
            cloned=one.owner == "me",
        )
