"""LMNT over a WebSocket: a stream's utterances one after the other.

Source of all facts: LMNT's API 1.2 and Python SDK 2.13.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from typing_extensions import override

from ttskit.adapters.base import TimedText
from ttskit.adapters.lmnt_replies import Element
from ttskit.adapters.refusals import Refusals
from ttskit.adapters.replies import InlineAudio, Shape
from ttskit.adapters.timing import WordFinder
from ttskit.resources.http.lines import Keeping, Line, Sealed
from ttskit.resources.http.websocket import Message

PATH = "/v1/ai/speech/stream"
KEEPING = Keeping(idle_s=20.0)


@dataclass
class Talk:
    """What is known of a socket."""

    is_begun: bool = False
    """The first message, which holds the key, was sent."""
    flushes: int = 0
    request_id: str | None = None

    def opening(self, terms: Mapping[str, object], text: str) -> Iterator[str]:
        """Yield what has a text spoken now; first of all the terms of the socket."""
        if not self.is_begun:
            self.is_begun = True
            yield Sealed(json.dumps({"type": "init", **terms}))
        self.flushes += 1
        yield json.dumps({"type": "text", "text": text})
        yield json.dumps({"type": "flush", "nonce": self.flushes})


class _Told(Shape):
    """A message that is no audio."""

    type: str
    nonce: int | None = None
    request_id: str | None = None
    timestamps: tuple[Element, ...] = ()


class FlushAudio(InlineAudio[Message]):
    """The audio of one utterance; words are added to ``words`` as they are told.

    Args:
        line: On which it was begun.
        refusals: What errors mean.
        finder: Of the utterance's words.
        words: Grows.
    """

    def __init__(
        self, line: Line[Talk], refusals: Refusals, finder: WordFinder, words: list[TimedText]
    ) -> None:
        super().__init__(line)
        self._line = line
        self._refusals = refusals
        self._finder = finder
        self._words = words
        self._told = 0

    @override
    async def audio(self, item: Message) -> bytes:
        if isinstance(item, bytes):
            return item
        told, talk = _Told.read(item), self._line.memory
        talk.request_id = told.request_id or talk.request_id
        if told.type == "error":
            raise self._refusals.of(json.loads(item))
        self._note(told.timestamps)
        if told.type == "flush_complete" and told.nonce == talk.flushes:
            self._words.extend(self._finder.finish())
            self._line.end()
        return b""

    def _note(self, elements: tuple[Element, ...]) -> None:
        """Take what is new: each message tells all since the last flush."""
        for one in elements[self._told :]:
            if one.is_word:
                self._words.extend(self._finder.timed(one.text, one.start, one.end))
        self._told = max(self._told, len(elements))
