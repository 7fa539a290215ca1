"""What is said over ElevenLabs' WebSockets: a context for each utterance, many on one socket.

A context of its own tells without doubt where an utterance's audio ends: nothing else marks that.
There are two sockets: speech, for models up to v2.5, and dialogue, for the later ones.

Source: ElevenLabs API reference, multi-context WebSocket and text to dialogue; Python SDK 2.78.0,
``types/*_multi.py`` and ``types/text_to_dialogue_websocket_*.py``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AliasChoices, Field
from typing_extensions import override

from ttskit.adapters.base import TimedText
from ttskit.adapters.refusals import Refusals
from ttskit.adapters.replies import Base64, InlineAudio, Shape
from ttskit.adapters.timing import CharacterTimes
from ttskit.resources.http.framing import json_object
from ttskit.resources.http.websocket import Message

_BYTES = {"pcm": 2, "mulaw": 1, "alaw": 1}
"""Of a sample; of other formats nobody can tell when a chunk begins without decoding it."""
TIMED = frozenset(_BYTES)


class Contexts:
    """The names of a socket's contexts: what was said before is never told of again."""

    def __init__(self) -> None:
        self.latest = ""
        self._count = 0

    def begin(self) -> str:
        """Return the name of a new one."""
        self._count += 1
        self.latest = f"c{self._count}"
        return self.latest


@dataclass(frozen=True, slots=True)
class Said:
    """An utterance on its way into a context."""

    text: str
    voice: str
    settings: Mapping[str, object]
    """Of the voice."""
    dictionaries: Sequence[object] | None = None
    """Pronunciation dictionaries: the first message alone may name them."""

    def speech(self, context: str) -> Iterator[str]:
        """Yield the messages that have it spoken over the socket for speech."""
        yield _message(
            context,
            text=" ",
            voice_settings=self.settings or None,
            pronunciation_dictionary_locators=self.dictionaries or None,
        )
        # A space ends the last word; without it more of it would be waited for.
        yield _message(context, text=f"{self.text.strip()} ", flush=True)
        yield _message(context, close_context=True)

    def dialogue(self, context: str) -> Iterator[str]:
        """Yield the messages that have it spoken over the socket for dialogues."""
        yield _message(
            context,
            voices=[self.voice],
            voice_settings=self.settings or None,
            pronunciation_dictionary_locators=self.dictionaries or None,
        )
        yield _message(context, inputs=[{"text": self.text, "voice_id": self.voice}])
        yield _message(context, close_context=True)


def _message(context: str, **members: object) -> str:
    given = {name: value for name, value in members.items() if value is not None}
    return json.dumps({**given, "context_id": context})


def _either(*names: str) -> object:
    return Field(default=None, validation_alias=AliasChoices(*names))


class _Alignment(Shape):
    """When the characters of a chunk are spoken, in milliseconds from the start of the chunk.

    ElevenLabs' schema and its examples spell the durations differently.
    """

    chars: tuple[str, ...] | None = None
    starts: Annotated[
        tuple[float, ...] | None, _either("charStartTimesMs", "char_start_times_ms")
    ] = None
    durations: Annotated[
        tuple[float, ...] | None,
        _either("charDurationsMs", "charsDurationsMs", "char_durations_ms"),
    ] = None


class _Told(Shape):
    """What the server says: audio, times, that a context is over, or an error."""

    audio: Base64 | None = None
    alignment: _Alignment | None = None
    is_final: Annotated[bool | None, _either("isFinal", "is_final")] = None
    context: Annotated[str | None, _either("contextId", "context_id")] = None


class ContextAudio(InlineAudio[Message]):
    """The audio of one context.

    Args:
        messages: As the server sends them.
        context: Of the utterance; what is told of another one is passed over.
        refusals: What errors mean.
        end: Called when the context is over.
    """

    def __init__(
        self,
        messages: AsyncIterator[Message],
        context: str,
        *,
        refusals: Refusals,
        end: Callable[[], None],
    ) -> None:
        super().__init__(messages)
        self._context = context
        self._refusals = refusals
        self._end = end
        self._times: _Times | None = None

    def time(self, words: list[TimedText], times: CharacterTimes, *, codec: str, rate: int) -> None:
        """Add to ``words`` each one that is told, from here on; ``codec`` is one of ``TIMED``."""
        self._times = _Times(words, times, _BYTES[codec] * rate)

    @override
    async def audio(self, item: Message) -> bytes:
        document = json_object(item if isinstance(item, str) else item.decode())
        if document.get("error") or ("message" in document and "audio" not in document):
            raise self._refusals.of(document)
        told = _Told.take(document)
        if told.context not in {None, self._context}:
            return b""
        data = told.audio or b""
        if self._times is not None:
            self._times.add(told.alignment, data)
        if told.is_final:
            self._end()
        return data

    @override
    def finish(self) -> None:
        if self._times is not None:
            self._times.finish()


class _Times:
    """Word times of a context, whose chunks count from their own start."""

    def __init__(self, words: list[TimedText], times: CharacterTimes, bytes_a_second: int) -> None:
        self._words = words
        self._times = times
        self._bytes_a_second = bytes_a_second
        self._received = 0

    def add(self, told: _Alignment | None, audio: bytes) -> None:
        since = self._received / self._bytes_a_second
        self._received += len(audio)
        if told is None or told.chars is None or told.starts is None or told.durations is None:
            return
        starts = [since + start / 1_000 for start in told.starts]
        ends = [
            start + duration / 1_000
            for start, duration in zip(starts, told.durations, strict=False)
        ]
        self._words += self._times.add(told.chars, starts, ends)

    def finish(self) -> None:
        self._words += self._times.finish()
