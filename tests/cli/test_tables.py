"""Tables that stay aligned and within the terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttskit.cli.tables import aligned

CELLS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30)
ROWS = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1)
)


@given(rows=ROWS)
def test_columns_stand_below_one_another(rows: list[list[str]]) -> None:
    lines = aligned(rows)
    start = 0
    for column in zip(*rows, strict=True):
        assert [
            line[start : start + len(cell)] for line, cell in zip(lines, column, strict=True)
        ] == list(column)
        start += max(map(len, column)) + 2


def test_the_last_cell_gives_way() -> None:
    rows = [["a", "short"], ["b", "much longer than the others"]]
    assert aligned(rows, 20) == ["a  short", "b  much longer than…"]


def test_a_name_cannot_move_the_cursor() -> None:
    assert aligned([["a\x1b[2Jb", "c\nd"]]) == ["a?[2Jb  c?d"]
