"""What Cartesia answers: its list of voices, and events with audio and words.

Source of all facts: Cartesia's API reference and Python SDK 4.2.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from ttskit.adapters.base import TimedText
from ttskit.adapters.refusals import Refusals
from ttskit.adapters.replies import Base64, InlineAudio, Shape
from ttskit.adapters.timing import WordFinder
from ttskit.errors import InvalidResponseError
from ttskit.resources.http.framing import ServerEvent, json_object

if TYPE_CHECKING:
    from ttskit.resources.http.client import Reply


class _Locale(Shape):
    locale: str


class ListedVoice(Shape):
    """A voice as it is listed."""

    id: str
    name: str
    tagline: str | None = None
    description: str | None = None
    language: str | None = None
    locales: tuple[_Locale, ...] = ()
    gender: str | None = None
    is_owner: bool = False

    @property
    def languages(self) -> tuple[str, ...]:
        """The native one first."""
        tags = [one.locale for one in self.locales] or [self.language or ""]
        return tuple(dict.fromkeys(tag for tag in tags if tag))


class VoicePage(Shape):
    """One page of voices."""

    data: tuple[ListedVoice, ...]
    has_more: bool = False


class _Words(Shape):
    words: tuple[str, ...] = ()
    start: tuple[float, ...] = ()
    end: tuple[float, ...] = ()
    """Both in seconds."""


class Event(Shape):
    """What comes while something is spoken, over either way."""

    type: str
    data: Base64 = b""
    word_timestamps: _Words = _Words()
    status_code: int = 500
    context_id: str | None = None
    """Of a socket only."""


class SpokenEvents(InlineAudio[ServerEvent]):
    """The audio of a stream of events; words are added to ``words`` as they are told."""

    def __init__(
        self, reply: Reply, refusals: Refusals, finder: WordFinder, words: list[TimedText]
    ) -> None:
        super().__init__(reply.events())
        self._refusals = refusals
        self._finder = finder
        self._words = words
        self._is_over = False

    @override
    async def audio(self, item: ServerEvent) -> bytes:
        event = Event.read(item.data)
        if event.type == "error":
            raise self._refusals.of(json_object(item.data), status=event.status_code)
        timed = event.word_timestamps
        for word, start, end in zip(timed.words, timed.start, timed.end, strict=False):
            self._words.extend(self._finder.timed(word, start, end))
        if event.type == "done":
            self._words.extend(self._finder.finish())
            self._is_over = True
        return event.data

    @override
    def finish(self) -> None:
        if not self._is_over:
            raise InvalidResponseError("the stream ended before the speech did")
