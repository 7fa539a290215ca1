"""One provider's turn at a passage, kept until it is whole: exact delivery."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np

from ttskit.adapters.base import AudioSource
from ttskit.audio import Notice, TimingSource, WordTiming
from ttskit.codecs.decode import Decoder, open_decoder
from ttskit.codecs.loudness import apply_gain
from ttskit.codecs.pcm import AnySamples, Samples, concatenated
from ttskit.codecs.pcm_frames import PcmFrames
from ttskit.codecs.resample import resample
from ttskit.codecs.splice import match_channels, silence, speech_bounds
from ttskit.errors import InvalidResponseError
from ttskit.request import SpeechOptions, Timestamps
from ttskit.routing.part import Part
from ttskit.routing.provider import Provider
from ttskit.routing.take import Emit, Take
from ttskit.routing.timing import estimate_words
from ttskit.routing.verdict import check_said, check_speech
from ttskit.text.plan import Passage


class Recorder(Protocol):
    """Hears a provider's calls for one passage and lets it be delivered."""

    @property
    def is_committed(self) -> bool:
        """Something of the call was delivered: it cannot be made again from its start."""

    def note(self, notices: Iterable[Notice]) -> None:
        """Report these with what is delivered."""

    def speak_as(self, voice: str | None) -> None:
        """Say who is heard from here on."""

    def rest(self, seconds: float) -> None:
        """Add a pause."""

    async def hear(self, source: AudioSource, part: Part) -> None:
        """Listen to one call; done anew when the call is tried again.

        Raises:
            InvalidResponseError: It is not the speech that was due.
        """

    def keep(self, part: Part) -> None:
        """The call that was heard last is good."""

    def finish(self) -> None:
        """All calls were good.

        Raises:
            InvalidResponseError: They made no sound.
        """

    def break_off(self) -> None:
        """A call failed for good."""


class _Heard(NamedTuple):
    """The whole audio of one call, found to be speech."""

    samples: AnySamples
    sample_rate: int
    source: AudioSource


class Recording:
    """Keeps the parts of a passage, at the rate and channels of the first one.

    Args:
        provider: Who speaks.
        options: The request.
        passage: What is spoken.
        emit: Gets the one take.
    """

    is_committed = False
    """Nothing is delivered before all is there."""

    def __init__(
        self, provider: Provider, options: SpeechOptions, passage: Passage, emit: Emit
    ) -> None:
        self._provider = provider
        self._options = options
        self._passage = passage
        self._emit = emit
        self._heard: _Heard | None = None
        self._parts: list[AnySamples] = []
        self._words: list[WordTiming] = []
        self._sample_rate = 0
        self._channels = 1
        self._frames = 0
        self._pending_silence = 0.0
        self._voice: str | None = None
        self._notices: list[Notice] = []
        self._bill = Bill()

    def note(self, notices: Iterable[Notice]) -> None:
        """Report these with the take."""
        self._notices += notices

    def speak_as(self, voice: str | None) -> None:
        """Say who is heard; of several the last one is on the record."""
        self._voice = voice

    def rest(self, seconds: float) -> None:
        """Add silence; before the first audio it waits until the rate is known."""
        if not self._sample_rate:
            self._pending_silence += seconds
            return
        self._append(silence(seconds, self._sample_rate, self._channels))

    async def hear(self, source: AudioSource, part: Part) -> None:
        """Take in the whole audio of a call and judge it."""
        check_rate(self._provider, source, part)
        samples, sample_rate = await _read(source)
        text = self._passage.text if part.speech.is_ssml else part.text
        check_speech(samples, sample_rate, text, speed=part.role.settings.speed)
        if not part.speech.is_ssml:
            check_said(part.text, source.words)
        self._heard = _Heard(samples, sample_rate, source)

    def keep(self, part: Part) -> None:
        """Append what was heard."""
        heard, self._heard = self._heard, None
        if heard is None:
            raise AssertionError("a call is heard before it is kept")
        self._bill.add(heard.source)
        samples = apply_gain(heard.samples, part.role.settings.gain)
        start = self._add(samples, heard.sample_rate)
        if self._options.timestamps is not Timestamps.NONE:
            self._words += self._timings(heard, part, start)

    def finish(self) -> None:
        """Emit all of it as one take."""
        if not self._parts:
            raise InvalidResponseError("nothing was spoken", provider=self._provider.name)
        self._emit(
            Take(
                samples=concatenated(self._parts),
                sample_rate=self._sample_rate,
                words=tuple(self._words),
                provider=self._provider.name,
                voice=self._voice,
                model=self._options.model,
                notices=tuple(self._notices),
                request_id=self._bill.request_id,
                cost=self._bill.cost,
            )
        )

    def break_off(self) -> None:
        """Nothing was delivered, so nothing is to be ended."""

    def _add(self, samples: AnySamples, sample_rate: int) -> float:
        """Append audio and return the second at which it starts."""
        if not self._sample_rate:
            self._sample_rate = sample_rate
            self._channels = 1 if samples.ndim == 1 else samples.shape[1]
            if self._pending_silence:
                self.rest(self._pending_silence)
        if sample_rate != self._sample_rate:
            samples = resample(samples, source_rate=sample_rate, target_rate=self._sample_rate)
        start = self._frames / self._sample_rate
        self._append(match_channels(samples, self._channels))
        return start

    def _append(self, samples: AnySamples) -> None:
        self._parts.append(samples)
        self._frames += len(samples)

    def _timings(self, heard: _Heard, part: Part, start: float) -> list[WordTiming]:
        timed, origin = list(heard.source.words), TimingSource.NATIVE
        if not timed and not part.speech.is_ssml:
            first, end = _audible(heard.samples, heard.sample_rate)
            timed = estimate_words(part.text, start=first, end=end)
            origin = TimingSource.ESTIMATED
        return part.timings(
            timed,
            start,
            origin,
            by_character=self._options.timestamps is Timestamps.CHARACTER,
        )


class Bill:
    """The provider's id and price of the calls for one passage."""

    def __init__(self) -> None:
        self.request_id: str | None = None
        self.cost: float | None = None

    def add(self, source: AudioSource) -> None:
        """Note a call."""
        self.request_id = source.request_id or self.request_id
        if source.cost is not None:
            self.cost = source.cost + (self.cost or 0.0)


def check_rate(provider: Provider, source: AudioSource, part: Part) -> None:
    """Accept the sample rate that a call declares, or raise.

    Raises:
        InvalidResponseError: The voice is known to have another one.
    """
    due = provider.known_rate(part.role.casting.voice)
    if due and source.sample_rate and due != source.sample_rate:
        raise InvalidResponseError(
            f"audio came at {source.sample_rate} Hz, the voice speaks at {due} Hz",
            provider=provider.name,
        )


class Decoding:
    """Turns the chunks of a source into samples, whatever its format.

    Args:
        source: What is read.
    """

    def __init__(self, source: AudioSource) -> None:
        self._declared = source.sample_rate
        self._decoder: Decoder | PcmFrames | None = None
        if source.format == "pcm":
            self._decoder = PcmFrames(source.sample_rate, source.channels)
        elif source.format != "f32":
            self._decoder = open_decoder(
                source.format, sample_rate=source.sample_rate, channels=source.channels
            )
        self.sample_rate = source.sample_rate
        """Hz; where only the encoded audio tells, known once samples came."""

    def decode(self, chunk: object) -> AnySamples:
        """Return what is ready after this further chunk; may be empty.

        Raises:
            InvalidResponseError: It is not the audio that was declared.
        """
        if self._decoder is None:
            return chunk if isinstance(chunk, np.ndarray) else _NOTHING
        if not isinstance(chunk, bytes):
            raise InvalidResponseError(f"a {type(chunk).__name__} came in place of bytes")
        return self._checked(self._decoder, self._decoder.decode(chunk))

    def finish(self) -> AnySamples:
        """Return what is left; called once.

        Raises:
            InvalidResponseError: The audio is broken, cut short or not what was declared.
        """
        return (
            _NOTHING
            if self._decoder is None
            else self._checked(self._decoder, self._decoder.finish())
        )

    def _checked(self, decoder: Decoder | PcmFrames, samples: AnySamples) -> AnySamples:
        rate = decoder.sample_rate
        if rate and self._declared and rate != self._declared:
            raise InvalidResponseError(f"audio came at {rate} Hz, {self._declared} Hz was due")
        self.sample_rate = rate or self._declared
        return samples


_NOTHING: Samples = np.zeros(0, np.float32)


async def _read(source: AudioSource) -> tuple[AnySamples, int]:
    """Return all the source's audio and its rate."""
    decoding = Decoding(source)
    parts = [decoding.decode(chunk) async for chunk in source.chunks]
    parts.append(decoding.finish())
    return concatenated([part for part in parts if len(part)]), decoding.sample_rate


def _audible(samples: AnySamples, sample_rate: int) -> tuple[float, float]:
    """Return when speech starts and ends, in seconds: the pauses around it hold no words."""
    first, end = speech_bounds(samples, sample_rate, keep_s=0.0)
    return first / sample_rate, end / sample_rate
