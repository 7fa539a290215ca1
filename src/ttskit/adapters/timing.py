"""From a provider's times to times of the caller's words, whatever they are counted in."""

from __future__ import annotations

from collections.abc import Iterable

from ttskit.adapters.base import TimedText

FAR = 200
"""Characters ahead of the last word found in which the next one is looked for."""


class WordFinder:
    """Places words that a provider names in the text they come from, in order.

    Args:
        text: As it was sent.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._folded = _folded(text)
        self._at = 0
        self._strange: list[tuple[float, float]] = []

    def find(self, word: str) -> tuple[int, int] | None:
        """Return the word's characters in the text; None where it is nowhere near.

        A word that the provider spells otherwise, such as a number it spoke out, is none.
        """
        wanted = _folded(word.strip())
        if not wanted:
            return None
        start = self._folded.find(wanted, self._at, self._at + FAR + len(wanted))
        if start < 0:
            return None
        self._at = start + len(wanted)
        return start, self._at

    def timed(self, word: str, start: float, end: float) -> Iterable[TimedText]:
        """Yield the word with its times in seconds, where it is found."""
        span = self.find(word)
        if span is not None:
            self._strange.clear()
            yield TimedText(start, max(start, end), span)
        elif any(map(str.isalnum, word)):
            self._strange.append((start, end))

    def finish(self) -> Iterable[TimedText]:
        """Yield the end of the text as one word, where the last words were spelt otherwise.

        ``$5`` that was timed as "five dollars" was said. An end of more words than were timed was
        cut off, and is not there.
        """
        rest = self._text[self._at :]
        left = sum(any(map(str.isalnum, word)) for word in rest.split())
        if 0 < left <= len(self._strange):
            start, end = self._strange[0][0], self._strange[-1][1]
            begun = self._at + len(rest) - len(rest.lstrip())
            self._strange.clear()
            yield TimedText(start, max(start, end), (begun, self._at + len(rest.rstrip())))


class CharacterTimes:
    """Groups the times of single characters into those of words.

    Args:
        text: As it was sent; its characters are timed one by one, in order.
        keeps: The words keep their characters' times.
    """

    def __init__(self, text: str, *, keeps: bool = False) -> None:
        self._text = text
        self._keeps = keeps
        self._at = 0
        self._word: list[TimedText] = []

    def add(
        self, characters: Iterable[str], starts: Iterable[float], ends: Iterable[float]
    ) -> Iterable[TimedText]:
        """Yield the words that end within the next characters; times in seconds."""
        for character, start, end in zip(characters, starts, ends, strict=False):
            if character.isspace():
                yield from self.finish()
                continue
            place = self._text.find(character, self._at, self._at + FAR) if character else -1
            if place < 0:
                continue
            if self._word and self._gap(place):
                yield from self.finish()
            self._at = place + len(character)
            self._word.append(TimedText(start, max(start, end), (place, self._at)))

    def finish(self) -> Iterable[TimedText]:
        """Yield the word that has not ended yet."""
        if self._word:
            characters, self._word = tuple(self._word), []
            first, last = characters[0], characters[-1]
            yield TimedText(
                first.start,
                max(first.start, last.end),
                (first.span[0], last.span[1]),
                characters if self._keeps else (),
            )

    def _gap(self, place: int) -> bool:
        return any(character.isspace() for character in self._text[self._at : place])


def _folded(text: str) -> str:
    """Return the text in lower case where that keeps every character's place."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text
