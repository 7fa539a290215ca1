"""Where the text comes from, and that it is UTF-8."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from ttskit.cli.source import Source, decoded, opened
from ttskit.errors import InvalidParameterError

NO_SURROGATES = st.text(st.characters(exclude_categories=["Cs"]))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True) if a < b]


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@given(text=NO_SURROGATES, places=st.lists(st.integers(0, 400)))
def test_text_is_the_same_however_its_bytes_are_cut(text: str, places: list[int]) -> None:
    assert "".join(decoded(cut(text.encode(), places), "x")) == text.removeprefix("\ufeff")


@given(text=NO_SURROGATES, places=st.lists(st.integers(0, 400)))
def test_the_place_of_a_bad_byte_is_right(text: str, places: list[int]) -> None:
    data = text.encode()
    with pytest.raises(InvalidParameterError, match=rf"0xff at offset {len(data)}\)"):
        list(decoded(cut(data + b"\xff", places), "x"))


def test_text_cut_off_in_a_character_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="x is not UTF-8"):
        list(decoded([b"a\xe2\x82"], "x"))


@given(pieces=st.lists(st.text()), limit=st.integers(0, 30))
def test_reading_ahead_loses_nothing(pieces: list[str], limit: int) -> None:
    source, text = Source(pieces), "".join(pieces)
    ahead = source.read_ahead(limit)
    assert text.startswith(ahead)
    assert ahead == text or len(ahead) > limit
    assert "".join(source.pieces()) == text


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        pytest.param(["Hello."], "Hello.", id="text"),
        pytest.param(["Read", "a.txt"], "Read a.txt", id="words"),
        pytest.param(["see a.txt"], "see a.txt", id="text that ends like a file"),
        pytest.param(["a.txt"], "content", id="text file"),
        pytest.param(["a.wav"], "a.wav", id="other file"),
        pytest.param(["my notes.md"], "content", id="file with a space"),
        pytest.param(["x" * 5_000 + " .txt"], "x" * 5_000 + " .txt", id="too long for a file"),
    ],
)
def test_arguments_mean_a_text_or_a_text_file(words: list[str], meant: str) -> None:
    for name in ("a.txt", "a.wav", "my notes.md"):
        Path(name).write_text("content")
    with opened(words, text=None, file=None, is_ssml=False, stdin=None) as source:
        assert source.read_ahead(10_000) == meant


def test_a_file_tells_how_long_it_is() -> None:
    Path("a.txt").write_text("ä" * 1_000, encoding="utf-8")
    with opened(["a.txt"], text=None, file=None, is_ssml=False, stdin=None) as source:
        assert source.characters == 1_000


def test_nothing_on_a_terminal_is_a_mistake() -> None:
    with (
        pytest.raises(InvalidParameterError, match="nothing to say"),
        opened([], text=None, file=None, is_ssml=False, stdin=Terminal()),
    ):
        pass


def test_a_closed_stdin_is_a_mistake() -> None:
    with (
        pytest.raises(InvalidParameterError, match="closed"),
        opened(["-"], text=None, file=None, is_ssml=False, stdin=None),
    ):
        pass


def test_a_pipe_gives_its_text_before_it_ends() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"so far")
    with (
        open(reading) as stdin,  # noqa: PTH123 - a descriptor has no path
        opened(["-"], text=None, file=None, is_ssml=False, stdin=stdin) as source,
    ):
        assert next(source.pieces()) == "so far"
        os.close(writing)


def test_leaving_frees_whoever_waits_for_a_pipe() -> None:
    reading, writing = os.pipe()
    with open(reading) as stdin:  # noqa: PTH123 - a descriptor has no path
        with opened(["-"], text=None, file=None, is_ssml=False, stdin=stdin) as source:
            pieces: Iterator[str] = source.pieces()
        assert list(pieces) == []
        os.close(writing)
