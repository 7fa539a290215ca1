"""Google Cloud Text-to-Speech over REST.

Source: google-cloud-texttospeech 2.37.0, types/cloud_tts.py and transports/rest_base.py.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from typing_extensions import override

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
from ttskit.adapters.google_marks import Span, marked, timed
from ttskit.adapters.models import cost
from ttskit.adapters.options import CallOptions, given
from ttskit.adapters.replies import Base64, Camel, Once, pieces
from ttskit.adapters.rpc_errors import rpc_refusals
from ttskit.errors import (
    TextTooLongError,
    VoiceNotFoundError,
)
from ttskit.request import Timestamps
from ttskit.voices import Gender, Voice, matches_language

SAMPLE_RATE = 24_000
"""Of nearly all voices; the headerless PCM does not tell its own, so it is always asked for."""
MAX_BYTES = 5_000
"""Of one request, markup included."""
_MARKING = frozenset({"Standard", "Wavenet", "Neural2"})
"""The families of voices that time marks."""
_PLAIN = ("Chirp", "Journey", "Studio")
"""Families that take neither a pitch nor, for the most part, SSML."""
_VOICE = re.compile(r"([a-z]{2,3}(?:-[A-Z][a-z]{3})?-[A-Z0-9]{2,3})-(.+)-[^-]+")
"""``en-US-Neural2-C``: language, family, and which one of it."""

Format = Literal["pcm", "wav", "mp3", "opus", "mulaw", "m4a"]
Harm = Literal["hate_speech", "dangerous_content", "harassment", "sexually_explicit"]
Threshold = Literal["low_and_above", "medium_and_above", "only_high", "none"]
_ENCODINGS: Mapping[Format, str] = MappingProxyType(
    {
        "pcm": "PCM",
        "wav": "LINEAR16",
        "mp3": "MP3",
        "opus": "OGG_OPUS",
        "mulaw": "MULAW",
        "m4a": "M4A",
    }
)
_SENT_AS: Mapping[Format, Format] = MappingProxyType({"mulaw": "wav"})
"""µ-law comes within a WAV."""
_GENDERS = MappingProxyType({"FEMALE": Gender.FEMALE, "MALE": Gender.MALE})
_ALPHABETS = MappingProxyType(
    {
        "ipa": "PHONETIC_ENCODING_IPA",
        "x-sampa": "PHONETIC_ENCODING_X_SAMPA",
        "yomigana": "PHONETIC_ENCODING_JAPANESE_YOMIGANA",
        "pinyin": "PHONETIC_ENCODING_PINYIN",
    }
)


class Pronunciation(BaseModel):
    """How a phrase is to be said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    phrase: Annotated[str, Field(min_length=1)]
    pronunciation: Annotated[str, Field(min_length=1)]
    alphabet: Literal["ipa", "x-sampa", "yomigana", "pinyin"] = "ipa"

    def member(self) -> dict[str, str]:
        """Return it as Google has it."""
        encoding = _ALPHABETS[self.alphabet]
        return {
            "phrase": self.phrase,
            "phoneticEncoding": encoding,
            "pronunciation": self.pronunciation,
        }


class GoogleOptions(CloudOptions):
    """The section of tts.yaml."""

    base_url: BaseURL = Field(
        default="https://texttospeech.googleapis.com",
        description="Or a region's, such as `https://eu-texttospeech.googleapis.com`.",
    )
    api_key: ApiKey | None = Field(default=None, description="This or `access_token` is needed.")
    access_token: ApiKey | None = Field(
        default=None,
        description="OAuth, scope `cloud-platform`; lasts an hour. In place of `api_key`.",
    )
    quota_project: str | None = Field(
        default=None, pattern=r"^[a-z0-9.:-]+$", description="Who pays, with a user's token."
    )
    voice: str | None = Field(
        default="en-US-Neural2-F", min_length=1, description="Where none is asked for."
    )
    model: str | None = Field(
        default=None, min_length=1, description="Such as `gemini-2.5-flash-tts`, for its voices."
    )
    language: str = Field(
        default="en-US", description="Where neither the request nor the voice's name tells."
    )
    gender: Literal["female", "male"] | None = Field(
        default=None, description="A wish, where Google chooses the voice."
    )
    format: Format = Field(default="pcm", description="What is sent; `mulaw` comes as WAV.")
    sample_rate: Annotated[int, Field(ge=8_000, le=48_000)] | None = Field(
        default=None, description="Hz. None: 24,000 for PCM, the voice's own for the others."
    )
    effects_profile: tuple[str, ...] = Field(
        default=(),
        description="What it is heard on, such as `telephony-class-application`.",
    )
    prompt: str | None = Field(
        default=None, description="How to speak, in words; for Gemini models."
    )
    pronunciations: tuple[Pronunciation, ...] = Field(
        default=(), description="Phrases with `pronunciation` and `alphabet`."
    )
    cloned_voices: Mapping[str, SecretStr] = Field(
        default_factory=dict, description="Names of your choice, each with a voice cloning key."
    )
    custom_voices: Mapping[str, str] = Field(
        default_factory=dict, description="Names of your choice, each with a custom voice's model."
    )
    normalise_text: bool | None = Field(
        default=None, description="False: a Gemini model writes out no numbers before it speaks."
    )
    low_latency_journey: bool | None = Field(
        default=None, description="Journey voices answer sooner."
    )
    safety: Mapping[Harm, Threshold] = Field(
        default_factory=dict, description="What a Gemini model refuses to say, by kind of harm."
    )

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if (self.api_key is None) == (self.access_token is None):
            raise ValueError(
                "api_key is missing; give it here or in GOOGLE_CLOUD_API_KEY"
                if self.api_key is None
                else "give api_key or access_token, not both"
            )
        return self


class GoogleCallOptions(CallOptions):
    """What one request may set, as ``provider_options={"google": {...}}``."""

    prompt: str | None = None
    pronunciations: tuple[Pronunciation, ...] = ()
    effects_profile: tuple[str, ...] = ()
    markup: bool = Field(
        default=False, description="The text has `[pause]` and the like; for Chirp 3 HD."
    )


class _Speech(Camel):
    audio_content: Annotated[Base64, Field(min_length=1)]
    timepoints: object = None
    """Points with ``markName`` and ``timeSeconds``; the audio is good without them."""

    @property
    def times(self) -> dict[str, float]:
        """The seconds of each mark."""
        return {
            str(point.get("markName")): float(seconds)
            for point in (self.timepoints if isinstance(self.timepoints, list) else ())
            if isinstance(point, Mapping)
            and isinstance(seconds := point.get("timeSeconds", 0.0), int | float)
        }


class _Voice(Camel):
    name: str = ""
    language_codes: tuple[str, ...] = ()
    ssml_gender: str = ""


class _Listing(Camel):
    voices: tuple[_Voice, ...] = ()


class GoogleAdapter(CloudAdapter[GoogleOptions]):
    """Whole utterances; words are timed for voices that time marks."""

    name = "google"
    secrets = MappingProxyType({"api_key": "GOOGLE_CLOUD_API_KEY"})
    capabilities = Capabilities(
        formats=("pcm", "wav", "mp3", "opus", "m4a"),
        runs=Runs.CLOUD,
        word_timestamps=NATIVE,
        ssml=frozenset(
            {"speak", "break", "say-as", "p", "s", "sub", "prosody", "emphasis", "phoneme", "lang"}
        ),
        speed=NATIVE,
        speed_range=(0.25, 2.0),
        pitch=NATIVE,
        pitch_range=(-20.0, 20.0),
        volume=NATIVE,
        volume_range=(-96.0, 16.0),
        models=NATIVE,
        styles=NATIVE,
        max_bytes=MAX_BYTES,
    )
    call_model = GoogleCallOptions
    refusals = rpc_refusals(
        {},
        {  # Source: replies quoted in reports to googleapis/google-cloud-node and others.
            "does not exist. is it misspelled": VoiceNotFoundError,
            "longer than the limit of": TextTooLongError,
            "sentences that are too long": TextTooLongError,
        },
    )

    def __init__(self, options: GoogleOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        family = "" if options.model else _family(options.voice)
        is_plain = not family or family.startswith(_PLAIN)
        able = type(self).capabilities
        sent = _SENT_AS.get(options.format, options.format)
        self.capabilities = replace(
            able,
            formats=first_of_all(sent, able.formats),
            word_timestamps=NATIVE if family in _MARKING else EMULATED,
            ssml=frozenset() if is_plain else able.ssml,
            pitch=UNSUPPORTED if is_plain else NATIVE,
        )

    @classmethod
    @override
    def variables(cls, section: Mapping[str, object]) -> Mapping[str, str]:
        return {} if section.get("access_token") else super().variables(section)

    @override
    def headers(self) -> Mapping[str, str]:
        options = self.options
        return given(
            {
                "x-goog-api-key": revealed(options.api_key),
                "Authorization": revealed(options.access_token, "Bearer {}"),
                "x-goog-user-project": options.quota_project,
            }
        )

    @override
    async def voices(self) -> list[Voice]:
        listing = _Listing.read(await self._http.fetch("GET", "/v1/voices"))
        listed = map(self._listed, listing.voices)
        known = [voice for voice in (*self._own_voices(), *listed) if voice.id]
        first = self.options.voice
        return known if first is None else default_first(Voice(first, self.provider, first), known)

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        model = utterance.model or self.options.model
        voice = self._chosen(utterance, model)
        text, spans = self._input(utterance, voice, model)
        body = self._body(utterance, self._voice(utterance, voice, model), text)
        path = "/v1/text:synthesize"
        if spans:
            path = "/v1beta1/text:synthesize"
            body["enableTimePointing"] = ["SSML_MARK"]
        async with self._http.stream("POST", path, json=body) as reply:
            speech = _Speech.read(await reply.read())
            audio = speech.audio_content
            rate = (self._rate or 0) if self._is_bare else 0
            end = len(audio) / (2 * rate) if rate else None
            yield AudioSource(
                Once(*pieces(audio)),
                format=_SENT_AS.get(self.options.format, self.options.format),
                sample_rate=rate,
                words=list(timed(speech.times, spans, end=end)),
                cost=cost(self.name, model or _family(voice), len(utterance.text)),
            )

    @override
    async def check(self) -> None:
        language = _language(self.options.voice) or self.options.language
        await self._http.fetch("GET", "/v1/voices", query={"languageCode": language})

    @property
    def _rate(self) -> int | None:
        """Hz to ask for."""
        return self.options.sample_rate or (SAMPLE_RATE if self._is_bare else None)

    @property
    def _is_bare(self) -> bool:
        """Whether the audio comes without a header."""
        return self.options.format == "pcm"

    def _chosen(self, utterance: Utterance, model: str | None) -> str | None:
        """Return the voice to ask for; None: Google's own choice for the language."""
        default, wanted = self.options.voice, utterance.language
        tongue = None if model else _language(default)
        if utterance.voice is None and wanted and tongue and not matches_language(wanted, tongue):
            return None
        return utterance.voice or default

    def _voice(
        self, utterance: Utterance, voice: str | None, model: str | None
    ) -> dict[str, object]:
        options = self.options
        language = _language(voice) or utterance.language or options.language
        member: dict[str, object] = {"languageCode": language}
        if voice and voice in options.cloned_voices:
            key = options.cloned_voices[voice].get_secret_value()
            return member | {"voiceClone": {"voiceCloningKey": key}}
        if voice and voice in options.custom_voices:
            return member | {"customVoice": {"model": options.custom_voices[voice]}}
        gender = options.gender if voice is None else None
        return member | given(name=voice, modelName=model, ssmlGender=gender and gender.upper())

    def _input(
        self, utterance: Utterance, voice: str | None, model: str | None
    ) -> tuple[dict[str, object], list[Span]]:
        """Return what to speak, and the words that are marked in it."""
        markup = self._own(GoogleCallOptions, utterance).markup
        kind = "ssml" if utterance.is_ssml else "markup" if markup else "text"
        said, spans = {kind: utterance.text}, []
        is_timed = utterance.timestamps is not Timestamps.NONE and not markup
        if is_timed and model is None and _family(voice) in _MARKING:
            document, found = marked(utterance.text, is_ssml=utterance.is_ssml)
            if len(document.encode()) <= MAX_BYTES:
                said, spans = {"ssml": document}, found
        options = self._settings(utterance)
        pronunciations = [one.member() for one in options.pronunciations]
        own = given(
            prompt=options.prompt or None,
            customPronunciations={"pronunciations": pronunciations} if pronunciations else None,
        )
        return {**said, **own}, spans

    def _body(
        self, utterance: Utterance, voice: dict[str, object], text: dict[str, object]
    ) -> dict[str, object]:
        options = self._settings(utterance)
        audio = given(
            audioEncoding=_ENCODINGS[options.format],
            sampleRateHertz=self._rate,
            speakingRate=None if utterance.speed == 1 else utterance.speed,
            pitch=utterance.pitch or None,
            volumeGainDb=utterance.volume or None,
            effectsProfileId=options.effects_profile or None,
        )
        blocked = [
            {
                "category": f"HARM_CATEGORY_{harm.upper()}",
                "threshold": f"BLOCK_{threshold.upper()}",
            }
            for harm, threshold in options.safety.items()
        ]
        advanced = given(
            lowLatencyJourneySynthesis=options.low_latency_journey,
            enableTextnorm=options.normalise_text,
            safetySettings={"settings": blocked} if blocked else None,
        )
        return given(
            input=text, voice=voice, audioConfig=audio, advancedVoiceOptions=advanced or None
        )

    def _listed(self, one: _Voice) -> Voice:
        return Voice(
            one.name,
            self.provider,
            one.name,
            languages=one.language_codes,
            gender=_GENDERS.get(one.ssml_gender, Gender.UNKNOWN),
            description=_family(one.name),
        )

    def _own_voices(self) -> Iterator[Voice]:
        for name in self.options.cloned_voices:
            yield Voice(name, self.provider, name, cloned=True)
        for name in self.options.custom_voices:
            yield Voice(name, self.provider, name)


def _language(voice: str | None) -> str | None:
    match = _VOICE.fullmatch(voice or "")
    return match[1] if match else None


def _family(voice: str | None) -> str:
    match = _VOICE.fullmatch(voice or "")
    return match[2] if match else ""
