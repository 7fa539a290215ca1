"""The ledger of one stream: which characters were spoken by whom in which frames."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from ttskit.audio import Spoken
from ttskit.routing.timing import estimate_words


class _Line(NamedTuple):
    spoken: Spoken
    text: str
    """The entry's span as the caller wrote it; of SSML, what is spoken."""
    sample_rate: int


class Ledger:
    """Grows by one entry for each turn of a provider at an utterance, in the order of the audio."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._ends: list[int] = []

    @property
    def entries(self) -> tuple[Spoken, ...]:
        """The entries so far."""
        return tuple(line.spoken for line in self._lines)

    @property
    def characters(self) -> int:
        """How many characters of the text the entries cover."""
        return sum(len(line.text) for line in self._lines)

    @property
    def frames(self) -> int:
        """How many frames the entries fill."""
        return self._ends[-1] if self._ends else 0

    def add(self, spoken: Spoken, text: str, *, sample_rate: int) -> None:
        """Enter an utterance: its audio follows the previous one's; ``text`` is its whole span."""
        self._lines.append(_Line(spoken, text, sample_rate))
        self._ends.append(spoken.frames[1])

    def grow(self, spoken: Spoken, text: str, *, sample_rate: int) -> None:
        """Replace the last entry, of which more was said since."""
        self._lines[-1] = _Line(spoken, text, sample_rate)
        self._ends[-1] = spoken.frames[1]

    def text_until(self, frames: int) -> str:
        """Return the text that has been heard once so many frames were played.

        Within an utterance a word counts as heard when most of it was; where the engine gave
        no word times they are estimated.
        """
        whole = bisect_right(self._ends, frames)
        heard = "".join(line.text for line in self._lines[:whole])
        if whole == len(self._lines):
            return heard
        return heard + _heard_part(self._lines[whole], frames)


def _heard_part(line: _Line, frames: int) -> str:
    first, end = line.spoken.frames
    begin, stop = line.spoken.text
    # Of SSML the text is what is spoken, and word spans point into the markup.
    if line.spoken.words and len(line.text) == stop - begin:
        seconds = frames / line.sample_rate
        heard = [
            word.span[1] - begin
            for word in line.spoken.words
            if (word.start + word.end) / 2 <= seconds
        ]
    else:
        heard = [
            word.span[1]
            for word in estimate_words(line.text, start=first, end=end)
            if (word.start + word.end) / 2 <= frames
        ]
    return line.text[: max(heard, default=0)]
