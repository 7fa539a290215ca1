"""Where a text may be cut when it must be: at a clause, between words, between characters."""

from __future__ import annotations

import re
import unicodedata

from ttskit.text.signs import CLOSERS, COMMAS, FULL_COMMAS, FULL_STOPS, SPACELESS, STOPS

_DASH = r"\s?[\u2014\u2015]++\s*+|\s[\u2013-]\s++"
_CLAUSE = rf"(?:[{COMMAS}][{CLOSERS}]*+\s++|[{FULL_COMMAS}][{CLOSERS}]*+\s*+|{_DASH})(?=[^\s\d])"
_CLAUSE_END = re.compile(_CLAUSE)
_ENGLISH_CLAUSE_END = re.compile(
    _CLAUSE + r"|(?P<word>\s)(?=(?:although|because|but|though|unless|until|whereas|while)\s)"
)
_WIDE = re.compile("[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_SPOKEN = re.compile(r"[^\W_]")
_SHORTEST_CLAUSE = 12
_SHORTEST_BEFORE_WORD = 24

# Each finds the last border in a stretch; the character after the border must be visible.
_STRONG = rf"[{STOPS.replace('.', '')}][{CLOSERS}]*+\s++|[{FULL_STOPS}][{CLOSERS}]*+\s*+"
_LAST_CLAUSE = re.compile(rf"(?s:.*)(?:{_STRONG}|{_CLAUSE})(?=[^\s{CLOSERS}{STOPS}{FULL_STOPS}])")
_LAST_WORD = re.compile(r"(?s:.*)\s(?=\S)")

_MOST_BACK = 64
_JOINERS = "\u200c\u200d"
_VIRAMA_CLASS = 9
_ATTACHED = re.compile("[\u1160-\u11ff\u200c\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
_REGIONAL = re.compile("[\U0001f1e6-\U0001f1ff]")
_SPACELESS = re.compile(f"[{SPACELESS}]")


def clause_border(text: str, begin: int, sure: int, *, english: bool) -> int:
    """Return the end of the first clause fit to be spoken on its own, or ``begin`` if none is.

    It is long enough to be heard as one, and so is what follows it before ``sure``.

    Args:
        text: What holds the sentence.
        begin: Where the sentence starts.
        sure: No sentence ends between ``begin`` and here.
        english: A conjunction without a comma may part clauses, too.
    """
    spoken = _SPOKEN.search(text, begin, sure)
    if not spoken:
        return begin
    pattern = _ENGLISH_CLAUSE_END if english else _CLAUSE_END
    for found in pattern.finditer(text, spoken.end(), sure):
        end = found.end()
        shortest = _SHORTEST_BEFORE_WORD if found.groupdict().get("word") else _SHORTEST_CLAUSE
        if _weight(text[spoken.start() : end]) >= shortest:
            return end if _weight(text[end:sure]) >= _SHORTEST_CLAUSE else begin
    return begin


def _weight(text: str) -> int:
    """Return the length in letters' worth of speech: a CJK character takes as long as two."""
    return len(text) + len(_WIDE.findall(text))


def border(text: str, start: int, end: int) -> int:
    """Return the best place in ``(start, end]`` to cut a text that goes on beyond ``end``.

    It depends on ``text[start : end + 1]`` only.
    """
    clause = _LAST_CLAUSE.match(text, start + (end - start) // 3, end + 1)
    if clause:
        return clause.end()
    word = _LAST_WORD.match(text, start + 1, end + 1)
    return word.end() if word else _between_characters(text, start, end)


def _between_characters(text: str, start: int, end: int) -> int:
    lowest = max(start, end - _MOST_BACK)
    loosest = end
    for at in range(end, lowest, -1):
        if not _is_one_character(text, at, lowest):
            if not _is_one_word(text[at - 1], text[at]):
                return at
            loosest = at if loosest == end and _is_one_character(text, end, lowest) else loosest
    return loosest


def _is_one_character(text: str, at: int, lowest: int) -> bool:
    """Tell whether readers see one character before and after ``at``."""
    before, after = text[at - 1], text[at]
    if _REGIONAL.match(before) and _REGIONAL.match(after):
        return _regionals_before(text, at, lowest) % 2 == 1
    return (
        unicodedata.category(after)[0] == "M"
        or bool(_ATTACHED.match(after))
        or before == "\u200d"
        or unicodedata.combining(before) == _VIRAMA_CLASS
        or (before, after) == ("\r", "\n")
        or ("\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff")
    )


def _regionals_before(text: str, at: int, lowest: int) -> int:
    count = 0
    while at - count > lowest and _REGIONAL.match(text[at - count - 1]):
        count += 1
    return count


def _is_one_word(before: str, after: str) -> bool:
    """Tell whether two characters belong to one word, number or address."""
    if before.isspace() or after.isspace():
        return False
    if before.isascii() and after.isascii():
        return True
    return all(c.isalnum() and not _SPACELESS.match(c) for c in (before, after))
