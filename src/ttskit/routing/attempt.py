"""One provider speaks one passage, whole: markup lowered, samples and word times brought back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import anyio
import numpy as np

from ttskit.adapters.base import AudioSource, Support, TimedText, Utterance
from ttskit.audio import Notice, TimingSource, WordTiming
from ttskit.codecs.decode import open_decoder
from ttskit.codecs.loudness import apply_gain
from ttskit.codecs.pcm import Samples
from ttskit.codecs.resample import resample
from ttskit.codecs.splice import match_channels, speech_bounds
from ttskit.errors import InvalidResponseError, UnsupportedFeatureError
from ttskit.request import SpeechOptions, Timestamps
from ttskit.routing.guard import Ask, Tell
from ttskit.routing.honour import Prosody, prosody, unmet
from ttskit.routing.provider import Provider
from ttskit.routing.timing import estimate_words, split_characters
from ttskit.routing.verdict import check_speech
from ttskit.routing.voicing import Casting, Casts, Wish
from ttskit.text.lower import Lowered, Silence, Speech, lower
from ttskit.text.plan import Passage
from ttskit.text.segment import cut


@dataclass(frozen=True, slots=True)
class Take:
    """What one provider made of one passage."""

    samples: Samples
    sample_rate: int
    words: tuple[WordTiming, ...]
    provider: str
    voice: str | None
    model: str | None = None
    notices: tuple[Notice, ...] = ()
    request_id: str | None = None
    cost: float | None = None


@dataclass(slots=True)
class _Recording:
    """The parts of a passage as they are made, at the rate and channels of the first one."""

    parts: list[Samples] = field(default_factory=list)
    words: list[WordTiming] = field(default_factory=list)
    sample_rate: int = 0
    channels: int = 1
    frames: int = 0
    pending_silence: float = 0.0
    request_id: str | None = None
    cost: float | None = None
    voice: str | None = None

    def rest(self, seconds: float) -> None:
        """Add silence; before the first audio it waits until the rate is known."""
        if not self.sample_rate:
            self.pending_silence += seconds
            return
        frames = round(seconds * self.sample_rate)
        self._append(np.zeros((frames,) if self.channels == 1 else (frames, self.channels), "f4"))

    def add(self, samples: Samples, sample_rate: int) -> float:
        """Append audio and return the second at which it starts."""
        if not self.sample_rate:
            self.sample_rate = sample_rate
            self.channels = 1 if samples.ndim == 1 else samples.shape[1]
            self.rest(self.pending_silence)
        if sample_rate != self.sample_rate:
            samples = resample(samples, source_rate=sample_rate, target_rate=self.sample_rate)
        start = self.frames / self.sample_rate
        self._append(match_channels(samples, self.channels))
        return start

    def bill(self, source: AudioSource) -> None:
        """Note the provider's id and price of a call."""
        self.request_id = source.request_id or self.request_id
        if source.cost is not None:
            self.cost = source.cost + (self.cost or 0.0)

    def _append(self, samples: Samples) -> None:
        self.parts.append(samples)
        self.frames += len(samples)

    def joined(self) -> Samples:
        """Return all parts as one array."""
        return _concatenated(self.parts)


class Booth:
    """What all attempts of one request share.

    Args:
        options: The request.
        casts: Finds each provider's voice.
        calls: Calls of providers at a time.
        in_turn: Whether a local engine makes them one after the other.
        deadline_s: Seconds for the whole request; None: no limit.
        tell: Hears what happens.
    """

    def __init__(
        self,
        options: SpeechOptions,
        casts: Casts,
        *,
        calls: int,
        in_turn: bool,
        deadline_s: float | None,
        tell: Tell,
    ) -> None:
        self.options = options
        self.casts = casts
        self.line = anyio.Semaphore(calls)
        self.request_id = uuid4().hex
        """Ours, for the logs on both sides."""
        self.lane = self.request_id if in_turn else None
        self.deadline: float | None = None
        """When all must be done, on the event loop's clock; known once the request runs."""
        self.started: float | None = None
        self._deadline_s = deadline_s
        self.tell = tell

    def start(self) -> float:
        """Start the request's clock, unless it runs; return when it was started."""
        if self.started is None:
            self.started = anyio.current_time()
            if self._deadline_s is not None:
                self.deadline = self.started + self._deadline_s
        return self.started


class Attempt:
    """Has one provider speak passages of one request.

    Args:
        provider: Who is asked.
        booth: Of the request.
    """

    def __init__(self, provider: Provider, booth: Booth) -> None:
        self._provider = provider
        self._booth = booth
        self._options = booth.options
        self._own_options = _own(booth.options.provider_options, provider)

    async def speak(self, passage: Passage, *, has_alternative: bool = False) -> Take:
        """Return the passage as this provider speaks it.

        Args:
            passage: What to say.
            has_alternative: Another provider could say it instead.

        Raises:
            TTSError: Of whatever kind; nothing was delivered.
        """
        await self._provider.open()
        lowered = self._lower(passage)
        notices = self._notices(lowered)
        recording = _Recording()
        scene = _Scene(passage, recording, has_alternative)
        for piece in lowered.pieces:
            if isinstance(piece, Silence):
                recording.rest(piece.seconds)
            else:
                notices += await self._say(piece, scene)
        if not recording.parts:
            raise InvalidResponseError("nothing was spoken", provider=self._provider.name)
        return Take(
            samples=recording.joined(),
            sample_rate=recording.sample_rate,
            words=tuple(recording.words),
            provider=self._provider.name,
            voice=recording.voice or await self._provider.default_id(),
            model=self._options.model,
            notices=tuple(notices),
            request_id=recording.request_id,
            cost=recording.cost,
        )

    def _lower(self, passage: Passage) -> Lowered:
        lowered = self._lowered_to(passage, self._provider.capabilities.ssml)
        if any(
            isinstance(p, Speech) and p.is_ssml and self._is_too_long(p.text)
            for p in lowered.pieces
        ):
            # Markup cannot be cut; without it the text can.
            return self._lowered_to(passage, frozenset())
        return lowered

    def _lowered_to(self, passage: Passage, elements: frozenset[str]) -> Lowered:
        able = self._provider.capabilities
        return lower(
            passage,
            elements=elements,
            speed=able.speed is not Support.UNSUPPORTED,
            pitch=able.pitch is not Support.UNSUPPORTED,
            volume=True,
            language=self._options.language,
        )

    def _is_too_long(self, text: str) -> bool:
        able = self._provider.capabilities
        return len(text) > (able.max_characters or len(text)) or (
            able.max_bytes is not None and len(text.encode()) > able.max_bytes
        )

    def _notices(self, lowered: Lowered) -> list[Notice]:
        name = self._provider.name
        notices = unmet(name, self._provider.capabilities, self._options)
        notices += [
            Notice(loss.code, loss.element, loss.message, name, loss.span)
            for loss in lowered.losses
        ]
        refused = [notice for notice in notices if notice.code != "emulated"]
        if self._options.strict and refused:
            reason = refused[0].message.removeprefix(f"{name} ")
            raise UnsupportedFeatureError(f"{reason} (strict)", provider=name)
        return notices

    async def _say(self, speech: Speech, scene: _Scene) -> list[Notice]:
        casting = await self._cast(speech)
        scene.recording.voice = casting.voice
        role = _Role(casting, self._prosody(speech))
        for start, end in self._cut(speech):
            part = _Part.of(speech, start, end)
            if part.text:
                await self._call(part, role, scene)
        if not casting.is_replacement:
            return []
        message = f"{casting.voice or 'the default voice'} speaks for the voice asked for"
        return [Notice("voice_replaced", "voice", message, self._provider.name)]

    async def _cast(self, speech: Speech) -> Casting:
        choice = speech.voice
        wish = Wish(
            voice=choice.name if choice and choice.name else self._options.voice,
            language=speech.language or self._options.language,
            policy=self._options.voice_policy,
        )
        return await self._booth.casts.cast(wish, self._provider)

    def _prosody(self, speech: Speech) -> Prosody:
        return prosody(
            self._provider.capabilities,
            speed=self._options.speed * speech.speed,
            pitch=self._options.pitch + speech.pitch,
            volume=self._options.volume + speech.volume,
        )

    def _cut(self, speech: Speech) -> list[tuple[int, int]]:
        """Cut the text to the provider's limit; markup is never cut."""
        able = self._provider.capabilities
        whole = [(0, len(speech.text))]
        if speech.is_ssml:
            return whole
        if able.max_bytes is not None:
            return cut(speech.text, able.max_bytes, measure=lambda text: len(text.encode()))
        if able.max_characters is not None:
            return cut(speech.text, able.max_characters)
        return whole

    async def _call(self, part: _Part, role: _Role, scene: _Scene) -> None:
        async def take(source: AudioSource) -> _Heard:
            self._check_rate(source, role.casting)
            samples, sample_rate = await _read(source)
            self._judge(samples, sample_rate, part, role, scene)
            return _Heard(samples, sample_rate, source)

        utterance = self._utterance(part, role, scene)
        async with self._booth.line:
            heard = await self._provider.call(utterance, take, self._ask(utterance, scene))
        recording = scene.recording
        recording.bill(heard.source)
        start = recording.add(apply_gain(heard.samples, role.settings.gain), heard.sample_rate)
        if self._options.timestamps is not Timestamps.NONE:
            recording.words += self._words(heard, part, start)

    def _utterance(self, part: _Part, role: _Role, scene: _Scene) -> Utterance:
        return Utterance(
            text=part.text,
            index=scene.passage.index,
            is_ssml=part.speech.is_ssml,
            voice=role.casting.voice,
            language=part.speech.language or self._options.language,
            model=self._options.model,
            speed=role.settings.speed,
            pitch=role.settings.pitch,
            volume=role.settings.volume,
            timestamps=self._options.timestamps,
            seed=self._options.seed,
            options=self._own_options,
            request_id=self._booth.request_id,
            lane=self._booth.lane,
        )

    def _ask(self, utterance: Utterance, scene: _Scene) -> Ask:
        return Ask(
            characters=len(utterance.text),
            utterance=utterance.index,
            model=utterance.model,
            voice=utterance.voice,
            request_id=utterance.request_id,
            tags=self._options.tags,
            deadline=self._booth.deadline,
            has_alternative=scene.has_alternative,
        )

    def _check_rate(self, source: AudioSource, casting: Casting) -> None:
        due = self._provider.known_rate(casting.voice)
        if due and source.sample_rate and due != source.sample_rate:
            raise InvalidResponseError(
                f"audio came at {source.sample_rate} Hz, the voice speaks at {due} Hz",
                provider=self._provider.name,
            )

    def _judge(
        self, samples: Samples, sample_rate: int, part: _Part, role: _Role, scene: _Scene
    ) -> None:
        text = scene.passage.text if part.speech.is_ssml else part.text
        try:
            check_speech(samples, sample_rate, text, speed=role.settings.speed)
        except InvalidResponseError as error:
            error.provider = self._provider.name
            raise

    def _words(self, heard: _Heard, part: _Part, start: float) -> list[WordTiming]:
        wanted = self._options.timestamps
        timed, origin = list(heard.source.words), TimingSource.NATIVE
        if not timed and not part.speech.is_ssml:
            first, end = _audible(heard.samples, heard.sample_rate)
            timed = estimate_words(part.text, start=first, end=end)
            origin = TimingSource.ESTIMATED
        able = self._provider.capabilities
        if wanted is Timestamps.CHARACTER and able.character_timestamps is not Support.NATIVE:
            timed, origin = split_characters(timed), TimingSource.ESTIMATED
        return [part.timing(word, start, origin) for word in timed]


@dataclass(frozen=True, slots=True)
class _Scene:
    """One passage being spoken."""

    passage: Passage
    recording: _Recording
    has_alternative: bool


@dataclass(frozen=True, slots=True)
class _Role:
    """Who speaks a piece, and how."""

    casting: Casting
    settings: Prosody


@dataclass(frozen=True, slots=True)
class _Heard:
    """The whole audio of one call, found to be speech."""

    samples: Samples
    sample_rate: int
    source: AudioSource


@dataclass(frozen=True, slots=True)
class _Part:
    """What is sent in one call: a piece of a speech, with where it begins in it."""

    text: str
    start: int
    speech: Speech

    @classmethod
    def of(cls, speech: Speech, start: int, end: int) -> _Part:
        """Return the piece without the white space at its edges."""
        text = speech.text[start:end]
        return cls(text.strip(), start + len(text) - len(text.lstrip()), speech)

    def timing(self, word: TimedText, start: float, origin: TimingSource) -> WordTiming:
        """Return the word's times from the start of the take, on the caller's own text."""
        first, end = word.span
        return WordTiming(
            word=self.text[first:end],
            start=start + word.start,
            end=start + word.end,
            span=self.speech.offsets.span(self.start + first, self.start + end),
            source=origin,
        )


async def _read(source: AudioSource) -> tuple[Samples, int]:
    """Return all the source's audio; an encoded one is decoded as it arrives.

    Raises:
        InvalidResponseError: The bytes are not the audio that was declared.
    """
    if source.format == "f32":
        arrays = [chunk async for chunk in source.chunks if isinstance(chunk, np.ndarray)]
        return _concatenated(arrays), source.sample_rate
    decoder = open_decoder(source.format, sample_rate=source.sample_rate, channels=source.channels)
    parts = [decoder.decode(_as_bytes(chunk)) async for chunk in source.chunks]
    parts = [part for part in (*parts, decoder.finish()) if len(part)]
    rate = decoder.sample_rate or source.sample_rate
    if source.sample_rate and rate != source.sample_rate:
        raise InvalidResponseError(f"audio came at {rate} Hz, {source.sample_rate} Hz was due")
    return _concatenated(parts), rate


def _audible(samples: Samples, sample_rate: int) -> tuple[float, float]:
    """Return when speech starts and ends, in seconds: the pauses around it hold no words."""
    first, end = speech_bounds(samples, sample_rate, keep_s=0.0)
    return first / sample_rate, end / sample_rate


def _concatenated(arrays: list[Samples]) -> Samples:
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate(arrays) if arrays else np.zeros(0, np.float32)


def _as_bytes(chunk: object) -> bytes:
    if not isinstance(chunk, bytes):
        raise InvalidResponseError(f"a {type(chunk).__name__} came in place of bytes")
    return chunk


def _own(options: Mapping[str, Mapping[str, object]], provider: Provider) -> Mapping[str, object]:
    """Return the caller's options for this provider, by its name or else by its adapter's."""
    return options.get(provider.name) or options.get(provider.adapter.name) or {}
