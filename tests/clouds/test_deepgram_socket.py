"""Deepgram's sockets: Aura by version 1, Flux by version 2."""

from __future__ import annotations

import json
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from typing_extensions import override
from websockets.http11 import Request
from websockets.sync.server import ServerConnection

from tests.clouds.contract import KEY, audio
from tests.clouds.socket_server import Sockets, sounds
from tests.clouds.stream_contract import StreamContract
from ttskit.adapters.deepgram_socket import FLUSHES, Flushes
from ttskit.errors import InvalidParameterError, TextTooLongError, TTSError
from ttskit.resilience.now import now
from ttskit.testing import transcribe, virtual_time

STEP = 4_001
"""Bytes of a frame, which may end within a sample."""
QUERY = {"model", "encoding", "sample_rate", "speed", "expressivity", "mip_opt_out", "tag"}


class _Deepgram(StreamContract):
    name = "deepgram"
    is_shared = False
    is_timed = False
    path: ClassVar[str]

    @override
    def judge(self, request: Request) -> tuple[int, dict[str, str]] | None:
        target = urlsplit(request.path)
        if request.headers.get("Authorization") != f"Token {KEY}":
            return 401, {"dg-error": "INVALID_AUTH"}
        is_sound = target.path == self.path and parse_qs(target.query).keys() <= QUERY
        return None if is_sound else (400, {})

    def say(self, sockets: Sockets, connection: ServerConnection, text: str) -> None:
        request = connection.request
        assert request is not None
        query = parse_qs(urlsplit(request.path).query)
        rate = int(query["sample_rate"][0])
        for sound in sounds(text, query["model"][0], rate):
            data = audio(sound.samples, "pcm", rate)
            for start in range(0, len(data), STEP):
                sockets.send(connection, data[start : start + STEP])


class TestAuraStreams(_Deepgram):
    options: ClassVar[dict[str, object]] = {"sample_rate": 16_000, "voice": "aura-2-thalia-en"}
    path = "/v1/speak"

    @override
    def talk(self, sockets: Sockets, connection: ServerConnection) -> None:
        told = {"type": "Metadata", "request_id": "6e7c", "model_name": "aura-2"}
        sockets.send(connection, json.dumps(told))
        text, flushed = "", 0
        while True:
            asked = json.loads(sockets.receive(connection))
            if asked["type"] == "Speak":
                text += asked["text"]
                continue
            assert asked == {"type": "Flush"}
            self.say(sockets, connection, text)
            sockets.send(connection, json.dumps({"type": "Flushed", "sequence_id": flushed}))
            text, flushed = "", flushed + 1

    async def test_the_request_is_known_by_the_sockets_id(self, url: str) -> None:
        async with self.service(url, websocket="always") as tts:
            made = await tts.synthesize("One two.")
        assert made.origin.request_id == "6e7c"
        assert transcribe(made) == "One two."

    @pytest.mark.parametrize(
        ("code", "kind"),
        [("BIG-0000", TextTooLongError), ("DATA-0000", InvalidParameterError)],
    )
    async def test_an_error_has_its_name(
        self, sockets: Sockets, url: str, code: str, kind: type[TTSError]
    ) -> None:
        def refuse(sockets: Sockets, connection: ServerConnection) -> None:
            sockets.receive(connection)
            told = {"type": "Error", "code": code, "description": "No."}
            sockets.send(connection, json.dumps(told))
            connection.recv(20)

        sockets.talk = refuse
        async with self.service(url, retry={"attempts": 1}) as tts:
            with pytest.raises(kind):
                await self.heard(tts)


class TestFluxStreams(_Deepgram):
    options: ClassVar[dict[str, object]] = {"sample_rate": 16_000, "voice": "flux-alba-en"}
    path = "/v2/speak"

    @override
    def talk(self, sockets: Sockets, connection: ServerConnection) -> None:
        sockets.send(connection, json.dumps({"type": "Connected", "request_id": "9f00"}))
        text, turn = "", 0
        while True:
            asked = json.loads(sockets.receive(connection))
            if asked["type"] == "Speak":
                text += asked["text"]
                continue
            assert asked == {"type": "Flush"}
            about = {"speech_id": f"s{turn}"}
            sockets.send(connection, json.dumps({"type": "SpeechStarted", **about}))
            sockets.send(connection, json.dumps({"type": "Flushed", **about}))
            self.say(sockets, connection, text)
            over = {"type": "SpeechMetadata", "audio_duration_ms": 1, **about}
            sockets.send(connection, json.dumps(over))
            text, turn = "", turn + 1


def test_no_socket_is_flushed_more_often_than_deepgram_bears() -> None:
    async def main() -> tuple[list[bool], bool, float]:
        import anyio

        flushes = Flushes()
        taken = [flushes.take("a") for _ in range(FLUSHES + 1)]
        assert flushes.take("b")
        start = now()
        await anyio.sleep(60.0)
        return taken, flushes.take("a"), now() - start

    taken, later, waited = virtual_time(main)
    assert taken == [True] * FLUSHES + [False]
    assert later
    assert waited == pytest.approx(60.0)
