from __future__ import annotations

import contextlib
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.errors import InvalidParameterError, UnsafeTextError
from ttskit.text.passage import Run
from ttskit.text.ssml.parse import MAX_DEPTH, MAX_ELEMENTS, Document, parse
from ttskit.text.ssml.source import ILLEGAL, MAX_BYTES
from ttskit.text.style import Phoneme, SayAs, Style, VoiceChoice

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=200)
"""Lone surrogates and control characters included."""


def only_run(content: str) -> Run:
    (run,) = parse(f"<speak>{content}</speak>").runs
    return run


def style_of(content: str) -> Style:
    return only_run(content).style


def sources(ssml: str, document: Document) -> list[str]:
    """What each character of the document's text was written as."""
    spans = [
        run.offsets.span(index, index + 1)
        for run in document.runs
        for index in range(len(run.text))
    ]
    return [ssml[start:end] for start, end in spans]


@given(ANY_TEXT)
def test_text_is_data(text: str) -> None:
    expected = ILLEGAL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    assert parse(f"<speak>{escape(text)}</speak>").text == expected


@given(ANY_TEXT)
def test_text_in_an_attribute_is_data(text: str) -> None:
    entities = {'"': "&quot;", "\n": "&#10;", "\t": "&#9;", "\r": "&#13;"}
    alias = escape("a" + text, entities)
    assert parse(f'<speak><sub alias="{alias}">x</sub></speak>').text == ILLEGAL.sub("", "a" + text)


@given(st.lists(st.text("<&]>! \n-[CDATA", max_size=20), max_size=5))
def test_cdata_is_data(texts: list[str]) -> None:
    safe = [text.replace("]]>", "") for text in texts]
    ssml = "<speak>" + "".join(f"<![CDATA[{text}]]>" for text in safe) + "</speak>"
    assert parse(ssml).text == "".join(safe)


PIECES = st.lists(
    st.one_of(
        st.text("ab é漢😀\n\x00\ud800", min_size=1, max_size=6).map(lambda t: (t, t)),
        st.sampled_from(
            [
                ("&amp;", "&"),
                ("&lt;", "<"),
                ("&#65;", "A"),
                ("&#x1F600;", "😀"),
                ("&#38;", "&"),
                ("<![CDATA[&#38;é]]>", "&#38;é"),
                ("<!-- é -->", ""),
                ("<break/>", ""),
                ('<mark name="m"/>', ""),
                ("<x:y é='1'>", ""),
                ("</x:y>", ""),
            ]
        ),
    )
)


@given(PIECES, st.sampled_from(["", "\n ", "\ufeff", '<?xml version="1.0"?>\n<!-- é -->']))
def test_every_character_points_to_what_was_written(
    pieces: list[tuple[str, str]], prolog: str
) -> None:
    written = [piece for piece in pieces if "x:y" not in piece[0]]
    ssml = prolog + "<speak>" + "".join(piece for piece, _ in written) + "</speak>"
    document = parse(ssml)
    assert document.text == ILLEGAL.sub("", "".join(text for _, text in written))
    for character, source in zip(document.text, sources(ssml, document), strict=True):
        assert source == character or source.startswith("&")


def test_references_point_to_the_whole_reference() -> None:
    ssml = "<speak>a&amp;b&#x41;\r\nc</speak>"
    assert sources(ssml, parse(ssml)) == ["a", "&amp;", "b", "&#x41;", "\r\n", "c"]


def test_a_substitute_points_to_what_was_written() -> None:
    ssml = '<speak>The <sub alias="World Wide Web">&lt;W3&gt;</sub>.</speak>'
    document = parse(ssml)
    run = document.runs[1]
    assert (run.text, run.style.written) == ("World Wide Web", "<W3>")
    assert ssml[slice(*run.span)] == "&lt;W3&gt;"
    assert document.text == "The World Wide Web."


@pytest.mark.parametrize(
    ("content", "style"),
    [
        ('<prosody rate="80%">x</prosody>', Style(speed=0.8)),
        ('<prosody pitch="+2st" volume="-6dB">x</prosody>', Style(pitch=2, volume=-6)),
        ('<prosody rate="2"><prosody rate="50%">x</prosody></prosody>', Style()),
        (
            '<prosody pitch="low" rate="fast"><prosody pitch="-1st" rate="2">x</prosody></prosody>',
            Style(pitch=-4, speed=3),
        ),
        ("<emphasis>x</emphasis>", Style(emphasis="moderate")),
        ('<emphasis level="strong">x</emphasis>', Style(emphasis="strong")),
        (
            '<say-as interpret-as="date" format="dmy">x</say-as>',
            Style(say_as=SayAs("date", "dmy")),
        ),
        ('<phoneme ph="tə">x</phoneme>', Style(phoneme=Phoneme("tə"))),
        (
            '<phoneme alphabet="x-sampa" ph="t@">x</phoneme>',
            Style(phoneme=Phoneme("t@", "x-sampa")),
        ),
        ('<voice name="narrator">x</voice>', Style(voice=VoiceChoice("narrator"))),
        (
            '<voice languages="en-gb fr:de" gender="male">x</voice>',
            Style(voice=VoiceChoice(None, ("en-GB", "fr"), "male")),
        ),
        ('<lang xml:lang="fr-fr">x</lang>', Style(language="fr-FR")),
        ('<p xml:lang="de"><s xml:lang="">x</s></p>', Style()),
        ("<speak>x</speak>", Style()),
    ],
)
def test_elements_set_the_style_of_their_text(content: str, style: Style) -> None:
    assert style_of(content) == style


def test_the_document_sets_the_language() -> None:
    (run,) = parse('<speak version="1.1" xml:lang="en-US">x</speak>').runs
    assert run.style.language == "en-US"


def test_pauses_stand_before_the_text_and_add_up() -> None:
    document = parse('<speak>a<break time="1s"/><break strength="weak"/>b<break/></speak>')
    assert [(run.text, run.pause) for run in document.runs] == [("a", 0), ("b", 1.5), ("", 0.75)]


def test_marks_keep_their_place() -> None:
    ssml = '<speak>ab<mark name="one"/>c<break/><mark name="two"/>d<mark name="end"/></speak>'
    marks = [[(m.name, m.index) for m in run.marks] for run in parse(ssml).runs]
    assert marks == [[("one", 2)], [("two", 0), ("end", 1)]]
    (first, *_) = parse(ssml).runs
    assert ssml[first.marks[0].position :].startswith("<mark")


def test_sentences_and_paragraphs_leave_borders() -> None:
    assert parse("<speak><p><s>ab</s> <s>c</s></p>d</speak>").borders == (0, 0, 2, 3, 4, 4)


def test_adjoining_wholes_stay_apart() -> None:
    digits = '<say-as interpret-as="digits">12</say-as>'
    assert [run.text for run in parse(f"<speak>{digits}{digits}</speak>").runs] == ["12", "12"]


@pytest.mark.parametrize(
    ("content", "element", "text"),
    [
        ('<amazon:effect name="whispered">psst</amazon:effect>', "amazon:effect", "psst"),
        ('<mstts:express-as style="sad">oh</mstts:express-as>', "mstts:express-as", "oh"),
        ("<token>well</token>", "token", "well"),
        ('<audio src="file:///etc/passwd">beep</audio>', "audio", "beep"),
        ("<metadata><x>secret</x></metadata>", "metadata", ""),
        ('<prosody contour="(0%,+20Hz)">sing</prosody>', "prosody", "sing"),
        ('<sub alias="I"><emphasis>me</emphasis></sub>', "emphasis", "I"),
    ],
    ids=["amazon", "azure", "token", "audio", "metadata", "contour", "nested"],
)
def test_what_is_not_portable_is_spoken_and_reported(content: str, element: str, text: str) -> None:
    ssml = f"<speak>{content}</speak>"
    document = parse(ssml)
    (loss,) = document.losses
    assert (document.text, loss.code, loss.element) == (text, "ignored", element)
    assert ssml[slice(*loss.span)].startswith(f"<{element}")


@pytest.mark.parametrize(
    ("ssml", "place"),
    [
        ("<speak>a<b></speak>", "line 1, column 14"),
        ("<speak>\n é<break time='soon'/></speak>", "line 2, column 3"),
        ("\n\n<speak>\x00\n  <sub>x</sub></speak>", "line 4, column 3"),
        ("<speak>&undefined;</speak>", "line 1, column 8"),
        ("<speak>&#0;</speak>", "line 1, column 8"),
        ("<speak>one", "line 1"),
        ("plain", "line 1, column 1"),
        ("", "line 1, column 1"),
        ("<p>x</p>", "line 1, column 1"),
        ("<speak/><speak/>", "line 1, column 9"),
        ("<speak xml:lang='???'/>", "line 1, column 1"),
        ("<speak a='1' a='2'/>", "line 1, column 14"),
        ("<speak>\n<mark/></speak>", "line 2, column 1"),
        ("<speak><prosody rate='500%'><prosody rate='500%'/></prosody></speak>", "column 29"),
        ("<speak><!ENTITY x 'y'></speak>", "line 1, column 10"),
    ],
)
def test_malformed_markup_is_named_by_line_and_column(ssml: str, place: str) -> None:
    with pytest.raises(InvalidParameterError, match=place):
        parse(ssml)


@given(st.text("<>/&;#x='\" \nspeakbrt!-[]?é\ud800", max_size=60))
def test_whatever_comes_is_read_or_refused(ssml: str) -> None:
    for document in (ssml, f"<speak>{ssml}</speak>", f"<speak>{ssml}"):
        with contextlib.suppress(InvalidParameterError, UnsafeTextError):
            assert isinstance(parse(document), Document)


def test_an_error_does_not_repeat_the_text() -> None:
    with pytest.raises(InvalidParameterError) as caught:
        parse('<speak>my secret<prosody rate="my secret">my secret</prosody></speak>')
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMBS = {
    "billion laughs": f'<!DOCTYPE s [<!ENTITY l0 "lol">{LAUGHS}]><speak>&l9;</speak>',
    "after a comment": '<?xml version="1.0"?><!-- > --> <!DOCTYPE s []><speak>x</speak>',
    "after a BOM": '\ufeff<!DOCTYPE s [<!ENTITY a "b">]><speak>&a;</speak>',
    "hidden by NUL": '<!\x00DOCTYPE s [<!ENTITY a "b">]><speak>&a;</speak>',
    "external entity": '<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><speak>&x;</speak>',
    "external DTD": '<!DOCTYPE speak SYSTEM "http://localhost/x.dtd"><speak>x</speak>',
    "parameter entity": '<!DOCTYPE s [<!ENTITY % p SYSTEM "http://localhost/"> %p;]><speak/>',
    "quadratic": f'<!DOCTYPE s [<!ENTITY a "{"a" * 9999}">]><speak>{"&a;" * 9999}</speak>',
    "depth": "<speak>" + "<s>" * 50_000,
    "depth, unknown": "<speak>" + "<x>" * MAX_DEPTH + "</x>" * MAX_DEPTH + "</speak>",
    "elements": "<speak>" + "<x/>" * MAX_ELEMENTS + "</speak>",
    "size": "<speak>" + "x" * MAX_BYTES + "</speak>",
    "size in bytes": "<speak>" + "漢" * (MAX_BYTES // 3) + "</speak>",
    "instruction": "<speak>x<?php echo 1?></speak>",
    "stylesheet": '<?xml-stylesheet href="x"?><speak>x</speak>',
    "silence": "<speak>" + '<break time="60s"/>' * 61 + "</speak>",
}


@pytest.mark.parametrize("ssml", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused(ssml: str) -> None:
    with pytest.raises(UnsafeTextError):
        parse(ssml)


HOSTILE = {
    "comment": "<!--" + "<" * 250_000,
    "inner comment": "<speak><!--" + "<" * 250_000,
    "cdata": "<speak><![CDATA[" + "<" * 250_000,
    "attributes": "<speak " + "a='' " * 50_000,
    "references": "<speak>" + "&amp;" * 50_000 + "</speak>",
    "illegal": "<speak>" + "\x00a" * 100_000 + "</speak>",
    "inner comments": "<speak>" + "é<!---->" * 20_000 + "</speak>",
    "prolog": "<!-- -->" * 30_000,
    "angles": "<" * 250_000,
}
"""Each would take minutes at quadratic cost."""


@pytest.mark.parametrize("ssml", HOSTILE.values(), ids=HOSTILE)
def test_hostile_documents_do_not_hold_up_the_reader(ssml: str) -> None:
    with contextlib.suppress(InvalidParameterError):
        assert set(parse(ssml).text) <= set("&aé")


def test_the_deepest_and_largest_document_is_read() -> None:
    nested = "<s>" * (MAX_DEPTH - 1) + "x" + "</s>" * (MAX_DEPTH - 1)
    assert parse(f"<speak>{nested}</speak>").text == "x"
    assert parse("<speak>" + "<x/>" * (MAX_ELEMENTS - 1) + "</speak>").text == ""
    assert len(parse("<speak>" + "x" * (MAX_BYTES - 15) + "</speak>").text) == MAX_BYTES - 15


def test_a_declared_encoding_does_not_matter_to_text() -> None:
    assert parse('<?xml version="1.0" encoding="UTF-16"?><speak>é</speak>').text == "é"


def test_a_doctype_within_text_is_text() -> None:
    assert parse("<speak><![CDATA[<!DOCTYPE html>]]></speak>").text == "<!DOCTYPE html>"
