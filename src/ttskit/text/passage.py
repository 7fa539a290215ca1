"""What the text room hands on: passages, each one utterance, made of runs in one style."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from ttskit.text.sanitise import Change, is_speakable
from ttskit.text.spans import Offsets, Span
from ttskit.text.style import PLAIN, Style

_CLOSING = " \t\r\n.,;:!?\u2026)]}\u00bb\u201d\u2019\u3002\u3001\uff01\uff0c\uff1f"
"""What may stand between the end of a word and the next one, and is not to be read by itself."""


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


class Run(NamedTuple):
    """Text in one style, after a pause. A pause at the end of a passage has no text."""

    text: str
    offsets: Offsets
    style: Style = PLAIN
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
        return self._replace(
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
        return self.runs[0].text if len(self.runs) == 1 else "".join(run.text for run in self.runs)

    def text_within(self, span: Span) -> str:
        """Return what is spoken of a part of the caller's own text."""
        return "".join(
            character
            for run in self.runs
            for index, character in enumerate(run.text)
            if span[0] <= run.offsets.source(index) < span[1]
        )

    def after(self, position: int) -> Passage | None:
        """Return what is left of it from a place in the caller's own text, the end of a word.

        Punctuation that closes what came before is left out, and so is what was reported of the
        whole passage. None: nothing that is left can be spoken.
        """
        runs = list(_closed(_runs_after(self.runs, position)))
        if not is_speakable("".join(run.text for run in runs)):
            return None
        return Passage(self.index, (position, self.span[1]), tuple(runs))


def _runs_after(runs: Iterable[Run], position: int) -> Iterator[Run]:
    for run in runs:
        first, end = run.span
        if first >= position or (end > position and run.style.is_whole):
            yield run
        elif end > position:
            places = range(len(run.text))
            start = bisect_left(places, position, key=run.offsets.source)
            yield run.slice(start, len(run.text))


def _closed(runs: Iterable[Run]) -> Iterator[Run]:
    """Leave out what closes the words before."""
    is_closing = True
    for run in runs:
        text = run.text.lstrip(_CLOSING) if is_closing and not run.style.is_whole else run.text
        is_closing = is_closing and not text.strip()
        yield (
            run.slice(len(run.text) - len(text), len(run.text))
            if text
            else run._replace(text="", offsets=Offsets.identity(run.span[1]))
        )
