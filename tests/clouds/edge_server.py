"""Edge's *Read aloud* in the modem voice, behind a proxy through which the package gets there.

The package knows one address, so it is led here: to this server it says ``CONNECT``, then TLS
begins on the same connection, and a certificate that the tests' own authority has signed says
that this is Microsoft's host.

Source: edge-tts 7.3.1, communicate.py and voices.py; RFC 6455.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from html import escape
from typing import Self

import numpy as np
import trustme

from tests.clouds.contract import audio
from tests.resources.socket_server import SocketServer, reset, wait_for_end
from ttskit.testing import Ending
from ttskit.testing.modem import Modem

HOST = "speech.platform.bing.com"
RATE = 24_000
TICKS_PER_S = 10_000_000
AUDIO_BYTES = 720
"""Of one message, as the service sends it."""
VOICES = [
    {
        "Name": f"Microsoft Server Speech Text to Speech Voice ({locale}, {name})",
        "ShortName": f"{locale}-{name}",
        "Gender": gender,
        "Locale": locale,
        "SuggestedCodec": "audio-24khz-48kbitrate-mono-mp3",
        "FriendlyName": f"Microsoft {name} Online (Natural)",
        "Status": "GA",
        "VoiceTag": {"ContentCategories": ["General"], "VoicePersonalities": ["Friendly"]},
    }
    for locale, name, gender in [
        ("af-ZA", "AdriNeural", "Female"),
        ("en-US", "EmmaMultilingualNeural", "Female"),
        ("iu-Cans-CA", "SiqiniqNeural", "Female"),
        ("zh-CN-liaoning", "XiaobeiNeural", "Male"),
    ]
]
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE = 1, 2, 8


@dataclass(frozen=True)
class Fault:
    """How one request for speech goes wrong."""

    status: int | None = None
    """Of the answer to the request for a WebSocket, or for the list."""
    has_date: bool = True
    ending: Ending | None = None
    at: int = 0
    """Messages that come before the end."""
    instead: tuple[bytes, ...] | None = None
    """Frames that come in place of the answer."""
    step: int | None = None
    """Bytes that are sent at a time."""


@dataclass
class Asked:
    """What was asked for on one WebSocket."""

    target: str
    headers: dict[str, str]
    config: dict[str, object] = field(default_factory=dict)
    ssml: str = ""


class EdgeServer(SocketServer):
    """Well and serving, until it is told otherwise."""

    def __init__(self, authority: trustme.CA) -> None:
        super().__init__(self._proxy)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(HOST).configure_cert(self._tls)
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        """Of the next requests, one each."""
        self.refuses = False
        """The proxy leads nowhere."""
        self.voices: object = VOICES

    @property
    def proxy(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def spoil(self, **fault: object) -> Self:
        """Have the next request go wrong."""
        self.faults.append(Fault(**fault))  # type: ignore[arg-type] # its own fields
        return self

    def _proxy(self, connection: socket.socket) -> None:
        target, _ = _request(connection)
        if self.refuses or target != f"{HOST}:443":
            connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with self._tls.wrap_socket(connection, server_side=True) as wrapped:
            self._open.add(wrapped)
            try:
                self._serve_one(wrapped)
            finally:
                self._open.discard(wrapped)

    def _serve_one(self, connection: socket.socket) -> None:
        target, headers = _request(connection)
        fault = self.faults.pop(0) if self.faults else Fault()
        if fault.status is not None:
            date = f"Date: {formatdate(usegmt=True)}\r\n" if fault.has_date else ""
            head = f"HTTP/1.1 {fault.status} No\r\n{date}Content-Length: 0\r\n\r\n"
            connection.sendall(head.encode())
            return
        if "upgrade" not in headers:
            body = json.dumps(self.voices).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            return
        accept = hashlib.sha1((headers["sec-websocket-key"] + _MAGIC).encode()).digest()  # noqa: S324 - RFC 6455
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n"
        )
        asked = Asked(target, headers)
        self.asked.append(asked)
        asked.config = json.loads(_received(connection).partition("\r\n\r\n")[2])
        asked.ssml = _received(connection).partition("\r\n\r\n")[2]
        self._answer(connection, asked, fault)

    def _answer(self, connection: socket.socket, asked: Asked, fault: Fault) -> None:
        frames = list(speech(asked)) if fault.instead is None else list(fault.instead)
        if fault.ending is not None:
            frames = frames[: fault.at]
        for data in frames:
            step = fault.step or len(data)
            for start in range(0, len(data), step):
                connection.sendall(data[start : start + step])
        if fault.ending is Ending.STALL:
            wait_for_end(connection)
        elif fault.ending is Ending.RESET:
            reset(connection)
        elif fault.ending is Ending.CLOSE:
            connection.sendall(frame(CLOSE, struct.pack(">H", 1_000)))
        else:
            _say_goodbye(connection)


def speech(asked: Asked) -> Iterator[bytes]:
    """Yield the frames that answer a request."""
    yield message("turn.start", {"context": {"serviceTag": "x"}})
    yield message("response", {"context": {}, "audio": {"type": "inline", "streamId": "1"}})
    yield from _spoken(asked)
    yield message("turn.end", {})


def said(asked: Asked) -> str:
    """Return the text of a request."""
    _, prosody = _elements(asked)
    return prosody.text or ""


def _elements(asked: Asked) -> tuple[ET.Element, ET.Element]:
    (voice,) = ET.fromstring(asked.ssml)  # noqa: S314 - our own client's
    (prosody,) = voice
    return voice, prosody


def _spoken(asked: Asked) -> Iterator[bytes]:
    text, voice, prosody = said(asked), *_elements(asked)
    name, rate = voice.get("name"), prosody.get("rate", "")
    short = next((one["ShortName"] for one in VOICES if one["Name"] == name), None)
    if short is None or not text:
        return
    parts = list(Modem(RATE, speed=1 + int(rate.rstrip("%")) / 100).speak(text, str(short)))
    options = asked.config["context"]["synthesis"]["audio"]["metadataoptions"]  # type: ignore[index]
    kinds = {"wordBoundaryEnabled": "WordBoundary", "sentenceBoundaryEnabled": "SentenceBoundary"}
    (kind,) = [kinds[option] for option, value in options.items() if value == "true"]
    if kind == "SentenceBoundary":
        yield boundary(kind, text, 0.0, sum(len(part.samples) for part in parts) / RATE)
    for part in parts if kind == "WordBoundary" else ():
        if part.span is not None:
            yield boundary(kind, text[slice(*part.span)], part.start, part.end)
    data = audio(np.concatenate([part.samples for part in parts]), "mp3", RATE)
    for start in range(0, len(data), AUDIO_BYTES):
        yield audio_message(data[start : start + AUDIO_BYTES])
    yield audio_message(b"", kind=None)


def boundary(kind: str, text: str, start: float, end: float) -> bytes:
    """Return the frame that times a word or a sentence; seconds."""
    data = {
        "Offset": round(start * TICKS_PER_S),
        "Duration": round((end - start) * TICKS_PER_S),
        "text": {"Text": escape(text, quote=False), "Length": len(text), "BoundaryType": kind},
    }
    return message("audio.metadata", {"Metadata": [{"Type": kind, "Data": data}]})


def message(path: str, content: object) -> bytes:
    """Return a frame of text."""
    head = f"X-RequestId:x\r\nContent-Type:application/json; charset=utf-8\r\nPath:{path}"
    return frame(TEXT, f"{head}\r\n\r\n{json.dumps(content)}".encode())


def audio_message(data: bytes, *, path: str = "audio", kind: str | None = "audio/mpeg") -> bytes:
    """Return a frame of audio."""
    fields = {"X-RequestId": "x", "Content-Type": kind, "X-StreamId": "y", "Path": path}
    head = "".join(f"{name}:{value}\r\n" for name, value in fields.items() if value).encode()
    return frame(BINARY, struct.pack(">H", len(head)) + head + data)


def frame(opcode: int, data: bytes) -> bytes:
    """Return a server's frame, whole and not masked."""
    size = len(data)
    length = struct.pack(">B", size) if size < 126 else struct.pack(">BH", 126, size)
    head = bytes([0x80 | opcode]) + length
    return head + data


def _say_goodbye(connection: socket.socket) -> None:
    """Answer the client's farewell."""
    while _exactly(connection, 1) != bytes([0x80 | CLOSE]):
        pass
    connection.sendall(frame(CLOSE, struct.pack(">H", 1_000)))
    wait_for_end(connection)


def _received(connection: socket.socket) -> str:
    """Return the client's next message of text."""
    first, second = _exactly(connection, 2)
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack(">H", _exactly(connection, 2))
    mask = _exactly(connection, 4)
    data = _exactly(connection, size)
    assert first == 0x80 | TEXT, "a whole message of text, not compressed"
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(data)).decode()


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionResetError("the client hung up")
        data += piece
    return data


def _request(connection: socket.socket) -> tuple[str, dict[str, str]]:
    """Return the target and the headers of the next request; names in lower case."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += _exactly(connection, 1)
    first, *lines = data.decode().splitlines()
    pairs = (line.partition(":") for line in lines if line)
    return first.split()[1], {name.lower(): value.strip() for name, _, value in pairs}
