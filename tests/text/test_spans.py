from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.text.spans import Offsets

PIECES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 4)), max_size=8)
"""Length in the processed text, source characters left out before, length in the source."""

Laid = list[tuple[int, int, int]]


def laid_out(pieces: Laid, start: int = 0) -> Laid:
    placed, at = [], start
    for length, skipped, source_length in pieces:
        placed.append((length, at + skipped, at + skipped + source_length))
        at += skipped + source_length
    return placed


def expected_spans(placed: Laid) -> list[tuple[int, int]]:
    """Return each processed character's source, one by one: the slow, obvious way."""
    spans: list[tuple[int, int]] = []
    for length, start, end in placed:
        linear = length == end - start
        spans += [(start + i, start + i + 1) if linear else (start, end) for i in range(length)]
    return spans


def spans_of(offsets: Offsets, length: int) -> list[tuple[int, int]]:
    return [offsets.span(index, index + 1) for index in range(length)]


def test_an_unchanged_text_maps_to_itself() -> None:
    offsets = Offsets.identity(100)
    assert offsets.source(7) == 107
    assert offsets.span(2, 5) == (102, 105)


def test_a_span_leaves_out_what_was_removed_beside_it() -> None:
    # "ab<zero width>cd" processed to "abcd"
    offsets = Offsets.of([(2, 0, 2), (2, 3, 5)])
    assert offsets.span(0, 2) == (0, 2)
    assert offsets.span(2, 4) == (3, 5)
    assert offsets.span(0, 4) == (0, 5)


def test_a_composed_character_maps_to_all_it_was_composed_of() -> None:
    offsets = Offsets.of([(3, 0, 3), (1, 3, 5), (1, 5, 6)])
    assert offsets.span(3, 4) == (3, 5)
    assert offsets.span(4, 5) == (5, 6)


def test_markup_that_stands_for_nothing_has_an_empty_source() -> None:
    offsets = Offsets.of([(7, 10, 10), (5, 10, 15), (8, 15, 15)])
    assert offsets.span(0, 7) == (10, 10)
    assert offsets.span(7, 12) == (10, 15)
    assert offsets.span(0, 20) == (10, 15)


def test_an_empty_span_is_empty_at_its_place() -> None:
    assert Offsets.of([(2, 0, 2), (2, 3, 5)]).span(2, 2) == (3, 3)


def test_untouched_neighbours_are_kept_as_one_piece() -> None:
    offsets = Offsets.of((1, index, index + 1) for index in range(1000))
    assert len(offsets._pieces) == 1


@given(PIECES, st.integers(0, 50))
def test_each_character_maps_to_its_own_piece(pieces: Laid, start: int) -> None:
    placed = laid_out(pieces, start)
    expected = expected_spans(placed)
    assert spans_of(Offsets.of(placed, start=start), len(expected)) == expected


@given(PIECES, st.data())
def test_a_slice_maps_as_the_whole_does(pieces: Laid, data: st.DataObject) -> None:
    whole = Offsets.of(laid_out(pieces))
    length = sum(piece[0] for piece in pieces)
    start = data.draw(st.integers(0, length))
    end = data.draw(st.integers(start, length))
    assert spans_of(whole.slice(start, end), end - start) == spans_of(whole, length)[start:end]


@given(PIECES, st.integers(0, 50))
def test_shifting_moves_every_source(pieces: Laid, by: int) -> None:
    offsets = Offsets.of(laid_out(pieces))
    length = sum(piece[0] for piece in pieces)
    moved = [(start + by, end + by) for start, end in spans_of(offsets, length)]
    assert spans_of(offsets.shifted(by), length) == moved


@given(PIECES, PIECES)
def test_joined_texts_map_as_each_did(left: Laid, right: Laid) -> None:
    parts = [Offsets.of(laid_out(left)), Offsets.of(laid_out(right, start=100))]
    lengths = [sum(piece[0] for piece in pieces) for pieces in (left, right)]
    joined = Offsets.concat(zip(parts, lengths, strict=True))
    apart = [spans_of(part, length) for part, length in zip(parts, lengths, strict=True)]
    assert spans_of(joined, sum(lengths)) == apart[0] + apart[1]


@given(PIECES, PIECES)
def test_two_maps_in_a_row_are_one(inner: Laid, outer: Laid) -> None:
    first, second = Offsets.of(laid_out(inner)), Offsets.of(laid_out(outer))
    length = sum(piece[0] for piece in inner)
    expected = [second.span(start, end) for start, end in spans_of(first, length)]
    assert spans_of(first.through(second), length) == expected


@pytest.mark.parametrize("parts", [[], [(Offsets.identity(5), 0)]], ids=["none", "empty"])
def test_joining_nothing_maps_to_the_start(parts: list[tuple[Offsets, int]]) -> None:
    assert Offsets.concat(parts, start=5).source(0) == 5
