from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ttskit.text.plan import TextPlanner, plan_ssml
from ttskit.text.words import words


def rest(ssml: str, word: str) -> str | None:
    [passage] = plan_ssml(ssml)
    left = passage.after(ssml.index(word) + len(word))
    return None if left is None else left.text.strip()


@given(text=st.from_regex(r"([a-z0-9.'-]{1,8}[ ,;]{1,2}){2,8}[a-z]{1,5}[.!]", fullmatch=True))
def test_what_is_left_begins_with_the_next_word(text: str) -> None:
    planner = TextPlanner()
    for passage in planner.feed(text) + planner.finish():
        spoken = [span for span in words(text) if passage.span[0] <= span[0] < passage.span[1]]
        for before, after in pairwise(spoken):
            left = passage.after(before[1])
            assert left is not None
            assert left.span == (before[1], passage.span[1])
            assert left.text.lstrip(" .,;'-").startswith(text[slice(*after)])


def test_nothing_is_left_after_the_last_word() -> None:
    assert rest("<speak>One two three.</speak>", "three") is None


def test_markup_of_what_is_left_stays() -> None:
    [passage] = plan_ssml("<speak>One <emphasis>two three</emphasis> four.</speak>")
    left = passage.after(len("<speak>One <emphasis>two"))
    assert left is not None
    assert [(run.text.strip(), run.style.emphasis) for run in left.runs] == [
        ("three", "moderate"),
        ("four.", None),
    ]


def test_what_must_not_be_split_is_said_again_whole() -> None:
    ssml = '<speak>Call <say-as interpret-as="characters">ABC DEF</say-as> now.</speak>'
    assert rest(ssml, "ABC") == "ABC DEF now."


def test_closing_punctuation_belongs_to_what_was_said() -> None:
    assert rest("<speak>(One two), three.</speak>", "two") == "three."
