"""Gathers what an SSML document says into runs, one for each stretch in one style."""

from __future__ import annotations

from ttskit.text.passage import Mark, Run
from ttskit.text.spans import Offsets
from ttskit.text.style import Style


class Collector:
    """Takes text, pauses, marks and borders in the order of the document.

    Positions are characters of the cleaned source; ``origin`` maps them to the caller's string.
    """

    def __init__(self, origin: Offsets) -> None:
        self._origin = origin
        self._runs: list[Run] = []
        self._borders: list[int] = []
        self._length = 0
        self._style = Style()
        self._texts: list[str] = []
        self._pieces: list[tuple[int, int, int]] = []
        self._marks: list[Mark] = []
        self._pause = 0.0
        self._characters = 0

    def text(self, text: str, start: int, end: int, style: Style) -> None:
        """Take text that stands at ``start`` to ``end`` of the source, perhaps as a reference."""
        if style != self._style:
            self.split()
            self._style = style
        self._texts.append(text)
        self._pieces.append((len(text), start, end))
        self._characters += len(text)

    def pause(self, seconds: float) -> None:
        """Take a pause; one after another they add up."""
        if seconds > 0:
            self.split()
            self._pause = round(self._pause + seconds, 3)

    def mark(self, name: str, position: int) -> None:
        """Take a mark that stands at ``position`` of the source."""
        self._marks.append(Mark(name, self._characters, self._origin.source(position)))

    def border(self) -> None:
        """A sentence or paragraph starts or ends here."""
        self._borders.append(self._length + self._characters)

    def split(self) -> None:
        """End the run here, if it has text; the next one may well have the same style."""
        if not self._characters:
            return
        offsets = Offsets.of(self._pieces).through(self._origin)
        self._add(Run("".join(self._texts), offsets, self._style, self._pause, tuple(self._marks)))
        self._texts, self._pieces = [], []

    def finish(self) -> tuple[tuple[Run, ...], tuple[int, ...]]:
        """Return the runs and the borders."""
        self.split()
        if self._pause or self._marks:
            offsets = Offsets.identity(self._runs[-1].span[1] if self._runs else 0)
            self._add(Run("", offsets, Style(), self._pause, tuple(self._marks)))
        return tuple(self._runs), tuple(self._borders)

    def _add(self, run: Run) -> None:
        self._runs.append(run)
        self._length += self._characters
        self._characters = 0
        self._pause, self._marks = 0.0, []
