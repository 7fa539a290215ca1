"""Azure's WebSocket on this machine: it looks at what it is sent, and speaks the modem voice."""

from __future__ import annotations

import contextlib
import http
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import numpy as np
from typing_extensions import override
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from tests.clouds.contract import KEY, audio
from ttskit.adapters.base import Utterance
from ttskit.codecs.pcm import Samples
from ttskit.testing import FaultyServer
from ttskit.testing.modem import Modem
from ttskit.testing.speaking import Speech
from ttskit.testing.wire import Connection

PATH = "/cognitiveservices/websocket/v1"
TICKS = 10_000_000
SSML = "{http://www.w3.org/2001/10/synthesis}"
HEX = re.compile("[0-9a-f]{32}")
FORM = re.compile(r"(?:raw|audio|ogg)-(\d+)(k?)hz-.*?(pcm|mulaw|alaw|mp3|opus)")
ID = "0123456789abcdef0123456789abcdef"
Message = str | bytes
Word = tuple[str, float, float]
"""A word, and its seconds."""


def told(path: str, body: object = "") -> str:
    """Return a text frame."""
    said = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return f"X-RequestId:{ID}\r\nContent-Type:application/json\r\nPath:{path}\r\n\r\n{said}"


def heard(data: bytes) -> bytes:
    """Return a frame of audio."""
    head = f"X-RequestId:{ID}\r\nX-StreamId:1\r\nContent-Type:audio/x-wav\r\nPath:audio\r\n"
    return struct.pack(">H", len(head)) + head.encode() + data


def boundary(text: str, start: float, end: float, kind: str = "WordBoundary") -> dict[str, object]:
    said = {"Text": text, "Length": len(text), "BoundaryType": kind}
    ticks = round(start * TICKS), round((end - start) * TICKS)
    return {"Type": kind, "Data": {"Offset": ticks[0], "Duration": ticks[1], "text": said}}


def metadata(*events: Mapping[str, object]) -> str:
    return told("audio.metadata", {"Metadata": events})


def spoken(document: str, voice: str, rate: int, speed: float) -> tuple[Samples, list[Word]]:
    """Return a document in the modem voice, and when it says which word."""
    utterance = Utterance(document, is_ssml=True)
    parts = list(Speech(utterance, Modem(rate, speed=speed), voice).parts())
    words = [part.word for part in parts if part.word is not None]
    return np.concatenate([part.samples for part in parts]), [
        (document[slice(*word.span)], word.start, word.end) for word in words
    ]


def frames(data: bytes, words: Iterable[Word], seconds: float) -> Iterator[Message]:
    """Yield a good turn, in which every word is told before it is heard."""
    waiting = list(words)
    step = 4_001  # of bytes: frames end within samples
    yield told("turn.start", {"context": {"serviceTag": ID}})
    yield told("response", {"audio": {"type": "inline", "streamId": "1"}})
    for at in range(0, len(data), step):
        while waiting and waiting[0][1] * len(data) <= (at + step) * seconds:
            yield metadata(*_boundaries(*waiting.pop(0)))
        yield heard(data[at : at + step])
    if waiting:
        yield metadata(*(event for word in waiting for event in _boundaries(*word)))
    yield heard(b"")
    yield metadata({"Type": "SessionEnd", "Data": {"Offset": round(seconds * TICKS)}})
    yield told("turn.end")


def _boundaries(text: str, start: float, end: float) -> Iterator[dict[str, object]]:
    word = text.rstrip(".,!?")
    yield boundary(word, start, end)
    if word != text:
        yield boundary(text[len(word) :], end, end, "PunctuationBoundary")


@dataclass
class Asked:
    """What a turn was begun with."""

    config: Mapping[str, object]
    context: Mapping[str, object]
    document: str
    request_id: str

    @classmethod
    def read(cls, messages: Iterable[Message]) -> Asked:
        """Take in three frames; whatever is wrong with them is an AssertionError."""
        taken = [_taken(message) for message in messages]
        (first, config), (second, context), (third, document) = taken
        assert [one["Path"] for one, _ in taken] == ["speech.config", "synthesis.context", "ssml"]
        assert "X-RequestId" not in first
        assert HEX.fullmatch(second["X-RequestId"])
        assert second["X-RequestId"] == third["X-RequestId"]
        assert third["Content-Type"] == "application/ssml+xml"
        asked = cls(json.loads(config), json.loads(context), document, second["X-RequestId"])
        assert set(_within(asked.config, "context")) == {"system", "os"}
        system = _within(asked.config, "context", "system")
        assert set(system) == {"name", "version", "build"}
        told = _within(asked.context, "synthesis", "audio", "metadataOptions")
        assert told["wordBoundaryEnabled"] is True
        assert told["visemeEnabled"] is False
        return asked

    @property
    def form(self) -> str:
        return str(_within(self.context, "synthesis", "audio")["outputFormat"])


def _taken(message: Message) -> tuple[dict[str, str], str]:
    assert isinstance(message, str)
    head, parted, body = message.partition("\r\n\r\n")
    assert parted
    fields = dict(line.split(":", 1) for line in head.split("\r\n"))
    assert datetime.fromisoformat(fields["X-Timestamp"]).tzinfo is not None
    return fields, body


def _within(document: object, *path: str) -> Mapping[str, object]:
    for name in path:
        assert isinstance(document, Mapping)
        document = document[name]
    assert isinstance(document, Mapping)
    return document


@dataclass
class Turns:
    """Answers sockets as the service does, and otherwise where a test says so."""

    voices: Collection[object]
    listing: bytes = b""
    """What the list of voices is answered by."""
    script: Callable[[ServerConnection, list[Message]], None] | None = None
    """Sends a turn in its own way; given what a good one would be."""
    refusal: tuple[int, Mapping[str, str]] | None = None
    """Status and fields that every handshake is answered by."""
    handshakes: list[Request] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    codes: list[int | None] = field(default_factory=list)
    """What clients closed with."""
    complaints: list[str] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    """Somebody's turn is over."""

    def judge(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a handshake, or answer what is none."""
        if request.path.endswith("/voices/list"):
            return connection.respond(http.HTTPStatus.OK, self.listing.decode())
        self.handshakes.append(request)
        if self.refusal is not None:
            response = connection.respond(http.HTTPStatus(self.refusal[0]), "")
            response.headers.update(self.refusal[1])
            return response
        if request.headers.get("Ocp-Apim-Subscription-Key") != KEY:
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "")
        is_named = HEX.fullmatch(request.headers.get("X-ConnectionId", ""))
        if urlsplit(request.path).path != PATH or not is_named:
            return connection.respond(http.HTTPStatus.BAD_REQUEST, "")
        return None

    def __call__(self, connection: ServerConnection) -> None:
        try:
            self._answer(connection)
            connection.recv(10)
        except ConnectionClosed as closed:
            self.codes.append(closed.rcvd.code if closed.rcvd else None)
        except (AssertionError, LookupError, ValueError) as error:
            self.complaints.append(repr(error))
            connection.close(1007)
        finally:
            self.left.set()

    def _answer(self, connection: ServerConnection) -> None:
        asked = Asked.read([connection.recv(10) for _ in range(3)])
        self.asked.append(asked)
        root = ET.fromstring(asked.document)  # noqa: S314 - our own
        voice = root.find(f"{SSML}voice")
        form = FORM.fullmatch(asked.form)
        assert form is not None, asked.form
        assert voice is not None
        if voice.get("name") not in self.voices:
            connection.close(1007, f"Unsupported voice {voice.get('name')}.")
            return
        prosody = voice.find(f"{SSML}prosody")
        speed = 1.0 if prosody is None else float(prosody.get("rate", "1"))
        rate = int(form[1]) * (1_000 if form[2] else 1)
        samples, words = spoken(asked.document, str(voice.get("name")), rate, speed)
        made = frames(audio(samples, form[3], rate), words, len(samples) / rate)
        good = [_in_turn(message, asked.request_id) for message in made]
        (self.script or send)(connection, good)


def _in_turn(message: Message, request_id: str) -> Message:
    if isinstance(message, str):
        return message.replace(ID, request_id)
    return message.replace(ID.encode(), request_id.encode())


def send(connection: ServerConnection, messages: Iterable[Message]) -> None:
    for message in messages:
        connection.send(message)


class BothServer(FaultyServer):
    """Answers requests itself, and hands sockets on to another server.

    Args:
        sockets: The other one's URL.
    """

    def __init__(self, sockets: str) -> None:
        super().__init__(b"", content_type="text/plain", faults_on="/cognitiveservices/v1")
        self._sockets = int(sockets.rpartition(":")[2])

    @override
    def _serve(self, connection: Connection) -> None:
        begins = f"GET {PATH}".encode()
        with contextlib.suppress(OSError):  # it is gone
            if connection.socket.recv(len(begins), socket.MSG_PEEK) == begins:
                self._hand_on(connection)
        super()._serve(connection)

    def _hand_on(self, connection: Connection) -> None:
        with socket.create_connection(("127.0.0.1", self._sockets)) as other:
            back = threading.Thread(target=_pump, args=(other, connection.socket))
            back.start()
            _pump(connection.socket, other)
            back.join(5)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # one of them is gone
        pass
