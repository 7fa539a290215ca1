"""espeak-ng's word events as the timed words of the text that was spoken."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

from ttskit.resources.engine import EngineWord

Span = tuple[int, int]
_MARKUP = re.compile(r"<[^>]*>")


def time_words(
    text: str, starts: Iterable[tuple[int, int]], *, frames: int, sample_rate: int, is_ssml: bool
) -> tuple[EngineWord, ...]:
    """Return the words of ``text`` with their times.

    espeak counts "It's" as a word of two letters, a number as many words at places that wander
    through its digits, a spelled word once for each letter, and "of the" as one word; so its
    events are gathered by the white-space token they fall into, and tokens without one share the
    time of the token before. A word lasts until the next one begins.

    Args:
        text: What was spoken.
        starts: For each event its character, counted from 0, and its frame.
        frames: Of the whole audio.
        sample_rate: Hz.
        is_ssml: ``text`` holds markup, which is no word.
    """
    tokens = _tokens(_MARKUP.sub(lambda tag: " " * len(tag[0]), text) if is_ssml else text)
    begun = _begun(tokens, starts, frames)
    if not begun:
        return ()
    words: list[EngineWord] = []
    before = 0
    for (token, start), (next_token, end) in pairwise([*begun, (len(tokens), frames)]):
        members = _members(text, tokens[before:next_token], tokens[token])
        borders = [frame / sample_rate for frame in _shared(members, start, end)]
        words += (
            EngineWord(*times, _trimmed(text, span))
            for span, times in zip(members, pairwise(borders), strict=True)
        )
        before = next_token
    return tuple(words)


def _tokens(text: str) -> list[Span]:
    return [match.span() for match in re.finditer(r"\S+", text)]


def _begun(
    tokens: Sequence[Span], starts: Iterable[tuple[int, int]], frames: int
) -> list[tuple[int, int]]:
    """Return the number and first frame of each token that has an event, both rising."""
    borders = [start for start, _ in tokens]
    begun: list[tuple[int, int]] = []
    for position, frame in starts:
        token = max(bisect_right(borders, position) - 1, 0)
        if tokens and (not begun or token > begun[-1][0]):
            earliest = begun[-1][1] if begun else 0
            begun.append((token, min(max(frame, earliest), frames)))
    return begun


def _members(text: str, tokens: Sequence[Span], begun: Span) -> list[Span]:
    """Return what was said of these tokens, of which one has an event.

    A dash that is not said gets the event of the word after it.
    """
    words = [span for span in tokens if _is_word(text, span)]
    return words or [begun]


def _shared(members: Sequence[Span], start: int, end: int) -> list[int]:
    """Return the frames between which the members lie, by their lengths in characters."""
    reached = list(accumulate((last - first for first, last in members), initial=0))
    return [start + (end - start) * length // reached[-1] for length in reached]


def _is_word(text: str, span: Span) -> bool:
    return any(character.isalnum() for character in text[slice(*span)])


def _trimmed(text: str, span: Span) -> Span:
    """Return the span without the punctuation around it, or as it is if it is all punctuation."""
    letters = [
        index for index in range(*span) if not unicodedata.category(text[index]).startswith("P")
    ]
    return (letters[0], letters[-1] + 1) if letters else span
