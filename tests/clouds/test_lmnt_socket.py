"""LMNT's socket: the key in the first message, an utterance to each flush."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest
from typing_extensions import override
from websockets.http11 import Request
from websockets.sync.server import ServerConnection

from tests.clouds.contract import KEY, audio
from tests.clouds.socket_server import Sockets, sounds
from tests.clouds.stream_contract import StreamContract
from ttskit.errors import QuotaExceededError, RateLimitedError, TTSError

STEP = 4_001
"""Bytes of a frame, which may end within a sample."""
TERMS = {"type", "X-API-Key", "lmnt-version", "voice", "format", "language", "sample_rate"}


class TestLMNTStreams(StreamContract):
    name = "lmnt"
    options: ClassVar[dict[str, object]] = {"sample_rate": 16_000, "voice": "leah"}

    @override
    def judge(self, request: Request) -> tuple[int, dict[str, str]] | None:
        return None if request.path == "/v1/ai/speech/stream" else (404, {})

    @override
    def talk(self, sockets: Sockets, connection: ServerConnection) -> None:
        terms = json.loads(sockets.receive(connection))
        assert terms.keys() <= TERMS | {"return_timestamps"}
        if terms["X-API-Key"] != KEY:
            error = {"type": "authentication_error", "message": "No."}
            sockets.send(connection, json.dumps({"type": "error", "error": error}))
            connection.recv(20)
        sockets.send(connection, json.dumps({"type": "ready", "request_id": "r-1"}))
        text = ""
        while True:
            asked = json.loads(sockets.receive(connection))
            if asked["type"] == "text":
                text += asked["text"]
                continue
            assert asked["type"] == "flush"
            self.say(sockets, connection, text, terms)
            done = {"type": "flush_complete", "nonce": asked["nonce"]}
            sockets.send(connection, json.dumps(done))
            text = ""

    def say(
        self, sockets: Sockets, connection: ServerConnection, text: str, terms: dict[str, object]
    ) -> None:
        rate = int(str(terms["sample_rate"]))
        told: list[dict[str, object]] = []
        for sound in sounds(text, str(terms["voice"]), rate):
            if sound.word and terms.get("return_timestamps"):
                span = {"start": sound.start, "duration": sound.end - sound.start}
                told += [{"text": sound.word, **span}, {"text": " ", "start": 0, "duration": 0}]
                sockets.send(connection, json.dumps({"type": "timestamps", "timestamps": told}))
            data = audio(sound.samples, "pcm", rate)
            for start in range(0, len(data), STEP):
                sockets.send(connection, data[start : start + STEP])

    async def test_requests_that_set_more_than_a_socket_takes_go_over_http(
        self, url: str, sockets: Sockets
    ) -> None:
        async with self.service(url, temperature=0.4, retry={"attempts": 1}) as tts:
            with pytest.raises(TTSError):  # there is nobody for it here
                await self.heard(tts)
        assert sockets.connections == 0

    @pytest.mark.parametrize(
        ("code", "kind"),
        [("payment_required_error", QuotaExceededError), ("rate_limit_error", RateLimitedError)],
    )
    async def test_an_error_has_its_name(
        self, sockets: Sockets, url: str, code: str, kind: type[TTSError]
    ) -> None:
        def refuse(sockets: Sockets, connection: ServerConnection) -> None:
            sockets.receive(connection)
            error = {"type": code, "message": "No."}
            sockets.send(connection, json.dumps({"type": "error", "error": error}))
            connection.recv(20)

        sockets.talk = refuse
        async with self.service(url, retry={"attempts": 1}) as tts:
            with pytest.raises(kind):
                await self.heard(tts)
