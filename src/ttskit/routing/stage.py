"""What the listener gets: takes in, chunks of one rate, channel count and loudness out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ttskit.audio import (
    Audio,
    AudioChunk,
    Notice,
    Outcome,
    Provenance,
    Span,
    Spoken,
    UtteranceRef,
    WordTiming,
)
from ttskit.codecs.encode import Encoder, open_encoder
from ttskit.codecs.formats import FORMATS, supported_rate
from ttskit.codecs.loudness import apply_gain, gain_to, speech_level
from ttskit.codecs.pcm import AnySamples, Samples, as_samples, concatenated, to_pcm
from ttskit.codecs.resample import Resampler, resample
from ttskit.codecs.splice import match_channels, speech_bounds
from ttskit.errors import InvalidParameterError
from ttskit.request import AudioFormat, SpeechOptions
from ttskit.resilience.now import now
from ttskit.routing.booth import Booth
from ttskit.routing.ledger import Ledger
from ttskit.routing.script import Cue
from ttskit.routing.take import Take
from ttskit.telemetry.events import UtteranceEvent
from ttskit.telemetry.health import UtteranceFacts
from ttskit.text.plan import Passage
from ttskit.text.sanitise import Change

CHUNK_S = 0.4
CLAUSE_PAUSE_S = 0.06
"""On each side of a cut within a sentence: together a comma's pause."""
LONGEST_PAUSE_S = 1.5
"""Engines put no longer pause at an edge; what is farther in is not looked at."""
FALLBACK_RATE = 24_000
"""Hz of audio without frames."""


@dataclass(slots=True)
class _Turn:
    """A provider's turn at an utterance, as it is heard."""

    first: int
    """Frame of the request."""
    gain: float
    """dB."""
    is_resumed: bool
    """Somebody else said the beginning."""
    skipped: int = 0
    """Frames of its first pause that are left out."""
    words: tuple[WordTiming, ...] = ()
    _resampler: Resampler | None = None
    _rate: int = 0

    def resampled(self, samples: AnySamples, take: Take, rate: int) -> Samples:
        """Return what is ready at another rate of a turn that comes in several takes."""
        ready = []
        if self._resampler is None or self._rate != take.sample_rate:
            ready += [] if self._resampler is None else [self._resampler.finish()]
            channels = 1 if samples.ndim == 1 else samples.shape[1]
            self._resampler, self._rate = (
                Resampler(take.sample_rate, rate, channels),
                take.sample_rate,
            )
        ready.append(self._resampler.feed(as_samples(samples)))
        if take.ends:
            ready.append(self._resampler.finish())
            # A turn that failed behind its last word is closed once more, by an empty take.
            self._resampler = None
        return concatenated(ready)


class Stage:
    """The audible side of one request: the ledger, the warnings and the audio so far.

    Args:
        booth: Of the request.
        origin: Grows with every take.
        chunk_format: Of the chunks' ``data``; None: nobody listens, and takes are kept instead.
        source: The caller's own text, where it is all there; None: it is put together as it comes.
        within: The directory that the audio may be saved in; None: anywhere.
    """

    def __init__(
        self,
        booth: Booth,
        *,
        origin: Provenance,
        chunk_format: AudioFormat | None,
        source: str | None = None,
        within: Path | None = None,
    ) -> None:
        self._booth = booth
        self._options = booth.options
        self._format = chunk_format
        self._source = source
        self._within = within
        self._encoder: Encoder | None = None
        self._level: float | None = None
        self._first_provider: str | None = None
        self._reference: tuple[AnySamples, int] | None = None
        self._turn: _Turn | None = None
        self._utterance_from = 0
        self._is_resumed = False
        self._noticed: set[tuple[str, str, str | None]] = set()
        self._kept: list[AnySamples] = []
        self._kept_words: list[WordTiming] = []
        self.ledger = Ledger()
        self.origin = origin
        self.warnings: list[Notice] = []
        self.sample_rate = 0
        """Hz; 0 until the first take decides."""
        self.channels = 1
        self._is_within_sentence = False
        self.is_finished = False
        """A chunk was marked as the last."""

    @property
    def text(self) -> str:
        """What was spoken so far."""
        return self.ledger.text_until(self.ledger.frames)

    def play(self, cue: Cue, take: Take) -> Iterator[AudioChunk]:
        """Enter the take into the record and return its audio in chunks.

        The last chunk of the request is marked where it is known to be the last.
        """
        return self._chunks(*self._record(cue, take), cue, take)

    def keep(self, cue: Cue, take: Take) -> None:
        """Enter the take into the record and keep its audio."""
        samples, words = self._record(cue, take)
        self._kept.append(samples)
        self._kept_words += words

    def _record(self, cue: Cue, take: Take) -> tuple[AnySamples, tuple[WordTiming, ...]]:
        """Enter the take into the record; return its audio and words in those of the request."""
        self._settle_format(take)
        turn = self._turn_of(cue, take)
        samples = self._joined(cue, take, self._fit(take, turn), turn)
        words = self._enter(cue, take, len(samples), turn)
        self._note(cue.passage, take, turn)
        if take.completes:
            self._is_within_sentence = not cue.ends_sentence
            self._tell_utterance(cue, take)
        return samples, words

    def finish(self) -> AudioChunk | None:
        """Return a last chunk without frames, where none was marked as the last yet."""
        if not self.ledger.entries:
            return None
        self.is_finished = True
        last = self.ledger.entries[-1]
        return AudioChunk(
            data=b"" if self._encoder is None else self._encoder.finish(),
            samples=_no_samples(self.channels),
            sample_rate=self.sample_rate,
            offset=self.ledger.frames,
            utterance=UtteranceRef(last.utterance, last.text),
            provider=last.provider,
            last=True,
            format=self._format,
        )

    def audio(self, chunks: Sequence[AudioChunk] = ()) -> Audio:
        """Return what was kept, or all the chunks played, as audio in the format asked for."""
        parts, words = list(self._kept), list(self._kept_words)
        for chunk in chunks:
            parts.append(chunk.samples)
            words += chunk.words
        return Audio.from_samples(
            concatenated([part for part in parts if len(part)]),
            sample_rate=self.sample_rate or FALLBACK_RATE,
            format=self._options.format or AudioFormat.WAV,
            words=words,
            origin=self.origin,
            ledger=self.ledger.entries,
            warnings=self.warnings,
            text=self.text if self._source is None else self._source,
            within=self._within,
        )

    def _settle_format(self, take: Take) -> None:
        if self.sample_rate:
            return
        self.channels = 1 if take.samples.ndim == 1 else take.samples.shape[1]
        self.sample_rate = _rate_for(self._options, take)
        if self._format not in (None, AudioFormat.PCM):
            self._encoder = open_encoder(
                self._format, sample_rate=self.sample_rate, channels=self.channels
            )

    def _turn_of(self, cue: Cue, take: Take) -> _Turn:
        """Return the provider's turn that the take belongs to."""
        if self._turn is None or take.begins:
            start = cue.passage.span[0] if take.span is None else take.span[0]
            is_resumed = start > cue.passage.span[0]
            if not is_resumed:
                self._utterance_from = self.ledger.frames
                self._is_resumed = False
            self._is_resumed |= is_resumed
            self._turn = _Turn(self.ledger.frames, self._gain_for(take), is_resumed)
        return self._turn

    def _gain_for(self, take: Take) -> float:
        """Return the dB that bring another provider's voice to the level of the one that began."""
        if self._first_provider is None:
            self._first_provider = take.provider
        if self._first_provider == take.provider:
            # Measured only when somebody else has to match it.
            if self._reference is None or len(take.samples) >= len(self._reference[0]):
                self._reference = (take.samples, take.sample_rate)
            return 0.0
        if self._level is None and self._reference is not None:
            self._level = speech_level(*self._reference)
        level = speech_level(take.samples, take.sample_rate)
        return 0.0 if level is None or self._level is None else gain_to(level, self._level)

    def _fit(self, take: Take, turn: _Turn) -> AnySamples:
        """Return the samples at the rate, channels and loudness of this request."""
        samples = match_channels(take.samples, self.channels)
        if take.is_whole and take.sample_rate != self.sample_rate:
            samples = resample(samples, source_rate=take.sample_rate, target_rate=self.sample_rate)
        elif not take.is_whole:
            samples = turn.resampled(samples, take, self.sample_rate)
        return apply_gain(samples, turn.gain)

    def _joined(self, cue: Cue, take: Take, samples: AnySamples, turn: _Turn) -> AnySamples:
        """Shorten the pauses where a sentence was cut.

        Engines begin and end whatever they say with a pause, as is right between sentences.
        """
        begins = take.begins and (self._is_within_sentence or turn.is_resumed)
        ends = take.completes and not cue.ends_sentence and not cue.is_last
        if not begins and not ends:
            return samples
        edge = round(LONGEST_PAUSE_S * self.sample_rate)
        first, end = 0, len(samples)
        if begins:
            first, _ = speech_bounds(samples[:edge], self.sample_rate, keep_s=CLAUSE_PAUSE_S)
            turn.skipped = first
        if ends:
            tail = samples[max(first, end - edge) :]
            end += speech_bounds(tail, self.sample_rate, keep_s=CLAUSE_PAUSE_S)[1] - len(tail)
        return samples[first:end]

    def _enter(self, cue: Cue, take: Take, frames: int, turn: _Turn) -> tuple[WordTiming, ...]:
        words = take.words and self._words_of(take, turn)
        turn.words += words
        span = cue.passage.span if take.span is None else take.span
        enter = self.ledger.add if take.begins else self.ledger.grow
        enter(
            Spoken(
                utterance=cue.passage.index,
                text=span,
                frames=(turn.first, (turn.first if take.begins else self.ledger.frames) + frames),
                provider=take.provider,
                voice=take.voice,
                model=take.model,
                words=turn.words,
            ),
            cue.text if span == cue.passage.span else _said(cue, span),
            sample_rate=self.sample_rate,
        )
        return words

    def _words_of(self, take: Take, turn: _Turn) -> tuple[WordTiming, ...]:
        """Return the take's words with their times in the request."""
        seconds = (turn.first - turn.skipped) / self.sample_rate
        return tuple(
            replace(word, start=word.start + seconds, end=word.end + seconds) for word in take.words
        )

    def _note(self, passage: Passage, take: Take, turn: _Turn) -> None:
        self.origin.provider, self.origin.voice = take.provider, take.voice
        self.origin.model = take.model
        self.origin.request_id = take.request_id or self.origin.request_id
        if take.cost is not None:
            self.origin.cost = take.cost + (self.origin.cost or 0.0)
        if self._first_provider != take.provider:
            self.origin.outcome = Outcome.RESUMED
        for notice in take.notices:
            self._warn(notice)
        if take.begins and not turn.is_resumed:
            for change in passage.changes:
                self._warn(_text_changed(change))

    def _tell_utterance(self, cue: Cue, take: Take) -> None:
        frames = self.ledger.frames - self._utterance_from
        characters = len(cue.passage.text)
        self._booth.tell(
            UtteranceFacts(take.provider, characters, frames / self.sample_rate),
            lambda: UtteranceEvent(
                provider=take.provider,
                model=take.model,
                voice=take.voice,
                utterance=cue.passage.index,
                characters=characters,
                outcome=str(Outcome.RESUMED if self._is_resumed else Outcome.COMPLETE),
                frames=frames,
                sample_rate=self.sample_rate,
                duration=now() - self._booth.start(),
                request_id=self._booth.request_id,
                tags=self._options.tags,
            ),
        )

    def _warn(self, notice: Notice) -> None:
        """Warn once of a setting, and of each place where the text or markup is concerned."""
        key = (notice.code, notice.feature, notice.provider)
        if notice.span is None and key in self._noticed:
            return
        self._noticed.add(key)
        self.warnings.append(notice)

    def _chunks(
        self, taken: AnySamples, words: tuple[WordTiming, ...], cue: Cue, take: Take
    ) -> Iterator[AudioChunk]:
        size = max(1, round(CHUNK_S * self.sample_rate))
        samples = as_samples(taken)
        origin = self.ledger.frames - len(samples)
        reference = UtteranceRef(cue.passage.index, cue.passage.span)
        # Converted in one go: many small conversions cost several times as much.
        pcm = to_pcm(taken) if self._format is AudioFormat.PCM else b""
        width = 2 * self.channels
        is_resumed = take.begins and take.span is not None and take.span[0] > reference.span[0]
        starts = range(0, max(len(samples), bool(words)), size)
        shares = _shared_out(
            words, since_s=origin / self.sample_rate, chunk_s=CHUNK_S, chunks=len(starts)
        )
        for start, share in zip(starts, shares, strict=True):
            piece = samples[start : start + size]
            ends_all = take.completes and cue.is_last and start + size >= len(samples)
            self.is_finished |= ends_all
            yield AudioChunk(
                data=pcm[start * width : (start + size) * width]
                or self._encoded(piece, ends_all=ends_all),
                samples=piece,
                sample_rate=self.sample_rate,
                offset=origin + start,
                utterance=reference,
                provider=take.provider,
                words=share,
                last=ends_all,
                discontinuity=is_resumed and not start,
                format=self._format,
            )

    def _encoded(self, samples: Samples, *, ends_all: bool) -> bytes:
        if self._encoder is None:
            return b""
        data = self._encoder.encode(samples)
        return data + self._encoder.finish() if ends_all else data


def check_rate(options: SpeechOptions) -> None:
    """Accept the sample rate asked for, or raise.

    Raises:
        InvalidParameterError: The format cannot carry it; the nearest that it can is named.
    """
    if options.sample_rate is None or options.format is None:
        return
    carried = supported_rate(options.format, options.sample_rate)
    if carried != options.sample_rate:
        raise InvalidParameterError(
            f"{options.format} has no sample rate of {options.sample_rate} Hz; {carried} Hz it has"
        )


def _rate_for(options: SpeechOptions, take: Take) -> int:
    if options.sample_rate is not None:
        return options.sample_rate
    if options.format is None:
        return take.sample_rate
    customary = FORMATS[options.format].customary_rate
    return customary or supported_rate(options.format, take.sample_rate)


def _shared_out(
    words: Sequence[WordTiming], *, since_s: float, chunk_s: float, chunks: int
) -> list[tuple[WordTiming, ...]]:
    """Return the words that each chunk brings: where they start, or next to there."""
    if chunks == 1 or not words:
        return [tuple(words)] * chunks
    shares: list[list[WordTiming]] = [[] for _ in range(chunks)]
    for word in words:
        place = int((word.start - since_s) // chunk_s)
        shares[min(max(place, 0), chunks - 1)].append(word)
    return [tuple(share) for share in shares]


def _said(cue: Cue, span: Span) -> str:
    """Return the cue's text within a part of its span; of SSML, what is spoken of it."""
    start = cue.passage.span[0]
    if len(cue.text) == cue.passage.span[1] - start:
        return cue.text[span[0] - start : span[1] - start]
    return cue.passage.text_within(span)


def _no_samples(channels: int) -> Samples:
    shape = (0,) if channels == 1 else (0, channels)
    return np.zeros(shape, np.float32)


def _text_changed(change: Change) -> Notice:
    return Notice("text_changed", "text", f"{change.kind} at {change.span[0]}", span=change.span)
