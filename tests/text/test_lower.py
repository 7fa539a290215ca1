from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.text.lower import Lowered, Silence, Speech, lower
from ttskit.text.plan import Passage, plan_ssml
from ttskit.text.ssml.parse import ELEMENTS, parse
from ttskit.text.style import VoiceChoice

NOTHING: frozenset[str] = frozenset()


def passage_of(content: str) -> Passage:
    (passage,) = plan_ssml(f"<speak>{content}</speak>")
    return passage


def lowered(content: str, *elements: str, can: bool = True) -> Lowered:
    return lower(
        passage_of(content), elements=frozenset(elements), speed=can, pitch=can, volume=can
    )


def speeches(result: Lowered) -> list[Speech]:
    return [piece for piece in result.pieces if isinstance(piece, Speech)]


def heard(result: Lowered) -> list[str | float]:
    return [piece.text if isinstance(piece, Speech) else piece.seconds for piece in result.pieces]


def losses(result: Lowered) -> list[tuple[str, str]]:
    return [(loss.code, loss.element) for loss in result.losses]


def test_plain_text_goes_through_as_it_is() -> None:
    result = lowered("Hello, &lt;world&gt;.", *ELEMENTS)
    (speech,) = speeches(result)
    assert (speech.text, speech.is_ssml) == ("Hello, <world>.", False)
    assert result.losses == ()


@pytest.mark.parametrize(
    ("content", "pieces", "loss"),
    [
        ('a<break time="1s"/>b', ["a", 1.0, "b"], ("emulated", "break")),
        ('the <sub alias="Web">W3C</sub>.', ["the Web."], ("emulated", "sub")),
        (
            'say <say-as interpret-as="characters">Ab\u0301 1</say-as>.',
            ["say A b\u0301 1."],
            ("emulated", "say-as"),
        ),
        (
            'dial <say-as interpret-as="digits">12-345</say-as>.',
            ["dial 1 2-3 4 5."],
            ("emulated", "say-as"),
        ),
        (
            'on <say-as interpret-as="date" format="dmy">1/2/2030</say-as>.',
            ["on 1/2/2030."],
            ("ignored", "say-as"),
        ),
        ('a <phoneme ph="tə">tomato</phoneme>', ["a tomato"], ("ignored", "phoneme")),
        ("not <emphasis>that</emphasis> one", ["not that one"], ("ignored", "emphasis")),
    ],
    ids=["break", "sub", "characters", "digits", "date", "phoneme", "emphasis"],
)
def test_an_engine_without_ssml_says_the_same(
    content: str, pieces: list[str | float], loss: tuple[str, str]
) -> None:
    result = lowered(content)
    assert heard(result) == pieces
    assert losses(result) == [loss]


def test_prosody_becomes_settings_of_a_call() -> None:
    result = lowered('One <prosody rate="120%" pitch="+2st" volume="-6dB">two</prosody> three.')
    assert [(s.text, s.speed, s.pitch, s.volume) for s in speeches(result)] == [
        ("One", 1, 0, 0),
        ("two", 1.2, 2, -6),
        ("three.", 1, 0, 0),
    ]
    assert losses(result) == [("emulated", "prosody")] * 3


def test_prosody_that_cannot_be_had_is_a_loss_and_costs_no_call() -> None:
    result = lowered('One <prosody rate="120%" pitch="+2st">two</prosody> three.', can=False)
    assert heard(result) == ["One two three."]
    assert losses(result) == [("ignored", "prosody")] * 2


def test_a_voice_is_set_for_a_call_even_where_ssml_is_read() -> None:
    result = lowered('He said <voice name="bob">hello</voice>.', *ELEMENTS)
    assert [(s.text, s.voice) for s in speeches(result)] == [
        ("He said", None),
        ("hello.", VoiceChoice("bob")),
    ]


def test_another_language_is_spoken_by_a_call_of_its_own() -> None:
    result = lowered('So <lang xml:lang="fr">la vie</lang> goes.')
    assert [(s.text, s.language) for s in speeches(result)] == [
        ("So", None),
        ("la vie", "fr"),
        ("goes.", None),
    ]


def test_a_passage_in_one_language_loses_nothing() -> None:
    result = lowered('<lang xml:lang="fr">La vie est belle.</lang>')
    assert [(s.text, s.language) for s in speeches(result)] == [("La vie est belle.", "fr")]
    assert result.losses == ()


def test_punctuation_is_no_call_of_its_own() -> None:
    assert heard(lowered('<voice name="a">One</voice>, <voice name="b">two</voice>.')) == [
        "One,",
        "two.",
    ]


def test_pauses_at_the_edges_are_silence_even_where_breaks_are_read() -> None:
    result = lowered('<break time="1s"/>One <break time="2s"/> two.<break time="3s"/> ', "break")
    first, speech, last = result.pieces
    assert (first, last) == (Silence(1.0), Silence(3.0))
    assert isinstance(speech, Speech)
    assert [run.pause for run in parse(speech.text).runs] == [0, 2]


def test_an_engine_gets_the_elements_it_reads_and_no_other() -> None:
    result = lowered(
        'a <emphasis>b</emphasis> <prosody rate="fast">c</prosody> <sub alias="d">D</sub>',
        "emphasis",
    )
    markup = [speech.text for speech in speeches(result) if speech.is_ssml]
    assert len(markup) == 1
    assert "<emphasis" in markup[0]
    assert not any(name in "".join(markup) for name in ("<prosody", "<sub"))
    assert losses(result) == [("emulated", "prosody"), ("emulated", "sub")]


def test_a_document_is_in_the_language_of_the_request() -> None:
    result = lower(
        passage_of("a <emphasis>b</emphasis> c"),
        elements=ELEMENTS,
        speed=True,
        pitch=True,
        volume=True,
        language="en-GB",
    )
    (speech,) = speeches(result)
    assert 'xml:lang="en-GB"' in speech.text
    assert speech.language is None


def test_marks_do_not_part_the_text_of_an_engine_that_reads_none() -> None:
    result = lowered('One <mark name="m"/>two.')
    assert heard(result) == ["One two."]
    assert result.losses == ()


def test_neighbours_with_one_complaint_share_a_loss() -> None:
    ssml = "<speak>a <emphasis>b <mark name='m'/>c</emphasis> d <emphasis>e</emphasis></speak>"
    (passage,) = plan_ssml(ssml)
    result = lower(passage, elements=NOTHING, speed=True, pitch=True, volume=True)
    assert [ssml[slice(*loss.span)] for loss in result.losses] == ["b <mark name='m'/>c", "e"]


def test_what_the_reader_could_not_use_is_among_the_losses() -> None:
    result = lowered("<amazon:effect>psst</amazon:effect>", *ELEMENTS)
    assert losses(result) == [("ignored", "amazon:effect")]


def test_spelled_letters_point_to_their_own_source() -> None:
    ssml = '<speak><say-as interpret-as="spell-out">A&amp;B</say-as></speak>'
    (passage,) = plan_ssml(ssml)
    result = lower(passage, elements=NOTHING, speed=True, pitch=True, volume=True)
    (speech,) = speeches(result)
    assert speech.text == "A & B"
    spans = [speech.offsets.span(index, index + 1) for index in (0, 2, 4)]
    assert [ssml[start:end] for start, end in spans] == ["A", "&amp;", "B"]


PARTS = [
    "Hello ",
    "a",
    " ",
    ", ",
    "&lt;",
    "漢",
    '<break time="1s"/>',
    '<mark name="m"/>',
    "<emphasis>so</emphasis>",
    '<prosody rate="fast" volume="-3dB">b</prosody>',
    '<voice name="bob">Bob</voice>',
    '<lang xml:lang="fr">oui</lang>',
    '<sub alias="Web">W3C</sub>',
    '<phoneme ph="x">y</phoneme>',
    '<say-as interpret-as="characters">XY</say-as>',
]
CONTENT = st.lists(st.sampled_from(PARTS), max_size=10).map(
    lambda parts: f"<speak>A{''.join(parts)}B</speak>"
)
ABILITIES = st.sets(st.sampled_from(sorted(ELEMENTS))).map(frozenset)


def letters(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


@given(ssml=CONTENT, elements=ABILITIES, can=st.booleans())
def test_every_engine_says_every_letter_once_and_keeps_every_pause(
    *, ssml: str, elements: frozenset[str], can: bool
) -> None:
    spoken, paused = "", 0.0
    for passage in plan_ssml(ssml):
        result = lower(passage, elements=elements, speed=can, pitch=can, volume=can)
        for piece in result.pieces:
            if isinstance(piece, Silence):
                paused += piece.seconds
            elif piece.is_ssml:
                document = parse(piece.text)
                spoken += document.text
                paused += sum(run.pause for run in document.runs)
            else:
                spoken += piece.text
    assert letters(spoken) == letters(parse(ssml).text)
    assert paused == ssml.count("<break")


@given(CONTENT, ABILITIES)
def test_markup_holds_only_what_the_engine_reads(ssml: str, elements: frozenset[str]) -> None:
    for passage in plan_ssml(ssml):
        result = lower(passage, elements=elements, speed=True, pitch=True, volume=True)
        for speech in speeches(result):
            used = {name for name in ELEMENTS if f"<{name} " in speech.text} - {"speak"}
            assert used <= elements - {"voice"}


@given(CONTENT, ABILITIES)
def test_speech_leads_back_to_its_passage(ssml: str, elements: frozenset[str]) -> None:
    for passage in plan_ssml(ssml):
        result = lower(passage, elements=elements, speed=True, pitch=True, volume=True)
        spans = [speech.offsets.span(0, len(speech.text)) for speech in speeches(result)]
        assert spans == sorted(spans)
        assert all(passage.span[0] <= a <= b <= passage.span[1] for a, b in spans)
