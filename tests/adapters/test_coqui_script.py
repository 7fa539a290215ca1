"""A text as lines that XTTS says whole."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.coqui_models import write_letters
from ttskit.adapters.coqui_script import Script, packed
from ttskit.errors import DependencyMissingError, TextTooLongError, UnsupportedFeatureError
from ttskit.text.segment import Segment

if TYPE_CHECKING:
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

pytestmark = pytest.mark.engine("coqui")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> VoiceBpeTokenizer:
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

    file = tmp_path_factory.mktemp("letters") / "vocab.json"
    write_letters(file)
    return VoiceBpeTokenizer(file)


def lines(
    tokenizer: VoiceBpeTokenizer, text: str, language: str = "en", ids: int = 400
) -> list[str]:
    return list(Script(tokenizer, language, most_ids=ids).lines(text))


@given(st.text("ab .,!?\n", max_size=900), st.integers(10, 400))
def test_every_letter_is_said_once_in_lines_that_are_short_enough(
    tokenizer: VoiceBpeTokenizer, text: str, ids: int
) -> None:
    said = lines(tokenizer, text, ids=ids)
    assert "".join(filter(str.isalpha, "".join(said))) == "".join(filter(str.isalpha, text))
    assert all(len(line) <= 250 and len(tokenizer.encode(line, "en")) <= ids for line in said)


@given(st.lists(st.text("ab. ", min_size=1, max_size=12), max_size=20), st.integers(12, 40))
def test_neighbours_stand_together_where_they_may(texts: list[str], longest: int) -> None:
    made = list(packed([Segment(text, 0, len(text)) for text in texts], longest))
    assert "".join(made) == "".join(texts)
    assert all(len(line) <= longest for line in made)
    assert len(made) <= max(1, 2 * -(-len("".join(texts)) // longest))


def test_short_sentences_are_said_in_one_breath(tokenizer: VoiceBpeTokenizer) -> None:
    assert lines(tokenizer, "One is here. Two is there. ") == ["one is here. two is there."]


@pytest.mark.parametrize(("language", "longest"), [("en", 250), ("de", 253), ("pl", 224)])
def test_the_longest_line_is_the_languages_own(
    tokenizer: VoiceBpeTokenizer, language: str, longest: int
) -> None:
    said = lines(tokenizer, "ab " * 300, language)
    assert longest - 10 < max(map(len, said)) <= longest


def test_numbers_that_are_long_when_spoken_are_cut(tokenizer: VoiceBpeTokenizer) -> None:
    said = lines(tokenizer, "777777 " * 30)
    assert len(said) > 1
    assert "".join(said).count("777777") == 30


def test_small_letters_that_are_more_than_their_capitals_fit(tokenizer: VoiceBpeTokenizer) -> None:
    said = lines(tokenizer, "\u0130b " * 75)  # in small letters, an i and a dot of its own
    assert "".join(said).count("b") == 75
    assert max(map(len, said)) <= 250


def test_a_character_that_cannot_be_read_whole_is_told(tokenizer: VoiceBpeTokenizer) -> None:
    with pytest.raises(TextTooLongError):
        lines(tokenizer, "7", ids=3)


def test_a_number_without_words_is_told(tokenizer: VoiceBpeTokenizer) -> None:
    with pytest.raises(UnsupportedFeatureError, match="no words in 'pl' for a number"):
        lines(tokenizer, "9" * 82, "pl")


@pytest.mark.parametrize(("language", "package"), [("ja", "cutlet"), ("zh-cn", "pypinyin")])
def test_a_language_that_needs_a_package_says_so(
    tokenizer: VoiceBpeTokenizer, monkeypatch: pytest.MonkeyPatch, language: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DependencyMissingError, match=r"coqui-tts\[languages\]"):
        lines(tokenizer, "\u4f60\u597d", language)
