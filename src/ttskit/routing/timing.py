"""Estimated word times, where an engine gives none."""

from __future__ import annotations

from collections.abc import Sequence

from ttskit.adapters.base import Capabilities, Support, TimedText
from ttskit.request import Timestamps
from ttskit.text.words import spread


def estimate_words(text: str, *, start: float, end: float, since: int = 0) -> list[TimedText]:
    """Spread the words of ``text`` over the seconds from ``start`` to ``end`` by their length.

    Only those from the character ``since`` on, where it is given.
    """
    return [
        TimedText(begin, until, (since + span[0], since + span[1]))
        for span, begin, until in spread(text[since:], start=start, end=end)
    ]


def splits_words(wanted: Timestamps, capabilities: Capabilities) -> bool:
    """Whether characters are to be timed by whom times words at most."""
    times_characters = capabilities.character_timestamps is Support.NATIVE
    return wanted is Timestamps.CHARACTER and not times_characters


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
