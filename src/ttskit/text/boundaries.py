"""Whether a sentence ends here: one candidate at a time, seeing no further than needed.

A candidate is a run of sentence-ending punctuation or a line break. Each is decided from the
utterance so far and the start of the next word, so text that is still arriving and text that is
whole get the same answer. Abbreviations are sentencex's business, asked about one short window;
the rules around it cover what it gets wrong for speech: lists, leaders, headings, dialogue.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

import sentencex

from ttskit.text.signs import (
    BULLETS,
    CLOSERS,
    COLONS,
    COMMAS,
    DASHES,
    FULL_COMMAS,
    FULL_STOPS,
    LINE_BREAKS,
    OPENERS,
    QUOTES_AND_BRACKETS,
    STOPS,
)

_WIDE_POINT = "\uff0e"
_LONG_LINE = 40
_LONG_CASELESS_LINE = 20
_LEFT_CONTEXT = 40
_MARKER_LENGTH = 7
_ORDINAL_LANGUAGES = frozenset(
    {"bs", "cs", "da", "de", "et", "eu", "fi", "fo", "hr", "hu", "is", "lb", "lv", "nb", "nn"}
    | {"no", "pl", "sk", "sl", "sr", "tr"}
)
"""Languages that write "3rd" as ``3.``."""

_SPOKEN = re.compile(r"[^\W_]")
_AHEAD = re.compile(rf"[\s{OPENERS}]*+")
_BLANK_LINE = re.compile(rf"(?>\r\n|[{LINE_BREAKS}])[ \t]*(?>\r\n|[{LINE_BREAKS}])|[\x0c\u2029]")
_MARKER = re.compile(rf"[{BULLETS}]\s|\(?\d{{1,3}}[.)]\s|#{{1,6}}\s|([-*_=])\1\1")
_MARKER_START = re.compile(rf"[{BULLETS}(#_=\d]")
_RULE = re.compile(r"\s*([-*_=~#])\1\1[-*_=~#\s]*")
_LIST_NUMBER = re.compile(rf"[\s{OPENERS}]*+(?:\d{{1,3}}(?:\.\d{{1,3}}){{0,3}}|[IVXLC]{{1,5}}|\w)")
_ADDRESS = re.compile(r"[^\s@/]*[@/]\S*\Z")
_INITIAL = re.compile(r"(?:^|[^\w'\u2019])[^\W\d_]\Z")
_ORDINAL = re.compile(r"(?:^|\D)\d{1,2}\Z")
_INTRODUCED_NUMBER = re.compile(r"[:;]\s+\d{1,2}\Z")
_NOISE = re.compile(rf"[\s\ud800-\udfff{re.escape(QUOTES_AND_BRACKETS)}]+")
_MID_CLAUSE = COMMAS + FULL_COMMAS + DASHES
# Abbreviations before names that sentencex has not, whatever the language of the text around.
_TITLES = frozenset({"mlle", "mme", "डॉ", "डा", "प्रो", "पं", "श्री", "सुश्री", "कु", "क्र", "नं", "திரு"})
# Words that sentencex's English takes for abbreviations (No., Me., Ill., min.) whatever follows.
_ENGLISH_WORDS = frozenset(
    {"art", "etc", "id", "ill", "la", "may", "me", "min", "miss", "no", "ok", "pa", "sec"}
)


class Verdict(Enum):
    """What a candidate is, or that the text seen so far does not tell."""

    BREAK = auto()
    JOIN = auto()
    WAIT = auto()


@dataclass(frozen=True, slots=True)
class View:
    """The part of the text that a decision may look at."""

    text: str
    begin: int
    """Where the utterance starts."""
    end: int
    """Where what can be seen ends."""
    complete: bool
    """Nothing beyond ``end`` may change the decision."""
    column: int
    """Characters between the last line break before ``begin`` and ``begin``."""


@dataclass(frozen=True, slots=True)
class Language:
    """What the rules need to know of a language."""

    code: str
    candidate: re.Pattern[str]
    ordinals: bool
    english: bool

    @staticmethod
    def of(tag: str | None) -> Language:
        """Return the rules for a BCP 47 tag; English ones where it is None."""
        return _language((tag or "en").split("-")[0].lower())


# Bounded, as callers may name any language.
@lru_cache(maxsize=64)
def _language(code: str) -> Language:
    stops = STOPS + FULL_STOPS + (";" if code == "el" else "")
    return Language(code, _candidate(stops), code in _ORDINAL_LANGUAGES, code == "en")


def _candidate(stops: str) -> re.Pattern[str]:
    # A low-high quote such as German's closes with the sign that opens an English one; so it
    # closes only before white space, as French's does after it. Each part that may go on beyond
    # the view reaches the view's end.
    note = r"\[\d{1,3}\]|\[\d{0,3}\Z"
    spaced = r"[ \u00a0\u202f]»(?=\s|\Z)"
    closers = rf"(?:[{CLOSERS}]|\u201c(?=\s|\Z)|{spaced}|{note})*+"
    return re.compile(
        rf"(?P<stop>[{stops}]++)(?P<close>{closers})(?P<gap>\s*+)|(?P<line>[{LINE_BREAKS}]\s*+)"
    )


def judge(view: View, found: re.Match[str], language: Language) -> Verdict:
    """Decide one match of ``language.candidate``; a break is where the match ends.

    The verdict is WAIT only where ``view`` is not complete, and once it is another it stays so
    whatever text follows.
    """
    if found.end() == view.end and not view.complete:
        return Verdict.WAIT
    return _judge_line(view, found) if found["line"] else _judge_stop(view, found, language)


def column_after(text: str, begin: int, end: int, column: int) -> int:
    """Return how many characters of the line stand before ``end``, given those before ``begin``."""
    if text[begin:end].isprintable():  # as no line break is
        return column + end - begin
    last = max(text.rfind(mark, begin, end) for mark in LINE_BREAKS)
    return end - last - 1 if last >= 0 else column + end - begin


def _judge_line(view: View, found: re.Match[str]) -> Verdict:
    text, begin, start = view.text, view.begin, found.start()
    spoken = _SPOKEN.search(text, begin, start)
    if not spoken:
        drawn = _RULE.fullmatch(text, begin, start)
        blank = _BLANK_LINE.search(found["line"]) and text[begin:start].strip()
        return Verdict.BREAK if drawn or blank else Verdict.JOIN
    if _BLANK_LINE.search(found["line"]):
        return Verdict.BREAK
    listed = _list_follows(view, found.end())
    return listed if listed is not Verdict.JOIN else _judge_line_end(view, found)


def _list_follows(view: View, at: int) -> Verdict:
    """Tell whether the line that begins at ``at`` is a list item, a heading or a rule."""
    if at >= view.end or not _MARKER_START.match(view.text, at):
        return Verdict.JOIN
    if _MARKER.match(view.text, at, view.end):
        return Verdict.BREAK
    known = view.complete or view.end - at >= _MARKER_LENGTH
    return Verdict.JOIN if known else Verdict.WAIT


def _judge_line_end(view: View, found: re.Match[str]) -> Verdict:
    """Part headings and verses, which are short, from the lines of a wrapped paragraph."""
    text, start = view.text, found.start()
    width = column_after(text, view.begin, start, view.column)
    line = text[max(view.begin, start - width) : start].rstrip()
    after = _AHEAD.match(text, found.end(), view.end)
    at = after.end() if after else view.end
    if at == view.end:
        return Verdict.JOIN if view.complete else Verdict.WAIT
    if line.lstrip().startswith("#"):
        return Verdict.BREAK
    if text[at].islower() or (line and line[-1] in _MID_CLAUSE and line[-1] not in COLONS):
        return Verdict.JOIN
    longest = _LONG_LINE if text[at].isupper() or text[at].isdigit() else _LONG_CASELESS_LINE
    return Verdict.BREAK if width <= longest else Verdict.JOIN


def _judge_stop(view: View, found: re.Match[str], language: Language) -> Verdict:
    full = not set(FULL_STOPS).isdisjoint(found["stop"])
    if not (found["gap"] or full) or not _SPOKEN.search(view.text, view.begin, found.start()):
        return Verdict.JOIN
    laid_out = _judge_gap(view, found)
    if laid_out is not Verdict.JOIN:
        return laid_out
    after = _AHEAD.match(view.text, found.end(), view.end)
    if after is None or after.end() == view.end:
        return Verdict.JOIN if view.complete else Verdict.WAIT
    ends = _full_stop_ends if full else _stop_ends
    stop = _Stop(view, found, view.text[after.end()], language)
    return Verdict.BREAK if ends(stop) else Verdict.JOIN


def _judge_gap(view: View, found: re.Match[str]) -> Verdict:
    """Tell whether the layout alone breaks the text after a stop."""
    if _BLANK_LINE.search(found["gap"]):
        return Verdict.BREAK
    if any(mark in found["gap"] for mark in LINE_BREAKS):
        return _list_follows(view, found.end())
    return Verdict.JOIN


@dataclass(frozen=True, slots=True)
class _Stop:
    """A run of stops between a word that may be an abbreviation and the next word."""

    view: View
    found: re.Match[str]
    following: str
    language: Language

    @property
    def before(self) -> str:
        start = self.found.start()
        return self.view.text[max(self.view.begin, start - _LEFT_CONTEXT) : start]


def _full_stop_ends(stop: _Stop) -> bool:
    if stop.found["gap"]:
        return True
    # What a Japanese quotation mark closes goes on with a particle: 「そうだ。」と言った。
    quoted = stop.found["close"][-1:] in {"」", "』"} and "ぁ" <= stop.following <= "ゟ"
    number = stop.found["stop"] == _WIDE_POINT and stop.following.isdigit()
    return not (quoted or number or stop.following in _MID_CLAUSE)


def _stop_ends(stop: _Stop) -> bool:
    sign, following = stop.found["stop"], stop.following
    if following in _MID_CLAUSE or following in STOPS:
        return False
    if following.islower() and (stop.found["close"] or "…" in sign or ".." in sign):
        return False
    if sign in {".", "\u037e", ";"}:
        return _period_ends(stop)
    if sign.strip(".…‥") == "":
        return not following.isdigit()
    return _sentencex_parts(stop)


def _period_ends(stop: _Stop) -> bool:
    before, following = stop.before, stop.following
    if not before[-1:].strip():
        return not (following.islower() or following.isdigit())
    if _ADDRESS.search(before):
        return not following.islower()
    word = before.split()[-1].lstrip(QUOTES_AND_BRACKETS).lower()
    if word in _TITLES or _is_numbering(stop) or _INITIAL.search(before):
        return False
    if stop.language.english and word in _ENGLISH_WORDS:
        return following.isupper()
    return _sentencex_parts(stop)


def _is_numbering(stop: _Stop) -> bool:
    """Tell whether the period makes a list's number, or an ordinal where they are written so."""
    view = stop.view
    if _LIST_NUMBER.fullmatch(view.text, view.begin, stop.found.start()):
        return True
    number = _ORDINAL if stop.language.ordinals else _INTRODUCED_NUMBER
    return bool(number.search(stop.before))


def _sentencex_parts(stop: _Stop) -> bool:
    before = _NOISE.sub(" ", stop.before)
    sign = stop.found["stop"].replace("…", "...")
    following = _NOISE.sub("x", stop.following)
    parts: list[str] = sentencex.segment(stop.language.code, f"{before}{sign} {following}")
    return parts[-1].strip() == following
