"""Deepgram's own SDK and our adapter say the same to a server."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.clouds.contract import KEY
from ttskit.adapters.base import Utterance
from ttskit.adapters.deepgram import DeepgramAdapter, DeepgramOptions
from ttskit.resources.host import Resources
from ttskit.testing import FaultyServer, Received

pytestmark = [
    pytest.mark.engine("deepgram sdk"),
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of what the SDK imports
]

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


def by_sdk(server: FaultyServer) -> None:
    from deepgram import DeepgramClient
    from deepgram.environment import DeepgramClientEnvironment

    here = DeepgramClientEnvironment(
        base=server.url, production=server.url, agent=server.url, agent_rest=server.url
    )
    with httpx.Client() as wire:
        client = DeepgramClient(api_key=KEY, environment=here, httpx_client=wire)
        speech = client.speak.v1.audio.generate(text=TEXT, model="aura-2-zeus-en", **OPTIONS)
        assert b"".join(speech) == b"\0\0"
        flux = client.speak.v2.audio.generate(
            text=TEXT, model="flux-alexis-en", expressivity=-1, **OPTIONS
        )
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
    for voice in ("aura-2-zeus-en", "flux-alexis-en"):
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
