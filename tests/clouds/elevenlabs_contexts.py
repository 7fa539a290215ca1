"""ElevenLabs' sockets of many contexts on this machine: they look at what they are sent."""

from __future__ import annotations

import base64
import http
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from tests.clouds.contract import KEY, audio, spoken
from tests.clouds.socket_server import Sound, sounds

SPEECH, DIALOGUE = "/v1/text-to-speech/", "/v1/text-to-dialogue/multi-stream-input"
CODECS = {"ulaw": "mulaw"}
SPEECH_QUERY = {
    "model_id", "language_code", "enable_logging", "output_format", "inactivity_timeout",
    "sync_alignment", "auto_mode", "apply_text_normalization", "seed",
}  # fmt: skip
DIALOGUE_QUERY = {
    "model_id", "language_code", "output_format", "sync_alignment", "apply_text_normalization",
}  # fmt: skip


class Refused(Exception):  # noqa: N818 - it is what the server says
    """Ends a connection with an error."""


@dataclass
class Context:
    """One context: what it was begun with, and its text so far."""

    first: dict[str, object]
    voice: str
    text: str = ""


Send = Callable[[dict[str, object]], None]
Script = Callable[[ServerConnection, list[dict[str, object]]], None]


@dataclass
class Contexts:
    """Answers sockets as ElevenLabs does, and otherwise where a test says so."""

    voices: set[str]
    script: Script | None = None
    """Sends what a context is answered by in its own way; given what good answers would be."""
    status: int | None = None
    """Of the reply that every handshake is refused by."""
    paths: list[str] = field(default_factory=list)
    """Of the handshakes, with their queries."""
    said: list[list[dict[str, object]]] = field(default_factory=list)
    """The messages of each connection."""
    complaints: list[str] = field(default_factory=list)
    open: list[ServerConnection] = field(default_factory=list)

    def hang_up(self) -> None:
        """Close every connection that is open."""
        for connection in self.open:
            connection.close()

    @property
    def texts(self) -> list[list[str]]:
        """What each connection had to say, context by context."""
        return [
            [
                str(one.get("text") or one["inputs"][0]["text"]).strip()  # type: ignore[index] # JSON
                for one in messages
                if "inputs" in one or one.get("flush")
            ]
            for messages in self.said
        ]

    def judge(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.status is not None:
            detail = {"detail": {"status": "quota_exceeded", "message": "may quote"}}
            return connection.respond(http.HTTPStatus(self.status), json.dumps(detail))
        if request.headers.get("xi-api-key") != KEY:
            detail = {"detail": {"status": "invalid_api_key", "message": "no"}}
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, json.dumps(detail))
        return None

    def __call__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        path = connection.request.path
        self.paths.append(path)
        self.said.append([])
        self.open.append(connection)
        try:
            self._converse(connection, path, self.said[-1])
        except ConnectionClosed:
            pass
        except Refused as refused:
            code = {"message": "may quote", "error": str(refused), "code": 1008}
            connection.send(json.dumps(code))
            connection.close(1008)
        except (AssertionError, LookupError, ValueError) as error:
            self.complaints.append(repr(error))
            connection.close(1008)

    def _converse(
        self, connection: ServerConnection, path: str, said: list[dict[str, object]]
    ) -> None:
        url, is_dialogue = urlsplit(path), path.startswith(DIALOGUE)
        query = dict(parse_qsl(url.query))
        assert query.keys() <= (DIALOGUE_QUERY if is_dialogue else SPEECH_QUERY)
        late = query.get("model_id", "").startswith(("eleven_v3", "eleven_v4"))
        assert late is is_dialogue
        contexts: dict[str, Context] = {}
        while True:
            message = json.loads(connection.recv(10))
            said.append(message)
            name = message["context_id"]
            if name not in contexts:
                contexts[name] = self._begun(message, url.path, is_dialogue=is_dialogue)
                assert len(contexts) <= 5
            elif message.get("close_context"):
                context = contexts.pop(name)
                good = list(answers(name, context, query, is_dialogue=is_dialogue))
                (self.script or send)(connection, good)
            else:
                self._take(contexts[name], message, is_dialogue=is_dialogue)

    def _begun(self, message: dict[str, object], path: str, *, is_dialogue: bool) -> Context:
        if is_dialogue:
            (voice,) = message["voices"]  # type: ignore[misc] # JSON
            assert message.keys() <= {
                "context_id", "voices", "voice_settings", "pronunciation_dictionary_locators",
            }  # fmt: skip
        else:
            assert message["text"] == " "
            voice = unquote(path.removeprefix(SPEECH).removesuffix("/multi-stream-input"))
        if voice not in self.voices:
            raise Refused("voice_id_does_not_exist")
        return Context(message, voice)

    def _take(self, context: Context, message: dict[str, object], *, is_dialogue: bool) -> None:
        assert "pronunciation_dictionary_locators" not in message
        assert "voice_settings" not in message
        if is_dialogue:
            (turn,) = message["inputs"]  # type: ignore[misc] # JSON
            assert turn["voice_id"] == context.voice
            context.text += turn["text"]
        else:
            text = str(message["text"])
            assert text.endswith(" ")
            context.text += text
            assert message["flush"] is True


def answers(
    name: str, context: Context, query: dict[str, str], *, is_dialogue: bool
) -> Iterator[dict[str, object]]:
    """Yield what a context is answered by: audio with times of its own, and that it is over."""
    codec, rate = query.get("output_format", "mp3_44100_128").split("_")[:2]
    text = context.text.strip()
    label = "context_id" if is_dialogue else "contextId"
    whole = (
        audio(spoken(text, context.voice, int(rate)), "mp3", int(rate)) if codec == "mp3" else b""
    )
    said, seconds = 0, 0.0
    for sound in sounds(text, context.voice, int(rate)):
        piece, whole = (whole, b"") if codec == "mp3" else (_raw(sound, codec, int(rate)), b"")
        alignment = None
        if sound.word is not None and "sync_alignment" in query:
            end = text.index(sound.word, said) + len(sound.word)
            start_ms, end_ms = (1_000 * (at - seconds) for at in (sound.start, sound.end))
            alignment = _alignment(text[said:end], start_ms, end_ms, is_dialogue=is_dialogue)
            said = end
        seconds += len(sound.samples) / int(rate)
        yield {"audio": base64.b64encode(piece).decode(), "alignment": alignment, label: name}
    if is_dialogue:
        yield {"is_final_audio_for_turn": True, label: name}
    yield {"is_final" if is_dialogue else "isFinal": True, "audio": None, label: name}


def _raw(sound: Sound, codec: str, rate: int) -> bytes:
    return audio(sound.samples, CODECS.get(codec, codec), rate)


def _alignment(
    chars: str, start_ms: float, end_ms: float, *, is_dialogue: bool
) -> dict[str, object]:
    """Return times of characters from the start of their chunk; white space takes none."""
    count = len(chars.strip())
    each = (end_ms - start_ms) / count
    blank = len(chars) - count
    starts = [start_ms] * blank + [start_ms + each * at for at in range(count)]
    durations = [0.0] * blank + [each] * count
    names = (
        ("char_start_times_ms", "char_durations_ms")
        if is_dialogue
        else ("charStartTimesMs", "charDurationsMs")
    )
    return {"chars": list(chars), names[0]: starts, names[1]: durations}


def send(connection: ServerConnection, messages: list[dict[str, object]]) -> None:
    for message in messages:
        connection.send(json.dumps(message))
