"""Deepgram over a WebSocket: Aura by ``/v1/speak``, Flux by ``/v2/speak``.

Source of all facts: Deepgram's API specification of 2026-07 and Python SDK 7.17.0.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from typing_extensions import override

from ttskit.adapters.refusals import Refusals
from ttskit.adapters.replies import InlineAudio, Shape
from ttskit.resilience.now import now
from ttskit.resources.http.lines import Keeping, Line
from ttskit.resources.http.websocket import Message

KEEPING = Keeping(idle_s=30.0, is_shared=False)
"""Every open socket counts towards what the project may have at a time."""
FLUSHES = 20
"""That a socket takes within ``FLUSHES_S``; beyond them it warns and flushes no more."""
FLUSHES_S = 60.0


@dataclass
class Talk:
    """What is known of a socket."""

    request_id: str | None = None


class Flushes:
    """How often streams had their utterances made of late.

    Deepgram counts by socket, and a stream has one at a time.
    """

    def __init__(self) -> None:
        self._at: dict[str, deque[float]] = {}

    def take(self, lane: str) -> bool:
        """Return whether the stream's socket takes another one now, which is then counted."""
        recent, since = self._at.setdefault(lane, deque()), now() - FLUSHES_S
        while recent and recent[0] <= since:
            recent.popleft()
        if len(recent) >= FLUSHES:
            return False
        recent.append(now())
        return True

    def forget(self, lane: str) -> None:
        """The stream is over."""
        self._at.pop(lane, None)


def opening(text: str) -> Iterator[str]:
    """Yield what has a text spoken now."""
    yield json.dumps({"type": "Speak", "text": text})
    yield json.dumps({"type": "Flush"})


class _Told(Shape):
    """A message that is no audio."""

    type: str
    request_id: str | None = None
    code: str | None = None


class TurnAudio(InlineAudio[Message]):
    """The audio of one utterance.

    Args:
        line: On which it was begun.
        refusals: What errors mean.
        is_flux: By version 2, which says otherwise when a turn is over.
    """

    def __init__(self, line: Line[Talk], refusals: Refusals, *, is_flux: bool) -> None:
        super().__init__(line)
        self._line = line
        self._refusals = refusals
        self._end = "SpeechMetadata" if is_flux else "Flushed"

    @override
    async def audio(self, item: Message) -> bytes:
        if isinstance(item, bytes):
            return item
        told = _Told.read(item)
        self._line.memory.request_id = told.request_id or self._line.memory.request_id
        if told.type == "Error":
            raise self._refusals.of(json.loads(item))
        if told.type == self._end:
            self._line.end()
        return b""
