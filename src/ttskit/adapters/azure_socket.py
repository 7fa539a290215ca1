"""Azure Speech over a WebSocket: one utterance, a turn there, whose words are timed.

Source: the wire of azure-cognitiveservices-speech 1.53.0 in its connections to a server of ours;
microsoft-cognitiveservices-speech-sdk 1.47.0, which asks for raw audio where a header is wanted.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import unescape
from types import MappingProxyType
from typing import Self

from pydantic import Field
from typing_extensions import override

from ttskit import __version__
from ttskit.adapters.azure_formats import Format, azure_id, bare, bare_rate, ours
from ttskit.adapters.base import AudioSource, TimedText, Utterance
from ttskit.adapters.replies import InlineAudio, Shape
from ttskit.adapters.timing import WordFinder
from ttskit.errors import InvalidResponseError, RateLimitedError, TTSError
from ttskit.resources.http.client import MAX_AUDIO_BYTES, HTTPClient
from ttskit.resources.http.websocket import Message, WebSocket
from ttskit.text.spans import Offsets
from ttskit.text.ssml.parse import parse

PATH = "/cognitiveservices/websocket/v1"
TICKS = 10_000_000
"""Of a second."""
CLOSES: Mapping[int, type[TTSError]] = MappingProxyType({4429: RateLimitedError})
_AUDIO, _METADATA, _END = "audio", "audio.metadata", "turn.end"
_WORD = "WordBoundary"
_LENGTH_BYTES = 2
"""Of the header's length, before the header of binary frames."""
_FIELD = re.compile(r"([!-9;-~]+):[ \t]*([ -~]*)")


@asynccontextmanager
async def timed_speech(
    http: HTTPClient,
    utterance: Utterance,
    document: str,
    *,
    form: Format,
    deployment_id: str | None = None,
) -> AsyncIterator[AudioSource]:
    """Speak one utterance: an async context manager over its audio, which has begun.

    Args:
        http: Of the host that speaks.
        utterance: Whose words are timed.
        document: What Azure is to say.
        form: Asked for; audio with a RIFF header comes without it.
        deployment_id: Of a custom voice.

    Raises:
        RateLimitedError: On entering or reading: Azure closed the socket because it is busy.
        InvalidParameterError: It does not take the document, perhaps for the voice's sake.
        InvalidResponseError: What came cannot be read, or the turn was never ended.
        TTSError: What the client makes of a refused handshake or a broken connection.
    """
    words = _Words(utterance)
    form = bare(form)
    request_id = uuid.uuid4().hex
    opened = http.websocket(
        PATH,
        query={"deploymentId": deployment_id},
        headers={"X-ConnectionId": uuid.uuid4().hex},
        closes=CLOSES,
    )
    async with opened as socket:
        await socket.say(_asked(request_id, document, azure_id(form)))
        chunks = _Speech(_Turn(socket), words)
        await chunks.begin()
        yield AudioSource(
            chunks,
            format=ours(form),
            sample_rate=bare_rate(form),
            words=words.found,
            request_id=request_id,
        )


def _asked(request_id: str, document: str, form: str) -> Iterator[str]:
    """Yield the three frames that begin a turn."""
    system = {"name": "ttskit", "version": __version__, "build": "Python"}
    told = {
        "visemeEnabled": False,
        "bookmarkEnabled": False,
        "wordBoundaryEnabled": True,
        "punctuationBoundaryEnabled": True,
        "sentenceBoundaryEnabled": False,
        "sessionEndEnabled": True,
    }
    config = {"context": {"system": system, "os": {"platform": "Python"}}}
    context = {
        "synthesis": {
            "audio": {"outputFormat": form, "metadataOptions": told},
            "language": {"autoDetection": False},
        }
    }
    turn = {"X-RequestId": request_id}
    yield _text_frame("speech.config", {}, json.dumps(config))
    yield _text_frame("synthesis.context", turn, json.dumps(context))
    yield _text_frame("ssml", {"Content-Type": "application/ssml+xml", **turn}, document)


def _text_frame(path: str, fields: Mapping[str, str], body: str) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"X-Timestamp": now, "Path": path, **fields}
    return "\r\n".join([*(f"{name}:{value}" for name, value in head.items()), "", body])


@dataclass(frozen=True, slots=True)
class Frame:
    """What the server sends: fields, of which the path says what it is, and a body."""

    path: str
    """In lower case."""
    body: bytes

    @classmethod
    def read(cls, message: Message) -> Self:
        """Return the frame that a message holds.

        Raises:
            InvalidResponseError: It holds none.
        """
        if isinstance(message, str):
            fields, _, body = message.partition("\r\n\r\n")
            return cls(_path(fields), body.encode())
        size = int.from_bytes(message[:_LENGTH_BYTES], "big")
        head, audio = message[_LENGTH_BYTES:][:size], message[_LENGTH_BYTES + size :]
        # Audio is all that comes in bytes. What looks like something else is audio, too, whose
        # header is longer than it is said to be: passed over, it would be missing.
        if len(head) < size or _path(head.decode("ascii", "replace")) != _AUDIO:
            raise _malformed()
        return cls(_AUDIO, audio)


def _path(head: str) -> str:
    fields = {}
    for line in head.strip().split("\r\n"):
        field = _FIELD.fullmatch(line)
        if field is None:
            raise _malformed()
        fields[field[1].lower()] = field[2].strip().lower()
    if "path" not in fields:
        raise _malformed()
    return fields["path"]


def _malformed() -> TTSError:
    return InvalidResponseError("the server sent a frame whose header cannot be read")


class _Turn:
    """The frames of a turn, its last one included; the socket stays open after it."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._is_over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        if self._is_over:
            raise StopAsyncIteration
        message = await anext(self._socket, None)
        if message is None:
            raise InvalidResponseError("the server closed the socket before the speech was over")
        frame = Frame.read(message)
        self._is_over = frame.path == _END
        return frame


class _Speech(InlineAudio[Frame]):
    """The audio of a turn; its words are noted as they are told."""

    def __init__(self, turn: _Turn, words: _Words) -> None:
        super().__init__(turn)
        self._words = words
        self._left = MAX_AUDIO_BYTES

    @override
    async def audio(self, item: Frame) -> bytes:
        if item.path == _METADATA:
            self._words.add(item.body)
        if item.path != _AUDIO:
            return b""
        self._left -= len(item.body)
        if self._left < 0:
            raise InvalidResponseError("the reply is larger than any speech")
        return item.body

    @override
    def finish(self) -> None:
        self._words.finish()


class _Said(Shape):
    text: str = Field(alias="Text")
    kind: str = Field(default=_WORD, alias="BoundaryType")


class _Boundary(Shape):
    offset: int = Field(ge=0, alias="Offset")
    duration: int = Field(default=0, ge=0, alias="Duration")
    said: _Said = Field(alias="text")


class _Event(Shape):
    kind: str = Field(alias="Type")
    data: object = Field(default=None, alias="Data")


class _Metadata(Shape):
    events: tuple[_Event, ...] = Field(alias="Metadata")


class _Words:
    """The words of an utterance as they are told.

    Azure names a word without its place, so it is searched for in what is said of the text:
    of a document without its tags, which may look like words.
    """

    def __init__(self, utterance: Utterance) -> None:
        self.found: list[TimedText] = []
        text, self._offsets = utterance.text, Offsets.identity()
        if utterance.is_ssml:
            runs = parse(text).runs
            text = "".join(run.text for run in runs)
            self._offsets = Offsets.concat((run.offsets, len(run.text)) for run in runs)
        self._finder = WordFinder(text)

    def add(self, metadata: bytes) -> None:
        """Note the words among the events of a frame."""
        for event in _Metadata.read(metadata).events:
            if event.kind != _WORD:
                continue
            word = _Boundary.take(event.data)
            if word.said.kind == _WORD:
                start, end = word.offset, word.offset + word.duration
                # The words of a document can come as they are written there: R&amp;B.
                spoken = unescape(word.said.text)
                self._note(self._finder.timed(spoken, start / TICKS, end / TICKS))

    def finish(self) -> None:
        """Note what the last words can only be."""
        self._note(self._finder.finish())

    def _note(self, words: Iterable[TimedText]) -> None:
        self.found += [replace(word, span=self._offsets.span(*word.span)) for word in words]
