"""Amazon Polly: ``SynthesizeSpeech`` and ``DescribeVoices``, signed for an AWS account.

Source of all facts: botocore 1.44.5, service model polly 2016-06-10; which engine reads what SSML:
Amazon Polly Developer Guide, "Supported SSML tags".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from typing_extensions import override

from ttskit.adapters.base import (
    EMULATED,
    NATIVE,
    UNSUPPORTED,
    AudioSource,
    Capabilities,
    Requirement,
    Runs,
    TimedText,
    Utterance,
)
from ttskit.adapters.cloud import CloudAdapter
from ttskit.adapters.models import cost
from ttskit.adapters.options import given
from ttskit.adapters.polly_client import PollyClient
from ttskit.adapters.polly_errors import REFUSALS
from ttskit.adapters.polly_options import DEFAULT_VOICE, FORMATS, PollyCallOptions, PollyOptions
from ttskit.adapters.polly_voices import Engine, engine_of, language_code, listed_voice
from ttskit.adapters.polly_words import Prepared, prepared
from ttskit.request import Timestamps
from ttskit.resources.http.address import Address
from ttskit.resources.http.framing import Json
from ttskit.voices import Voice

if TYPE_CHECKING:
    from ttskit.resources.host import Resources
    from ttskit.resources.http.client import HTTPClient, Reply

MAX_CHARACTERS = 3_000
"""Billed, of one request; with markup 6 000."""

_TIMED = frozenset({"standard", "neural"})
"""Engines that say the same text the same way twice, so that a second request's times fit."""
_TAGS = frozenset({"speak", "p", "s", "break", "sub"})
_SSML: Mapping[Engine, frozenset[str]] = MappingProxyType(
    {
        "standard": _TAGS | {"phoneme", "say-as", "emphasis"},
        "neural": _TAGS | {"phoneme"},
        "long-form": _TAGS | {"phoneme", "say-as"},
        "generative": _TAGS | {"say-as"},
    }
)
"""What is whole: a neural voice refuses some of ``say-as``, and all but standard some ``prosody``,
which takes no semitones anyway. ``lang`` takes Polly's own codes only, not just any BCP 47."""
_HEADLESS: Mapping[str, int] = MappingProxyType({"pcm": 16_000, "mulaw": 8_000, "alaw": 8_000})
"""Hz where none is asked for; the other formats say it themselves."""


class PollyAdapter(CloudAdapter[PollyOptions]):
    """Raw audio as it is made; word times by a second request, which costs as much again."""

    name = "polly"
    call_model = PollyCallOptions
    secrets = MappingProxyType(
        {"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY"}
    )
    requires = (Requirement("botocore", "botocore", "polly"),)
    capabilities = Capabilities(
        formats=tuple(FORMATS),
        runs=Runs.CLOUD,
        streaming=NATIVE,
        word_timestamps=NATIVE,
        ssml=_SSML["neural"],
        speed=NATIVE,
        speed_range=(0.2, 2.0),
        pitch_range=(-7.0, 7.0),
        models=NATIVE,
        max_characters=MAX_CHARACTERS,
    )
    refusals = REFUSALS

    def __init__(self, options: PollyOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        self._polly = PollyClient(options, self._connected, provider=self.provider)
        self._entries: Mapping[str, Json] = {}
        self.capabilities = self.able(None, None)

    @override
    def able(self, voice: str | None, model: str | None) -> Capabilities:
        able, options = type(self).capabilities, self.options
        # Which engine a voice has is known once voices were listed.
        entry = self._entries.get(voice or options.voice or DEFAULT_VOICE, {})
        engine = model or options.model or engine_of(entry)
        read = next((tags for known, tags in _SSML.items() if known == engine), None)
        if read is None:
            return able
        return replace(
            able,
            ssml=read,
            pitch=NATIVE if engine == "standard" else UNSUPPORTED,
            word_timestamps=NATIVE if engine in _TIMED else EMULATED,
        )

    @classmethod
    @override
    def variables(cls, section: Mapping[str, object]) -> Mapping[str, str]:
        # botocore reads them itself, with the token that may belong to them.
        return {}

    @override
    def headers(self) -> Mapping[str, str]:
        return {}

    @override
    async def open(self, resources: Resources) -> None:
        self._require_packages()
        self._resources = resources

    @override
    async def voices(self) -> list[Voice]:
        entries = await self._list()
        default = self.options.voice or DEFAULT_VOICE
        ids = [default, *(one for one in entries if one != default)]
        return [listed_voice(one, entries.get(one, {}), self.provider) for one in ids]

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        form, said = self.options.format, prepared(utterance)
        rate = (self.options.sample_rate or _HEADLESS[form]) if form in _HEADLESS else 0
        request = await self._body(utterance, said)
        engine = str(request.get("Engine", "standard"))
        words: list[TimedText] = []
        billed = 0
        if utterance.timestamps is not Timestamps.NONE and engine in _TIMED:
            words, billed = await self._marks(said, request)
        async with await self._polly.speech(request) as reply:
            await self._expect_audio(reply)
            yield AudioSource(
                reply,
                format=form,
                sample_rate=rate,
                words=words,
                request_id=reply.headers.get(self.refusals.request_id),
                cost=cost(self.name, engine, billed + _billed(reply, said.text)),
            )

    @override
    async def check(self) -> None:
        await self._polly.page()

    @override
    async def close(self) -> None:
        self._polly.close()

    @property
    @override
    def billed_as(self) -> str | None:
        is_default = self.options.voice in {None, DEFAULT_VOICE}
        return self.options.model or ("neural" if is_default else None)

    async def _body(self, utterance: Utterance, said: Prepared) -> dict[str, object]:
        """Return what was set and nothing else."""
        options = self._settings(utterance)
        voice = utterance.voice or options.voice or DEFAULT_VOICE
        engine: str | None = utterance.model or options.model
        language = None
        if engine is None or utterance.language is not None:
            entry = (self._entries or await self._list()).get(voice, {})
            engine = engine or engine_of(entry)
            language = language_code(entry, utterance.language)
        return given(
            Text=said.text,
            TextType="ssml" if said.is_ssml else None,
            VoiceId=voice,
            OutputFormat=FORMATS[options.format],
            SampleRate=options.sample_rate and str(options.sample_rate),
            Engine=engine,
            LanguageCode=language,
            LexiconNames=options.lexicons or None,
        )

    async def _marks(
        self, said: Prepared, request: Mapping[str, object]
    ) -> tuple[list[TimedText], int]:
        """Return the words' times, and how many characters they cost."""
        types = {"OutputFormat": "json", "SpeechMarkTypes": ["word", "viseme"]}
        body = {name: value for name, value in request.items() if name != "SampleRate"} | types
        async with await self._polly.speech(body) as reply:
            words = said.words([mark async for mark in reply.json_lines()])
            return words, _billed(reply, said.text)

    async def _list(self) -> Mapping[str, Json]:
        """Return every voice that Polly lists, by id, and keep them: who has which engines."""
        self._entries = await self._polly.voices()
        return self._entries

    def _connected(self, address: Address) -> HTTPClient:
        return self._resources.http(
            address, provider=self.provider, headers=self.headers(), judge=self._judge
        )


def _billed(reply: Reply, text: str) -> int:
    """Return how many characters Polly counted; markup is free."""
    counted = reply.headers.get("x-amzn-requestcharacters", "")
    return int(counted) if counted.isdecimal() else len(text)
