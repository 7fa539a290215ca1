"""Subtitles: timed words grouped into cues that can be read, written as SRT or WebVTT."""

from __future__ import annotations

import html
import math
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from ttskit.text.segment import segment
from ttskit.text.words import spread

if TYPE_CHECKING:
    from ttskit.audio import Span, Spoken, WordTiming

LINE_WIDTH = 42
"""Columns of a line, a wide (CJK) character counting two; Netflix Timed Text Style Guide."""
SHORTEST_S = 1.0
LONGEST_S = 7.0
GAP_S = 2 / 24
"""Between cues: two frames of film, so that the eye sees the change."""

_LINES = 2
_FULL_WIDTH = 72
"""Of 84 columns, what two lines broken between words usually hold."""
_LINGER_S = 0.5
"""A cue stays until the next one where that comes sooner than this."""
_PAUSE_S = 1.5
"""A silence that no cue stays through."""
_EDGE = 12
"""Characters before the first and after the last word that may be their punctuation."""
_CLAUSE_WORTH = 25
"""How many columns off the ideal length a break may be to fall at a clause's end."""
_GLUED_COST = 50
"""How many columns a break within a word is worse than one between words."""

_FLASH_COST = 40
"""How many columns a cue that is gone before it can be read is worse than another."""

_SSML = re.compile(r"\s*(<\?xml[^>]*\?>\s*)?<speak\b")
_TAG = re.compile(r"""</?(?P<name>[^\s<>"'/]*)(?:[^<>"']|"[^"]*"|'[^']*')*>""")
_REFERENCE = re.compile(r"&(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9A-Fa-f]+);")
_PARTING_TAGS = frozenset({"speak", "p", "s", "break", "voice", "lang"})
"""Words on two sides of these are never one."""
_NOTHING = "\0"
"""Stands where a tag stood that parts nothing; the text of a caller never holds it."""
_SILENT = re.compile(r"[^\w\n]*")
_CLOSERS = "\"'”’)]}»›」』"  # noqa: RUF001 - as people quote
_UNSEEN = frozenset({"Cc", "Cs"})
_NO_WIDTH = frozenset({"Mn", "Me", "Cf"})
_SENTENCE_ENDS = frozenset("!?…。！？؟।॥")  # noqa: RUF001 - of other scripts too
_CLAUSE_ENDS = frozenset(",;:—–、，；：،؛")  # noqa: RUF001 - of other scripts too


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown from ``start`` to ``end``, in seconds."""

    start: float
    end: float
    lines: tuple[str, ...]
    """One or two, each at most ``LINE_WIDTH`` columns wide."""

    @property
    def text(self) -> str:
        """The lines, one below the other."""
        return "\n".join(self.lines)


def cues(
    words: Sequence[WordTiming],
    *,
    ledger: Sequence[Spoken] = (),
    text: str = "",
    sample_rate: int,
    duration: float,
) -> list[Cue]:
    """Group words into cues of 1 to 7 s where the speech allows it, broken at punctuation.

    Args:
        words: In any order; their times are put in order and within the audio.
        ledger: Its entries without a word in ``words`` are shown too, their text spread over
            their frames.
        text: The caller's own text (or SSML) that spans point into; gives the punctuation.
        sample_rate: Of the ledger's frames, Hz.
        duration: Of the audio, in seconds; no cue ends later.

    Returns:
        Cues in order, never overlapping.
    """
    script = _Script.of(text)
    timed = [_Timed(script.read(word.span) or word.word, word.start, word.end,
                    script.known(word.span)) for word in words]  # fmt: skip
    for entry in _unheard(words, ledger):
        first, end = entry.frames
        timed += _spread(script, entry.text, first / sample_rate, end / sample_rate)
    if not words and not ledger:
        timed = _spread(script, (0, len(text)), 0.0, duration)
    settled = _settled(sorted(timed, key=lambda word: word.start), duration)
    return _shown(list(_grouped(_pieces(settled, script))), duration)


def to_srt(cues: Sequence[Cue]) -> str:
    """Return the cues as SubRip; times to the millisecond."""
    return "\n".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(cues, 1)
    )


def to_vtt(cues: Sequence[Cue]) -> str:
    """Return the cues as WebVTT; ``&``, ``<`` and ``>`` of the text are escaped.

    Source: W3C WebVTT, sections 4.1 and 4.2.
    """
    blocks = (
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n"
        f"{html.escape(cue.text, quote=False)}\n"
        for cue in cues
    )
    return "\n".join(["WEBVTT\n", *blocks])


def _clock(seconds: float, point: str) -> str:
    """Return ``HH:MM:SS`` and milliseconds; hours may need more than two digits."""
    total, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(total, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{point}{milliseconds:03}"


@dataclass(frozen=True, slots=True)
class _Script:
    """The caller's text, the markup of SSML blanked out so that every index still holds."""

    text: str

    @classmethod
    def of(cls, text: str) -> _Script:
        if not _SSML.match(text):
            return cls(text)
        return cls(_REFERENCE.sub(_character, _TAG.sub(_blank, text)))

    def sentence_ends(self) -> list[int]:
        """Return where sentences end, in order."""
        return [tile.end for tile in segment(self.text.replace(_NOTHING, " "))]

    def known(self, span: Span) -> Span | None:
        """Return the span, or None where it points at nothing."""
        return span if 0 <= span[0] < span[1] <= len(self.text) else None

    def read(self, span: Span) -> str:
        piece = self.text[max(0, span[0]) : max(0, span[1])]
        return piece.replace(_NOTHING, "")


def _blank(tag: re.Match[str]) -> str:
    return (" " if tag["name"] in _PARTING_TAGS else _NOTHING) * len(tag[0])


def _character(reference: re.Match[str]) -> str:
    return html.unescape(reference[0]).ljust(len(reference[0]), _NOTHING)


@dataclass(frozen=True, slots=True)
class _Timed:
    """A word before its punctuation is known; the span is None where it points at nothing."""

    text: str
    start: float
    end: float
    span: Span | None


def _unheard(words: Sequence[WordTiming], ledger: Sequence[Spoken]) -> list[Spoken]:
    """Return the entries that no word falls into."""
    starts = sorted(word.span[0] for word in words)
    return [
        entry
        for entry in ledger
        if bisect_left(starts, entry.text[0]) == bisect_left(starts, entry.text[1])
    ]


def _spread(script: _Script, span: Span, start: float, end: float) -> list[_Timed]:
    """Time the words of a span by their length."""
    placed = (
        ((span[0] + since, span[0] + until), begin, finish)
        for (since, until), begin, finish in spread(script.text[slice(*span)], start=start, end=end)
    )
    return [_Timed(script.read(where), begin, finish, where) for where, begin, finish in placed]


def _settled(words: Sequence[_Timed], duration: float) -> list[_Timed]:
    """Put times in order and within the audio, and make words of timed characters."""
    settled: list[_Timed] = []
    for word in words:
        text = _printable(word.text)
        start = min(max(word.start, settled[-1].start if settled else 0.0), duration)
        timed = replace(word, text=text, start=start, end=min(max(word.end, start), duration))
        joined = _joined(settled[-1], timed) if settled else None
        if joined is not None:
            settled[-1] = joined
        elif text:
            settled.append(timed)
    return settled


def _joined(before: _Timed, word: _Timed) -> _Timed | None:
    """Return one word for two that share text or are letters of one; None where they are two."""
    if before.span is None or word.span is None:
        return None
    end = max(before.end, word.end)
    if before.span[0] <= word.span[0] < before.span[1]:
        return replace(before, end=end)
    if word.span[0] == before.span[1] and len(word.text) == 1 and _width(word.text) < 2:  # noqa: PLR2004 - wide characters are words
        span = (before.span[0], word.span[1])
        return replace(before, text=before.text + word.text, end=end, span=span)
    return None


class _Border(IntEnum):
    """How good a place to break the end of a piece is."""

    WORD = 0
    CLAUSE = 1
    SENTENCE = 2


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word with its punctuation, never wider than a line."""

    text: str
    start: float
    end: float
    glued: bool = False
    """No space stands before it."""
    border: _Border = _Border.WORD

    @property
    def space(self) -> int:
        """Columns before it, unless it begins a line."""
        return 0 if self.glued else 1

    @property
    def width(self) -> int:
        """Columns, the space before it included."""
        return _width(self.text) + self.space


@dataclass(frozen=True, slots=True)
class _Gap:
    """What the caller wrote between two words: the end of one, the start of the other."""

    closing: str = ""
    opening: str = ""
    spaced: bool = True
    paragraph: bool = False


def _pieces(words: Sequence[_Timed], script: _Script) -> list[_Piece]:
    """Give each word the punctuation around it, as the caller wrote it."""
    ends = script.sentence_ends()
    spans = [word.span for word in words]
    pieces: list[_Piece] = []
    for index, (before, after) in enumerate(pairwise(_gaps(spans, script))):
        word = words[index]
        full_stop = _is_full_stop(spans[index : index + 2], ends)
        text = f"{before.opening}{word.text}{after.closing}"
        border = _Border.SENTENCE if after.paragraph else _border(text, full_stop=full_stop)
        pieces += _cut_to_width(_Piece(text, word.start, word.end, not before.spaced, border))
    return pieces


def _gaps(spans: Sequence[Span | None], script: _Script) -> list[_Gap]:
    """Return what stands before, between and after the words: one more than there are words."""
    if not spans:
        return []
    first, last = spans[0], spans[-1]
    head = script.read((max(0, first[0] - _EDGE), first[0])) if first else ""
    tail = _SILENT.match(script.read((last[1], last[1] + _EDGE)) if last else "")
    return [
        _Gap(opening=_parted(f" {head}").opening),
        *(_between(before, after, script) for before, after in pairwise(spans)),
        _Gap(closing=_printable(tail[0]).rstrip() if tail else ""),
    ]


def _between(before: Span | None, after: Span | None, script: _Script) -> _Gap:
    if before is None or after is None or after[0] < before[1]:
        return _Gap()
    return _parted(script.read((before[1], after[0])))


def _parted(gap: str) -> _Gap:
    """Part what stands between two words at its last white space."""
    parts = [_printable(part) for part in gap.split()]
    if gap == "".join(gap.split()):
        return _Gap("".join(parts), spaced=False)
    opening = "" if gap[-1].isspace() else parts.pop()
    space = " " if gap[0].isspace() and parts else ""
    return _Gap(space + " ".join(parts), opening, paragraph=gap.count("\n") > 1)


def _border(text: str, *, full_stop: bool) -> _Border:
    last = text.rstrip(_CLOSERS)[-1:]
    if last in _SENTENCE_ENDS or (last == "." and full_stop):
        return _Border.SENTENCE
    return _Border.CLAUSE if last in _CLAUSE_ENDS else _Border.WORD


def _is_full_stop(spans: Sequence[Span | None], ends: Sequence[int]) -> bool:
    """Tell whether a dot between two words ends a sentence, and no abbreviation."""
    if not ends or len(spans) == 1 or spans[0] is None or spans[1] is None:
        return True
    found = bisect_left(ends, spans[0][1])
    return found < len(ends) and ends[found] <= spans[1][0]


def _cut_to_width(piece: _Piece) -> list[_Piece]:
    """Cut what is wider than a line, such as a URL, into pieces that share its time."""
    texts = _wrapped(piece.text)
    share = (piece.end - piece.start) / len(texts)
    return [
        _Piece(
            text,
            piece.start + share * index,
            piece.start + share * (index + 1),
            piece.glued if index == 0 else True,
            piece.border if index == len(texts) - 1 else _Border.WORD,
        )
        for index, text in enumerate(texts)
    ]


def _wrapped(text: str) -> list[str]:
    starts, used = [0], 0
    for index, character in enumerate(text):
        columns = _width(character)
        if used + columns > LINE_WIDTH:
            starts.append(index)
            used = 0
        used += columns
    return [text[start:end] for start, end in pairwise([*starts, len(text)])]


def _grouped(pieces: Sequence[_Piece]) -> Iterator[Sequence[_Piece]]:
    first = 0
    while first < len(pieces):
        end = _cut(pieces, first)
        yield pieces[first:end]
        first = end


def _cut(pieces: Sequence[_Piece], first: int) -> int:
    """Return where the cue that starts at ``first`` ends: with its sentence, if that can be."""
    reach = _reach(pieces, first)
    for end in range(first + 1, reach + 1):
        is_long_enough = pieces[end - 1].end - pieces[first].start >= SHORTEST_S
        if pieces[end - 1].border is _Border.SENTENCE and is_long_enough:
            return end
    if reach == len(pieces) or pieces[reach].start - pieces[reach - 1].end > _PAUSE_S:
        return reach
    ideal = _ideal_width(pieces, first)
    widths = list(accumulate(piece.width for piece in pieces[first:reach]))
    costs = [
        abs(width - ideal) + _break_cost(pieces, end) + _flash_cost(pieces[first], pieces[end - 1])
        for end, width in enumerate(widths, first + 1)
    ]
    return first + 1 + costs.index(min(costs))


def _reach(pieces: Sequence[_Piece], first: int) -> int:
    """Return how far two lines, seven seconds and no long silence go; at least one piece."""
    lines, used, since = 1, pieces[first].width - pieces[first].space, pieces[first].start
    for index in range(first + 1, len(pieces)):
        piece = pieces[index]
        used += piece.width
        if used > LINE_WIDTH:
            lines, used = lines + 1, piece.width - piece.space
        silence = piece.start - pieces[index - 1].end
        if lines > _LINES or silence > _PAUSE_S or piece.end - since > LONGEST_S:
            return index
    return len(pieces)


def _ideal_width(pieces: Sequence[_Piece], first: int) -> float:
    """Return how wide a cue is when the rest of the sentence is shared out evenly."""
    width, last = 0, first
    while last < len(pieces) and width < 4 * _FULL_WIDTH:
        width += pieces[last].width
        if pieces[last].border is _Border.SENTENCE:
            break
        last += 1
    seconds = pieces[min(last, len(pieces) - 1)].end - pieces[first].start
    return width / math.ceil(max(width / _FULL_WIDTH, seconds / LONGEST_S))


def _break_cost(pieces: Sequence[_Piece], end: int) -> int:
    glued = end < len(pieces) and pieces[end].glued
    clause = pieces[end - 1].border > _Border.WORD
    return _GLUED_COST * glued - _CLAUSE_WORTH * clause


def _flash_cost(first: _Piece, last: _Piece) -> int:
    return _FLASH_COST if last.end - first.start < SHORTEST_S else 0


def _shown(groups: Sequence[Sequence[_Piece]], duration: float) -> list[Cue]:
    """Give each group its time on the screen: long enough to read, gone before the next."""
    starts = [*(group[0].start for group in groups), math.inf]
    shown = []
    for group, (start, following) in zip(groups, pairwise(starts), strict=True):
        limit = min(following - min(GAP_S, (following - start) / 2), start + LONGEST_S, duration)
        wanted = max(group[-1].end, start + SHORTEST_S)
        lingers = wanted if following - wanted > _LINGER_S else limit
        shown.append(Cue(start, max(start, min(lingers, limit)), _lines(group)))
    return shown


def _lines(pieces: Sequence[_Piece]) -> tuple[str, ...]:
    """Lay a cue out in one line, or in two of like width with their border at a clause's end."""
    widths = list(accumulate(piece.width for piece in pieces))
    if widths[-1] - pieces[0].space <= LINE_WIDTH:
        return (_text(pieces),)
    choices = []
    for count, width in enumerate(widths[:-1], 1):
        first = width - pieces[0].space
        second = widths[-1] - width - pieces[count].space
        if max(first, second) <= LINE_WIDTH:
            choices.append((abs(first - second) + _break_cost(pieces, count), count))
    _, count = min(choices)
    return (_text(pieces[:count]), _text(pieces[count:]))


def _text(pieces: Sequence[_Piece]) -> str:
    return "".join(piece.text if piece.glued else f" {piece.text}" for piece in pieces).lstrip()


def _printable(text: str) -> str:
    """Return the text on one line, without control characters and lone surrogates."""
    kept = (char for char in text if char.isspace() or unicodedata.category(char) not in _UNSEEN)
    return " ".join("".join(kept).split())


def _width(text: str) -> int:
    """Return how many columns the text fills."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in _NO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
