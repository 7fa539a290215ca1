"""Deepgram's own SDK and our adapter say the same to a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.clouds import test_deepgram_socket as sockets
from tests.clouds.contract import KEY
from tests.clouds.parity import SENTENCES, Conversation, conversation, stream_ours
from tests.clouds.stream_contract import StreamContract
from ttskit.adapters.base import Utterance
from ttskit.adapters.deepgram import DeepgramAdapter, DeepgramOptions
from ttskit.resources.host import Resources
from ttskit.testing import FaultyServer, Received

if TYPE_CHECKING:
    from deepgram import DeepgramClient

pytestmark = [
    pytest.mark.engine("deepgram sdk"),
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of what the SDK imports
]

AURA, FLUX = "aura-2-zeus-en", "flux-alexis-en"
TEXT = "Åse said “no”."
OPTIONS = {
    "encoding": "linear16",
    "container": "none",
    "sample_rate": 16_000,
    "speed": 1.25,
    "tag": ["a b", "c&d"],
    "mip_opt_out": True,
}


def meaning(received: Received) -> dict[str, object]:
    parts = urlsplit(received.target)
    query = parse_qs(parts.query)
    rate = query.pop("sample_rate", None)
    return {
        "method": received.method,
        "path": parts.path,
        "query": query,
        "sample_rate": rate and float(rate[0]),
        "authorization": received.headers["authorization"],
        "content type": received.headers.get("content-type"),
        "body": json.loads(received.body or b"{}"),
    }


@contextmanager
def sdk(url: str) -> Iterator[DeepgramClient]:
    from deepgram import DeepgramClient
    from deepgram.environment import DeepgramClientEnvironment

    socket_url = url.replace("http", "ws", 1)
    here = DeepgramClientEnvironment(
        base=url, production=socket_url, agent=socket_url, agent_rest=url
    )
    with httpx.Client() as wire:
        yield DeepgramClient(api_key=KEY, environment=here, httpx_client=wire)


def by_sdk(server: FaultyServer) -> None:
    with sdk(server.url) as client:
        speech = client.speak.v1.audio.generate(text=TEXT, model=AURA, **OPTIONS)
        assert b"".join(speech) == b"\0\0"
        flux = client.speak.v2.audio.generate(text=TEXT, model=FLUX, expressivity=-1, **OPTIONS)
        assert b"".join(flux) == b"\0\0"
        client.manage.v1.models.list()


async def by_us(server: FaultyServer) -> None:
    options = DeepgramOptions(
        base_url=server.url,
        api_key=KEY,
        sample_rate=16_000,
        expressivity=-1,
        tag=("a b", "c&d"),
        mip_opt_out=True,
    )
    adapter, resources = DeepgramAdapter(options), Resources()
    await adapter.open(resources)
    for voice in (AURA, FLUX):
        async with adapter.synthesize(Utterance(TEXT, voice=voice, speed=1.25)) as source:
            assert [chunk async for chunk in source.chunks] == [b"\0\0"]
    await adapter.voices()
    await resources.aclose()


async def test_both_ask_for_speech_and_voices_alike() -> None:
    with FaultyServer(b"\0\0", content_type="audio/l16") as server:
        server.serve("/v1/models", b'{"tts": [], "stt": []}', content_type="application/json")
        by_sdk(server)
        await by_us(server)
    theirs, ours = server.requests[:3], server.requests[3:]
    assert [meaning(one)["path"] for one in ours] == ["/v1/speak", "/v2/speak", "/v1/models"]
    assert [meaning(one) for one in ours[:2]] == [meaning(one) for one in theirs[:2]]
    left_out = {"content type": None}
    assert meaning(ours[2]) | left_out == meaning(theirs[2]) | left_out


def stream_aura(url: str) -> None:
    from deepgram.speak.v1.types import SpeakV1Text

    terms = {"encoding": "linear16", "sample_rate": 16_000, "speed": 1.25, "mip_opt_out": True}
    extra = {"additional_query_parameters": {"tag": OPTIONS["tag"]}}
    with (
        sdk(url) as client,
        client.speak.v1.connect(model=AURA, **terms, request_options=extra) as socket,
    ):
        for one in SENTENCES:
            socket.send_text(SpeakV1Text(text=one))
            socket.send_flush()
            await_end(socket, "Flushed")


def stream_flux(url: str) -> None:
    from deepgram.speak.v2.types import SpeakV2Speak

    terms = {"encoding": "linear16", "sample_rate": 16_000, "speed": 1.25, "mip_opt_out": True}
    with (
        sdk(url) as client,
        client.speak.v2.connect(model=FLUX, **terms, expressivity=-1, tag=OPTIONS["tag"]) as socket,
    ):
        for one in SENTENCES:
            socket.send_speak(SpeakV2Speak(text=one))
            socket.send_flush()
            await_end(socket, "SpeechMetadata")


def await_end(socket: Iterable[object], kind: str) -> None:
    """Read an utterance."""
    for told in socket:
        if getattr(told, "type", None) == kind:
            return
    raise AssertionError("the server hung up")


def with_numbers(said: Conversation) -> Conversation:
    """Return what was said with numbers as such: the SDK writes some of them as fractions."""
    numbers = {"sample_rate", "speed", "expressivity"}
    query = [(name, str(float(value)) if name in numbers else value) for name, value in said.query]
    return replace(said, query=query)


@pytest.mark.parametrize(
    ("streams", "voice", "stream_theirs"),
    [
        (sockets.TestAuraStreams(), AURA, stream_aura),
        (sockets.TestFluxStreams(), FLUX, stream_flux),
    ],
    ids=["aura", "flux"],
)
def test_a_stream(
    streams: StreamContract, voice: str, stream_theirs: Callable[[str], None]
) -> None:
    section = {
        "voice": voice, "sample_rate": 16_000, "expressivity": -1, "mip_opt_out": True,
        "tag": OPTIONS["tag"],
    }  # fmt: skip
    theirs = conversation(streams, stream_theirs, ["authorization"])
    ours = conversation(
        streams, lambda url: stream_ours(streams, url, speed=1.25, **section), ["authorization"]
    )
    assert len(theirs.messages) == 2 * len(SENTENCES)
    assert with_numbers(ours) == with_numbers(theirs)
