"""Estimated times, where an engine gives none."""

from __future__ import annotations

from collections.abc import Sequence

from ttskit.adapters.base import TimedText
from ttskit.text.words import spread


def estimate_words(text: str, *, start: float, end: float, since: int = 0) -> list[TimedText]:
    """Spread the words of ``text`` over the seconds from ``start`` to ``end`` by their length.

    Only those from the character ``since`` on, where it is given.
    """
    return [
        TimedText(begin, until, (since + span[0], since + span[1]))
        for span, begin, until in spread(text[since:], start=start, end=end)
    ]


def split_characters(word: TimedText) -> Sequence[TimedText]:
    """Return one entry a character: the word's time is shared out evenly among them."""
    length = word.span[1] - word.span[0]
    return [
        TimedText(
            word.start + (word.end - word.start) * index / length,
            word.start + (word.end - word.start) * (index + 1) / length,
            (word.span[0] + index, word.span[0] + index + 1),
        )
        for index in range(length)
    ]
