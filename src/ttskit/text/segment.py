"""Cut text into utterances: whole texts and text that is still arriving, with one algorithm."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

from ttskit.errors import InvalidParameterError
from ttskit.text.borders import border, clause_border
from ttskit.text.boundaries import Language, Verdict, View, column_after, judge

_LOOKAHEAD = 32
"""Characters beyond an utterance's limit that may be looked at to decide where it ends."""
_SPOKEN = re.compile(r"[^\W_]")


class Segment(NamedTuple):
    """One utterance: a tile of the source, its trailing white space included."""

    text: str
    start: int
    end: int


class Segmenter:
    """Cuts text that arrives in pieces; how it was cut into pieces never shows in the result.

    An utterance is returned as soon as the start of the next word makes it certain. What is held
    is at most one utterance and a few characters; the work is linear in the text.

    Args:
        language: BCP 47, for its abbreviations; None: English.
        fast_start: The first utterance may end at a clause, so that speech starts sooner.
        max_characters: No utterance is longer; one that would be is cut at a clause, else between
            words, else between characters as readers see them.

    Raises:
        InvalidParameterError: ``max_characters`` is below 1.
    """

    def __init__(
        self, *, language: str | None = None, fast_start: bool = False, max_characters: int = 400
    ) -> None:
        _check_limit(max_characters)
        self._language = Language.of(language)
        self._fast = fast_start
        self._limit = max_characters
        self._text = ""
        self._offset = 0
        self._begin = 0
        self._scanned = 0
        self._column = 0

    def feed(self, piece: str) -> list[Segment]:
        """Take the next piece of the text and return the utterances that are certain now."""
        self._text += piece
        return self._take(final=False)

    def finish(self, piece: str = "") -> list[Segment]:
        """Return what is left, now that no more text comes but this last piece."""
        self._text += piece
        if self._is_one():
            return [self._emit(len(self._text))]
        return self._take(final=True)

    def _is_one(self) -> bool:
        """Whether all that is left is clearly one utterance, as most short texts are."""
        end = len(self._text)
        if self._fast or not 0 < end - self._begin <= self._limit:
            return False
        # What ends a sentence at the very end is no matter.
        return not self._language.candidate.search(self._text, self._scanned, end - 1)

    def _take(self, *, final: bool) -> list[Segment]:
        taken: list[Segment] = []
        while end := self._next_end(final=final):
            taken.append(self._emit(end))
        if taken:
            self._text = self._text[self._begin :]
            self._offset += self._begin
            self._scanned -= self._begin
            self._begin = 0
        return taken

    def _next_end(self, *, final: bool) -> int:
        """Return where the next utterance ends in the buffer, or 0 if that is not certain yet."""
        begin, limit = self._begin, self._begin + self._limit
        end = min(len(self._text), limit + _LOOKAHEAD)
        complete = final or end == limit + _LOOKAHEAD
        view = View(self._text, begin, end, complete, self._column)
        found = self._scan(view)
        if self._fast:
            sure = found.start() if found else self._scanned
            early = clause_border(self._text, begin, sure, english=self._language.english)
            if begin < early <= limit:
                return early
        if found and found.end() <= limit:
            return found.end()
        if not complete or begin == end:
            return 0
        return end if end <= limit else border(self._text, begin, limit)

    def _scan(self, view: View) -> re.Match[str] | None:
        """Return the first sure boundary; what is passed on the way is never looked at again."""
        search = self._language.candidate.search
        while found := search(view.text, self._scanned, view.end):
            verdict = judge(view, found, self._language)
            if verdict is not Verdict.JOIN:
                self._scanned = found.start()
                return found if verdict is Verdict.BREAK else None
            self._scanned = found.end()
        self._scanned = view.end
        return None

    def _emit(self, end: int) -> Segment:
        begin, start = self._begin, self._offset + self._begin
        self._column = column_after(self._text, begin, end, self._column)
        self._fast = self._fast and not _SPOKEN.search(self._text, begin, end)
        self._begin = self._scanned = end
        return Segment(self._text[begin:end], start, start + end - begin)


def segment(
    text: str,
    *,
    language: str | None = None,
    fast_start: bool = False,
    max_characters: int = 400,
) -> list[Segment]:
    """Return a whole text's utterances; joined they are the text. See ``Segmenter``."""
    segmenter = Segmenter(language=language, fast_start=fast_start, max_characters=max_characters)
    return segmenter.finish(text)


def cut(text: str, limit: int, *, measure: Callable[[str], int] = len) -> list[tuple[int, int]]:
    """Return the spans of tiles of ``text``, each as long as fits, at the best border there is.

    Borders are tried in this order: after a clause, between words, between characters as readers
    see them (an emoji or an Indic conjunct stays whole where the limit allows).

    Args:
        text: Any text; it need not have sentences.
        limit: What a tile may measure; a single character that measures more is a tile of its own.
        measure: Size of a string; must not shrink when the string grows. UTF-8 length, for example.

    Raises:
        InvalidParameterError: ``limit`` is below 1.
    """
    _check_limit(limit)
    if text and measure(text) <= limit:
        return [(0, len(text))]
    spans: list[tuple[int, int]] = []
    start = 0
    while start < len(text):
        end = _fitting_end(text, start, limit, measure)
        end = end if end == len(text) else border(text, start, end)
        spans.append((start, end))
        start = end
    return spans


def _fitting_end(text: str, start: int, limit: int, measure: Callable[[str], int]) -> int:
    """Return the last end of a tile from ``start`` that measures at most ``limit``."""
    most = limit
    while start + most < len(text) and measure(text[start : start + most]) <= limit:
        most *= 2
    ends = range(start + 1, min(start + most, len(text)) + 1)
    fitting = bisect_right(ends, limit, key=lambda end: measure(text[start:end]))
    return start + max(1, fitting)


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise InvalidParameterError(f"the longest utterance must be at least 1, not {limit}")
