"""What a mock provider reads aloud of an SSML document, and where each character of it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import unescape

_TOKEN = re.compile(r"<(?P<tag>[^>]*)>|(?P<entity>&[^;\s]{1,10};)|(?P<text>[^<&]+|.)", re.DOTALL)
_NAME = re.compile(r"/?[^\s/>]*")
_TIME = re.compile(r"""time\s*=\s*["']([\d.]+)(ms|s)["']""")
_ALIAS = re.compile(r"""alias\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_BREAK_S = 0.25
"""Seconds of a break that names no time."""


@dataclass(frozen=True, slots=True)
class Said:
    """A text to say after a pause."""

    text: str
    starts: Sequence[int]
    """Where each character of ``text`` starts in the source;"""
    ends: Sequence[int]
    """and where it ends."""
    pause_s: float = 0.0
    """Seconds of silence before it."""

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """Return where characters of ``text`` stand in the source; at least one."""
        return self.starts[start], self.ends[end - 1]


@dataclass(slots=True)
class _Draft:
    """A text as its characters come."""

    characters: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add(self, character: str, start: int, end: int) -> None:
        self.characters.append(character)
        self.starts.append(start)
        self.ends.append(end)

    def finished(self, pause_s: float) -> Said:
        text = "".join(self.characters)
        first = len(text) - len(text.lstrip())
        last = len(text.rstrip())
        return Said(text[first:last], self.starts[first:last], self.ends[first:last], pause_s)


def plain(text: str) -> Said:
    """Return a text that is said as it stands."""
    return Said(text, range(len(text)), range(1, len(text) + 1))


def read_markup(document: str) -> list[Said]:
    """Return the texts of an SSML document with the pauses that breaks make between them.

    ``sub`` is read as its alias; every other element as the text within it. The document is
    trusted to be well formed.
    """
    said: list[Said] = []
    pause_s = 0.0
    for token in _tokens(document):
        if isinstance(token, float):
            pause_s += token
            continue
        said.append(token.finished(pause_s))
        pause_s = 0.0
    said.append(Said("", (), (), pause_s))
    return [one for one in said if one.text or one.pause_s]


def _tokens(document: str) -> Iterator[_Draft | float]:
    """Yield texts and, between them, the seconds of breaks."""
    draft, alias_until = _Draft(), 0
    for match in _TOKEN.finditer(document):
        if match.start() < alias_until:
            continue
        tag = match["tag"]
        name = _NAME.match(tag)[0] if tag is not None else ""  # type: ignore[index] # matches ""
        if name == "break":
            yield draft
            yield _seconds(tag)
            draft = _Draft()
        elif name == "sub":
            alias_until = max(document.find("</sub", match.end()), match.end())
            for character in _alias(tag):
                draft.add(character, match.end(), alias_until)
        elif tag is None:
            _take(draft, match)
    yield draft


def _take(draft: _Draft, match: re.Match[str]) -> None:
    if match["entity"]:
        draft.add(unescape(match["entity"]), *match.span())
        return
    for place, character in enumerate(match["text"], match.start()):
        draft.add(character, place, place + 1)


def _seconds(tag: str) -> float:
    time = _TIME.search(tag)
    if time is None:
        return _BREAK_S
    return float(time[1]) / (1000 if time[2] == "ms" else 1)


def _alias(tag: str) -> str:
    alias = _ALIAS.search(tag)
    return unescape(alias[1] or alias[2] or "") if alias else ""
