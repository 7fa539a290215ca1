"""The bar: what it says, and that it is only on a terminal and gone in the end."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from ttskit.cli.progress import Progress, clock_time, render


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


def ticking(step: float) -> Iterator[float]:
    return count(0.0, step)


@pytest.mark.parametrize(
    ("characters", "total", "line"),
    [
        pytest.param(0, 10, "[........................]   0%  0 of 10", id="start"),
        pytest.param(5, 10, "[############............]  50%  5 of 10", id="half"),
        pytest.param(10, 10, "[########################] 100%  10 of 10", id="end"),
        pytest.param(99, 10, "[########################] 100%  99 of 10", id="beyond"),
        pytest.param(5_000, None, "5,000", id="unknown"),
    ],
)
def test_the_bar_shows_the_share_of_the_text(characters: int, total: int | None, line: str) -> None:
    assert render(characters, total, 61) == f"{line} characters, 1:01 of speech"


@given(seconds=st.floats(0, 1e6))
def test_the_clock_tells_whole_seconds(seconds: float) -> None:
    parts = [int(part) for part in clock_time(seconds).split(":")]
    total = sum(part * 60**place for place, part in enumerate(reversed(parts)))
    assert total == int(seconds)


def test_nothing_is_drawn_but_on_a_terminal() -> None:
    screen = io.StringIO()
    with Progress(screen, 10) as progress:
        progress.update(5, 1.0)
    assert screen.getvalue() == ""


def test_nothing_is_drawn_where_nobody_wants_it() -> None:
    screen = Terminal()
    with Progress(screen, 10, is_wanted=False) as progress:
        progress.update(5, 1.0)
    assert screen.getvalue() == ""


def test_the_line_is_gone_in_the_end() -> None:
    screen, clock = Terminal(), ticking(1.0)
    with Progress(screen, 10, clock=lambda: next(clock)) as progress:
        progress.update(5, 1.0)
        progress.update(9, 2.0)
    drawn = screen.getvalue().split("\r")
    assert drawn[-1] == ""
    assert drawn[-2].strip() == ""
    assert "90%" in screen.getvalue()


def test_it_is_not_redrawn_more_often_than_eyes_see() -> None:
    screen, clock = Terminal(), ticking(0.001)
    with Progress(screen, 100, clock=lambda: next(clock)) as progress:
        for characters in range(100):
            progress.update(characters, 0.0)
    assert screen.getvalue().count("%") <= 3
