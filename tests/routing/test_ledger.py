from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttskit.audio import Spoken, WordTiming
from ttskit.routing.ledger import Ledger

RATE = 1_000


def ledger_of(texts: list[str], seconds: int = 1) -> Ledger:
    ledger, at = Ledger(), 0
    for index, text in enumerate(texts):
        frames = (ledger.frames, ledger.frames + seconds * RATE)
        spoken = Spoken(index, (at, at + len(text)), frames, "mock", None)
        ledger.add(spoken, text, sample_rate=RATE)
        at += len(text)
    return ledger


@given(st.lists(st.text(min_size=1), max_size=8))
def test_all_frames_played_is_all_text_heard(texts: list[str]) -> None:
    ledger = ledger_of(texts)
    assert ledger.text_until(ledger.frames) == "".join(texts)


@given(st.lists(st.text(min_size=1), max_size=8), st.integers(0, 9_000), st.integers(0, 9_000))
def test_more_frames_never_take_text_back(texts: list[str], one: int, other: int) -> None:
    ledger = ledger_of(texts)
    fewer, more = sorted((one, other))
    assert ledger.text_until(more).startswith(ledger.text_until(fewer))


def test_nothing_played_is_nothing_heard() -> None:
    assert ledger_of(["One two. "]).text_until(0) == ""


def test_half_a_sentence_played_is_about_half_its_words() -> None:
    ledger = ledger_of(["alpha beta gamma delta "])
    assert ledger.text_until(RATE // 2) == "alpha beta"


def test_the_engines_word_times_decide_where_it_gave_any() -> None:
    ledger = Ledger()
    words = (WordTiming("One", 0.0, 0.8, (0, 3)), WordTiming("two", 0.8, 1.0, (4, 7)))
    ledger.add(
        Spoken(0, (0, 8), (0, RATE), "mock", None, words=words), "One two.", sample_rate=RATE
    )
    assert ledger.text_until(450) == "One"
    assert ledger.text_until(899) == "One"
    assert ledger.text_until(950) == "One two"
