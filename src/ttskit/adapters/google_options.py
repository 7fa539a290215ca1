"""What can be set for Google Cloud, in tts.yaml and for one request, and how it is written.

Source: google-cloud-texttospeech 2.37.0, types/cloud_tts.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from ttskit.adapters.cloud import ApiKey, BaseURL, CloudOptions
from ttskit.adapters.options import CallOptions, given

SAMPLE_RATE = 24_000
"""Of nearly all voices; the headerless PCM does not tell its own, so it is always asked for."""

Format = Literal["pcm", "wav", "mp3", "opus", "mulaw", "alaw", "m4a"]
Harm = Literal["hate_speech", "dangerous_content", "harassment", "sexually_explicit"]
Threshold = Literal["low_and_above", "medium_and_above", "only_high", "none"]
_ENCODINGS: Mapping[Format, str] = MappingProxyType(
    {
        "pcm": "PCM",
        "wav": "LINEAR16",
        "mp3": "MP3",
        "opus": "OGG_OPUS",
        "mulaw": "MULAW",
        "alaw": "ALAW",
        "m4a": "M4A",
    }
)
_SENT_AS: Mapping[Format, Format] = MappingProxyType({"mulaw": "wav", "alaw": "wav"})
"""µ-law and A-law come within a WAV."""
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
    format: Format = Field(
        default="pcm", description="What is sent; `mulaw` and `alaw` come as WAV."
    )
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

    @property
    def sent_as(self) -> Format:
        """The format that really comes."""
        return _SENT_AS.get(self.format, self.format)

    @property
    def rate(self) -> int | None:
        """Hz to ask for."""
        return self.sample_rate or (SAMPLE_RATE if self.is_bare else None)

    @property
    def is_bare(self) -> bool:
        """Whether the audio comes without a header."""
        return self.format == "pcm"

    def voice_member(self, voice: str | None, model: str | None) -> dict[str, object]:
        """Return a voice as Google has it, beside its language; None: Google's own choice."""
        if voice and voice in self.cloned_voices:
            return {"voiceClone": {"voiceCloningKey": self.cloned_voices[voice].get_secret_value()}}
        if voice and voice in self.custom_voices:
            return {"customVoice": {"model": self.custom_voices[voice]}}
        gender = self.gender.upper() if self.gender and voice is None else None
        return given(name=voice, modelName=model, ssmlGender=gender)

    def prompting(self) -> dict[str, object]:
        """Return how to speak, beside the text."""
        pronunciations = [one.member() for one in self.pronunciations]
        return given(
            prompt=self.prompt or None,
            customPronunciations={"pronunciations": pronunciations} if pronunciations else None,
        )

    def audio_config(self) -> dict[str, object]:
        """Return what is asked for."""
        return given(
            audioEncoding=_ENCODINGS[self.format],
            sampleRateHertz=self.rate,
            effectsProfileId=self.effects_profile or None,
        )

    def advanced(self) -> dict[str, object]:
        """Return what only some voices know."""
        blocked = [
            {
                "category": f"HARM_CATEGORY_{harm.upper()}",
                "threshold": f"BLOCK_{threshold.upper()}",
            }
            for harm, threshold in self.safety.items()
        ]
        return given(
            lowLatencyJourneySynthesis=self.low_latency_journey,
            enableTextnorm=self.normalise_text,
            safetySettings={"settings": blocked} if blocked else None,
        )


class GoogleCallOptions(CallOptions):
    """What one request may set, as ``provider_options={"google": {...}}``."""

    prompt: str | None = None
    pronunciations: tuple[Pronunciation, ...] = ()
    effects_profile: tuple[str, ...] = ()
    markup: bool = Field(
        default=False, description="The text has `[pause]` and the like; for Chirp 3 HD."
    )
