"""What the text room hands on: passages, each one utterance, made of runs in one style."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from ttskit.text.sanitise import Change
from ttskit.text.spans import Offsets, Span
from ttskit.text.style import Style


@dataclass(frozen=True, slots=True)
class Mark:
    """A named place in the text."""

    name: str
    index: int
    """Character of the run's text before which it stands."""
    position: int
    """Character of the caller's own text."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Markup that is heard by other means than the engine's own (``emulated``), or not at all."""

    code: Literal["emulated", "ignored"]
    element: str
    message: str
    span: Span


@dataclass(frozen=True, slots=True)
class Run:
    """Text in one style, after a pause. A pause at the end of a passage has no text."""

    text: str
    offsets: Offsets
    style: Style = field(default_factory=Style)
    pause: float = 0.0
    """Seconds of silence before the text."""
    marks: tuple[Mark, ...] = ()

    @property
    def span(self) -> Span:
        """Where the text stands in the caller's own text."""
        return self.offsets.span(0, len(self.text))

    def slice(self, start: int, end: int) -> Run:
        """Return the part from ``start`` to ``end``; pause and marks stay with their place."""
        if start == 0 and end == len(self.text):
            return self
        last = len(self.text) if end == len(self.text) else end - 1
        return replace(
            self,
            text=self.text[start:end],
            offsets=self.offsets.slice(start, end),
            pause=self.pause if start == 0 else 0.0,
            marks=tuple(
                replace(mark, index=mark.index - start)
                for mark in self.marks
                if start <= mark.index <= last
            ),
        )


@dataclass(frozen=True, slots=True)
class Passage:
    """What is delivered as one utterance."""

    index: int
    span: Span
    """In the caller's own text, what is silent at its borders included."""
    runs: tuple[Run, ...]
    changes: tuple[Change, ...] = ()
    """What sanitising changed, in the caller's own text."""
    losses: tuple[Loss, ...] = ()
    """Markup that no engine will hear of."""

    @property
    def text(self) -> str:
        """What is spoken, without markup and pauses."""
        return "".join(run.text for run in self.runs)
