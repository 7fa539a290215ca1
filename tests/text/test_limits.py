from __future__ import annotations

import pytest

from ttskit.errors import EmptyTextError, TextTooLongError
from ttskit.text.limits import check_text

NOTHING_TO_SAY = {
    "empty": "",
    "blank": " \t\r\n\u3000\u00a0",
    "control-only": "\x00\x07\x1b\x7f",
    "terminal-colours-only": "\x1b\x9b\x00",
    "zero-width-only": "\u200b\u200d\u2060\ufeff",
    "bidi-only": "\u202e\u2066\u200f",
    "lone-surrogates": "\udfff\ud800",
    "marks-only": "\u0301\u0302",
    "hangul-filler": "\u3164\u115f",
    "braille-blank": "\u2800",
    "noncharacters": "\ufffe\U0001ffff",
    "dots": "...",
    "stars": "***",
    "a-rule": "=====",
    "a-drawn-line": "─────",
    "a-question-mark": "?",
    "cjk-stop": "。",
}

SOMETHING_TO_SAY = {
    "letter": "a",
    "digit": "7",
    "plus": "+",
    "euro": "€",
    "percent": "%",
    "emoji": "👍",
    "emoji-newer-than-python": "\U0001fae8",
    "emoji-as-surrogates": "\ud83d\ude00",
    "han": "我",
    "devanagari": "क",
    "superscript": "²",
    "less-than": "<",
    "word-in-punctuation": "«¿…ok…?»",
}


@pytest.mark.parametrize("text", NOTHING_TO_SAY.values(), ids=NOTHING_TO_SAY)
def test_a_text_with_nothing_to_say_is_refused(text: str) -> None:
    with pytest.raises(EmptyTextError):
        check_text(text, max_characters=100)


@pytest.mark.parametrize("text", SOMETHING_TO_SAY.values(), ids=SOMETHING_TO_SAY)
def test_whatever_an_engine_can_say_is_let_through(text: str) -> None:
    check_text(text, max_characters=100)


def test_the_limit_itself_is_allowed_and_one_more_is_not() -> None:
    check_text("a" * 10, max_characters=10)
    with pytest.raises(TextTooLongError, match="11 characters, 10 are allowed"):
        check_text("a" * 11, max_characters=10)


def test_no_error_repeats_the_text() -> None:
    with pytest.raises(TextTooLongError) as caught:
        check_text("secret" * 1000, max_characters=10)
    assert "secret" not in str(caught.value)
