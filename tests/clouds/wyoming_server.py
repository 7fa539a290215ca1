"""A Wyoming server in the modem voice, which fails on the wire as it is told.

It does what wyoming-piper's handler does: describes itself, answers a text as one audio and a
stream of text sentence by sentence, ignores what it does not know, and reports an exception by
its class's name before it hangs up.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Self

import numpy as np

from tests.clouds.contract import spoken
from tests.resources.socket_server import SocketServer, reset, wait_for_end
from ttskit.codecs.pcm import Samples
from ttskit.testing import Ending

RATE = 16_000
SAMPLES_PER_CHUNK = 1_024
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
VOICES: list[dict[str, object]] = [
    {
        "name": "de_DE-anna-low",
        "languages": ["de_DE"],
        "attribution": {"name": "", "url": ""},
        "installed": False,
        "description": "Anna (low)",
        "version": "1.0.0",
        "speakers": None,
    },
    {
        "name": "en_GB-many-high",
        "languages": ["en_GB"],
        "installed": True,
        "description": None,
        "speakers": [{"name": "ann"}, {"name": "bob"}],
    },
    {"name": "en_US-joe-medium", "languages": ["en_US", "!"], "installed": True},
    {"name": "sv_SE-lisa-medium", "languages": ["sv_SE"], "installed": True},
]
PIPER: dict[str, object] = {
    "name": "piper",
    "attribution": {"name": "rhasspy", "url": "https://example.org"},
    "installed": True,
    "description": "A fast, local, neural text to speech engine",
    "version": "2.5.2",
    "voices": VOICES,
    "supports_synthesize_streaming": False,
}
"""What a server says of its engine, with what older ones leave out left out here and there."""
NAMES = {str(voice["name"]) for voice in VOICES}
OWN_VOICE = "en_US-joe-medium"


@dataclass(frozen=True)
class Received:
    """One event as it came."""

    type: str
    data: Mapping[str, object]
    payload: bytes = b""


@dataclass(frozen=True)
class Fault:
    """How one answer to a text goes wrong."""

    ending: Ending | None = None
    at: int = 0
    """Bytes of the answer that come before its end."""
    step: int | None = None
    """Bytes that are sent at a time; None: all at once."""
    instead: bytes | None = None
    """What comes in place of the answer."""


@dataclass
class Habits:
    """How the server is."""

    programs: list[dict[str, object]] = field(default_factory=lambda: [PIPER])
    width: int = 2
    channels: int = 1
    is_old: bool = False
    """Data is put into the line."""
    noise: bool = False
    """Events that nobody knows come in between."""


def packed(kind: str, data: object = None, payload: bytes = b"", *, is_old: bool = False) -> bytes:
    """Return an event as the package of that name writes it, or as older ones did."""
    line: dict[str, object] = {"type": kind, "version": "1.10.2"}
    block = b""
    if data and is_old:
        line["data"] = data
    elif data:
        block = json.dumps(data, ensure_ascii=False).encode()
        line["data_length"] = len(block)
    if payload:
        line["payload_length"] = len(payload)
    return json.dumps(line, ensure_ascii=False).encode() + b"\n" + block + payload


def received(reader: BufferedReader) -> Received | None:
    """Return the next event; None when the client hung up."""
    line = reader.readline()
    if not line:
        return None
    head = json.loads(line)
    data = head.get("data", {})
    if size := head.get("data_length"):
        data |= json.loads(reader.read(size))
    return Received(head["type"], data, reader.read(head.get("payload_length", 0)))


class WyomingServer(SocketServer):
    """Well and serving, until it is told otherwise."""

    def __init__(self, **habits: object) -> None:
        super().__init__(self._converse)
        self.habits = Habits(**habits)  # type: ignore[arg-type] # its own fields
        self.events: list[Received] = []
        """All that came, in order."""
        self.faults: list[Fault] = []
        """Of the next answers to a text, one each."""

    def spoil(self, **fault: object) -> Self:
        """Have the next answer go wrong."""
        self.faults.append(Fault(**fault))  # type: ignore[arg-type] # its own fields
        return self

    def asked(self) -> list[tuple[str, Mapping[str, object]]]:
        """Return what was asked for, beside descriptions."""
        return [(one.type, one.data) for one in self.events if one.type != "describe"]

    def _converse(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            talk = _Talk(self.habits)
            while event := received(reader):
                self.events.append(event)
                answer = b"".join(talk.answer(event))
                if event.type in ("synthesize", "synthesize-stop") and answer and self.faults:
                    if not _spoilt(connection, answer, self.faults.pop(0)):
                        return
                else:
                    connection.sendall(answer)
                if talk.is_over:
                    return


def _spoilt(connection: socket.socket, answer: bytes, fault: Fault) -> bool:
    """Send the answer as the fault has it; return whether the connection lives on."""
    answer = answer if fault.instead is None else fault.instead
    if fault.ending is not None:
        answer = answer[: fault.at]
    step = fault.step or max(1, len(answer))
    for start in range(0, len(answer), step):
        connection.sendall(answer[start : start + step])
    if fault.ending is Ending.RESET:
        reset(connection)
    elif fault.ending is Ending.STALL:
        wait_for_end(connection)
    return fault.ending is None


class _Talk:
    """What is said on one connection."""

    def __init__(self, habits: Habits) -> None:
        self._habits = habits
        self._stream: list[str] | None = None
        self._voice: Mapping[str, object] = {}
        self.is_over = False

    def answer(self, event: Received) -> Iterator[bytes]:
        if self._habits.noise:
            yield self._event("ping", {"text": "are you there?"})
        match event.type:
            case "describe":
                yield self._event("info", {"asr": [], "tts": self._habits.programs})
            case "synthesize" if self._stream is None:
                yield from self._speak([str(event.data["text"])], event.data.get("voice"))
            case "synthesize-start":
                self._stream = []
                self._voice = event.data.get("voice") or {}  # type: ignore[assignment]
            case "synthesize-chunk" if self._stream is not None:
                self._stream.append(str(event.data["text"]))
            case "synthesize-stop" if self._stream is not None:
                yield from self._speak(SENTENCE_END.split("".join(self._stream)), self._voice)
                if not self.is_over:
                    yield self._event("synthesize-stopped")
                self._stream = None

    def _speak(self, texts: list[str], voice: object) -> Iterator[bytes]:
        wanted = voice if isinstance(voice, dict) else {}
        name = wanted.get("name", OWN_VOICE)
        if name not in NAMES:
            self.is_over = True
            told = {"text": f"the text was: {texts}", "code": "VoiceNotFoundError"}
            yield self._event("error", told)
            return
        for text in texts:
            speaker = "/".join(str(one) for one in (name, wanted.get("speaker")) if one)
            yield from self._audio(spoken(text, speaker, RATE))

    def _audio(self, samples: Samples) -> Iterator[bytes]:
        width, channels = self._habits.width, self._habits.channels
        layout = {"rate": RATE, "width": width, "channels": channels, "timestamp": None}
        data = integers(np.repeat(samples, channels), width)
        size = SAMPLES_PER_CHUNK * width * channels
        yield self._event("audio-start", layout)
        for start in range(0, len(data), size):
            yield self._event("audio-chunk", layout, data[start : start + size])
            if self._habits.noise:
                yield self._event("a-novelty", {"x": "é"}, b"{}\n")
        yield self._event("audio-stop", {"timestamp": None})

    def _event(self, kind: str, data: object = None, payload: bytes = b"") -> bytes:
        return packed(kind, data, payload, is_old=self._habits.is_old)


def integers(samples: Samples, width: int) -> bytes:
    """Return samples as integers of so many bytes, as the module ``wave`` has them."""
    if width == 1:
        return np.rint(samples * 127 + 128).astype(np.uint8).tobytes()
    full = (samples.astype(np.float64) * (2**31 - 1)).astype("<i4")
    return full.view(np.uint8).reshape(-1, 4)[:, 4 - width :].tobytes()
