from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.codecs.sink import Sink


@given(st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=20)), max_size=12))
def test_what_is_held_is_what_a_file_would_hold(writes: list[tuple[int, bytes]]) -> None:
    sink, file = Sink(hold=True), io.BytesIO()
    for at, data in writes:
        position = min(at, len(file.getvalue()))
        for target in (sink, file):
            target.seek(position)
            target.write(data)
        assert sink.tell() == file.tell()
    assert sink.take() == b""
    assert sink.rest() == file.getvalue()


@given(st.lists(st.binary(max_size=20), max_size=12))
def test_what_is_taken_piece_by_piece_is_what_was_written(pieces: list[bytes]) -> None:
    sink, taken = Sink(hold=False), b""
    for piece in pieces:
        sink.write(piece)
        taken += sink.take()
    assert taken == b"".join(pieces)


def test_a_correction_lands_only_where_bytes_are_still_here() -> None:
    sink = Sink(hold=False)
    sink.write(b"0123")
    assert sink.take() == b"0123"
    sink.write(b"4567")
    sink.seek(2)
    sink.write(b"abcd")
    assert sink.rest() == b"cd67"


@pytest.mark.parametrize(
    ("offset", "whence", "position"),
    [(3, io.SEEK_SET, 3), (-1, io.SEEK_CUR, 7), (-2, io.SEEK_END, 6)],
)
def test_the_position_moves_as_in_a_file(offset: int, whence: int, position: int) -> None:
    sink = Sink(hold=False)
    sink.write(b"abcd")
    sink.take()
    sink.write(b"efgh")
    assert sink.seek(offset, whence) == position == sink.tell()
