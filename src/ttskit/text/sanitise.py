"""Take out of a text what is no text, report each change, and leave all else alone.

What goes: control characters and terminal colours, lone surrogates, noncharacters, invisible and
bidirectional formatting, and combining marks past what any script stacks. What is brought to one
form: canonical equivalents (NFC), ligatures of Latin letters and mathematical alphabets.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ttskit.text.spans import Offsets, Span

MAX_MARKS = 32
"""Combining marks kept on one character; normalising a longer run is quadratic, and 30 is what
UAX #15 (Stream-Safe Text Format) allows for real text."""


class ChangeKind(StrEnum):
    """What sanitising did at a place."""

    CONTROL = "control"
    """Control characters or terminal escapes taken out, or read as the Windows-1252 they were."""
    INVISIBLE = "invisible"
    """Zero-width and formatting characters taken out where no script needs them."""
    DIRECTION = "direction"
    """Bidirectional controls taken out."""
    SURROGATE = "surrogate"
    """Halves of a UTF-16 pair joined, or taken out where the other half is missing."""
    MARKS = "marks"
    """Combining marks beyond ``MAX_MARKS`` taken out."""
    NORMALISED = "normalised"
    """Another spelling of the same characters."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change: the span of the caller's text, what was done, to how many characters."""

    span: Span
    kind: ChangeKind
    count: int = 1


class Sanitised(NamedTuple):
    """The text as engines get it, the map back to the caller's text, and what was changed."""

    text: str
    offsets: Offsets
    changes: tuple[Change, ...] = ()


_ESCAPE = r"\x1b\[[0-?]{0,32}[ -/]{0,4}[@-~]"
# Marks, symbols and punctuation above Latin, controls: neither a letter, a digit nor a space.
_ODD = r"[^\w\s\x21-\x7e\xa1-\xac\xae-\u02ff]|[\x0b\x0c\x1c-\x1f]"
_STYLED = r"[\ufb00-\ufb06\U0001d400-\U0001d7ff]"
_RUN = re.compile(rf"(?:{_ESCAPE}|{_ODD}|{_STYLED})+")
_UNIT = re.compile(rf"{_ESCAPE}|[\ud800-\udbff][\udc00-\udfff]|(?s:.)")
_SUSPECT = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufdd0-\ufdef"
    r"\ufeff\ufff9-\ufffb\ufffe\uffff\ufb00-\ufb06\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U0001d400-\U0001d7ff\U000e0000-\U000e007f"
    + "".join(
        chr(plane + 0xFFFE) + chr(plane + 0xFFFF) for plane in range(1 << 16, 17 << 16, 1 << 16)
    )
    + "]"
)
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LINE_CONTROLS = "\x0b\x0c\x1c\x1d\x1e\x1f"
_JOINERS = "\u200c\u200d"
_ZERO_WIDTH_SPACE = "\u200b"
_BLACK_FLAG = "\U0001f3f4"
_TAGS = re.compile("[\U000e0020-\U000e007f]")
_FIRST_JOINING_SCRIPT = "\u0590"
# Thai to Tibetan, Myanmar and Khmer mark where words part with a zero-width space.
_SPACELESS = re.compile(r"[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff]")
# A character and all that may compose with it: marks, and Hangul vowels and finals.
_CLUSTER = re.compile(r"(?s:.)(?:[^\w\s\x00-\u02ff]|[\u1160-\u11ff])+|[^\x00-\u02ff]")
_SAFE_RUN = 8
"""Odd characters in a row that need no counting: decomposed they are at most 3 + 8 x 3 marks."""


def sanitise(text: str, *, start: int = 0) -> Sanitised:
    """Return the text without what is no text; doing it again changes nothing.

    Linear in the length of the text, whatever it holds.

    Args:
        text: A whole text, or an utterance cut from one.
        start: Where ``text`` begins in the caller's own text; offsets and changes count from it.
    """
    if text.isascii() and text.isprintable():
        return Sanitised(text, Offsets.identity(start))
    cleaned = _clean(text)
    normalised = _normalise(cleaned.text)
    offsets = normalised.offsets.through(cleaned.offsets).shifted(start)
    changes = [
        *cleaned.changes,
        *(Change(cleaned.offsets.span(*c.span), c.kind, c.count) for c in normalised.changes),
    ]
    moved = (Change((c.span[0] + start, c.span[1] + start), c.kind, c.count) for c in changes)
    ordered = sorted(moved, key=lambda change: change.span)
    return Sanitised(normalised.text, offsets, tuple(ordered))


@dataclass(frozen=True, slots=True)
class _Edit:
    """``[start, end)`` of the text is replaced."""

    start: int
    end: int
    replacement: str
    kind: ChangeKind


def _apply(text: str, edits: Iterator[_Edit]) -> Sanitised:
    parts: list[str] = []
    pieces: list[tuple[int, int, int]] = []
    changes: list[Change] = []
    at = 0
    for edit in edits:
        parts += (text[at : edit.start], edit.replacement)
        pieces += (
            (edit.start - at, at, edit.start),
            (len(edit.replacement), edit.start, edit.end),
        )
        at = edit.end
        _report(changes, edit)
    if not changes:
        return Sanitised(text, Offsets.identity())
    pieces.append((len(text) - at, at, len(text)))
    return Sanitised("".join([*parts, text[at:]]), Offsets.of(pieces), tuple(changes))


def _report(changes: list[Change], edit: _Edit) -> None:
    """Add the edit to the changes; what adjoins the last change of its kind joins it."""
    start, count = edit.start, edit.end - edit.start
    if changes and changes[-1].kind is edit.kind and changes[-1].span[1] == start:
        last = changes.pop()
        start, count = last.span[0], count + last.count
    changes.append(Change((start, edit.end), edit.kind, count))


def _clean(text: str) -> Sanitised:
    return _apply(text, (edit for run in _RUN.finditer(text) for edit in _edits(text, run)))


def _edits(text: str, run: re.Match[str]) -> Iterator[_Edit]:
    """Yield the edits within one run of odd characters."""
    if len(run[0]) <= _SAFE_RUN and not _SUSPECT.search(run[0]):
        return
    base = _Base(text[run.start() - 1] if run.start() else "")
    for unit in _UNIT.finditer(text, run.start(), run.end()):
        following = text[unit.end() : unit.end() + 1]
        replacement, kind = _judge(unit[0], base, following)
        if replacement != unit[0]:
            yield _Edit(unit.start(), unit.end(), replacement, kind)
        if replacement:
            base.append(replacement)


class _Base:
    """What the next character would stand on: the last character kept, and its marks."""

    def __init__(self, character: str) -> None:
        self._marks = 0
        self.last = ""
        self.joins = False
        if character:
            self.append(character)

    def append(self, kept: str) -> None:
        """Take note of a character that stays."""
        if kept not in _JOINERS and not _is_mark(kept[-1]):
            self._marks = 0
            self.joins = _decomposed(kept)[0] >= _FIRST_JOINING_SCRIPT and not kept.isspace()
        self._marks += _mark_count(kept[-1])
        self.last = kept[-1]

    def has_room(self, mark: str) -> bool:
        """Tell whether another mark, decomposed, stays within the limit."""
        return self._marks + _mark_count(mark) <= MAX_MARKS


def _judge(unit: str, base: _Base, following: str) -> tuple[str, ChangeKind]:
    """Return what replaces the unit (often itself), and what kind of change that would be."""
    if len(unit) > 1 and unit[0] != "\x1b":
        joined = unit.encode("utf-16", "surrogatepass").decode("utf-16")
        return _judge(joined, base, following)[0], ChangeKind.SURROGATE
    if unit < "\xa0" or unit[0] == "\x1b":
        return _control(unit), ChangeKind.CONTROL
    if _is_mark(unit) or unit in _JOINERS:
        kind = ChangeKind.MARKS if _is_mark(unit) else ChangeKind.INVISIBLE
        return (unit if _may_stand_on(base, unit) else ""), kind
    if not _SUSPECT.match(unit):
        return unit, ChangeKind.NORMALISED
    return _judge_suspect(unit, base, following)


def _judge_suspect(unit: str, base: _Base, following: str) -> tuple[str, ChangeKind]:
    """Do the same for what is seldom meant to be there, or cannot be seen."""
    if "\ud800" <= unit <= "\udfff":
        return "", ChangeKind.SURROGATE
    if _BIDI.match(unit):
        return "", ChangeKind.DIRECTION
    if re.match(_STYLED, unit):
        return unicodedata.normalize("NFKC", unit), ChangeKind.NORMALISED
    return (unit if _is_needed(unit, base, following) else ""), ChangeKind.INVISIBLE


def _control(unit: str) -> str:
    """Return what a control character becomes; C1 ones are text once mislabelled as Latin-1."""
    if unit in _LINE_CONTROLS:
        return "\n"
    return bytes([ord(unit)]).decode("cp1252", "ignore") if unit >= "\x80" else ""


def _may_stand_on(base: _Base, unit: str) -> bool:
    if unit in _JOINERS:
        return base.joins and base.last not in _JOINERS and base.has_room(unit)
    return base.has_room(unit)


def _is_needed(unit: str, base: _Base, following: str) -> bool:
    """Tell whether an invisible character carries meaning: a flag's tags, Thai or Khmer spaces."""
    if unit == _ZERO_WIDTH_SPACE:
        return all(map(_SPACELESS.match, (base.last, following)))
    return bool(_TAGS.match(unit)) and (base.last == _BLACK_FLAG or bool(_TAGS.match(base.last)))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def _decomposed(character: str) -> str:
    return unicodedata.normalize("NFD", character)


def _mark_count(character: str) -> int:
    """Return how many marks the character amounts to, decomposed; joiners count as marks."""
    if character < "\xc0":
        return 0
    if character in _JOINERS:
        return 1
    return sum(map(_is_mark, _decomposed(character)))


def _normalise(text: str) -> Sanitised:
    if unicodedata.is_normalized("NFC", text):
        return Sanitised(text, Offsets.identity())
    return _apply(text, _compositions(text))


def _compositions(text: str) -> Iterator[_Edit]:
    """Yield the clusters that NFC spells otherwise, without what stays the same at their end."""
    for cluster in _CLUSTER.finditer(text):
        composed = unicodedata.normalize("NFC", cluster[0])
        if composed == cluster[0]:
            continue
        same = _common_suffix(cluster[0], composed)
        kept = composed[: len(composed) - same]
        yield _Edit(cluster.start(), cluster.end() - same, kept, ChangeKind.NORMALISED)


def _common_suffix(one: str, other: str) -> int:
    pairs = zip(reversed(one), reversed(other), strict=False)
    for length, (left, right) in enumerate(pairs):
        if left != right:
            return length
    return min(len(one), len(other))


_SILENT_ASCII = bytes(range(0x21)) + b"!\"'()*,-./:;?[\\]^_`{}\x7f"
# Hangul fillers and the Braille blank are letters and symbols that show and say nothing.
_WORD = re.compile(r"[^\W_\u115f\u1160\u3164\uffa0]|[\ud800-\udbff][\udc00-\udfff]")
_SYMBOL = re.compile(
    r"[%&@#$+<>=|~§‰]|[^\w\s\x00-\xa0\u02b0-\u036f\u2000-\u201f\u2500-\u25ff\u2800\ufff9-\uffff]"
)


def is_speakable(text: str) -> bool:
    """Tell whether an engine has anything to say: a letter, a digit, an emoji, ``+`` or ``€``.

    Punctuation alone is not spoken, nor is a rule drawn with symbols (``===``).
    """
    if _WORD.search(text):
        return True
    if text.isascii() and not text.encode().translate(None, _SILENT_ASCII):
        return False
    return any(
        _is_symbol(symbol) and not (symbol in "=~|<>+#" and symbol * 3 in text)
        for symbol in filter(_SYMBOL.match, set(text))
    )


def _is_symbol(symbol: str) -> bool:
    # Emoji newer than this Python's Unicode tables count as unassigned there.
    return (
        unicodedata.category(symbol) in {"Sm", "Sc", "So"}
        or symbol in "%&@#§‰"
        or "\U0001f000" <= symbol <= "\U0001faff"
    )
