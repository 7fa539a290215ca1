from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.errors import EmptyTextError, InvalidParameterError
from ttskit.routing.script import Cue, Layout, Recital, arriving, whole

LAYOUT = Layout(language=None, fast_start=False, utterance_characters=400, max_characters=1_000)
TEXT = "Dr. Smith came. He said: go! \u201cNo,\u201d she said, and left\u2026 Then  silence."


async def cues_of(pieces: list[str] | AsyncIterator[str]) -> list[Cue]:
    return [cue async for cue in arriving(pieces, LAYOUT)]


def test_a_whole_text_is_cut_into_cues_that_hold_the_callers_text() -> None:
    async def main() -> list[Cue]:
        return [cue async for cue in Recital(whole(TEXT, None, LAYOUT), TEXT)]

    cues = anyio.run(main)
    assert "".join(cue.text for cue in cues) == TEXT
    assert [cue.is_last for cue in cues] == [False] * (len(cues) - 1) + [True]


@given(st.lists(st.integers(0, len(TEXT)), max_size=8))
def test_arriving_text_gives_the_same_cues_however_it_is_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TEXT)]
    pieces = [TEXT[a:b] for a, b in pairwise(edges)]
    passages = [cue.passage for cue in anyio.run(cues_of, pieces)]
    assert passages == whole(TEXT, None, LAYOUT)


@given(st.lists(st.text(), max_size=8))
def test_a_cues_text_is_its_span_of_what_arrived(pieces: list[str]) -> None:
    text = "".join(pieces)
    for cue in anyio.run(cues_of, pieces):
        assert cue.text == text[slice(*cue.passage.span)]


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        pytest.param("It is done.", True, id="full stop"),
        pytest.param("She said \u201cYes!\u201d ", True, id="closing quote"),
        pytest.param("Chapter One\n\n", True, id="heading"),
        pytest.param("\u7d42\u308f\u308a\u3002", True, id="ideographic full stop"),
        pytest.param("far below him, ", False, id="comma"),
    ],
)
def test_a_cue_knows_whether_it_ends_a_sentence(text: str, ends: bool) -> None:  # noqa: FBT001 - parametrised
    (cue,) = anyio.run(cues_of, [text])
    assert cue.ends_sentence is ends


def test_text_without_words_gives_no_cue() -> None:
    assert anyio.run(cues_of, ["", " \n", "\u200b"]) == []


def test_a_whole_text_without_words_is_an_error() -> None:
    with pytest.raises(EmptyTextError):
        whole(" ", None, LAYOUT)


def test_a_piece_that_is_no_text_is_refused() -> None:
    async def pieces() -> AsyncIterator[str]:
        yield b"bytes"  # type: ignore[misc] # that is the point

    with pytest.raises(InvalidParameterError, match="bytes"):
        anyio.run(cues_of, pieces())
