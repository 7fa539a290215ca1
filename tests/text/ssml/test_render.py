from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.text.passage import Mark, Run
from ttskit.text.spans import Offsets
from ttskit.text.ssml.parse import parse
from ttskit.text.ssml.render import render
from ttskit.text.style import Phoneme, SayAs, Style, VoiceChoice

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]) | st.just("\n"), min_size=1)
NAMES = st.text(st.sampled_from("ab<&>\"'\n\té漢😀"), min_size=1, max_size=8)
LANGUAGES = st.sampled_from(["en-GB", "fr", "zh-Hant-TW"])
VOICES = st.builds(
    VoiceChoice,
    NAMES.filter(str.strip).map(str.strip),
    st.lists(LANGUAGES, max_size=2).map(tuple),
    st.sampled_from([None, "female", "neutral"]),
)
PROSODY = {
    "speed": st.integers(1000, 100_000).map(lambda n: n / 10_000),
    "pitch": st.integers(-36_000, 36_000).map(lambda n: n / 1000),
    "volume": st.integers(-96_000, 40_000).map(lambda n: n / 1000),
}
PLAIN = st.builds(
    Style,
    voice=st.none() | VOICES,
    language=st.none() | LANGUAGES,
    emphasis=st.sampled_from([None, "strong", "none"]),
    **PROSODY,
)
STYLES = st.one_of(
    PLAIN,
    st.just(Style()),
    st.builds(Style, say_as=st.builds(SayAs, NAMES, st.none() | NAMES)),
    st.builds(Style, phoneme=st.builds(Phoneme, NAMES, st.sampled_from(["ipa", "x-sampa"]))),
    st.builds(Style, written=st.text(st.sampled_from("W3C<&>\n"), max_size=5)),
)
RUNS = st.lists(
    st.builds(
        lambda text, style, pause: Run(text, Offsets.identity(), style, pause / 1000),
        WORDS,
        STYLES,
        st.sampled_from([0, 0, 1, 250, 25_000, 100_000]),
    ),
    min_size=1,
    max_size=6,
)


def per_character(runs: list[Run] | tuple[Run, ...]) -> list[tuple[str, Style, float]]:
    """Text, style and the pause before, however the text is divided into runs."""
    return [
        (character, run.style, run.pause if index == 0 else 0)
        for run in runs
        for index, character in enumerate(run.text)
    ]


@given(RUNS)
def test_what_is_written_is_read_back(runs: list[Run]) -> None:
    ssml, _ = render(runs)
    document = parse(ssml)
    assert per_character(document.runs) == per_character(runs)
    assert document.losses == ()


@given(RUNS, LANGUAGES)
def test_the_language_of_the_document_is_written_once(runs: list[Run], language: str) -> None:
    ssml, _ = render(runs, language=language)
    read = [style.language for _, style, _ in per_character(parse(ssml).runs)]
    assert read == [style.language or language for _, style, _ in per_character(runs)]


@given(RUNS)
def test_writing_again_what_was_read_changes_nothing(runs: list[Run]) -> None:
    once, _ = render(parse(render(runs)[0]).runs)
    assert render(parse(once).runs)[0] == once


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_every_character_of_the_document_leads_back(texts: list[str]) -> None:
    own = "".join(texts)
    starts = [sum(map(len, texts[:index])) for index in range(len(texts))]
    runs = [
        Run(text, Offsets.identity(start), Style(speed=1 + index / 4), pause=1)
        for index, (text, start) in enumerate(zip(texts, starts, strict=True))
    ]
    ssml, offsets = render(runs)
    document = parse(ssml)
    back = [
        own[slice(*offsets.span(*run.offsets.span(index, index + 1)))]
        for run in document.runs
        for index in range(len(run.text))
    ]
    assert "".join(back) == document.text


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_no_text_can_break_the_document(text: str) -> None:
    style = Style(voice=VoiceChoice(name=text or "x"))
    whole = Style(written=text)
    parse(render([Run(text, Offsets.identity(), style), Run("a", Offsets.identity(), whole)])[0])


def test_the_document_is_whole_and_escaped() -> None:
    ssml, _ = render([Run('x < 3 & "y"', Offsets.identity())], language="en-GB")
    assert ssml == (
        '<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-GB">'
        'x &lt; 3 &amp; "y"</speak>'
    )


def test_neighbours_share_the_elements_they_have_in_common() -> None:
    runs = [
        Run("a", Offsets.identity(), Style(speed=2)),
        Run("b", Offsets.identity(), Style(speed=2), pause=0.5),
        Run("c", Offsets.identity(), Style(speed=2, emphasis="strong")),
    ]
    ssml, _ = render(runs)
    assert ssml.count("<prosody") == ssml.count("</prosody>") == 1


def test_a_long_pause_is_written_as_several_breaks() -> None:
    ssml, _ = render([Run("", Offsets.identity(), pause=25.5)])
    assert [part.split("ms")[0] for part in ssml.split('time="')[1:]] == ["10000", "10000", "5500"]


@pytest.mark.parametrize("style", [Style(), Style(written="W3C")], ids=["plain", "whole"])
def test_marks_are_written(style: Style) -> None:
    run = Run("abc", Offsets.identity(), style, marks=(Mark("one", 0, 0), Mark("two", 2, 2)))
    marks = [mark.name for run in parse(render([run])[0]).runs for mark in run.marks]
    assert marks == ["one", "two"]
