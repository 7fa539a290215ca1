"""Spells text out for engines that do not know ``say-as``: letters or digits one by one."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from itertools import pairwise

from ttskit.text.passage import Run
from ttskit.text.spans import Offsets, Span
from ttskit.text.style import SayAs

# W3C SSML 1.0 say-as note, with the words of Google, Amazon and Azure for the same.
_LETTERS = frozenset({"characters", "spell-out", "verbatim", "letters"})
_DIGITS = frozenset({"digits", "number_digit"})

_JOINER = "\u200d"


def is_spelled(hint: SayAs) -> bool:
    """Whether the text can be had one by one; how dates and the like are read is the engine's."""
    return hint.interpret_as in _LETTERS | _DIGITS


def spelled(run: Run) -> Run:
    """Return the run with spaces between its letters or digits, where that is what it asks for."""
    hint = run.style.say_as
    if hint is None or not is_spelled(hint):
        return run
    spans = _letters(run.text) if hint.interpret_as in _LETTERS else _digits(run.text)
    return _spaced(run, spans)


def _spaced(run: Run, spans: list[Span]) -> Run:
    pieces: list[tuple[int, int, int]] = []
    for start, end in spans:
        if pieces:
            pieces.append((1, pieces[-1][2], start))
        pieces.append((end - start, start, end))
    return run._replace(
        text=" ".join(run.text[start:end] for start, end in spans),
        offsets=Offsets.of(pieces).through(run.offsets),
        marks=tuple(replace(mark, index=0) for mark in run.marks),
    )


def _letters(text: str) -> list[Span]:
    """Return what is read as one letter each: a character with the marks upon it."""
    starts = [index for index in range(len(text)) if not _continues(text, index)]
    spans = pairwise([*starts, len(text)])
    return [(start, end) for start, end in spans if not text[start:end].isspace()]


def _continues(text: str, index: int) -> bool:
    if index == 0:
        return False
    character = text[index]
    return (
        character == _JOINER
        or text[index - 1] == _JOINER
        or unicodedata.category(character)[0] == "M"
    )


def _digits(text: str) -> list[Span]:
    """Return the pieces between two digits that stand side by side."""
    cuts = [
        index + 1
        for index, (one, other) in enumerate(pairwise(text))
        if one.isdigit() and other.isdigit()
    ]
    return list(pairwise([0, *cuts, len(text)]))
