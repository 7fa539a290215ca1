"""Cuts what is to be said into passages, each one utterance: plain text, arriving text, SSML."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise

from ttskit.errors import EmptyTextError
from ttskit.text.passage import Loss, Mark, Passage, Run
from ttskit.text.sanitise import Change, is_speakable, sanitise
from ttskit.text.segment import Segment, Segmenter, segment
from ttskit.text.spans import Offsets, Span
from ttskit.text.ssml.parse import Document, parse
from ttskit.text.style import PLAIN

__all__ = ["Mark", "Passage", "Run", "TextPlanner", "plan_ssml"]

# White space in XML is a matter of layout; to the segmenter a line end may mean more.
_LAYOUT = str.maketrans("\t\n\r", "   ")


class TextPlanner:
    """Plans plain text that may still be arriving.

    What looks like markup is text. However the text is cut into pieces, the passages are the same;
    their spans follow one another without a gap, and what cannot be spoken belongs to the passage
    after it.

    Args:
        language: BCP 47, for the borders of sentences; None: unknown.
        fast_start: The first passage may be a clause, so that sound comes early.
        max_characters: The longest passage.
    """

    def __init__(
        self, *, language: str | None = None, fast_start: bool = False, max_characters: int = 400
    ) -> None:
        self._segmenter = Segmenter(
            language=language, fast_start=fast_start, max_characters=max_characters
        )
        self._index = 0
        self._start = 0
        self._changes: list[Change] = []

    def feed(self, piece: str) -> list[Passage]:
        """Take the next piece of text; return the passages that are certain now."""
        return self._passages(self._segmenter.feed(piece))

    def finish(self, piece: str = "") -> list[Passage]:
        """Return the passages left when no more text comes but this last piece."""
        return self._passages(self._segmenter.finish(piece))

    def _passages(self, segments: Iterable[Segment]) -> list[Passage]:
        passages: list[Passage] = []
        for tile in segments:
            clean = sanitise(tile.text, start=tile.start)
            self._changes += clean.changes
            if not is_speakable(clean.text):
                continue
            run = Run(clean.text, clean.offsets)
            span, changes = (self._start, tile.end), tuple(self._changes)
            passages.append(Passage(self._index, span, (run,), changes))
            self._index += 1
            self._start = tile.end
            self._changes = []
        return passages


def plan_ssml(
    ssml: str,
    *,
    language: str | None = None,
    fast_start: bool = False,
    max_characters: int = 400,
) -> list[Passage]:
    """Return the passages of an SSML document.

    Sentences are found across its markup; ``s`` and ``p`` always end one, and the text of
    ``say-as``, ``sub`` and ``phoneme`` is never cut, even where it is over ``max_characters``.

    Args:
        ssml: The caller's own document; every span points into it.
        language: BCP 47, where the document names none.
        fast_start: The first passage may be a clause, so that sound comes early.
        max_characters: The longest passage.

    Raises:
        UnsafeTextError: It has a DTD, a processing instruction, or is over a limit.
        InvalidParameterError: It is no well-formed SSML.
        EmptyTextError: It says nothing.
    """
    document = parse(ssml)
    if not is_speakable(document.text):
        raise EmptyTextError("the SSML has no text that can be spoken")
    ends = _without_cuts_in_wholes(
        list(_ends(document, language, fast_start=fast_start, max_characters=max_characters)),
        document.runs,
    )
    cut = groupby(_cut(document.runs, ends), key=lambda numbered: numbered[0])
    groups = ([run for _, run in numbered] for _, numbered in cut)
    return _attach(_assemble(groups), document)


def _ends(
    document: Document, language: str | None, *, fast_start: bool, max_characters: int
) -> Iterator[int]:
    """Yield where the tiles of the document's text end, sentence by sentence."""
    text = document.text.translate(_LAYOUT)
    starts = _starts(document.runs)
    for start, end in pairwise(sorted({0, *document.borders, len(text)})):
        part = text[start:end]
        if not is_speakable(part):
            yield end
            continue
        spoken = document.runs[bisect_right(starts, start) - 1].style.language
        tiles = segment(
            part,
            language=spoken or language,
            fast_start=fast_start,
            max_characters=max_characters,
        )
        yield from (start + tile.end for tile in tiles)
        fast_start = False


def _without_cuts_in_wholes(ends: Sequence[int], runs: Sequence[Run]) -> list[int]:
    starts = _starts(runs)

    def is_within_whole(end: int) -> bool:
        index = bisect_left(starts, end) - 1
        inside = starts[index] < end < starts[index] + len(runs[index].text)
        return inside and runs[index].style.is_whole

    return [end for end in ends if not is_within_whole(end)]


def _starts(runs: Iterable[Run]) -> list[int]:
    lengths = [len(run.text) for run in runs]
    return [0, *accumulate(lengths[:-1])]


def _cut(runs: Sequence[Run], ends: Sequence[int]) -> Iterator[tuple[int, Run]]:
    """Yield the runs cut at the ends, each with the number of the tile it belongs to."""
    for at, run in zip(_starts(runs), runs, strict=True):
        inner = ends[bisect_right(ends, at) : bisect_left(ends, at + len(run.text))]
        for start, end in pairwise([at, *inner, at + len(run.text)]):
            tile = min(bisect_right(ends, start), len(ends) - 1)
            yield tile, run.slice(start - at, end - at)


@dataclass(frozen=True, slots=True)
class _Clean:
    """A run as engines may have it, and what sanitising changed in the caller's text."""

    run: Run
    changes: tuple[Change, ...]


def _assemble(groups: Iterable[Sequence[Run]]) -> list[Passage]:
    """Make a passage of each group; what cannot be spoken goes to a neighbour, as silence."""
    passages: list[Passage] = []
    silent: list[_Clean] = []
    for group in groups:
        clean = [_sanitised(run) for run in group]
        if is_speakable("".join(it.run.text for it in clean)):
            passages.append(_passage(len(passages), silent, clean))
            silent = []
        else:
            silent += clean
    if silent:
        passages[-1] = _closed(passages[-1], silent)
    return passages


def _passage(index: int, silent: Sequence[_Clean], clean: Sequence[_Clean]) -> Passage:
    pause, marks = _silence(silent)
    first, *others = [it.run for it in clean]
    first = first._replace(pause=round(pause + first.pause, 3), marks=(*marks, *first.marks))
    every = [*silent, *clean]
    return Passage(index, _extent(every), (first, *others), _changes(every))


def _closed(passage: Passage, silent: Sequence[_Clean]) -> Passage:
    """Return the passage with the silence after it."""
    pause, marks = _silence(silent)
    end = max(passage.span[1], _extent(silent)[1])
    last = Run("", Offsets.identity(end), PLAIN, pause, marks)
    return replace(
        passage,
        span=(passage.span[0], end),
        runs=(*passage.runs, last) if pause or marks else passage.runs,
        changes=passage.changes + _changes(silent),
    )


def _silence(silent: Iterable[_Clean]) -> tuple[float, tuple[Mark, ...]]:
    """Return all the pauses and marks of text that is not spoken."""
    runs = [it.run for it in silent]
    marks = tuple(replace(mark, index=0) for run in runs for mark in run.marks)
    return round(sum(run.pause for run in runs), 3), marks


def _extent(clean: Sequence[_Clean]) -> Span:
    return (clean[0].run.span[0], clean[-1].run.span[1])


def _changes(clean: Iterable[_Clean]) -> tuple[Change, ...]:
    return tuple(change for it in clean for change in it.changes)


def _sanitised(run: Run) -> _Clean:
    clean = sanitise(run.text.translate(_LAYOUT))
    if not clean.changes:
        return _Clean(run._replace(text=clean.text), ())
    changed = run._replace(
        text=clean.text,
        offsets=clean.offsets.through(run.offsets),
        marks=tuple(
            replace(mark, index=_index_of(mark.index, clean.offsets, len(clean.text)))
            for mark in run.marks
        ),
    )
    changes = (replace(change, span=run.offsets.span(*change.span)) for change in clean.changes)
    return _Clean(changed, tuple(changes))


def _index_of(source: int, offsets: Offsets, length: int) -> int:
    """Return where in the sanitised text the character ``source`` of the raw one is now."""
    return bisect_left(range(length), source, key=offsets.source)


def _attach(passages: Sequence[Passage], document: Document) -> list[Passage]:
    """Return the passages with what was found while reading the document, each at its place."""
    ends = [passage.span[1] for passage in passages[:-1]]

    def place(span: Span) -> int:
        return bisect_right(ends, span[0])

    losses: list[list[Loss]] = [[] for _ in passages]
    changes = [list(passage.changes) for passage in passages]
    for loss in document.losses:
        losses[place(loss.span)].append(loss)
    for change in document.changes:
        changes[place(change.span)].append(change)
    return [
        replace(passage, losses=tuple(lost), changes=tuple(changed))
        for passage, lost, changed in zip(passages, losses, changes, strict=True)
    ]
