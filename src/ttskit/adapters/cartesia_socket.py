"""Cartesia over a WebSocket: a stream's utterances as one reading, in a continuation context.

Source of all facts: Cartesia's API reference and Python SDK 4.2.0.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from typing_extensions import override

from ttskit.adapters.base import TimedText
from ttskit.adapters.cartesia_replies import Event
from ttskit.adapters.refusals import Refusals
from ttskit.adapters.replies import InlineAudio
from ttskit.adapters.timing import WordFinder
from ttskit.resilience.now import now
from ttskit.resources.http.lines import Keeping, Line
from ttskit.resources.http.websocket import Message

PATH = "/tts/websocket"
KEEPING = Keeping(idle_s=120.0)
"""Cartesia closes a socket after five minutes without a word."""
CONTEXT_S = 0.7
"""Seconds after its last audio came in which a context goes on: it expires after one."""


@dataclass
class Context:
    """What is being read on a socket."""

    lane: str | None = None
    id: str = ""
    """Empty: nothing goes on."""
    terms: Mapping[str, object] = field(default_factory=dict)
    """All but the text, which must stay the same."""
    seconds: float = 0.0
    """Of its audio so far."""
    heard_at: float = 0.0
    """When the last of it came, on the event loop's clock."""

    def opening(self, lane: str | None, terms: Mapping[str, object], text: str) -> Iterator[str]:
        """Yield the message that has a text read, in the same context where that goes on."""
        is_alive = now() < self.heard_at + CONTEXT_S
        if not self.id or self.lane != lane or self.terms != terms or not is_alive:
            self.lane, self.id, self.terms = lane, str(uuid.uuid4()), terms
            self.seconds = 0.0
        # Pieces are joined as they are.
        goes_on = {"continue": True, "flush": True} if lane else {"continue": False}
        yield self._message(transcript=f"{text} ", **goes_on)

    def farewell(self) -> Iterator[str]:
        """Yield what ends the context."""
        if self.id:
            yield self._message(transcript="", **{"continue": False})
            self.id = ""

    def heard(self, seconds: float) -> None:
        """Note so much audio of one utterance."""
        self.seconds += seconds
        self.heard_at = now()

    def _message(self, **members: object) -> str:
        return json.dumps({**self.terms, "context_id": self.id, **members})


class ContextAudio(InlineAudio[Message]):
    """The audio of one utterance; words are added to ``words`` as they are told.

    Args:
        line: On which it was begun.
        refusals: What errors mean.
        finder: Of the utterance's words.
        words: Grows.
        bytes_per_second: Of the audio.
    """

    def __init__(
        self,
        line: Line[Context],
        refusals: Refusals,
        finder: WordFinder,
        words: list[TimedText],
        *,
        bytes_per_second: int,
    ) -> None:
        super().__init__(line)
        self._line = line
        self._refusals = refusals
        self._finder = finder
        self._words = words
        self._bytes_per_second = bytes_per_second
        self._size = 0

    @override
    async def audio(self, item: Message) -> bytes:
        event = Event.read(item)
        context = self._line.memory
        if event.context_id not in (None, context.id):
            return b""  # the end of another stream's
        if event.type == "error":
            raise self._refusals.of(json.loads(item), status=event.status_code)
        self._note_words(event)
        if event.type in ("flush_done", "done"):
            self._words.extend(self._finder.finish())
            context.heard(self._size / self._bytes_per_second)
            if event.type == "done" or context.lane is None:
                context.id = ""
            self._line.end()
        self._size += len(event.data)
        return event.data

    def _note_words(self, event: Event) -> None:
        """Take the times of words, which may run on from the context's beginning."""
        timed, before = event.word_timestamps, self._line.memory.seconds
        for word, start, end in zip(timed.words, timed.start, timed.end, strict=False):
            past = before if start >= before else 0.0
            self._words.extend(self._finder.timed(word, start - past, end - past))
