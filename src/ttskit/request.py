"""The validated, frozen request: what is to be said, by whom, and how."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self, runtime_checkable

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ttskit.errors import (
    InvalidParameterError,
    UnsupportedFormatError,
    UnsupportedLanguageError,
    ValidationError,
)

# RFC 5646 section 2.1, without its grandfathered forms: language[-script][-region][-variant...].
_LANGUAGE_TAG = re.compile(
    r"[A-Za-z]{2,3}(-[A-Za-z]{3}){0,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-[A-Za-z0-9]{1,8}){0,6}"
)


_SUBJECT = re.compile(r"^\w+ (?=should |is )")
"""How pydantic calls what it was given: we name the setting."""

# RFC 5646 section 2.1.1: two letters are a region, four a script.
_CASES: Mapping[int, Callable[[str], str]] = {2: str.upper, 4: str.title}


class AudioFormat(StrEnum):
    """What the caller can ask for; the codec within may differ by what is installed."""

    WAV = "wav"
    FLAC = "flac"
    OGG = "ogg"
    OPUS = "opus"
    MP3 = "mp3"
    AAC = "aac"
    M4A = "m4a"
    PCM = "pcm"
    MULAW = "mulaw"
    ALAW = "alaw"


class Timestamps(StrEnum):
    """How finely the result should be timed."""

    NONE = "none"
    WORD = "word"
    CHARACTER = "character"


class Delivery(StrEnum):
    """``exact``: utterances are released when whole. ``live``: chunks go out as they come."""

    EXACT = "exact"
    LIVE = "live"


class VoicePolicy(StrEnum):
    """What may stand in for a voice: itself only, an alias, a similar voice, any voice."""

    EXACT = "exact"
    ALIAS = "alias"
    SIMILAR = "similar"
    ANY = "any"


class CacheUse(StrEnum):
    """Whether a stored result may be used, must be made anew, or is neither read nor written."""

    USE = "use"
    REFRESH = "refresh"
    BYPASS = "bypass"


def check_language(tag: str) -> str:
    """Return the BCP 47 tag in its customary case (``en-GB``, ``zh-Hant-TW``).

    Raises:
        UnsupportedLanguageError: The tag is not well formed.
    """
    if not _LANGUAGE_TAG.fullmatch(tag):
        raise UnsupportedLanguageError(f"{tag[:40]!r} is no BCP 47 language tag such as 'en-GB'")
    first, *rest = tag.lower().split("-")
    cased, is_extension = [first], False
    for part in rest:
        is_extension = is_extension or len(part) == 1
        cased.append(part if is_extension else _CASES.get(len(part), str)(part))
    return "-".join(cased)


@runtime_checkable
class Recorded(Protocol):
    """Finished audio that can be had as a file, as ``ttskit.Audio`` is."""

    @property
    def data(self) -> bytes:
        """A whole file."""

    def convert(self, format: Literal["wav"]) -> Recorded:
        """Return it in another format."""


def _as_file(sample: object) -> object:
    """Return audio of ours as the content of a WAV."""
    return sample.convert("wav").data if isinstance(sample, Recorded) else sample


Recording = Annotated[Path | bytes, BeforeValidator(_as_file)]
"""A file's path or content, or ``ttskit.Audio``."""

_Finite = Annotated[float, Field(allow_inf_nan=False)]


class SpeechOptions(BaseModel):
    """Everything of a request but its text; each field may be given to ``synthesize``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    voice: str | None = Field(default=None, min_length=1, max_length=500)
    """An alias of tts.yaml, a provider's voice id, or ``provider:id``."""
    language: str | None = None
    """BCP 47, such as ``en-GB``; None lets the voice decide."""
    provider: str | tuple[str, ...] | None = None
    """A configured provider, or several in the order to try; None: routing order."""
    model: str | None = None
    """One of the provider's models; None: its own choice."""
    speed: Annotated[_Finite, Field(ge=0.25, le=4)] = 1.0
    """Factor: 1 as is, 2 twice as fast."""
    pitch: Annotated[_Finite, Field(ge=-12, le=12)] = 0.0
    """Semitones."""
    volume: Annotated[_Finite, Field(ge=-40, le=20)] = 0.0
    """dB."""
    format: AudioFormat | None = None
    """None: ``wav`` from ``synthesize``, ``pcm`` from ``stream``."""
    sample_rate: Annotated[int, Field(ge=8_000, le=192_000)] | None = None
    """Hz of the result; None: the first engine's own."""
    timestamps: Timestamps = Timestamps.NONE
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """The same seed, text and voice give the same audio, where the engine takes a seed."""
    cache: CacheUse = CacheUse.USE
    """Nothing is stored yet."""
    deadline: Annotated[_Finite, Field(gt=0, le=86_400)] | None = None
    """Seconds for the whole request; None: 60 and 1 for each 100 characters."""
    delivery: Delivery = Delivery.EXACT
    """``exact``: an utterance is heard when it is whole. ``live``: as it is made, word by word."""
    voice_policy: VoicePolicy = VoicePolicy.SIMILAR
    strict: bool = False
    """A setting or markup that cannot be honoured is an error instead of a warning."""
    reference: Recording | None = Field(default=None, repr=False)
    """A sample of the voice to clone, in place of ``voice``: an audio file's path or content, or
    an ``Audio``."""
    provider_options: Mapping[str, Mapping[str, object]] = Field(default_factory=dict, repr=False)
    """By provider or adapter name, its own knobs: ``{"piper": {"noise_scale": 0.3}}``."""
    tags: Mapping[str, str] = Field(default_factory=dict)
    """The caller's own labels; they come back in the provenance."""

    @pydantic.field_validator("language")
    @classmethod
    def _language_is_bcp47(cls, tag: str | None) -> str | None:
        return None if tag is None else check_language(tag)

    @pydantic.field_validator("provider")
    @classmethod
    def _some_provider(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if value is not None and not (value and all(value)):
            raise InvalidParameterError("provider must be a name, or some names; None is any")
        return value

    @pydantic.model_validator(mode="after")
    def _one_speaker(self) -> Self:
        if self.voice is not None and self.reference is not None:
            raise InvalidParameterError("give a voice or a reference to clone, not both")
        return self

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _in_our_words(
        cls, value: object, validate: pydantic.ModelWrapValidatorHandler[Self]
    ) -> Self:
        try:
            return validate(value)
        except pydantic.ValidationError as error:
            # Not chained: pydantic keeps the whole input.
            raise _translated(error, cls) from None

    @classmethod
    def build(cls, **options: object) -> Self:
        """Validate ``options``, whatever their types, and return the request.

        Raises:
            UnsupportedFormatError: The format is none of ours.
            UnsupportedLanguageError: The language is not BCP 47.
            InvalidParameterError: Any other setting is unknown, of the wrong type or out of range.
        """
        return cls.model_validate(options)


class SpeechRequest(SpeechOptions):
    """One request: exactly one of ``text`` and ``ssml``, and how it is to be spoken."""

    text: str | None = Field(default=None, repr=False)
    ssml: str | None = Field(default=None, repr=False)

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.text is None) == (self.ssml is None):
            raise InvalidParameterError("give exactly one of text and ssml")
        return self

    @property
    def source(self) -> str:
        """The caller's own text, whichever field it came in; every span points into it."""
        return self.ssml if self.text is None else self.text  # type: ignore[return-value] # one of both is set


def _translated(error: pydantic.ValidationError, model: type[BaseModel]) -> ValidationError:
    """Return our error for pydantic's first complaint; its input is not repeated."""
    complaint = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = takewhile(str.isidentifier, (str(part)[:60] for part in complaint["loc"]))
    name = ".".join(place) or "request"
    if complaint["type"] == "extra_forbidden":
        name = str(complaint["loc"][0])[:60]
        near = difflib.get_close_matches(name, model.model_fields, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return InvalidParameterError(f"unknown setting {name!r}{hint}")
    if name == "format":
        return UnsupportedFormatError(f"format must be one of {', '.join(AudioFormat)}")
    told = _SUBJECT.sub(f"{name} ", complaint["msg"])
    return InvalidParameterError(told if told.startswith(name) else f"{name}: {told}")


AnyFormat = (
    AudioFormat | Literal["wav", "flac", "ogg", "opus", "mp3", "aac", "m4a", "pcm", "mulaw", "alaw"]
)
