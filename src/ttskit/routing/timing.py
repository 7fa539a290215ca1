"""Estimated word times, where an engine gives none."""

from __future__ import annotations

from collections.abc import Sequence

from ttskit.adapters.base import TimedText
from ttskit.text.words import spread


def estimate_words(text: str, *, start: float, end: float) -> list[TimedText]:
    """Spread the words of ``text`` over the seconds from ``start`` to ``end`` by their length."""
    return [
        TimedText(begin, until, span) for span, begin, until in spread(text, start=start, end=end)
    ]


def split_characters(timed: Sequence[TimedText]) -> list[TimedText]:
    """Return one entry a character, each word's time shared out evenly among its own."""
    return [
        TimedText(
            word.start + (word.end - word.start) * index / length,
            word.start + (word.end - word.start) * (index + 1) / length,
            (word.span[0] + index, word.span[0] + index + 1),
        )
        for word in timed
        if (length := word.span[1] - word.span[0])
        for index in range(length)
    ]
