"""The contract that a provider implements.

An adapter turns one utterance into audio chunks in a format it declares. It knows nothing of
retries, breakers, caches, other adapters, resampling or the caller's format; what is refused or
emulated on the way is decided above it from its ``Capabilities``.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from typing_extensions import override

from ttskit.adapters.options import CallOptions, CallOptionsT, checked_options, unset
from ttskit.errors import ConfigurationError, DependencyMissingError, UnsupportedFeatureError
from ttskit.request import Timestamps
from ttskit.voices import Voice

if TYPE_CHECKING:
    from ttskit.resources.host import Resources
    from ttskit.resources.reference_shelf import Reference


class Support(StrEnum):
    """``native``: the engine does it. ``emulated``: ttskit does it around the engine."""

    NATIVE = "native"
    EMULATED = "emulated"
    UNSUPPORTED = "unsupported"


NATIVE, EMULATED, UNSUPPORTED = Support.NATIVE, Support.EMULATED, Support.UNSUPPORTED


class Runs(StrEnum):
    """Where the engine runs."""

    LOCAL = "local"
    CLOUD = "cloud"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter can do; readable without keys, packages or a connection."""

    languages: frozenset[str] = frozenset()
    """Primary subtags or full tags (``en``, ``pt-BR``); empty: whatever its voices say."""
    formats: tuple[str, ...] = ("pcm",)
    """What the provider sends, best first: ``f32``, ``pcm`` or an encoded format."""
    synthesis: Support = NATIVE
    """It speaks text; what does nothing but convert voices does not."""
    runs: Runs = Runs.LOCAL
    """``local``: on this machine; ``cloud``: behind a network."""
    streaming: Support = UNSUPPORTED
    """Audio leaves while the utterance is still being made."""
    text_streaming: Support = EMULATED
    """Text may arrive in pieces and is read as one; emulated: each utterance by itself."""
    word_timestamps: Support = EMULATED
    """The engine times its words; emulated: the times are estimated."""
    character_timestamps: Support = UNSUPPORTED
    """The engine times its characters; else a word's time is shared out among them."""
    ssml: frozenset[str] = frozenset()
    """SSML elements the engine reads itself; the others are emulated where that can be had."""
    speed: Support = UNSUPPORTED
    """The engine speaks faster and slower; without it the setting is ignored, with a warning."""
    speed_range: tuple[float, float] = (0.25, 4.0)
    """Factors; beyond them the speed is limited, with a warning."""
    pitch: Support = UNSUPPORTED
    """The engine speaks higher and lower; without it the setting is ignored, with a warning."""
    pitch_range: tuple[float, float] = (-12.0, 12.0)
    """Semitones."""
    volume: Support = EMULATED
    """The engine speaks louder and softer; emulated: a gain on its audio, kept from clipping."""
    volume_range: tuple[float, float] = (-40.0, 20.0)
    """dB; beyond them the volume is limited, with a warning."""
    seed: Support = UNSUPPORTED
    """The same seed gives the same audio."""
    models: Support = UNSUPPORTED
    """The request may name one of several models."""
    styles: Support = UNSUPPORTED
    """A voice has several manners, such as cheerful."""
    cloning: Support = UNSUPPORTED
    """It speaks like a voice sample that the request brings; without it that is an error."""
    conversion: Support = UNSUPPORTED
    """It says a recording again in another voice; with ``cloning``, in that of a sample too."""
    context: Support = UNSUPPORTED
    """Neighbouring text or continuation ids keep the prosody across utterances."""
    max_voices: int | None = None
    """Voices that speak with one another in one utterance, at usual prosody; None: one alone."""
    max_dialogue_characters: int | None = None
    """Of an utterance of several voices."""
    max_characters: int | None = None
    """Of one utterance; a longer one is cut at a clause or a word."""
    max_bytes: int | None = None
    """The same in bytes of UTF-8."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package an adapter needs, and the extra of ttskit that brings it."""

    module: str
    """Import name."""
    distribution: str
    extra: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What one voice says of an utterance in which several speak."""

    span: tuple[int, int]
    """Characters of ``Utterance.text``; white space alone stands between turns."""
    voice: str | None
    """None: the default."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """The piece of text sent in one go, with everything settled for this provider."""

    text: str
    """What is to be spoken; never blank. With ``is_ssml``, a whole SSML document."""
    index: int = 0
    is_ssml: bool = False
    voice: str | None = None
    """This provider's own voice id; None: its default."""
    turns: tuple[Turn, ...] = ()
    """In order, where several voices speak, of which ``voice`` is the first; else empty."""
    language: str | None = None
    model: str | None = None
    speed: float = 1.0
    pitch: float = 0.0
    volume: float = 0.0
    timestamps: Timestamps = Timestamps.NONE
    seed: int | None = None
    previous_text: str | None = None
    next_text: str | None = None
    previous_ids: tuple[str, ...] = ()
    """``AudioSource.continuation`` of up to 3 utterances, oldest first, that the same voice said
    directly before this one."""
    options: Mapping[str, object] = field(default_factory=dict)
    """The caller's ``provider_options`` for this provider."""
    reference: Reference | None = None
    """The sample of a voice to speak like, in place of ``voice``; checked and normalised."""
    request_id: str = ""
    lane: str | None = None
    """The stream that it belongs to; None: to none. A local engine makes the utterances of one lane
    one after the other, and so is a provider asked that reads a stream as one."""
    is_live: bool = False
    """Audio is heard as it comes; else only once all of the utterance is there."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A recording that is to be said again in another voice, settled for this provider."""

    recording: Reference
    """What is said; checked and normalised, its time as it was."""
    voice: str | None = None
    """This provider's own voice id; None: its default."""
    reference: Reference | None = None
    """The sample of a voice to speak like, in place of ``voice``."""
    options: Mapping[str, object] = field(default_factory=dict)
    """The caller's ``provider_options`` for this provider."""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class TimedText:
    """A word's times in seconds from the start of the utterance's audio."""

    start: float
    end: float
    span: tuple[int, int]
    """Characters of ``Utterance.text``."""
    characters: tuple[TimedText, ...] = ()
    """The word's characters with their own times, where they were asked for and the provider has
    them."""


@dataclass(slots=True)
class AudioSource:
    """Audio as it arrives, in the format declared here.

    ``chunks`` yields bytes of ``format``, or float32 arrays of shape (frames,) or
    (frames, channels) where ``format`` is ``f32``. Borders between chunks mean nothing.
    """

    chunks: AsyncIterator[object]
    format: str
    sample_rate: int
    """Hz; 0 where only the encoded audio itself tells."""
    channels: int = 1
    words: list[TimedText] = field(default_factory=list)
    """Grows while ``chunks`` is read; whole when it ends."""
    request_id: str | None = None
    continuation: str | None = None
    """What a later request may name to go on from this one, once ``chunks`` was read to its end."""
    cost: float | None = None
    """US dollars."""
    concurrency: int | None = None
    """Calls at a time that the account allows, where the provider says so with its reply."""


class AdapterOptions(BaseModel):
    """An adapter's section of tts.yaml; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


OptionsT_co = TypeVar("OptionsT_co", bound=AdapterOptions, covariant=True)


class Adapter(ABC, Generic[OptionsT_co]):
    """One kind of provider. An instance is one configured provider.

    Args:
        options: The validated section of tts.yaml.
        provider: The configured name; the adapter's own where nothing else was configured.
    """

    name: ClassVar[str]
    capabilities: Capabilities
    """The class's own; an instance may narrow them to what its settings allow."""
    options_model: ClassVar[type[AdapterOptions]] = AdapterOptions
    call_model: ClassVar[type[CallOptions]] = CallOptions
    """What one request may set through ``provider_options``."""
    requires: tuple[Requirement, ...] = ()
    """The class's own; an instance may need fewer, as its settings have it."""
    secrets: ClassVar[Mapping[str, str]] = {}
    """Option name to the provider's customary environment variable."""

    @override
    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            origin, arguments = get_origin(base), get_args(base)
            if isinstance(origin, type) and issubclass(origin, Adapter) and arguments:
                options = arguments[0]
                if isinstance(options, type) and issubclass(options, AdapterOptions):
                    cls.options_model = options

    def __init__(self, options: OptionsT_co, *, provider: str | None = None) -> None:
        if not isinstance(options, self.options_model):
            raise ConfigurationError(
                f"{self.name} takes {self.options_model.__name__}, not {type(options).__name__}"
            )
        self.options = options
        self.provider = provider or self.name

    def able(self, voice: str | None, model: str | None) -> Capabilities:
        """Return what it can do with a voice and a model of its own; None: the configured ones."""
        del voice, model
        return self.capabilities

    @property
    def list_price(self) -> float | None:
        """US dollars for a million characters of the configured model; None: not known."""
        return None

    @property
    def concurrency(self) -> int | None:
        """Calls at a time where `limits` leaves it open; None: what is usual where it runs."""
        return None

    @classmethod
    def variables(cls, section: Mapping[str, object]) -> Mapping[str, str]:
        """Return the environment variables that may fill in secrets for a section of tts.yaml.

        None where the section gives another address: a key is for the provider it was made for.
        """
        return {} if section.get("base_url") else cls.secrets

    @abstractmethod
    async def open(self, resources: Resources) -> None:
        """Take what the adapter works with from ``resources``; called once, before anything else.

        It is quick: weights are loaded by ``check`` or by the first utterance.

        Raises:
            DependencyMissingError: A package is not installed.
        """

    @abstractmethod
    async def voices(self) -> list[Voice]:
        """Return the voices that can be had now, the default one first."""

    @abstractmethod
    def synthesize(self, utterance: Utterance) -> AbstractAsyncContextManager[AudioSource]:
        """Speak one utterance: an async context manager over its audio.

        Leaving the block ends the provider's work, however it is left.

        Raises:
            ProviderError: The provider failed, before or during the audio.
            ResourceError: The engine ran out of something.
        """

    def convert(self, conversion: Conversion) -> AbstractAsyncContextManager[AudioSource]:
        """Say a recording in another voice: an async context manager over its audio.

        Only adapters that declare ``conversion`` are asked.

        Raises:
            ProviderError: The provider failed, before or during the audio.
            ResourceError: The engine ran out of something.
        """
        del conversion
        raise UnsupportedFeatureError("converts no voices", provider=self.provider)

    @abstractmethod
    async def check(self) -> None:
        """Find out whether the provider would answer now, at next to no cost.

        Raises:
            TTSError: It would not, and why.
        """

    def release(self, lane: str) -> None:
        """The stream of this lane is over: what was kept for it may serve others or be closed.

        Called in the stream's event loop, however it ended, for every adapter that was asked in it;
        perhaps after ``close``. It must be quick, and must not raise.
        """

    async def close(self) -> None:
        """Give everything back; called once, after the last utterance."""

    def _own(self, model: type[CallOptionsT], utterance: Utterance) -> CallOptionsT:
        """Return the request's own options, checked; all unset where there are none."""
        return checked_options(model, utterance.options, provider=self.provider) or unset(model)

    def _require_packages(self) -> None:
        """Raise ``DependencyMissingError`` where a package of ``requires`` is not installed."""
        for package in self.requires:
            if importlib.util.find_spec(package.module) is None:
                raise DependencyMissingError(
                    f"{package.distribution} is not installed; "
                    f'run: pip install "ttskit[{package.extra}]"',
                    provider=self.provider,
                )
