# ruff: noqa: RUF001 - text of many scripts

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.text.words import words

CASES = {
    "english": ("Don't say that, please.", ["Don't", "say", "that", "please"]),
    "numbers": ("It is 3.14, or 50%.", ["It", "is", "3.14", "or", "50%"]),
    "names": ("Use C++, C# and node.js!", ["Use", "C++", "C#", "and", "node.js"]),
    "maths": ("x < 3 and y > 2", ["x", "<", "3", "and", "y", ">", "2"]),
    "dashes": ("One—two…three – four", ["One", "two", "three", "four"]),
    "backticks": ("Run `make`.", ["Run", "make"]),
    "leaders": ("Intro ........ 12", ["Intro", "12"]),
    "hyphen": ("a well-known e-mail", ["a", "well-known", "e-mail"]),
    "chinese": ("我爱你，ok？", ["我", "爱", "你", "ok"]),
    "japanese": ("これはテスト。", ["こ", "れ", "は", "テスト"]),
    "hindi": ("नमस्ते, दुनिया।", ["नमस्ते", "दुनिया"]),
    "arabic": ("مرحبا، كيف حالك؟", ["مرحبا", "كيف", "حالك"]),
    "persian": ("می\u200cخواهم بروم.", ["می\u200cخواهم", "بروم"]),
    "decomposed": ("cafe\u0301!", ["cafe\u0301"]),
    "emoji": ("Yes 👍🏽!", ["Yes", "👍🏽"]),
    "nothing": (" ... *** ", []),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_words_are_what_is_spoken(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in words(text)] == expected


@given(st.text())
def test_words_are_in_order_and_apart(text: str) -> None:
    edges = [edge for span in words(text) for edge in span]
    assert edges == sorted(edges)
    assert all(start < end for start, end in words(text))


@given(st.text())
def test_every_letter_and_digit_is_in_a_word(text: str) -> None:
    covered = {index for start, end in words(text) for index in range(start, end)}
    blank = "\u115f\u1160\u3164\uffa0"
    assert all(index in covered for index, c in enumerate(text) if c.isalnum() and c not in blank)
