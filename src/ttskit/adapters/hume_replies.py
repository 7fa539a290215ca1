"""What Hume answers: lines with audio and words.

Source of all facts: Hume's API reference (``/v0/tts``) and Python SDK 0.14.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from ttskit.adapters.base import AudioSource
from ttskit.adapters.refusals import Refusals
from ttskit.adapters.replies import Base64, InlineAudio, Shape
from ttskit.adapters.timing import WordFinder
from ttskit.resources.http.framing import Json

if TYPE_CHECKING:
    from ttskit.resources.http.client import Reply


class _Interval(Shape):
    begin: float
    end: float
    """Both in milliseconds."""


class _Timestamp(Shape):
    text: str
    type: str
    time: _Interval


class _Line(Shape):
    audio: Base64 = b""
    timestamp: _Timestamp | None = None
    request_id: str | None = None
    generation_id: str | None = None


class SpokenLines(InlineAudio[Json]):
    """The audio of a stream of lines; what they tell beside it is added to ``source``."""

    def __init__(
        self, reply: Reply, refusals: Refusals, finder: WordFinder, source: AudioSource
    ) -> None:
        super().__init__(reply.json_lines())
        self._refusals = refusals
        self._finder = finder
        self._source = source

    @override
    async def audio(self, item: Json) -> bytes:
        if "type" not in item:
            raise self._refusals.of(item)
        line = _Line.take(item)
        self._source.request_id = line.request_id or self._source.request_id
        self._source.continuation = line.generation_id or self._source.continuation
        timed = line.timestamp
        if timed is not None and timed.type == "word":
            begin, end = timed.time.begin / 1_000, timed.time.end / 1_000
            self._source.words.extend(self._finder.timed(timed.text, begin, end))
        return line.audio

    @override
    def finish(self) -> None:
        self._source.words.extend(self._finder.finish())
