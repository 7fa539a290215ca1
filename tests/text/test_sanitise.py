# ruff: noqa: RUF001 - text of many scripts

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.text.sanitise import MAX_MARKS, Change, ChangeKind, sanitise

LEGITIMATE = {
    "comparison": "x < 3 and y > 2",
    "dotted-leaders": "Introduction ........ 12",
    "repetition": "a rose is a rose is a rose",
    "backticks": "run `ls -l` now",
    "dollar-brackets": "it costs $(100)",
    "plus-signs": "C++, C#, A+ and g++",
    "dots": "node.js, U.S.A., example.com.",
    "address": "mail me@example.org or see https://example.org/a?b=c&d=%20",
    "lines": "one\n\n\ttwo\r\nthree",
    "spaces": "1\u00a0000\u202f000\u3000円",
    "quotes": "«a» „b“ “c” ‘d’ 'e' \"f\"",
    "emoji-family": "👩\u200d👩\u200d👧 and ❤\ufe0f\u200d🔥 and 👍🏽",
    "emoji-keycap": "1\ufe0f\u20e3",
    "emoji-flags": "🇬🇧 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "persian": "می\u200cخواهم",
    "devanagari": "क्\u200dष and क्\u200cष",
    "malayalam": "ന്\u200d",
    "arabic-vowels": "مُحَمَّدٌ",
    "hebrew-points": "שָׁלוֹם",
    "thai": "ภาษาไทย\u200bง่าย",
    "vietnamese": "Việt Nam ở đây",
    "polytonic": "ᾧ τινι",
    "hangul": "한국어",
    "cjk": "你好，世界。ＡＢＣ１２３「はい」",
    "salutation": "\ufdfa",
    "fractions": "½ x² ①",
    "escaped": "\\x1b[31m is a colour",
}


@pytest.mark.parametrize("text", LEGITIMATE.values(), ids=LEGITIMATE)
def test_legitimate_text_reaches_the_engine_as_it_is(text: str) -> None:
    assert sanitise(text).text == text
    assert sanitise(text).changes == ()


CHANGED = {
    "control": ("a\x00b\x07", "ab", [((1, 2), ChangeKind.CONTROL), ((3, 4), ChangeKind.CONTROL)]),
    "colour": ("\x1b[1;31mred\x1b[0m", "red", [((0, 7), "control"), ((10, 14), "control")]),
    "mislabelled": ("don\x92t", "don’t", [((3, 4), "control")]),
    "form-feed": ("a\x0cb", "a\nb", [((1, 2), "control")]),
    "soft-hyphen": ("co\u00adop", "coop", [((2, 3), "invisible")]),
    "zero-width": ("he\u200bl\ufefflo", "hello", [((2, 3), "invisible"), ((4, 5), "invisible")]),
    "latin-joiner": ("a\u200db", "ab", [((1, 2), "invisible")]),
    "bidi": ("\u202eabc\u202c", "abc", [((0, 1), "direction"), ((4, 5), "direction")]),
    "noncharacter": ("a\ufffe", "a", [((1, 2), "invisible")]),
    "lone-surrogate": ("a\ud800b", "ab", [((1, 2), "surrogate")]),
    "split-emoji": ("a\ud83d\ude00", "a😀", [((1, 3), "surrogate")]),
    "decomposed": ("cafe\u0301s", "cafés", [((3, 5), "normalised")]),
    "jamo": ("\u1112\u1161\u11ab", "한", [((0, 3), "normalised")]),
    "ligature": ("ﬁsh", "fish", [((0, 1), "normalised")]),
    "fancy-letters": ("𝐇𝐢", "Hi", [((0, 2), "normalised")]),
    "angstrom": ("5 \u212b", "5 Å", [((2, 3), "normalised")]),
}


@pytest.mark.parametrize(("text", "expected", "changes"), CHANGED.values(), ids=CHANGED)
def test_what_is_no_text_goes_and_is_reported(
    text: str, expected: str, changes: list[tuple[tuple[int, int], str]]
) -> None:
    done = sanitise(text)
    assert done.text == expected
    assert [(change.span, change.kind) for change in done.changes] == changes


def test_a_segments_offsets_count_in_the_callers_text() -> None:
    done = sanitise("cafe\u0301 \u200bau lait", start=100)
    at = done.text.index("au")
    assert done.offsets.span(at, at + 2) == (107, 109)
    assert done.offsets.span(3, 4) == (103, 105)
    assert [change.span for change in done.changes] == [(103, 105), (106, 107)]


def test_neighbouring_changes_of_a_kind_are_reported_as_one() -> None:
    assert sanitise("a" + "\u200b" * 500).changes == (Change((1, 501), ChangeKind.INVISIBLE, 500),)


def test_letters_keep_their_places_after_a_removed_mark_and_a_composed_one() -> None:
    text = "e\u200b\u0301x"
    done = sanitise(text)
    assert done.text == "éx"
    assert done.offsets.span(0, 1) == (0, 3)
    assert done.offsets.span(1, 2) == (3, 4)


HOSTILE = {
    "80000-marks": ("a" + "\u0301\u0323" * 40_000, 1 + MAX_MARKS),
    "marks-alone": ("\u0301" * 80_000, MAX_MARKS),
    "marks-and-joiners": ("क" + "\u200d\u0301" * 40_000, 1 + MAX_MARKS),
    "marks-and-zero-width": ("a" + "\u0301\u200b" * 40_000, 1 + MAX_MARKS),
    "marks-and-controls": ("a" + "\u0301\x00" * 40_000, 1 + MAX_MARKS),
    "marks-and-colours": ("a" + ("\u0301" * 8 + "\x1b[m") * 8_000, 1 + MAX_MARKS),
    "marks-that-decompose": ("a" + "\u0344" * 80_000, 1 + MAX_MARKS),
    "digits": ("1" * 1_000_000, 1_000_000),
    "surrogates": ("\ud800" * 80_000, 0),
    "bidi": ("\u202e\u2066" * 40_000, 0),
    "zero-width": ("\u200b\u2060" * 40_000, 0),
    "salutations": ("\ufdfa" * 80_000, 80_000),
}


@pytest.mark.parametrize(("text", "longest"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_never_grows(text: str, longest: int) -> None:
    assert len(sanitise(text).text) <= longest


@pytest.mark.parametrize("text", [text for text, _ in HOSTILE.values()], ids=HOSTILE)
def test_the_work_on_hostile_text_grows_as_the_text_does(text: str) -> None:
    assert calls_in(text[:2_000]) * 2.2 + 100 > calls_in(text[:4_000])


def calls_in(text: str) -> int:
    """Count the function calls that sanitising makes; runs handed to the normaliser are capped."""
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        sanitise(text)
    finally:
        sys.setprofile(before)
    return count


def longest_run_of_marks(text: str) -> int:
    runs = "".join("m" if unicodedata.category(c)[0] == "M" else " " for c in text).split()
    return max(map(len, runs), default=0)


NASTY = st.text(
    st.sampled_from(
        "eaक ﬁ\u0301\u0323\u0344\u0301\u094d\u200d\u200c\u200b\u202e\u00ad"
        "\x00\x1b[m\x0c\x92\ud83d\ude00\ud83f\udffe"
        "\u1112\u1161\u11ab\u212b\U0001d15e𝐇👩🏽🏴\U000e0067ไ\u0e31\ufe0f\uffff≠\u0338=ᾧ\u0958\u2adc"
    )
    | st.characters(),
    max_size=120,
)


@given(NASTY)
def test_sanitising_again_changes_nothing(text: str) -> None:
    once = sanitise(text)
    assert sanitise(once.text).text == once.text
    assert sanitise(once.text).changes == ()


@given(NASTY)
def test_the_result_is_normalised_and_encodable(text: str) -> None:
    done = sanitise(text)
    done.text.encode()
    assert unicodedata.is_normalized("NFC", done.text)
    assert longest_run_of_marks(unicodedata.normalize("NFD", done.text)) <= MAX_MARKS


@given(NASTY, st.integers(0, 1000))
def test_a_character_without_a_change_is_the_callers_own(text: str, start: int) -> None:
    done = sanitise(text, start=start)
    changed = {i for change in done.changes for i in range(*change.span)}
    for index, character in enumerate(done.text):
        first, end = done.offsets.span(index, index + 1)
        assert start <= first <= end <= start + len(text)
        if end - first == 1 and first not in changed:
            assert character == text[first - start]


@given(NASTY)
def test_every_character_is_kept_or_reported(text: str) -> None:
    done = sanitise(text)
    kept = {
        i for index in range(len(done.text)) for i in range(*done.offsets.span(index, index + 1))
    }
    reported = {i for change in done.changes for i in range(*change.span)}
    assert kept | reported == set(range(len(text)))


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"])))
def test_composed_letters_digits_and_punctuation_are_never_touched(text: str) -> None:
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text))
    assert sanitise(plain).text == plain
