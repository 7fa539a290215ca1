"""What is sent to a provider in one call, with its way back to the caller's own text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ttskit.adapters.base import TimedText, Turn
from ttskit.audio import TimingSource, WordTiming
from ttskit.routing.honour import Prosody
from ttskit.routing.timing import split_characters
from ttskit.routing.voicing import Casting
from ttskit.text.lower import Speech
from ttskit.text.spans import Offsets


class Role(NamedTuple):
    """Who speaks a piece, and how."""

    casting: Casting
    settings: Prosody
    is_timed: bool = False
    """The provider itself tells when this voice says which word."""


class Part(NamedTuple):
    """A piece of a speech, with where it begins in it."""

    text: str
    start: int
    speech: Speech
    role: Role
    turns: tuple[Turn, ...] = ()
    """Who says what, where several voices do."""

    @classmethod
    def of(cls, speech: Speech, start: int, end: int, role: Role) -> Part:
        """Return the piece without the white space at its edges."""
        text = speech.text[start:end]
        return cls(text.strip(), start + len(text) - len(text.lstrip()), speech, role)

    @classmethod
    def together(cls, speeches: Sequence[Speech], roles: Sequence[Role]) -> Part:
        """Return the speeches as one piece, each in the voice of its own role."""
        texts, turns, at = [], [], 0
        maps: list[tuple[Offsets, int]] = []
        for speech, role in zip(speeches, roles, strict=True):
            if at:
                end = maps[-1][0].span(0, maps[-1][1])[1]
                maps.append((Offsets.of([(1, end, end)]), 1))
                at += 1
            texts.append(speech.text)
            maps.append((speech.offsets, len(speech.text)))
            turns.append(Turn((at, at + len(speech.text)), role.casting.voice))
            at += len(speech.text)
        joined = speeches[0]._replace(text="\n".join(texts), offsets=Offsets.concat(maps))
        return cls(joined.text, 0, joined, roles[0], tuple(turns))

    def source_until(self, index: int) -> int:
        """Return where in the caller's own text the first ``index`` characters of this one end."""
        return self.speech.offsets.span(0, self.start + index)[1]

    def timings(
        self,
        timed: Sequence[TimedText],
        start: float,
        origin: TimingSource,
        *,
        by_character: bool,
    ) -> list[WordTiming]:
        """Return the times ``start`` seconds later, on the caller's own text.

        Args:
            timed: Words, from the start of the audio.
            start: Seconds.
            origin: Where the times come from.
            by_character: One entry a character: its own time where the provider has it, else a
                share of its word's, an estimate.
        """
        if not by_character:
            return [self._timing(word, start, origin) for word in timed]
        entries: list[WordTiming] = []
        for word in timed:
            characters = word.characters or split_characters(word)
            known = origin if word.characters else TimingSource.ESTIMATED
            entries += [self._timing(character, start, known) for character in characters]
        return entries

    def _timing(self, word: TimedText, start: float, origin: TimingSource) -> WordTiming:
        first, end = word.span
        return WordTiming(
            word=self.text[first:end],
            start=start + word.start,
            end=start + word.end,
            span=self.speech.offsets.span(self.start + first, self.start + end),
            source=origin,
        )
