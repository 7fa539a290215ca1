"""What Polly is sent for an utterance, and from its speech marks back to the utterance's words.

Source: Amazon Polly Developer Guide, "Speech mark output" and "Controlling volume, speaking rate,
and pitch".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ttskit.adapters.base import TimedText, Utterance
from ttskit.text.passage import Run
from ttskit.text.spans import Offsets
from ttskit.text.ssml.escape import attributes
from ttskit.text.ssml.render import render

_HEAD = re.compile(r"<speak[^>]*>")
_TAIL = "</speak>"
_LONGEST_MS = 3_600_000
"""Of an utterance; what is said to be later is no time."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The text as it goes out, and the way back from its characters to the utterance's."""

    text: str
    is_ssml: bool
    shift: int
    """Characters that the head of the document has more than that of the one ``offsets`` is of."""
    offsets: Offsets

    def words(self, marks: Iterable[Mapping[str, object]]) -> list[TimedText]:
        """Return the words that speech marks time, in order.

        A mark has no end: a word ends where the next one starts, or before that where the mouth
        closes for a pause. The last word ends with the last mark.

        Args:
            marks: Of types ``word`` and ``viseme``: milliseconds from the start of the audio, and
                bytes of the text in UTF-8.
        """
        places = _Places(self.text)
        words: list[TimedText] = []
        begun: tuple[float, tuple[int, int]] | None = None
        now = 0.0
        for mark in marks:
            now = max(now, _seconds(mark.get("time")))
            span = places.span(mark) if mark.get("type") == "word" else None
            is_rest = mark.get("value") == "sil" and mark.get("type") == "viseme"
            if begun is not None and (span is not None or (is_rest and now > begun[0])):
                words.append(TimedText(begun[0], now, begun[1]))
                begun = None
            if span is not None:
                begun = now, self.offsets.span(span[0] - self.shift, span[1] - self.shift)
        if begun is not None:
            words.append(TimedText(begun[0], now, begun[1]))
        return words


def prepared(utterance: Utterance) -> Prepared:
    """Return what an utterance is sent as: plain text, or SSML where its prosody needs that.

    The document's root loses its attributes: Polly documents none.
    """
    prosody = _prosody(utterance)
    if not utterance.is_ssml and not prosody:
        return Prepared(utterance.text, is_ssml=False, shift=0, offsets=Offsets.identity())
    document, offsets = utterance.text, Offsets.identity()
    if not utterance.is_ssml:
        document, offsets = render([Run(utterance.text, offsets)])
    head = _HEAD.match(document)
    begin = head.end() if head else 0
    body = document[begin:].removesuffix(_TAIL)
    start, end = (f"<prosody{prosody}>", "</prosody>") if prosody else ("", "")
    start = f"<speak>{start}"
    return Prepared(
        f"{start}{body}{end}{_TAIL}", is_ssml=True, shift=len(start) - begin, offsets=offsets
    )


def _prosody(utterance: Utterance) -> str:
    """Return the attributes that set speed and pitch, both in percent."""
    percent = 100 * (2 ** (utterance.pitch / 12) - 1)
    return attributes(
        {
            "rate": None if utterance.speed == 1 else f"{round(100 * utterance.speed)}%",
            "pitch": f"{percent:+.1f}%" if utterance.pitch else None,
        }
    )


class _Places:
    """From bytes of UTF-8 to characters, for offsets that grow."""

    def __init__(self, text: str) -> None:
        self._data = text.encode("utf-8", "replace")
        self._byte = 0
        self._character = 0

    def span(self, mark: Mapping[str, object]) -> tuple[int, int] | None:
        """Return the characters of a mark; None where it has none, or goes back."""
        start, end = mark.get("start"), mark.get("end")
        if not isinstance(start, int) or not isinstance(end, int):
            return None
        if not self._byte <= start < end <= len(self._data):
            return None
        span = self._character_at(start), self._character_at(end)
        return span if span[0] < span[1] else None

    def _character_at(self, byte: int) -> int:
        passed = self._data[self._byte : byte]
        # Each character begins with the one byte of it that is no continuation.
        self._character += sum(one & 0xC0 != 0x80 for one in passed)  # noqa: PLR2004 - UTF-8
        self._byte = byte
        return self._character


def _seconds(milliseconds: object) -> float:
    if isinstance(milliseconds, int | float) and 0 <= milliseconds < _LONGEST_MS:
        return milliseconds / 1000
    return 0.0
