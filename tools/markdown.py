"""What the docs are made of: fenced blocks, links, and tables between markers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
_TABLE = re.compile(
    r"(?P<start><!-- made by tools: (?P<name>[\w ]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    language: str
    code: str
    line: int
    """Of the page, counted from 1, on which the code begins."""


def blocks(page: str, *languages: str) -> list[Block]:
    """Return the page's fenced blocks in these languages, in order."""
    return [
        Block(found["language"], found["code"], page.count("\n", 0, found.start("code")) + 1)
        for found in _FENCE.finditer(page)
        if found["language"] in languages
    ]


def as_module(parts: Iterable[Block]) -> str:
    """Return the blocks as one program, each on the lines that it has on its page."""
    lines: list[str] = []
    for part in parts:
        lines += [""] * (part.line - 1 - len(lines))
        lines += part.code.splitlines()
    return "\n".join(lines) + "\n"


def links(page: str) -> list[str]:
    """Return the targets of the page's links, those in fenced blocks apart."""
    return [found["target"] for found in _LINK.finditer(_FENCE.sub("", page))]


def anchors(page: str) -> set[str]:
    """Return what a link into the page may have after ``#``, as GitHub names headings."""
    titles = (found["title"] for found in _HEADING.finditer(_FENCE.sub("", page)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a bar within a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def made_names(page: str) -> Iterator[str]:
    """Yield the names of what the page has made between markers."""
    for found in _TABLE.finditer(page):
        yield found["name"]


def filled_in(page: str, made: Mapping[str, str]) -> str:
    """Return the page with what is between its markers made anew.

    Raises:
        KeyError: A marker names nothing in ``made``.
    """
    return _TABLE.sub(
        lambda found: f"{found['start']}{made[found['name']]}{found['end']}",
        page,
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|") or "–"  # noqa: RUF001 - an empty cell's dash
