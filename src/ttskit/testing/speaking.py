"""An utterance in the modem voice, cut into chunks and brought into a provider's format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ttskit.adapters.base import TimedText, Utterance
from ttskit.codecs.encode import Encoder, open_encoder
from ttskit.codecs.pcm import Samples, to_pcm
from ttskit.testing.markup import Said, plain, read_markup
from ttskit.testing.modem import Modem


@dataclass(frozen=True, slots=True)
class Part:
    """Some audio of an utterance, with the word that is said in it."""

    samples: Samples
    word: TimedText | None = None


class Speech:
    """One utterance, ready to be spoken.

    Args:
        utterance: Plain text or SSML.
        modem: What to speak with.
        voice: Who speaks, as listeners will hear it.
    """

    def __init__(self, utterance: Utterance, modem: Modem, voice: str) -> None:
        self._said = read_markup(utterance.text) if utterance.is_ssml else [plain(utterance.text)]
        self._modem = modem
        self._voice = voice
        self.frames = sum(self._pause(one) + self._spoken(one) for one in self._said)

    def parts(self) -> Iterator[Part]:
        """Yield the audio; the parts have as many frames as ``frames`` says."""
        done = 0
        for one in self._said:
            if pause := self._pause(one):
                yield Part(np.zeros(pause, np.float32))
            done += pause
            if one.text:
                yield from self._parts(one, done / self._modem.sample_rate)
            done += self._spoken(one)

    def _parts(self, said: Said, offset: float) -> Iterator[Part]:
        for tones in self._modem.speak(said.text, self._voice):
            if tones.span is None:
                yield Part(tones.samples)
                continue
            span = said.source_span(*tones.span)
            yield Part(tones.samples, TimedText(offset + tones.start, offset + tones.end, span))

    def _pause(self, said: Said) -> int:
        return round(said.pause_s * self._modem.sample_rate)

    def _spoken(self, said: Said) -> int:
        return self._modem.frames(said.text, self._voice) if said.text else 0


class Outlet:
    """Brings samples into the format that a provider sends: bytes, or arrays for ``f32``."""

    def __init__(self, format_name: str, sample_rate: int) -> None:
        self._is_float = format_name == "f32"
        self._encoder: Encoder | None = None
        if format_name not in {"f32", "pcm"}:
            self._encoder = open_encoder(format_name, sample_rate=sample_rate)

    def encode(self, samples: Samples) -> Samples | bytes:
        """Return what can be sent after these further samples; may be empty."""
        if self._encoder is not None:
            return self._encoder.encode(samples)
        return samples if self._is_float else to_pcm(samples)

    def finish(self) -> bytes:
        """Return what is left; called once."""
        return b"" if self._encoder is None else self._encoder.finish()


def cut(
    parts: Iterator[Part], *, size: int, limit: int, words: list[TimedText]
) -> Iterator[Samples]:
    """Yield the first ``limit`` frames of the parts in chunks of ``size`` frames.

    ``words`` gets each word that is said in them, when its audio is on the way.
    """
    waiting: list[Samples] = []
    have, left = 0, limit
    for part in parts:
        if part.word is not None and len(part.samples) <= left:
            words.append(part.word)
        waiting.append(part.samples[:left])
        have += len(waiting[-1])
        left -= len(waiting[-1])
        if have >= size:
            joined = np.concatenate(waiting)
            rest = have % size
            yield from (joined[at : at + size] for at in range(0, have - rest, size))
            waiting, have = [joined[have - rest :]], rest
        if not left:
            break
    if have:
        yield np.concatenate(waiting)
