"""Hume's SDK and our adapter ask the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.clouds.contract import KEY
from tests.clouds.opening import opened, taken
from tests.clouds.parity import meaning
from tests.clouds.test_hume import ACTOR, MINE, adapter_of, hume
from ttskit.adapters.base import Utterance
from ttskit.request import Timestamps
from ttskit.testing import FaultyServer

if TYPE_CHECKING:
    from hume import HumeClient

pytestmark = [pytest.mark.engine("hume sdk"), pytest.mark.anyio]
HEADERS = ("x-hume-api-key",)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with hume() as server:
        yield server


def by_sdk(server: FaultyServer, call: Callable[[HumeClient], object]) -> dict[str, object]:
    import httpx
    from hume import HumeClient

    with httpx.Client() as wire:
        call(HumeClient(api_key=KEY, base_url=server.url, httpx_client=wire))
    return meaning(server.requests[-1], HEADERS)


async def test_speech(server: FaultyServer) -> None:
    from hume.tts import (
        FormatMp3,
        PostedContextWithGenerationId,
        PostedUtterance,
        PostedUtteranceVoiceWithId,
    )

    theirs = by_sdk(
        server,
        lambda client: list(
            client.tts.synthesize_file_streaming(
                utterances=[
                    PostedUtterance(
                        text="Olá & <adeus>.",
                        voice=PostedUtteranceVoiceWithId(id=MINE, provider="CUSTOM_VOICE"),
                        description="calm",
                        speed=1.25,
                        trailing_silence=0.5,
                    )
                ],
                context=PostedContextWithGenerationId(generation_id="g-7"),
                format=FormatMp3(),
                version="2",
                strip_headers=True,
                temperature=0.5,
                instant_mode=True,
            )
        ),
    )
    said = Utterance(
        "Olá & <adeus>.",
        voice=f"custom/{MINE}",
        speed=1.25,
        options={"description": "calm", "trailing_silence": 0.5, "generation_id": "g-7"},
    )
    await taken(adapter_of(server, format="mp3", temperature=0.5, instant_mode=True), said)
    assert meaning(server.requests[-1], HEADERS) == theirs


async def test_timed_speech(server: FaultyServer) -> None:
    from hume.tts import (
        FormatPcm,
        PostedContextWithUtterances,
        PostedUtterance,
        PostedUtteranceVoiceWithName,
    )

    voice = PostedUtteranceVoiceWithName(name="Voice 7", provider="HUME_AI")
    theirs = by_sdk(
        server,
        lambda client: list(
            client.tts.synthesize_json_streaming(
                utterances=[PostedUtterance(text="One two.", voice=voice)],
                context=PostedContextWithUtterances(
                    utterances=[PostedUtterance(text="None.", voice=voice)]
                ),
                format=FormatPcm(),
                version="2",
                strip_headers=True,
                split_utterances=False,
                include_timestamp_types=["word"],
            )
        ),
    )
    said = Utterance("One two.", timestamps=Timestamps.WORD, previous_text="None.")
    await taken(adapter_of(server, voice="Voice 7"), said)
    assert meaning(server.requests[-1], HEADERS) == theirs


async def test_the_list_of_voices(server: FaultyServer) -> None:
    theirs = by_sdk(
        server,
        lambda client: client.tts.voices.list(provider="HUME_AI", page_number=0, page_size=100),
    )
    server.requests.clear()
    async with opened(adapter_of(server)) as adapter:
        assert (await adapter.voices())[0].id == ACTOR
    assert meaning(server.requests[0], HEADERS) == theirs
