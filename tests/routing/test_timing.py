from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.adapters.base import TimedText
from ttskit.routing.timing import estimate_words, split_characters


@given(text=st.text(), start=st.floats(0, 100), seconds=st.floats(0, 100))
def test_estimates_fill_the_time_in_order(text: str, start: float, seconds: float) -> None:
    timed = estimate_words(text, start=start, end=start + seconds)
    edges = [edge for word in timed for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    if timed:
        assert edges[0] == start
        assert edges[-1] == pytest.approx(start + seconds)


def test_a_longer_word_takes_longer() -> None:
    short, long = estimate_words("a incomprehensible", start=0, end=2)
    assert long.end - long.start > short.end - short.start


def test_characters_share_their_words_time() -> None:
    first, second = split_characters(TimedText(1.0, 2.0, (4, 6)))
    assert (first.span, first.end, second.span) == ((4, 5), 1.5, (5, 6))


@given(start=st.integers(0, 50), length=st.integers(0, 9))
def test_every_character_of_a_word_is_timed_once(start: int, length: int) -> None:
    word = TimedText(0.0, 1.0, (start, start + length))
    characters = [entry.span[0] for entry in split_characters(word)]
    assert characters == [start + index for index in range(length)]
