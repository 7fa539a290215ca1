"""Subtitles that can be read, in SRT and WebVTT."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.audio import Audio, Spoken, WordTiming
from ttskit.errors import InvalidParameterError
from ttskit.subtitles import GAP_S, LINE_WIDTH, LONGEST_S, Cue, cues, to_srt, to_vtt

RATE = 1_000
"""Frames a second, so that a ledger's frames are milliseconds."""
TIME = re.compile(r"(\d+):(\d\d):(\d\d)[,.](\d{3})")


def timed(text: str, *, pace: float = 0.4, start: float = 0.0) -> list[WordTiming]:
    """Time each word of a text: ``pace`` seconds a word."""
    found = re.finditer(r"[\w'-]+", text)
    return [
        WordTiming(word[0], start + i * pace, start + (i + 1) * pace - 0.02, word.span())
        for i, word in enumerate(found)
    ]


def spoken(start: int, end: int, first: int, last: int) -> Spoken:
    return Spoken(0, (start, end), (first, last), "mock", None)


def made(
    text: str,
    words: list[WordTiming] | None = None,
    *,
    ledger: tuple[Spoken, ...] = (),
    duration: float | None = None,
) -> list[Cue]:
    words = timed(text) if words is None else words
    length = max([word.end for word in words], default=1.0) if duration is None else duration
    return cues(words, ledger=ledger, text=text, sample_rate=RATE, duration=length)


def joined(shown: list[Cue]) -> str:
    return " ".join(line for cue in shown for line in cue.lines)


def parse(subtitles: str) -> list[Cue]:
    """Read SRT or WebVTT back."""
    is_vtt = subtitles.startswith("WEBVTT\n\n")
    blocks = subtitles.removeprefix("WEBVTT\n").strip("\n").split("\n\n")
    read = []
    for number, block in enumerate(filter(None, blocks), 1):
        lines = block.split("\n")
        if not is_vtt:
            assert lines.pop(0) == str(number)
        start, end = (seconds(time) for time in lines.pop(0).split(" --> "))
        read.append(Cue(start, end, tuple(map(html.unescape, lines) if is_vtt else lines)))
    return read


def seconds(time: str) -> float:
    found = TIME.fullmatch(time)
    assert found, time
    hours, minutes, whole, milliseconds = map(int, found.groups())
    return ((hours * 60 + minutes) * 60_000 + whole * 1000 + milliseconds) / 1000


WORDS = st.from_regex(r"[a-zA-Z]{1,14}('[a-z]{1,3})?", fullmatch=True)
BREAKS = st.sampled_from([" ", " ", " ", " ", ", ", "; ", " — ", ". ", "! ", '" ', ' "', "\n\n"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    words = draw(st.lists(WORDS, min_size=1, max_size=60))
    breaks = draw(st.lists(BREAKS, min_size=len(words) - 1, max_size=len(words) - 1))
    return "".join(map("".join, zip(words, [*breaks, draw(st.sampled_from([".", "", '!"']))])))  # noqa: B905 - the last break is added


def check_order(shown: list[Cue], duration: float) -> None:
    assert all(0 <= cue.start <= cue.end <= duration for cue in shown)
    assert all(before.end <= after.start for before, after in pairwise(shown))


@given(text=texts(), pace=st.floats(0.1, 2))
def test_the_cues_joined_are_the_callers_text(text: str, pace: float) -> None:
    assert joined(made(text, timed(text, pace=pace))).split() == text.split()


@given(text=texts(), pace=st.floats(0.2, 2))
def test_cues_can_be_read(text: str, pace: float) -> None:
    words = timed(text, pace=pace)
    shown = made(text, words)
    check_order(shown, words[-1].end)
    for cue in shown:
        assert 1 <= len(cue.lines) <= 2
        assert all(0 < len(line) <= LINE_WIDTH for line in cue.lines)
        assert 0 < cue.end - cue.start <= LONGEST_S + 1e-9
    assert all(after.start - before.end >= GAP_S - 1e-9 for before, after in pairwise(shown))


@given(
    st.lists(
        st.builds(
            WordTiming,
            st.text(max_size=60),
            st.floats(-1, 9),
            st.floats(-1, 9),
            st.tuples(st.integers(-3, 40), st.integers(-3, 40)),
        ),
        max_size=20,
    ),
    st.text(max_size=40),
)
def test_whatever_an_engine_says_the_cues_stay_in_order(words: list[WordTiming], text: str) -> None:
    shown = made(text, words, duration=8.0)
    check_order(shown, 8.0)
    assert all(parse(render(shown)) for render in (to_srt, to_vtt) if shown)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 400_000_000),
            st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1),
        ),
        max_size=8,
    )
)
def test_what_is_written_reads_back(items: list[tuple[int, str]]) -> None:
    shown = [Cue(at / 1000, (at + 500) / 1000, (text, f"<{text}> & -->")) for at, text in items]
    assert parse(to_vtt(shown)) == shown
    assert parse(to_srt(shown)) == shown


def test_webvtt_escapes_what_would_be_markup() -> None:
    written = to_vtt([Cue(0, 1, ("x < 3 & y --> <b>z</b>",))])
    assert "x &lt; 3 &amp; y --&gt; &lt;b&gt;z&lt;/b&gt;" in written
    assert written.count("-->") == 1


@pytest.mark.parametrize(
    ("at", "srt", "vtt"),
    [
        (0.0, "00:00:00,000", "00:00:00.000"),
        (0.0004, "00:00:00,000", "00:00:00.000"),
        (59.9996, "00:01:00,000", "00:01:00.000"),
        (3_661.5, "01:01:01,500", "01:01:01.500"),
        (360_000.25, "100:00:00,250", "100:00:00.250"),
    ],
)
def test_times_have_all_their_digits(at: float, srt: str, vtt: str) -> None:
    shown = [Cue(at, at, ("x",))]
    assert to_srt(shown).split("\n")[1] == f"{srt} --> {srt}"
    assert to_vtt(shown).split("\n")[2] == f"{vtt} --> {vtt}"


def test_no_speech_gives_valid_files_without_cues() -> None:
    assert made("", [], duration=0.0) == []
    assert (to_srt([]), to_vtt([])) == ("", "WEBVTT\n")


@pytest.mark.engine("av")
@pytest.mark.parametrize(("name", "render"), [("srt", to_srt), ("webvtt", to_vtt)])
def test_another_program_reads_the_same_cues(
    name: str, render: Callable[[Sequence[Cue]], str]
) -> None:
    import av

    shown = made("One fine day, we left. Nobody saw us go; nobody cared. So it was.")
    with av.open(io.BytesIO(render(shown).encode()), "r", format=name) as file:
        read = [packet for packet in file.demux() if packet.size]
    assert [bytes(packet).decode() for packet in read] == [cue.text for cue in shown]
    assert [packet.pts for packet in read] == [round(cue.start * 1000) for cue in shown]


def test_a_sentence_is_a_cue_of_its_own() -> None:
    shown = made("The first one is here. And here comes the second!")
    assert [cue.text for cue in shown] == ["The first one is here.", "And here comes the second!"]


def test_a_very_short_sentence_joins_the_next() -> None:
    shown = made("Yes. That is what I wanted to say.")
    assert [cue.text for cue in shown] == ["Yes. That is what I wanted to say."]


def test_an_abbreviation_ends_no_cue() -> None:
    shown = made("Last year the old Dr. Smith was here again.")
    assert len(shown) == 1


def test_long_sentences_break_at_clauses() -> None:
    text = (
        "When the long winter was over at last, the villagers came out of their houses, "
        "looked at the sky above the mountains, and began to sing."
    )
    assert [cue.lines[-1][-1] for cue in made(text)] == [",", "."]


def test_a_long_silence_ends_a_cue() -> None:
    text = "before after"
    words = [*timed("before"), WordTiming("after", 5.0, 5.5, (7, 12))]
    first, second = made(text, words)
    assert (first.text, second.text, second.start) == ("before", "after", 5.0)
    assert first.end == 1.0


def test_a_cue_stays_until_the_next_where_that_comes_soon() -> None:
    first, second = made("One two three four. Five six seven eight.")
    assert second.start - first.end == pytest.approx(GAP_S)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("«Bonjour !» dit-il.", "«Bonjour !» dit-il."),
        ("¿Qué pasa (ahora)?", "¿Qué pasa (ahora)?"),
        ("x < 3 & y > 2", "x < 3 & y > 2"),
        ("a well-known\n\tand/or  wide gap", "a well-known and/or wide gap"),
        ("bell\a and \x1b[31mred", "bell and [31mred"),
    ],
)
def test_punctuation_stands_as_the_caller_wrote_it(text: str, shown: str) -> None:
    assert joined(made(text)) == shown


@pytest.mark.parametrize(
    ("ssml", "shown"),
    [
        ("<speak>Hello <emphasis>big</emphasis>, world.</speak>", "Hello big, world."),
        ("<speak><s>One.</s><s>Two.</s></speak>", "One. Two."),
        ('<?xml version="1.0"?>\n<speak>AT&amp;T<break time="1s"/>now</speak>', "AT&T now"),
        ("<speak>un<prosody rate='fast'>believ</prosody>able</speak>", "unbelievable"),
        ('<speak>the <sub alias="a > b c">W3C</sub> said</speak>', "the W3C said"),
    ],
)
def test_markup_is_not_shown(ssml: str, shown: str) -> None:
    assert joined(made(ssml, [])) == shown


def test_words_that_share_text_show_it_once() -> None:
    text = "It costs $5 now"
    words = [*timed("It costs"), *(WordTiming(w, 1.0, 1.2, (9, 11)) for w in ("five", "dollars"))]
    assert joined(made(text, [*words, WordTiming("now", 1.4, 1.6, (12, 15))])) == text


@given(text=texts())
def test_timed_characters_give_the_same_text_as_timed_words(text: str) -> None:
    letters = [
        WordTiming(letter, at / 10, (at + 1) / 10, (at, at + 1))
        for at, letter in enumerate(text)
        if not letter.isspace()
    ]
    assert joined(made(text, letters)).split() == text.split()


def test_wide_characters_fill_two_columns() -> None:
    text = "我们今天去公园散步天气非常好孩子们在草地上玩耍老人们坐在长椅上聊天"
    shown = made(text, [], duration=6.0)
    assert "".join(line for cue in shown for line in cue.lines) == text
    assert all(len(line) <= LINE_WIDTH // 2 for cue in shown for line in cue.lines)


def test_what_is_wider_than_a_line_is_cut() -> None:
    shown = made("See https://example.org/" + "long/" * 30, [], duration=9.0)
    lines = [line for cue in shown for line in cue.lines]
    assert max(map(len, lines)) <= LINE_WIDTH
    assert "".join(lines).replace(" ", "").endswith("long/" * 30)


@given(text=texts())
def test_without_word_times_the_ledger_times_the_text(text: str) -> None:
    middle = text.find(" ", len(text) // 2) + 1
    ledger = (spoken(0, middle, 0, 4_000), spoken(middle, len(text), 6_000, 10_000))
    shown = made(text, [], ledger=ledger, duration=10.0)
    assert joined(shown).split() == text.split()
    check_order(shown, 10.0)
    assert all(cue.end <= 6.0 or cue.start >= 6.0 for cue in shown if middle)


def test_an_utterance_without_word_times_is_shown_among_those_that_have_them() -> None:
    text = "We timed this one. This one we did not."
    ledger = (spoken(0, 19, 0, 2_000), spoken(19, len(text), 2_000, 4_000))
    shown = made(text, timed(text[:18]), ledger=ledger, duration=4.0)
    assert [cue.text for cue in shown] == ["We timed this one.", "This one we did not."]
    assert shown[1].start == 2.0


def test_what_was_not_spoken_is_not_shown() -> None:
    text = "This much was said, but not this."
    shown = made(text, timed(text[:18]), ledger=(spoken(0, 20, 0, 2_000),), duration=2.0)
    assert joined(shown) == "This much was said,"


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_audio_gives_its_own_subtitles_at_any_rate(rate: int) -> None:
    text = "One two. Three four."
    ledger = [spoken(0, 9, 0, 2 * rate), spoken(9, len(text), 2 * rate, 4 * rate)]
    silence = np.zeros(4 * rate, np.float32)
    audio = Audio.from_samples(silence, sample_rate=rate, ledger=ledger, text=text)
    expected = [Cue(0.0, 1.917, ("One two.",)), Cue(2.0, 4.0, ("Three four.",))]
    assert parse(audio.subtitles("srt")) == parse(audio.subtitles("vtt")) == expected


def test_other_kinds_of_subtitles_are_refused() -> None:
    audio = Audio.from_samples(np.zeros(10, np.float32), sample_rate=8_000)
    with pytest.raises(InvalidParameterError, match="srt or vtt"):
        audio.subtitles("ass")  # type: ignore[arg-type] # the mistake under test


def test_references_of_ssml_are_shown_as_the_character_they_mean() -> None:
    ssml = "<speak>Tom &amp; Jerry run &#60;fast&#62;.</speak>"
    entry = Spoken(0, (0, len(ssml)), (0, 4_000), "mock", None)
    (cue,) = cues([], ledger=[entry], text=ssml, sample_rate=1_000, duration=4.0)
    assert cue.text == "Tom & Jerry run <fast>."
