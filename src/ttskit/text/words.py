"""The words of a text as they are spoken, for timings that have to be estimated."""

from __future__ import annotations

import re
import unicodedata
from itertools import accumulate, pairwise

from ttskit.text.sanitise import is_speakable
from ttskit.text.signs import FULL_COMMAS, FULL_STOPS
from ttskit.text.spans import Span

_HAN_AND_HIRAGANA = (
    "\u2e80-\u2fdf\u3005-\u3007\u3041-\u309f\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_KATAKANA = "\u30a1-\u30ff\uff66-\uff9f"
_PARTING = rf"\s\u2026\u2014\u2015{FULL_STOPS}{FULL_COMMAS}"
_TOKEN = re.compile(
    rf"[{_HAN_AND_HIRAGANA}][\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef]*+"
    rf"|[{_KATAKANA}]++|[^{_PARTING}{_HAN_AND_HIRAGANA}{_KATAKANA}]++"
)
_SPOKEN_PUNCTUATION = "#%&@"
_OVERHEAD = 2
"""A word takes time beyond its letters: in characters. Fits hibari's and piper's speech."""


def words(text: str) -> list[Span]:
    """Return the spans of the words an engine speaks, in order.

    A word is what stands between white space, without the punctuation around it: ``don't``,
    ``3.14`` and ``C++`` are one each. A Chinese character or a hiragana is a word, a run of
    katakana is one.
    """
    spans = (_trimmed(text, *found.span()) for found in _TOKEN.finditer(text))
    return [(start, end) for start, end in spans if is_speakable(text[start:end])]


def spread(text: str, *, start: float, end: float) -> list[tuple[Span, float, float]]:
    """Return each word of ``text`` with its share of the time from ``start`` to ``end``.

    An estimate by the words' lengths: span, start and end of each, in the unit of the arguments.
    """
    spans = words(text)
    passed = list(accumulate((until - since + _OVERHEAD for since, until in spans), initial=0))
    pace = (end - start) / max(1, passed[-1])
    return [
        (span, start + pace * before, start + pace * after)
        for span, (before, after) in zip(spans, pairwise(passed), strict=True)
    ]


def _trimmed(text: str, start: int, end: int) -> Span:
    while start < end and _is_edge(text[start]):
        start += 1
    while start < end and _is_edge(text[end - 1]):
        end -= 1
    return start, end


def _is_edge(character: str) -> bool:
    """Tell whether the character is punctuation, a control, or an accent without a letter."""
    category = unicodedata.category(character)
    if category == "Cn" or character in _SPOKEN_PUNCTUATION:
        return False
    return category[0] in "PCZ" or character in "`^"
