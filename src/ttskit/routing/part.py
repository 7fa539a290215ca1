"""What is sent to a provider in one call, with its way back to the caller's own text."""

from __future__ import annotations

from dataclasses import dataclass

from ttskit.adapters.base import TimedText
from ttskit.audio import TimingSource, WordTiming
from ttskit.routing.honour import Prosody
from ttskit.routing.voicing import Casting
from ttskit.text.lower import Speech


@dataclass(frozen=True, slots=True)
class Role:
    """Who speaks a piece, and how."""

    casting: Casting
    settings: Prosody


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a speech, with where it begins in it."""

    text: str
    start: int
    speech: Speech
    role: Role

    @classmethod
    def of(cls, speech: Speech, start: int, end: int, role: Role) -> Part:
        """Return the piece without the white space at its edges."""
        text = speech.text[start:end]
        return cls(text.strip(), start + len(text) - len(text.lstrip()), speech, role)

    def source_until(self, index: int) -> int:
        """Return where in the caller's own text the first ``index`` characters of this one end."""
        return self.speech.offsets.span(0, self.start + index)[1]

    def timing(self, word: TimedText, start: float, origin: TimingSource) -> WordTiming:
        """Return the word's times ``start`` seconds later, on the caller's own text."""
        first, end = word.span
        return WordTiming(
            word=self.text[first:end],
            start=start + word.start,
            end=start + word.end,
            span=self.speech.offsets.span(self.start + first, self.start + end),
            source=origin,
        )
