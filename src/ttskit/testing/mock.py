"""A provider for tests: it speaks the modem voice, fails as it is told, and records its calls."""

from __future__ import annotations

import difflib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import anyio
from anyio.lowlevel import checkpoint
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from typing_extensions import override

from ttskit.adapters.base import (
    EMULATED,
    NATIVE,
    UNSUPPORTED,
    Adapter,
    AdapterOptions,
    AudioSource,
    Capabilities,
    Conversion,
    Support,
    TimedText,
    Utterance,
)
from ttskit.codecs.pcm import Samples, from_pcm
from ttskit.errors import (
    ConfigurationError,
    GenerationError,
    ServiceClosedError,
    TextTooLongError,
    TTSError,
    UnsupportedLanguageError,
    VoiceNotFoundError,
)
from ttskit.languages import is_related
from ttskit.request import AudioFormat
from ttskit.testing.faults import Behaviour, Faults
from ttskit.testing.hearing import transcribe
from ttskit.testing.modem import SPEEDS, Modem
from ttskit.testing.speaking import Outlet, Speech, cut
from ttskit.voices import Gender, Voice

if TYPE_CHECKING:
    from ttskit.resources.host import Resources

HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body></body></html>"
"""What the fault ``html`` sends in place of audio; an even number of bytes, to be valid PCM."""


class MockVoice(BaseModel):
    """A voice of the mock. In settings and arguments its id alone will do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    languages: tuple[str, ...] = ()
    """BCP 47; empty: the adapter's."""
    gender: Gender = Gender.UNKNOWN
    styles: tuple[str, ...] = ()


def _voice(value: object) -> object:
    return MockVoice(id=value) if isinstance(value, str) else value


_VOICES = (
    MockVoice(id="alto", gender=Gender.FEMALE),
    MockVoice(id="tenor", gender=Gender.MALE),
)


class MockOptions(AdapterOptions):
    """The mock's section of tts.yaml, and the keyword arguments of ``MockAdapter``."""

    sample_rate: Annotated[int, Field(ge=8_000, le=192_000)] = 24_000
    """Hz."""
    format: Literal["f32"] | AudioFormat = AudioFormat.PCM
    """What the provider sends."""
    chunk_s: Annotated[float, Field(gt=0)] = 0.1
    """Seconds of audio in a chunk."""
    latency_s: Annotated[float, Field(ge=0)] = 0.0
    """Seconds until the first chunk."""
    chunk_latency_s: Annotated[float, Field(ge=0)] = 0.0
    """Seconds before each chunk."""
    voices: Annotated[
        tuple[Annotated[MockVoice, BeforeValidator(_voice)], ...], Field(min_length=1)
    ] = _VOICES
    """The first is the default."""
    languages: tuple[str, ...] = ()
    """BCP 47 of the voices that name none; empty: any."""
    max_characters: Annotated[int, Field(ge=1)] | None = None
    word_timestamps: Support = NATIVE
    speed: Support = NATIVE
    volume: Support = EMULATED
    cloning: Support = UNSUPPORTED
    """Requests may bring a sample of a voice; it is named by its content in what is heard."""
    conversion: Support = UNSUPPORTED
    """It says recordings of the modem voice again in its own."""
    ssml: frozenset[str] = frozenset()
    """Elements that the provider is to read itself; it understands ``break`` and ``sub``, and
    reads the text within any other."""

    def capabilities(self) -> Capabilities:
        """Return what a mock with these options can do."""
        spoken = [voice.languages or self.languages for voice in self.voices]
        some_speak_all = not all(spoken)
        return Capabilities(
            languages=frozenset[str]() if some_speak_all else frozenset().union(*spoken),
            formats=(str(self.format),),
            streaming=NATIVE,
            word_timestamps=self.word_timestamps,
            ssml=self.ssml,
            speed=self.speed,
            speed_range=SPEEDS,
            volume=self.volume,
            seed=NATIVE,
            cloning=self.cloning,
            conversion=self.conversion,
            max_characters=self.max_characters,
        )


class MockAdapter(Adapter[MockOptions]):
    """Speaks the modem voice, which ``ttskit.testing.transcribe`` understands.

    ``requests``, ``billed`` and ``running`` tell what it was asked; ``faults`` is the script of
    what goes wrong. All waiting is done by the event loop's clock, which a test may turn.

    Args:
        options: As from tts.yaml.
        provider: The configured name; ``mock`` where none is given.
        faults: A script to begin with.
        capabilities: What to claim, in place of what the options amount to.
        settings: Fields of ``MockOptions``, in place of ``options``.

    Raises:
        ConfigurationError: A setting is unknown or out of range.
    """

    name: ClassVar[str] = "mock"
    capabilities = MockOptions().capabilities()

    def __init__(
        self,
        options: MockOptions | None = None,
        *,
        provider: str | None = None,
        faults: Faults | None = None,
        capabilities: Capabilities | None = None,
        **settings: object,
    ) -> None:
        chosen = _options(settings) if options is None else options
        super().__init__(chosen, provider=provider)
        # The class says what a mock can do in general, an instance what this one can do.
        self.capabilities = capabilities or chosen.capabilities()
        self.faults = faults or Faults()
        self.requests: list[Utterance] = []
        """Every utterance that was asked for, refused ones too."""
        self.billed = 0
        """Characters of the utterances that were not refused."""
        self.running = 0
        """Utterances being spoken now."""
        self.most_running = 0
        self.is_open = False
        self._plain = Modem(chosen.sample_rate)

    @property
    def texts(self) -> list[str]:
        """What was asked for, in order."""
        return [utterance.text for utterance in self.requests]

    @override
    async def open(self, resources: Resources) -> None:
        await checkpoint()
        self.is_open = True

    @override
    async def voices(self) -> list[Voice]:
        await self.check()
        return [
            Voice(
                id=voice.id,
                provider=self.provider,
                name=voice.id.title(),
                languages=voice.languages or self.options.languages,
                gender=voice.gender,
                styles=voice.styles,
                sample_rate=self.options.sample_rate,
                description="A tone code for tests",
            )
            for voice in self.options.voices
        ]

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        self.requests.append(utterance)
        request_id = f"{self.provider}-{len(self.requests)}"
        await checkpoint()
        self._require_open()
        speech = self._speech(utterance)
        behaviour = self.faults.behaviour(utterance.text, anyio.current_time())
        if behaviour.refusal is not None:
            raise self._signed(behaviour.refusal)
        self.billed += len(utterance.text)
        words: list[TimedText] = []
        with self._counted():
            async with aclosing(self._chunks(speech, behaviour, words)) as chunks:
                yield AudioSource(
                    chunks,
                    format=str(self.options.format),
                    sample_rate=behaviour.declared_rate or self.options.sample_rate,
                    words=words if self.capabilities.word_timestamps is NATIVE else [],
                    request_id=request_id,
                    continuation=request_id,
                )

    @override
    @asynccontextmanager
    async def convert(self, conversion: Conversion) -> AsyncIterator[AudioSource]:
        text = transcribe(await anyio.Path(conversion.recording.path).read_bytes())
        if not text:
            raise GenerationError("it understands the modem voice only", provider=self.provider)
        said = Utterance(text, voice=conversion.voice, reference=conversion.reference)
        async with self.synthesize(said) as source:
            source.words.clear()
            yield source

    @override
    async def check(self) -> None:
        await checkpoint()
        self._require_open()
        refusal = self.faults.refusal()
        if refusal is not None:
            raise self._signed(refusal)

    @override
    async def close(self) -> None:
        await checkpoint()
        self.is_open = False

    def _require_open(self) -> None:
        if not self.is_open:
            raise ServiceClosedError("the mock is not open", provider=self.provider)

    def _signed(self, error: TTSError) -> TTSError:
        error.provider = self.provider
        return error

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            yield
        finally:
            self.running -= 1

    def _speech(self, utterance: Utterance) -> Speech:
        """Return what is to be said, once it is certain that this provider would take it."""
        limit = self.capabilities.max_characters
        if limit is not None and len(utterance.text) > limit:
            raise TextTooLongError(f"more than {limit} characters", provider=self.provider)
        voice = self._voice(utterance.voice)
        self._check_language(voice, utterance.language)
        speaker = voice.id if utterance.reference is None else utterance.reference.name
        return Speech(utterance, self._modem(utterance), f"{self.provider}:{speaker}")

    def _voice(self, voice_id: str | None) -> MockVoice:
        voices = {voice.id: voice for voice in self.options.voices}
        if voice_id is None:
            return self.options.voices[0]
        if voice_id not in voices:
            near = ", ".join(difflib.get_close_matches(voice_id, voices)) or ", ".join(voices)
            raise VoiceNotFoundError(f"no such voice; nearest: {near}", provider=self.provider)
        return voices[voice_id]

    def _check_language(self, voice: MockVoice, language: str | None) -> None:
        spoken = voice.languages or self.options.languages
        if language and not is_related(language, spoken):
            raise UnsupportedLanguageError(
                f"{voice.id} does not speak {language}", provider=self.provider
            )

    def _modem(self, utterance: Utterance) -> Modem:
        able = self.capabilities
        speed = utterance.speed if able.speed is NATIVE else 1.0
        volume = utterance.volume if able.volume is NATIVE else 0.0
        if (speed, volume) == (1.0, 0.0):
            return self._plain
        return Modem(self.options.sample_rate, speed=speed, volume=10 ** (volume / 20))

    async def _chunks(
        self, speech: Speech, behaviour: Behaviour, words: list[TimedText]
    ) -> AsyncGenerator[Samples | bytes, None]:
        options = self.options
        await anyio.sleep(options.latency_s + behaviour.first_s)
        if behaviour.html:
            yield from_pcm(HTML) if options.format == "f32" else HTML
            return
        outlet = Outlet(str(options.format), options.sample_rate)
        size = max(1, round(options.chunk_s * options.sample_rate))
        limit = round(speech.frames * behaviour.stops_at)
        for samples in cut(speech.parts(), size=size, limit=limit, words=words):
            await anyio.sleep(options.chunk_latency_s + behaviour.per_chunk_s)
            data = outlet.encode(samples * 0 if behaviour.silent else samples)
            if len(data):
                yield data
        if behaviour.hangs:
            await anyio.sleep_forever()
        if behaviour.failure is not None:
            raise self._signed(behaviour.failure)
        if limit and (rest := outlet.finish()):
            yield rest


def _options(settings: dict[str, object]) -> MockOptions:
    try:
        return MockOptions.model_validate(settings)
    except ValidationError as error:
        names = ", ".join(str(complaint["loc"][0]) for complaint in error.errors())
        raise ConfigurationError(f"the mock's settings are wrong: {names}") from error
