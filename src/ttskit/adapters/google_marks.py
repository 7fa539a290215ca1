"""Marks before every word: how Google Cloud is made to time words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import unescape
from itertools import pairwise

from ttskit.adapters.base import TimedText
from ttskit.text.ssml.escape import escape
from ttskit.text.words import words

Span = tuple[int, int]
_END = "end"
_TAG = re.compile(r"<(say-as|sub|phoneme)\b[^>]*>(?P<whole>[^<]*)</\1>|<[^>]*>")
"""An element that takes no mark within it, or any tag."""
_REFERENCE = re.compile("&[a-z]{2,4};|&#[0-9]{1,3};")


def marked(text: str, *, is_ssml: bool) -> tuple[str, list[Span]]:
    """Return a document with a mark before every word and one at its end, and the words' spans.

    Args:
        text: Plain, or a whole document of ttskit's own.
        is_ssml: Which of the two.
    """
    found = list(_places(text) if is_ssml else ((span[0], span) for span in words(text)))
    end = text.rindex("</speak") if is_ssml else len(text)
    borders = [0, *(place for place, _ in found), end]
    pieces = [text[a:b] for a, b in pairwise(borders)]
    if not is_ssml:
        pieces = list(map(escape, pieces))
    names = [*map(_name, range(len(found))), _END]
    body = "".join(
        f'{piece}<mark name="{name}"/>' for piece, name in zip(pieces, names, strict=True)
    )
    document = f"{body}{text[end:]}" if is_ssml else f"<speak>{body}</speak>"
    return document, [span for _, span in found]


def timed(
    times: Mapping[str, float], spans: Sequence[Span], *, end: float | None = None
) -> Iterator[TimedText]:
    """Yield the words whose marks have a time; each lasts until the next mark that has one.

    Args:
        times: Seconds by the mark's name.
        spans: Of the words, as ``marked`` gave them.
        end: Of the audio in seconds, for a reply that does not time the last mark.
    """
    known = [(times[name], span) for at, span in enumerate(spans) if (name := _name(at)) in times]
    if not known:
        return
    last = known[-1][0]
    ends = [*(start for start, _ in known[1:]), times.get(_END, last if end is None else end)]
    for (start, span), until in zip(known, ends, strict=True):
        yield TimedText(start, max(start, until), span)


def _name(number: int) -> str:
    return f"w{number}"


def _places(document: str) -> Iterator[tuple[int, Span]]:
    """Yield where each word's mark belongs, and the word."""
    found: list[tuple[int, Span]] = []
    for match in _TAG.finditer(document):
        start, end = match.span("whole")
        if document[start:end].strip():
            found.append((match.start(), (start, end)))
    bare = _TAG.sub(lambda match: " " * len(match[0]), document)
    text, places = _unescaped(bare)
    found += [(places[start], (places[start], places[end])) for start, end in words(text)]
    yield from sorted(found)


def _unescaped(text: str) -> tuple[str, list[int]]:
    """Return the text with its references resolved, and where each character and the end were."""
    parts, places, at = [], [], 0
    for match in _REFERENCE.finditer(text):
        character = unescape(match[0])
        parts += [text[at : match.start()], character]
        places += [*range(at, match.start()), *[match.start()] * len(character)]
        at = match.end()
    return "".join([*parts, text[at:]]), [*places, *range(at, len(text) + 1)]
