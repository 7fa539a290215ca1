"""How far long speech has come: one line on a terminal's stderr, redrawn in place."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Self, TextIO

_BAR = 24
_INTERVAL_S = 0.1


class Progress:
    """A bar that is gone when the block is left; on anything but a terminal nothing is drawn.

    Args:
        screen: Where to.
        total: Characters in all; None: nobody knows.
        clock: Seconds from any start.
    """

    def __init__(
        self,
        screen: TextIO,
        total: int | None,
        *,
        is_wanted: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._screen = screen
        self._total = total
        self._clock = clock
        self._is_shown = is_wanted and screen.isatty()
        self._drawn_at = float("-inf")
        self._drawn = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            self._draw("")

    def update(self, characters: int, seconds: float) -> None:
        """Show that so many characters were spoken, in so many seconds of audio."""
        if self._is_shown and self._clock() - self._drawn_at >= _INTERVAL_S:
            self._drawn_at = self._clock()
            width = shutil.get_terminal_size().columns - 1
            self._draw(render(characters, self._total, seconds)[:width])

    def _draw(self, line: str) -> None:
        self._screen.write(f"\r{line}{' ' * (len(self._drawn) - len(line))}\r{line}")
        self._screen.flush()
        self._drawn = line


def render(characters: int, total: int | None, seconds: float) -> str:
    """Return the line: a bar where the total is known, and how much speech there is."""
    speech = f"{clock_time(seconds)} of speech"
    if not total:
        return f"{characters:,} characters, {speech}"
    share = min(1.0, characters / total)
    bar = "#" * round(share * _BAR)
    return f"[{bar:.<{_BAR}}] {share:4.0%}  {characters:,} of {total:,} characters, {speech}"


def clock_time(seconds: float) -> str:
    """Return seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
