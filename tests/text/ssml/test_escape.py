"""Whatever a text holds, XML brings it back."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from ttskit.text.ssml.escape import attributes, escape
from ttskit.text.ssml.source import ILLEGAL

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


@given(text=TEXTS, value=TEXTS)
def test_a_text_comes_back_without_what_xml_lacks(text: str, value: str) -> None:
    read = ET.fromstring(f"<s{attributes({'a': value, 'b': None})}>{escape(text)}</s>")  # noqa: S314
    assert (read.text or "", read.attrib) == (ILLEGAL.sub("", text), {"a": ILLEGAL.sub("", value)})
