"""Azure Speech takes SSML alone: the envelope around a text, and its dialect of ``prosody``.

Source: MicrosoftDocs/azure-ai-docs, speech-synthesis-markup-voice.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ttskit.text.ssml.escape import attributes

_FIRST_TAG = re.compile(r"\s*<speak\b[^>]*>")
_RATE = re.compile(r'(<prosody\b[^>]*?) rate="([0-9.]+)%"')
_VOLUME = re.compile(r'(<prosody\b[^>]*?) volume="([+-][0-9.]+)dB"')
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def inner(document: str) -> str:
    """Return what a document of ttskit's own has within ``speak``, as Azure understands it.

    W3C's 150% is as fast again by half, Azure's is two and a half times as fast; a plain number
    is a factor to both. Azure knows no dB: its volume is 0 to 100, of which 100 is as loud as it
    gets, so that a gain is left to its relative form.
    """
    start = _FIRST_TAG.match(document)
    body = document[start.end() if start else 0 : document.rindex("</speak")]
    body = _RATE.sub(lambda found: f'{found[1]} rate="{float(found[2]) / 100:g}"', body)
    return _VOLUME.sub(lambda found: f'{found[1]} volume="{_volume(float(found[2]))}"', body)


def element(name: str, values: Mapping[str, object], content: str) -> str:
    """Return the content within an element; as it is where no attribute has a value."""
    given = attributes(values)
    return f"<{name}{given}>{content}</{name}>" if given else content


def document(voice: str, language: str, content: str) -> str:
    """Return the document in which a voice says the content."""
    namespaces = {
        "version": "1.0",
        "xmlns": "http://www.w3.org/2001/10/synthesis",
        "xmlns:mstts": "http://www.w3.org/2001/mstts",
        "xml:lang": language,
    }
    return element("speak", namespaces, element("voice", {"name": voice}, content))


def billed(content: str) -> int:
    """Return the characters that Azure bills: all within ``voice``, Chinese ones twice."""
    return len(content) + len(_HAN.findall(content))


def _volume(decibels: float) -> str:
    factor = 10 ** (decibels / 20)
    return f"{100 * factor:.1f}" if decibels < 0 else f"+{100 * (factor - 1):.1f}%"
