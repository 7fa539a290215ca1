"""A VITS voice of Coqui: sentence by sentence, its sound in pieces, its words timed.

What runs the network is a ``VitsRuntime``: torch or onnxruntime.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Protocol

from ttskit.adapters.coqui_pieces import LATER_FRAMES, pieces
from ttskit.adapters.coqui_reading import BLANK, Reading
from ttskit.adapters.piper_words import TimedPhoneme, time_words
from ttskit.resources.engine import EngineChunk, EngineWord

if TYPE_CHECKING:
    from ttskit.adapters.coqui_reader import Reader
    from ttskit.codecs.pcm import Samples
    from ttskit.text.segment import Segment

FIXED_SHARE = 0.304
"""How much of a sentence no length scale changes, in units of what it does at scale 1: sounds
take whole steps of the network, rounded up. Measured on this network with blanks between sounds
at scales from 0.35 to 4, within 4 %."""
FIXED_SHARE_WITHOUT_BLANKS = 0.07
"""The same where nothing stands between sounds: half a step of some seven. Reckoned."""
SHORTEST_SCALE = 0.05
"""Below it nothing gets shorter."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a sentence is spoken."""

    length_scale: float
    """Above 1 is slower."""
    noise_scale: float
    """Variation of the sound."""
    noise_scale_dp: float
    """Variation of the rhythm."""
    seed: int | None = None
    speaker: int | tuple[float, ...] | None = None
    """A number or an embedding."""
    language: int | None = None

    def at_speed(self, speed: float, *, has_blanks: bool) -> Manner:
        """Return the manner that lasts ``1 / speed`` times as long."""
        fixed = FIXED_SHARE if has_blanks else FIXED_SHARE_WITHOUT_BLANKS
        scale = (fixed + self.length_scale) / speed - fixed
        return replace(self, length_scale=max(scale, SHORTEST_SCALE))


class Latent(Protocol):
    """A sentence before its sound is made."""

    @property
    def frames(self) -> int:
        """How many the decoder makes sound of."""

    @property
    def durations(self) -> Sequence[float]:
        """Frames of the network for each id read."""

    def decode(self, begin: int, finish: int) -> Samples:
        """Return the sound of the frames from ``begin`` to ``finish``."""


class VitsRuntime(Protocol):
    """The network, run by something."""

    radius: int
    """Frames on either side that a piece depends on."""
    hop: int
    """Samples of a frame."""

    def latent(self, ids: list[int], manner: Manner) -> Latent:
        """Return what a sentence is to sound like."""

    def joined(self) -> AbstractContextManager[None]:
        """Say that this thread may read sentences for as long as the block lasts."""
        return nullcontext()


class VitsVoice:
    """Speaks through a runtime.

    Args:
        reader: Of the same model.
        runtime: Loaded.
        sample_rate: Hz.
    """

    def __init__(self, reader: Reader, runtime: VitsRuntime, *, sample_rate: int) -> None:
        self._reader = reader
        self._runtime = runtime
        self.sample_rate = sample_rate

    def speak(
        self,
        sentences: Sequence[Segment],
        *,
        language: str | None,
        manner: Manner,
        want_words: bool,
        is_live: bool,
        stop: threading.Event,
    ) -> Iterator[EngineChunk]:
        """Yield the sound of the sentences in pieces.

        Args:
            sentences: Of the job's text.
            language: As the model calls it.
            manner: Length scale included.
            want_words: Each sentence's words come with its first piece.
            is_live: The first piece comes soon and is short.
            stop: Ends it between two pieces.
        """
        with self._runtime.joined():
            yield from self._spoken(
                sentences, language, manner, want_words=want_words, is_live=is_live, stop=stop
            )

    def _spoken(
        self,
        sentences: Sequence[Segment],
        language: str | None,
        manner: Manner,
        *,
        want_words: bool,
        is_live: bool,
        stop: threading.Event,
    ) -> Iterator[EngineChunk]:
        offset = 0
        for sentence in sentences:
            reading = self._reader.read(sentence.text, language)
            if reading.is_silent:
                continue
            if stop.is_set():
                return
            latent = self._runtime.latent(reading.ids, manner)
            words = self._words(sentence, reading, latent, language) if want_words else ()
            words = tuple(_shifted(word, offset / self.sample_rate) for word in words)
            # Only the first sentence is waited for; the others are ready before they are due.
            for samples in self._sound(latent, is_waited_for=is_live and not offset):
                yield EngineChunk(samples, self.sample_rate, words)
                words = ()
                offset += len(samples)
                if stop.is_set():
                    return

    def _sound(self, latent: Latent, *, is_waited_for: bool) -> Iterator[Samples]:
        runtime = self._runtime
        first = {} if is_waited_for else {"first": LATER_FRAMES}
        for piece in pieces(latent.frames, radius=runtime.radius, **first):
            samples = latent.decode(piece.begin, piece.finish)
            start = (piece.start - piece.begin) * runtime.hop
            yield samples[start : start + (piece.end - piece.start) * runtime.hop]

    def _words(
        self, sentence: Segment, reading: Reading, latent: Latent, language: str | None
    ) -> tuple[EngineWord, ...]:
        words = time_words(
            sentence.text,
            timed(reading, latent, hop=self._runtime.hop),
            sample_rate=self.sample_rate,
            phonemize=lambda word: self._reader.sounds(word, language),
        )
        start = sentence.start
        return tuple(
            replace(word, span=(word.span[0] + start, word.span[1] + start)) for word in words
        )


def timed(reading: Reading, latent: Latent, *, hop: int) -> list[TimedPhoneme]:
    """Return the symbols of a sentence in samples from its start."""
    total = sum(latent.durations)
    # A model may make its frames finer before it makes sound of them.
    scale = latent.frames * hop / total if total else 0.0
    borders = [round(frames * scale) for frames in accumulate(latent.durations, initial=0.0)]
    sounds: list[TimedPhoneme] = []
    for symbol, (start, end) in zip(reading.symbols, pairwise(borders), strict=True):
        if symbol == BLANK and sounds:  # a sound lasts until the next one begins
            sounds[-1] = replace(sounds[-1], end=end)
        else:
            sounds.append(TimedPhoneme(symbol, start, end))
    return sounds


def _shifted(word: EngineWord, seconds: float) -> EngineWord:
    return replace(word, start=word.start + seconds, end=word.end + seconds)
