"""Writes the tables into README.md and docs/: ``python -m tools.make_docs [--check]``.

A page says where a table goes by two markers; what is between them is made anew::

    <!-- made by tools: errors -->
    <!-- end -->
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.markdown import filled_in
from tools.tables import all_tables

ROOT = Path(__file__).parents[1]


def pages(root: Path = ROOT) -> list[Path]:
    """Return every page that people read: README.md, docs/ and the examples' own."""
    found = [root / "README.md", *root.glob("docs/**/*.md"), *root.glob("examples/**/*.md")]
    return sorted(found)


def stale(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Yield each page whose tables are out of date, with what it should be."""
    made = all_tables()
    for page in pages(root):
        written = page.read_text(encoding="utf-8")
        fresh = filled_in(written, made)
        if fresh != written:
            yield page, fresh


def main() -> int:
    """Write the stale pages, or only name them; return the exit code."""
    parser = argparse.ArgumentParser(prog="make_docs", description="Make the tables of the docs.")
    parser.add_argument("--check", action="store_true", help="only tell which pages are stale")
    is_check = parser.parse_args().check
    old = list(stale())
    for page, fresh in old:
        if not is_check:
            page.write_text(fresh, encoding="utf-8")
        sys.stdout.write(f"{page.relative_to(ROOT)}: {'stale' if is_check else 'written'}\n")
    return 1 if is_check and old else 0


if __name__ == "__main__":
    raise SystemExit(main())
