"""Words that a provider names, placed in the text they come from."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.adapters.base import TimedText
from ttskit.adapters.timing import CharacterTimes, WordFinder
from ttskit.errors import InvalidResponseError
from ttskit.routing.verdict import check_said


def timed(text: str, words: list[str]) -> list[TimedText]:
    """Return what is made of words that take a second each."""
    finder = WordFinder(text)
    found = [one for at, word in enumerate(words) for one in finder.timed(word, at, at + 1)]
    return [*found, *finder.finish()]


def heard(text: str, words: list[str]) -> list[tuple[str, float, float]]:
    return [(text[slice(*one.span)], one.start, one.end) for one in timed(text, words)]


def test_words_are_found_in_any_case() -> None:
    assert heard("One, TWO.", ["one", "two"]) == [("One", 0, 1), ("TWO", 1, 2)]


@pytest.mark.parametrize(
    ("text", "words", "last"),
    [
        ("It costs $5.", ["It", "costs", "five", "dollars"], ("$5.", 2, 4)),
        ("Room 12 B ", ["Room", "twelve", "bee"], ("12 B", 1, 3)),
        ("Dr. No", ["Doctor", "No"], ("No", 1, 2)),
        ("5", ["five"], ("5", 0, 1)),
    ],
)
def test_an_end_that_was_spelt_otherwise_was_said(
    text: str, words: list[str], last: tuple[str, float, float]
) -> None:
    assert heard(text, words)[-1] == last
    check_said(text, timed(text, words))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It costs $5 for all of us.", ["It", "costs", "five", "dollars"]),
        ("One two three.", ["One", "two"]),
        ("12 and so on", ["twelve", "and"]),
        ("One two", ["One", "..."]),
    ],
)
def test_an_end_that_was_cut_off_is_missed(text: str, words: list[str]) -> None:
    with pytest.raises(InvalidResponseError):
        check_said(text, timed(text, words))


@given(
    words=st.lists(st.text("abc123$ ", min_size=1, max_size=5), max_size=8),
    said=st.lists(st.text("abc123", min_size=1, max_size=5), max_size=8),
)
def test_words_stand_one_after_the_other(words: list[str], said: list[str]) -> None:
    text = " ".join(words)
    places = [place for one in timed(text, said) for place in one.span]
    assert places == sorted(places)
    assert all(0 <= place <= len(text) for place in places)
    assert all(text[slice(*one.span)].strip() for one in timed(text, said))


@given(text=st.text(min_size=1), cuts=st.lists(st.integers(0, 60)), every=st.integers(0, 3))
def test_words_keep_the_times_of_their_characters_however_they_come(
    text: str, cuts: list[int], every: int
) -> None:
    """Characters that a provider leaves out, here every n-th, are not timed."""
    told = [(index, it) for index, it in enumerate(text) if not every or index % (every + 1)]
    edges = sorted({0, *(cut for cut in cuts if cut < len(told)), len(told)})
    finder, plain = CharacterTimes(text, keeps=True), CharacterTimes(text)
    words: list[TimedText] = []
    bare: list[TimedText] = []
    for start, end in pairwise(edges):
        piece = told[start:end]
        given_ = ([it for _, it in piece], [i for i, _ in piece], [i + 1 for i, _ in piece])
        words += finder.add(*given_)
        bare += plain.add(*given_)
    words += finder.finish()
    bare += plain.finish()
    assert [replace(word, characters=()) for word in words] == bare
    for word in words:
        each = word.characters
        assert (each[0].span[0], each[-1].span[1]) == word.span
        assert (each[0].start, each[-1].end) == (word.start, word.end)
    if not every:
        timed = [text[slice(*one.span)] for word in words for one in word.characters]
        assert timed == [it for it in text if not it.isspace()]
