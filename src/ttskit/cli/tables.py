"""Results on stdout: aligned tables for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

_GAP = "  "
_LEAST = 8
"""Columns that a cell keeps, however narrow the terminal."""


def print_json(value: object, stream: TextIO | None = None) -> None:
    """Print plain data, sets and paths included, to stdout or to ``stream``."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=_plain), file=stream)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below a header; on a terminal the last column is cut to its width."""
    print("\n".join(table(header, rows)))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows below a header as lines, as wide as the terminal that they are for."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return aligned([header, *rows], width)


def aligned(rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Return rows as lines with their columns aligned.

    Args:
        rows: Of equal length.
        width: Columns that a line may have, where the last cell can give way; None: any.
    """
    cells = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        taken = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
        widths[-1] = min(widths[-1], max(width - taken, _LEAST))
    return [_line(row, widths) for row in cells]


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else str(value)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
    return _GAP.join([*padded, _cut(row[-1], widths[-1])]).rstrip()


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else f"{cell[: width - 1]}…"


def _printable(cell: str) -> str:
    """Return the cell without what would move the cursor: names come from providers."""
    return "".join(character if character.isprintable() else "?" for character in cell)
