"""Cartesia's socket: streams in one continuation context."""

from __future__ import annotations

import base64
import json
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from typing_extensions import override
from websockets.http11 import Request
from websockets.sync.server import ServerConnection

from tests.clouds.contract import KEY, audio
from tests.clouds.socket_server import Sockets, sounds
from tests.clouds.stream_contract import TEXT, StreamContract
from ttskit.adapters.cartesia import VERSION
from ttskit.errors import ProviderUnavailableError, QuotaExceededError, RateLimitedError, TTSError
from ttskit.testing import transcribe

TERMS = {
    "model_id", "voice", "output_format", "language", "generation_config", "pronunciation_dict_id",
    "add_timestamps", "use_normalized_timestamps",
}  # fmt: skip
STEP = 4_001
"""Bytes of a chunk, which may end within a sample."""


def judge(request: Request) -> tuple[int, dict[str, str]] | None:
    is_known = request.headers.get("Authorization") == f"Bearer {KEY}"
    assert urlsplit(request.path).path == "/tts/websocket"
    assert request.headers["Cartesia-Version"] == VERSION
    return None if is_known else (401, {})


def talk(sockets: Sockets, connection: ServerConnection) -> None:
    """Answer as Cartesia does; times run on within a context."""
    terms: dict[str, object] = {}
    seconds: dict[str, float] = {}
    flushes = 0
    while True:
        asked = json.loads(sockets.receive(connection))
        context, transcript = asked.pop("context_id"), asked.pop("transcript")
        goes_on, flush = asked.pop("continue"), asked.pop("flush", False)
        assert asked.keys() <= TERMS
        assert asked["output_format"]["container"] == "raw"
        assert terms.setdefault(context, asked) == asked, "the terms changed within a context"
        about = {"context_id": context, "status_code": 206, "done": False}
        if transcript.strip():
            before = seconds.get(context, 0.0)
            seconds[context] = before + say(sockets, connection, transcript, asked, about, before)
        if flush:
            flushes += 1
            done = {"type": "flush_done", "flush_done": True, "flush_id": flushes}
            sockets.send(connection, json.dumps({**about, **done}))
        if not goes_on:
            done = {"type": "done", "done": True, "status_code": 200}
            sockets.send(connection, json.dumps({**about, **done}))


def say(
    sockets: Sockets,
    connection: ServerConnection,
    transcript: str,
    asked: dict[str, Any],
    about: dict[str, object],
    before: float,
) -> float:
    assert transcript.endswith(" "), "the next piece would be joined to the last word"
    text, form = transcript.strip(), asked["output_format"]
    rate, seconds = form["sample_rate"], 0.0
    for sound in sounds(text, asked["voice"], rate):
        if sound.word and asked.get("add_timestamps"):
            start, end = before + sound.start, before + sound.end
            words = {"words": [sound.word], "start": [start], "end": [end]}
            told = {"type": "timestamps", "word_timestamps": words}
            sockets.send(connection, json.dumps({**about, **told}))
        data = audio(sound.samples, "pcm", rate)
        for first in range(0, len(data), STEP):
            chunk = base64.b64encode(data[first : first + STEP]).decode()
            sockets.send(connection, json.dumps({**about, "type": "chunk", "data": chunk}))
        seconds += len(sound.samples) / rate
    return seconds


class TestCartesiaStreams(StreamContract):
    name = "cartesia"
    options: ClassVar[dict[str, object]] = {"sample_rate": 16_000, "voice": "v1"}

    @override
    def judge(self, request: Request) -> tuple[int, dict[str, str]] | None:
        return judge(request)

    @override
    def talk(self, sockets: Sockets, connection: ServerConnection) -> None:
        talk(sockets, connection)

    async def test_a_stream_is_one_context_that_is_ended(self, url: str, sockets: Sockets) -> None:
        async with self.service(url) as tts:
            await self.heard(tts)
            await self.heard(tts)
        asked = sockets.documents()
        said = [one for one in asked if one["transcript"]]
        assert "".join(str(one["transcript"]) for one in said).split() == 2 * TEXT.split()
        assert all(one["continue"] for one in said)
        # The second end may be the socket's, which is closed with the service.
        end = [bool(one["continue"]) for one in asked].index(False)
        first, second = asked[:end], asked[end + 1 :]
        assert "".join(str(one["transcript"]) for one in first).split() == TEXT.split()
        assert asked[end]["context_id"] == first[-1]["context_id"]
        # More than one a stream only where a machine takes longer than a context lives.
        assert not {one["context_id"] for one in first} & {one["context_id"] for one in second}

    async def test_without_a_stream_a_context_is_one_utterance(
        self, url: str, sockets: Sockets
    ) -> None:
        async with self.service(url, websocket="always") as tts:
            audio = await tts.synthesize(TEXT)
        assert transcribe(audio) == TEXT
        asked = sockets.documents()
        assert {one["continue"] for one in asked} == {False}
        assert len({one["context_id"] for one in asked}) == len(asked)

    @pytest.mark.parametrize(
        ("code", "status", "kind"),
        [
            ("concurrency_limited", 429, RateLimitedError),
            (None, 402, QuotaExceededError),
            (None, 500, ProviderUnavailableError),
        ],
    )
    async def test_an_error_in_mid_stream_has_its_name(
        self, sockets: Sockets, url: str, code: str | None, status: int, kind: type[TTSError]
    ) -> None:
        def refuse(sockets: Sockets, connection: ServerConnection) -> None:
            asked = json.loads(sockets.receive(connection))
            error = {"type": "error", "title": "No", "message": "No.", "error_code": code}
            told = {"context_id": asked["context_id"], "status_code": status, "done": True}
            sockets.send(connection, json.dumps({**error, **told}))
            connection.recv(20)

        sockets.talk = refuse
        async with self.service(url, retry={"attempts": 1}) as tts:
            with pytest.raises(kind):
                await self.heard(tts)
