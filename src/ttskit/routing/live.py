"""One provider's turn at a passage, delivered while it is made: live delivery.

What the listener has heard cannot be taken back, so audio is let go only as far as it is certain
where speech could go on if the provider failed now: to the end of the last word that is there in
full, where the provider times its words; else to a little before what has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ttskit.adapters.base import AudioSource, TimedText
from ttskit.audio import Notice, TimingSource, WordTiming
from ttskit.codecs.loudness import apply_gain
from ttskit.codecs.pcm import AnySamples, Samples, as_frames, as_samples, concatenated
from ttskit.codecs.splice import FADE_S, fade_edges, silence
from ttskit.errors import InvalidResponseError
from ttskit.request import SpeechOptions, Timestamps
from ttskit.routing.part import Part
from ttskit.routing.provider import Provider
from ttskit.routing.recording import Bill, Decoding, check_rate
from ttskit.routing.take import Emit, Take
from ttskit.routing.timing import estimate_words
from ttskit.routing.verdict import SILENCE_PEAK, check_length, check_said
from ttskit.text.passage import Passage

HOLD_S = 0.3
"""Audio held back where words are not timed: somewhere in it is the pause between two words."""
HOLD_SHARE = 0.2
"""The most of what came that is held back: so the first sound is heard at once, and a provider that
is a quarter faster than speech never lets the listener run dry."""
QUIET_S = 0.01
"""The pause at which untimed speech is cut is looked for in steps of this length."""
CHARACTER_S = 0.065
"""Of untimed speech at speed 1 until a provider's own pace is known; fits hibari and piper."""


class Release:
    """How much of a call's audio may be heard already, and where in its text that is.

    Args:
        text: What the call says.
        sample_rate: Hz.
        pace_s: Seconds a character, to guess which words were said; None: the provider tells.
    """

    def __init__(self, text: str, sample_rate: int, *, pace_s: float | None) -> None:
        self._text = text
        self.sample_rate = sample_rate
        self._pace_s = pace_s
        self._fade = round(FADE_S * sample_rate)
        self._held: list[Samples] = []
        self._audible_at: int | None = None
        self._words: Sequence[TimedText] = ()
        self._said = 0
        self.received = 0
        """Frames that came."""
        self.released = 0
        """Frames that were let go."""

    @property
    def said(self) -> Sequence[TimedText]:
        """The words that were let go."""
        return self._words[: self._said]

    @property
    def upto(self) -> int:
        """The character of the text that was reached."""
        return self._words[self._said - 1].span[1] if self._said else 0

    @property
    def is_guessed(self) -> bool:
        """Nobody told when the words are said."""
        return self._pace_s is not None

    @property
    def is_audible(self) -> bool:
        """Something other than silence came."""
        return self._audible_at is not None

    @property
    def seconds(self) -> float:
        """Of the audio that came."""
        return self.received / self.sample_rate

    @property
    def audible_s(self) -> float:
        """Seconds from the first sound to the last frame."""
        return (self.received - (self._audible_at or 0)) / self.sample_rate

    def feed(self, samples: Samples, words: Sequence[TimedText] = ()) -> Samples:
        """Return what may be heard after these further samples.

        Nothing, while there was only silence: it may be all that comes.

        Args:
            samples: Shape (frames,) or (frames, channels).
            words: All that the provider told so far, in order.
        """
        self._listen(samples)
        self._held.append(samples)
        self.received += len(samples)
        self.know(words)
        if self._audible_at is None:
            return samples[:0]
        if self._pace_s is not None:
            held = min(round(HOLD_S * self.sample_rate), round(HOLD_SHARE * self.received))
            return self._let_go(self.received - held)
        return self._let_go(self._end_of_words())

    def know(self, words: Sequence[TimedText]) -> None:
        """Take note of words that were told after the last samples."""
        if self._pace_s is None:
            self._words = words

    def finish(self) -> Samples:
        """Return the rest: the call is whole."""
        rest = self._let_go(self.received)
        if self._pace_s is not None:
            begin, end = self.upto, self.received / self.sample_rate
            start = self._words[self._said - 1].end if self._said else self._audible_from_s
            self._words = [
                *self.said,
                *estimate_words(self._text, start=start, end=end, since=begin),
            ]
        self._said = len(self._words)
        return rest

    def break_off(self) -> Samples:
        """Return what is still to be heard of a call that failed: up to a pause, faded out."""
        held, self._held = self._joined(), []
        if not self.released:
            return held[:0]
        cut = self._fade if self._pace_s is None else _quietest(held, self.sample_rate)
        self.released += len(held[:cut])
        self._count()
        return fade_edges(held[:cut], self.sample_rate, start=False)

    @property
    def _audible_from_s(self) -> float:
        return (self._audible_at or 0) / self.sample_rate

    def _listen(self, samples: Samples) -> None:
        if self._audible_at is not None:
            return
        loud = np.flatnonzero(np.abs(as_frames(samples)).max(axis=1) >= SILENCE_PEAK)
        if not len(loud):
            return
        self._audible_at = self.received + int(loud[0])
        if self._pace_s is not None:
            start = self._audible_from_s
            end = start + self._pace_s * len(self._text)
            self._words = estimate_words(self._text, start=start, end=end)

    def _end_of_words(self) -> int:
        """Return the frame at which the last word ends that is there in full."""
        ends = (round(word.end * self.sample_rate) for word in self._words[self._said :])
        end = max((end for end in ends if end <= self.received), default=0)
        # Some milliseconds stay here: if it broke off, they would be faded out.
        return end - self._fade

    def _let_go(self, until: int) -> Samples:
        held = self._joined()
        ready = max(0, until - self.released)
        self._held = [held[ready:]]
        self.released += len(held[:ready])
        self._count()
        return held[:ready]

    def _count(self) -> None:
        """Note which words were let go; of a guessed one most is enough."""
        now_s = self.released / self.sample_rate
        while self._said < len(self._words):
            word = self._words[self._said]
            if self._pace_s is None:
                is_said = round(word.end * self.sample_rate) <= self.released + self._fade
            else:
                is_said = (word.start + word.end) / 2 <= now_s
            if not is_said:
                break
            self._said += 1

    def _joined(self) -> Samples:
        if len(self._held) != 1:
            self._held = [concatenated(self._held)]
        return self._held[0]


def _quietest(samples: Samples, sample_rate: int) -> int:
    """Return the middle of the quietest stretch; the last of several that are alike."""
    size = max(1, round(QUIET_S * sample_rate))
    blocks = len(samples) // size
    if not blocks:
        return 0
    power = np.square(samples[: blocks * size].reshape(blocks, -1)).mean(axis=1)
    quietest = blocks - 1 - int(np.argmin(power[::-1]))
    return quietest * size + size // 2


class Paces:
    """How fast each provider speaks, in seconds a character at speed 1; of one request."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}

    def of(self, provider: str) -> float:
        """Return the provider's pace; a usual one until it is known."""
        return self._known.get(provider, CHARACTER_S)

    def note(self, provider: str, seconds: float, characters: int) -> None:
        """Remember how long so much text took."""
        if characters and seconds > 0:
            self._known[provider] = seconds / characters


@dataclass(slots=True)
class _Call:
    """The call that is being heard."""

    part: Part
    release: Release
    start_s: float
    """Seconds of the turn before it."""
    told: int = 0
    """Words that were handed on."""


class Broadcast:
    """Lets a turn be heard while it is made.

    Args:
        provider: Who speaks.
        options: The request.
        passage: What is spoken, or what is left of it.
        emit: Gets the takes.
        paces: Of the request.
    """

    def __init__(
        self,
        provider: Provider,
        options: SpeechOptions,
        passage: Passage,
        *,
        emit: Emit,
        paces: Paces,
    ) -> None:
        self._provider = provider
        self._options = options
        self._passage = passage
        self._emit = emit
        self._paces = paces
        self._call: _Call | None = None
        self._bill = Bill()
        self._voice: str | None = None
        self._notices: list[Notice] = []
        self._rate = 0
        self._channels = 1
        self._seconds = 0.0
        self._pending_silence = 0.0
        self._upto = passage.span[0]
        self._has_begun = False

    @property
    def is_committed(self) -> bool:
        """Something of the call was delivered: it cannot be made again from its start."""
        return self._call is not None and self._call.release.released > 0

    def note(self, notices: Iterable[Notice]) -> None:
        """Report these with what is delivered next."""
        self._notices += notices

    def speak_as(self, voice: str | None) -> None:
        """Say who is heard from here on."""
        self._voice = voice

    def rest(self, seconds: float) -> None:
        """Let a pause be heard; before the first audio it waits until the rate is known."""
        if not self._rate:
            self._pending_silence += seconds
            return
        self._put(silence(seconds, self._rate, self._channels))

    async def hear(self, source: AudioSource, part: Part) -> None:
        """Let a call be heard as far as that is safe, and judge it at its end."""
        check_rate(self._provider, source, part)
        self._call = None
        decoding = Decoding(source)
        async for chunk in source.chunks:
            self._feed(decoding.decode(chunk), decoding, source, part)
        self._feed(decoding.finish(), decoding, source, part)
        if self._call is not None:
            self._call.release.know(tuple(source.words))
        self._judge(source, part)
        self._bill.add(source)

    def keep(self, part: Part) -> None:
        """Let the rest of the call be heard."""
        call = self._call
        if call is None:
            raise AssertionError("a call is heard before it is kept")
        if call.release.is_guessed:
            spoken_s = call.release.audible_s * part.role.settings.speed
            self._paces.note(self._provider.name, spoken_s, len(part.text))
        rest = call.release.finish()
        self._begin(call.release.sample_rate, rest)
        self._put_of(call, rest)
        self._upto = part.source_until(len(part.text))
        self._call = None

    def finish(self) -> None:
        """End the turn and the passage."""
        if not self._has_begun:
            raise InvalidResponseError("nothing was spoken", provider=self._provider.name)
        self._upto = self._passage.span[1]
        self._put(silence(0.0, self._rate, self._channels), ends=True, completes=True)

    def break_off(self) -> None:
        """End the turn where it was reached, if any of it was heard."""
        call, self._call = self._call, None
        if call is not None and call.release.released:
            if call.release.is_guessed:
                self.note([_guessed(self._provider.name)])
            self._put_of(call, call.release.break_off())
        if self._has_begun:
            self._put(silence(0.0, self._rate, self._channels), ends=True)

    def _feed(
        self, samples: AnySamples, decoding: Decoding, source: AudioSource, part: Part
    ) -> None:
        if not len(samples):
            return
        if self._call is None:
            release = Release(part.text, decoding.sample_rate, pace_s=self._pace(part))
            self._call = _Call(part, release, self._seconds + self._pending_silence)
        louder = apply_gain(as_samples(samples), part.role.settings.gain)
        ready = self._call.release.feed(louder, tuple(source.words))
        if len(ready):
            self._begin(decoding.sample_rate, ready)
            self._put_of(self._call, ready)

    def _pace(self, part: Part) -> float | None:
        """Return how fast words go by; None where the provider tells, or nobody can."""
        if part.role.is_timed or part.speech.is_ssml:
            return None
        return self._paces.of(self._provider.name) / part.role.settings.speed

    def _begin(self, rate: int, samples: Samples) -> None:
        is_first, self._rate = not self._rate, rate
        self._channels = 1 if samples.ndim == 1 else samples.shape[1]
        if is_first and self._pending_silence:
            self.rest(self._pending_silence)

    def _judge(self, source: AudioSource, part: Part) -> None:
        """Accept the whole call, or raise."""
        call = self._call
        if call is None:
            raise InvalidResponseError("no audio came for the text")
        if not call.release.is_audible:
            raise InvalidResponseError("silence came where speech was due")
        text = self._passage.text if part.speech.is_ssml else part.text
        check_length(call.release.seconds, text, speed=part.role.settings.speed)
        if not part.speech.is_ssml:
            check_said(part.text, source.words)

    def _put_of(self, call: _Call, samples: Samples) -> None:
        if reached := call.release.upto:
            self._upto = call.part.source_until(reached)
        self._put(samples, self._new_words(call))

    def _new_words(self, call: _Call) -> tuple[WordTiming, ...]:
        said = call.release.said[call.told :]
        call.told += len(said)
        if self._options.timestamps is Timestamps.NONE:
            return ()
        origin = TimingSource.ESTIMATED if call.release.is_guessed else TimingSource.NATIVE
        by_character = self._options.timestamps is Timestamps.CHARACTER
        return tuple(call.part.timings(said, call.start_s, origin, by_character=by_character))

    def _put(
        self,
        samples: Samples,
        words: tuple[WordTiming, ...] = (),
        *,
        ends: bool = False,
        completes: bool = False,
    ) -> None:
        begins, self._has_begun = not self._has_begun, True
        notices, self._notices = tuple(self._notices), []
        self._seconds += len(samples) / self._rate
        self._emit(
            Take(
                samples=samples,
                sample_rate=self._rate,
                words=words,
                provider=self._provider.name,
                voice=self._voice,
                model=self._options.model,
                notices=notices,
                request_id=self._bill.request_id,
                cost=self._bill.cost if ends else None,
                span=(self._passage.span[0], self._upto),
                begins=begins,
                ends=ends,
                completes=completes,
            )
        )


def _guessed(provider: str) -> Notice:
    message = f"{provider} broke off within a sentence; where it goes on is an estimate"
    return Notice("estimated", "delivery", message, provider)
