"""Where each character of a processed text came from in the caller's own text."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

Span = tuple[int, int]
"""Start and end (exclusive) in characters."""

_LINEAR = -1


class _Piece(NamedTuple):
    """A stretch of processed text; ``till`` is ``_LINEAR`` where each character has its own source.

    Otherwise the whole stretch stands for the whole source span ``(to, till)``.
    """

    at: int
    to: int
    till: int = _LINEAR

    def first(self, index: int) -> int:
        return self.to + index - self.at if self.till == _LINEAR else self.to

    def last(self, index: int) -> int:
        return self.to + index - self.at + 1 if self.till == _LINEAR else self.till

    def moved(self, *, at: int = 0, to: int = 0) -> _Piece:
        till = self.till if self.till == _LINEAR else self.till + to
        return _Piece(self.at + at, self.to + to, till)


@dataclass(frozen=True, slots=True)
class Offsets:
    """Maps indices of a processed text to indices of the text it came from.

    Building is linear in the number of changes, a look-up logarithmic in it. The last stretch is
    open-ended, so an index beyond the processed text maps beyond the end of its source.
    """

    _pieces: tuple[_Piece, ...]
    _starts: tuple[int, ...]

    @classmethod
    def _build(cls, pieces: Iterable[_Piece]) -> Self:
        """Join what continues its neighbour, so that untouched text is one piece."""
        kept: list[_Piece] = []
        for piece in pieces:
            if kept and kept[-1].at == piece.at:
                kept.pop()
            if kept and piece.till == kept[-1].till == _LINEAR and _continues(kept[-1], piece):
                continue
            kept.append(piece)
        return cls(tuple(kept), tuple(piece.at for piece in kept))

    @classmethod
    def identity(cls, start: int = 0) -> Self:
        """Return the map of an unchanged text that begins at ``start`` of its source."""
        return cls((_Piece(0, start),), (0,))

    @classmethod
    def of(cls, pieces: Iterable[tuple[int, int, int]], *, start: int = 0) -> Self:
        """Return the map of a text made of pieces.

        Args:
            pieces: For each, in order: its length in the processed text and the start and end of
                its source. Equal lengths map character by character, others as one block (markup
                that stands for no source has an empty one).
            start: The source of index 0 where there is no piece.
        """
        return cls._build(_laid_out(pieces, start))

    @classmethod
    def concat(cls, parts: Iterable[tuple[Offsets, int]], *, start: int = 0) -> Self:
        """Return the map of texts put end to end.

        Args:
            parts: The map of each text, and the text's length.
            start: The source of index 0 where there is no part.
        """
        return cls._build(_chained(parts, start))

    def source(self, index: int) -> int:
        """Return the source index of the character at ``index``."""
        return self._piece(index).first(index)

    def span(self, start: int, end: int) -> Span:
        """Return the source of ``[start, end)``: all that its characters came from, no more."""
        first = self.source(start)
        return (first, self._piece(end - 1).last(end - 1)) if end > start else (first, first)

    def shifted(self, by: int) -> Offsets:
        """Return the map into a source that has ``by`` more characters before it."""
        return Offsets(tuple(piece.moved(to=by) for piece in self._pieces), self._starts)

    def slice(self, start: int, end: int) -> Offsets:
        """Return the map of the processed text's ``[start, end)``."""
        pieces = [piece.moved(at=-start) for piece in self._within(start, end)]
        beyond = self.span(end - 1, end)[1] if end > start else self.source(start)
        return Offsets._build([*pieces, _Piece(end - start, beyond)])

    def through(self, outer: Offsets) -> Offsets:
        """Return this map followed by ``outer``, which maps this one's source further back."""
        return Offsets._build(self._mapped(outer))

    def _piece(self, index: int) -> _Piece:
        return self._pieces[max(0, bisect_right(self._starts, index) - 1)]

    def _within(self, start: int, end: int | None) -> Iterator[_Piece]:
        """Yield the pieces that touch ``[start, end)``, the first one cut to begin at ``start``."""
        piece = self._piece(start)
        yield _Piece(start, piece.first(start), piece.till)
        low = bisect_right(self._starts, start)
        high = len(self._starts) if end is None else bisect_left(self._starts, end)
        yield from self._pieces[low:high]

    def _mapped(self, outer: Offsets) -> Iterator[_Piece]:
        for piece, after in zip(self._pieces, (*self._pieces[1:], None), strict=True):
            if piece.till != _LINEAR:
                yield _Piece(piece.at, *outer.span(piece.to, piece.till))
                continue
            until = None if after is None else piece.to + after.at - piece.at
            for inner in outer._within(piece.to, until):
                yield inner.moved(at=piece.at - piece.to)


def _continues(before: _Piece, piece: _Piece) -> bool:
    return piece.to - piece.at == before.to - before.at


def _laid_out(pieces: Iterable[tuple[int, int, int]], start: int) -> Iterator[_Piece]:
    at = 0
    end = start
    for length, source_start, source_end in pieces:
        linear = length == source_end - source_start
        if length:
            yield _Piece(at, source_start, _LINEAR if linear else source_end)
        at += length
        end = source_end
    yield _Piece(at, end)


def _chained(parts: Iterable[tuple[Offsets, int]], start: int) -> Iterator[_Piece]:
    at = 0
    end = start
    for offsets, length in parts:
        for piece in offsets.slice(0, length)._within(0, length):  # noqa: SLF001 - of the same room
            yield piece.moved(at=at)
        at += length
        end = offsets.source(length)
    yield _Piece(at, end)
