"""The official SDK and ttskit ask OpenAI's endpoint in the same way."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.clouds.contract import KEY
from ttskit.adapters.base import Utterance
from ttskit.adapters.openai import OpenAIAdapter, OpenAIOptions
from ttskit.resources.host import Resources
from ttskit.testing import FaultyServer, Received

pytestmark = [pytest.mark.anyio, pytest.mark.engine("openai sdk")]


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer(bytes(4_800), content_type="audio/pcm") as server:
        yield server


async def ours(server: FaultyServer, utterance: Utterance, **options: object) -> Received:
    given = {"base_url": f"{server.url}/v1", "api_key": KEY, **options}
    adapter, resources = OpenAIAdapter(OpenAIOptions.model_validate(given)), Resources()
    await adapter.open(resources)
    async with adapter.synthesize(utterance) as source:
        assert sum([len(chunk) async for chunk in source.chunks]) == 4_800  # type: ignore[misc]
    await resources.aclose()
    return server.requests[-1]


def theirs(server: FaultyServer, **arguments: object) -> Received:
    from openai import OpenAI

    client = OpenAI(
        api_key=KEY, base_url=f"{server.url}/v1", organization="org-1", project="proj-1"
    )
    with client, client.audio.speech.with_streaming_response.create(**arguments) as reply:  # type: ignore[arg-type]
        assert len(b"".join(reply.iter_bytes())) == 4_800
    return server.requests[-1]


def meaning(request: Received) -> tuple[object, ...]:
    named = ("authorization", "openai-organization", "openai-project", "content-type")
    headers = {name: request.headers.get(name) for name in named}
    return request.method, request.target, headers, json.loads(request.body)


@pytest.mark.parametrize("text", ["Hello, world.", 'Zoë said: "5 < 6" \U0001f98a\n'])
async def test_the_request_for_speech_is_the_same(server: FaultyServer, text: str) -> None:
    mine = await ours(
        server,
        Utterance(text, voice="nova", model="tts-1", speed=1.25),
        organization="org-1",
        project="proj-1",
        instructions="Calmly.",
    )
    other = theirs(
        server,
        input=text,
        voice="nova",
        model="tts-1",
        speed=1.25,
        response_format="pcm",
        instructions="Calmly.",
    )
    assert meaning(mine) == meaning(other)


@pytest.mark.parametrize("form", ["pcm", "mp3", "opus", "aac", "flac", "wav"])
async def test_what_was_not_set_is_sent_by_neither(server: FaultyServer, form: str) -> None:
    mine = await ours(
        server,
        Utterance("Hello.", voice="alloy", model="tts-1-hd"),
        format=form,
        organization="org-1",
        project="proj-1",
    )
    other = theirs(server, input="Hello.", voice="alloy", model="tts-1-hd", response_format=form)
    assert meaning(mine) == meaning(other)
