from __future__ import annotations

from itertools import pairwise
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.errors import EmptyTextError, InvalidParameterError, UnsafeTextError
from ttskit.text.plan import Passage, TextPlanner, plan_ssml

SENTENCES = [
    "Hello there. ",
    "Dr. Smith paid 3.50, then left! ",
    "x < 3 & y > 2. ",
    "* * *\n\n",
    "\n",
    "Wie geht's?\n",
    "你好。再见。",
    "\x00\u200b",
    "one two three ",
    "«Да», — сказал он. ",
]
PROSE = st.lists(st.sampled_from(SENTENCES), max_size=12).map("".join)


def plan(text: str, *cuts: int, fast_start: bool = False) -> list[Passage]:
    planner = TextPlanner(language="en", fast_start=fast_start)
    borders = [0, *sorted(cut for cut in cuts if 0 < cut < len(text)), len(text)]
    fed = [passage for a, b in pairwise(borders) for passage in planner.feed(text[a:b])]
    return fed + planner.finish()


def said(passages: list[Passage]) -> list[str]:
    return [passage.text.strip() for passage in passages]


def test_text_becomes_one_passage_a_sentence() -> None:
    passages = plan("Hello there. How are you?")
    assert said(passages) == ["Hello there.", "How are you?"]
    assert [(p.index, p.span) for p in passages] == [(0, (0, 13)), (1, (13, 25))]


@pytest.mark.parametrize(
    "text", ["x < 3 and y > 2", "<b>bold</b>", "AT&amp;T", "<speak>", "`$(1)`"]
)
def test_what_looks_like_markup_is_text(text: str) -> None:
    assert "".join(passage.text for passage in plan(text)) == text


@given(PROSE)
def test_spans_follow_one_another_without_a_gap(text: str) -> None:
    spans = [passage.span for passage in plan(text)]
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert not spans or spans[0][0] == 0


@given(text=PROSE, cuts=st.lists(st.integers(1, 200), max_size=6), fast_start=st.booleans())
def test_the_cuts_of_arriving_text_leave_no_trace(
    *, text: str, cuts: list[int], fast_start: bool
) -> None:
    assert plan(text, *cuts, fast_start=fast_start) == plan(text, fast_start=fast_start)


@given(PROSE)
def test_every_character_points_to_itself_in_the_text(text: str) -> None:
    for passage in plan(text):
        (run,) = passage.runs
        for index, character in enumerate(run.text):
            assert text[run.offsets.source(index)] == character


def test_what_cannot_be_spoken_belongs_to_the_passage_after_it() -> None:
    text = "***\n\nOne. \n\n---\n\nTwo."
    passages = plan(text)
    assert said(passages) == ["One.", "Two."]
    assert passages[0].span[0] == 0
    assert passages[1].span[1] == len(text)


@pytest.mark.parametrize("text", ["", "  \n", "*** ---\n", "\x00\x01"])
def test_text_that_says_nothing_makes_no_passage(text: str) -> None:
    assert plan(text) == []


def test_changes_are_reported_where_they_were_made() -> None:
    text = "One. Two\x07 three."
    passages = plan(text)
    assert passages[-1].text == "Two three."
    assert [text[slice(*c.span)] for p in passages for c in p.changes] == ["\x07"]


def ssml_said(content: str) -> list[str]:
    return said(plan_ssml(f"<speak>{content}</speak>", language="en"))


def test_a_sentence_may_go_through_several_elements() -> None:
    (one, two) = plan_ssml(
        "<speak>I <emphasis>really</emphasis> mean <prosody rate='fast'>it. Yes</prosody>!</speak>"
    )
    assert [run.text for run in one.runs] == ["I ", "really", " mean ", "it. "]
    assert [(run.text, run.style.speed) for run in two.runs] == [("Yes", 1.5), ("!", 1)]


def test_sentence_and_paragraph_elements_end_a_passage() -> None:
    assert ssml_said("<p><s>one</s><s>two</s>three</p>four") == ["one", "two", "three", "four"]


def test_the_layout_of_the_document_is_not_heard() -> None:
    assert ssml_said("\n  the quick\n\n  brown\tfox\r\n") == ["the quick    brown fox"]


@pytest.mark.parametrize(
    "whole",
    [
        '<sub alias="Yes. No. Maybe.">x</sub>',
        '<say-as interpret-as="address">Yes. No. Maybe.</say-as>',
        '<phoneme ph="x">Yes. No. Maybe.</phoneme>',
    ],
    ids=["sub", "say-as", "phoneme"],
)
def test_a_whole_is_never_cut(whole: str) -> None:
    passages = plan_ssml(f"<speak>I said {whole} twice.</speak>", max_characters=10)
    assert [run.text for p in passages for run in p.runs if run.style.is_whole] == [
        "Yes. No. Maybe."
    ]


def test_pauses_and_marks_between_sentences_are_kept() -> None:
    passages = plan_ssml(
        '<speak><break time="1s"/><s>One.</s> <break time="2s"/> *** <mark name="m"/>'
        '<s>Two.</s> <break time="3s"/><mark name="n"/> </speak>'
    )
    assert [[run.pause for run in p.runs] for p in passages] == [[1], [2, 3]]
    assert [mark.name for p in passages for run in p.runs for mark in run.marks] == ["m", "n"]


def test_marks_keep_their_place_when_text_is_sanitised() -> None:
    (passage,) = plan_ssml('<speak>a\u200b\u200bb<mark name="m"/>c</speak>')
    (run,) = passage.runs
    assert run.text == "abc"
    assert [mark.index for mark in run.marks] == [2]


def test_a_language_in_the_markup_finds_its_sentences() -> None:
    text = "Das ist z. B. gut. Ja."
    passages = plan_ssml(f'<speak xml:lang="de">{text}</speak>', language="en")
    assert said(passages) == said(plan_ssml(f"<speak>{text}</speak>", language="de"))


def test_what_is_not_portable_is_reported_with_its_passage() -> None:
    ssml = "<speak>One. <amazon:effect>Two.</amazon:effect> Three.</speak>"
    passages = plan_ssml(ssml)
    assert [len(passage.losses) for passage in passages] == [0, 1, 0]


def test_characters_that_xml_forbids_are_reported() -> None:
    ssml = "<speak>One. T\x00wo.</speak>"
    passages = plan_ssml(ssml)
    assert said(passages) == ["One.", "Two."]
    assert [ssml[slice(*c.span)] for c in passages[1].changes] == ["\x00"]


@pytest.mark.parametrize(
    "ssml",
    [
        "<speak/>",
        "<speak> \n</speak>",
        '<speak><break time="1s"/></speak>',
        "<speak>***</speak>",
        "<speak><metadata>words</metadata></speak>",
    ],
    ids=["nothing", "blank", "only a break", "only signs", "only metadata"],
)
def test_a_document_that_says_nothing_is_refused(ssml: str) -> None:
    with pytest.raises(EmptyTextError):
        plan_ssml(ssml)


def test_documents_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(InvalidParameterError):
        plan_ssml("<speak>x")
    with pytest.raises(UnsafeTextError):
        plan_ssml("<!DOCTYPE x><speak>x</speak>")


PARTS = [
    "Hello. ",
    "Is it, though? ",
    "a",
    " ",
    "&lt;b&gt; ",
    "***",
    "12",
    "你好。",
    "\x07",
    "<break/>",
    '<mark name="m"/>',
    '<say-as interpret-as="digits">1. 2. 3.</say-as>',
    '<sub alias="Aye. Bee.">AB</sub>',
]
CONTENT = st.recursive(
    st.sampled_from(PARTS),
    lambda inner: st.builds(
        lambda parts, name: f"<{name}>{''.join(parts)}</{name}>",
        st.lists(inner, max_size=4),
        st.sampled_from(["p", "s", "emphasis", "lang", "x:y"]),
    ),
    max_leaves=12,
)


@given(content=CONTENT, fast_start=st.booleans())
def test_nothing_that_can_be_spoken_is_lost(*, content: str, fast_start: bool) -> None:
    ssml = f"<speak>A{content}B</speak>"
    passages = plan_ssml(ssml, fast_start=fast_start)
    spoken = "".join(c for p in passages for c in p.text if c.isalnum())
    written = "".join(c for p in passages for c in ssml[slice(*p.span)] if c in "AB")
    assert (spoken[0], spoken[-1]) == ("A", "B") == (written[0], written[-1])
    assert sum(run.pause for p in passages for run in p.runs) == pytest.approx(
        0.75 * ssml.count("<break/>")
    )


@given(CONTENT)
def test_spans_of_a_document_are_in_order_and_hold_their_text(content: str) -> None:
    passages = plan_ssml(f"<speak>A{content}B</speak>")
    assert all(a.span[1] <= b.span[0] for a, b in pairwise(passages))
    for passage in passages:
        for run in passage.runs:
            start, end = run.span
            assert passage.span[0] <= start <= end <= passage.span[1]


@given(PROSE.filter(plan))
def test_escaped_text_is_said_like_plain_text(text: str) -> None:
    layout = text.replace("\n", " ")
    plain = "".join("".join(passage.text for passage in plan(layout)).split())
    marked = "".join(passage.text for passage in plan_ssml(f"<speak>{escape(layout)}</speak>"))
    assert "".join(marked.split()) == plain
