"""Cartesia's SDK and our adapter ask the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.clouds.contract import KEY
from tests.clouds.opening import opened, taken
from tests.clouds.parity import meaning
from tests.clouds.test_cartesia import KATIE, adapter_of, cartesia
from ttskit.adapters.base import Utterance
from ttskit.request import Timestamps
from ttskit.testing import FaultyServer

if TYPE_CHECKING:
    from cartesia import Cartesia

pytestmark = [pytest.mark.engine("cartesia sdk"), pytest.mark.anyio]
HEADERS = ("authorization", "cartesia-version", "content-type")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with cartesia() as server:
        yield server


def by_sdk(server: FaultyServer, call: Callable[[Cartesia], object]) -> dict[str, object]:
    from cartesia import Cartesia

    with Cartesia(api_key=KEY, base_url=server.url, max_retries=0) as client:
        call(client)
    return meaning(server.requests[-1], HEADERS)


async def test_speech(server: FaultyServer) -> None:
    theirs = by_sdk(
        server,
        lambda client: client.tts.generate(
            model_id="sonic-3",
            transcript="Olá & <adeus>.",
            voice=KATIE,
            output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24_000},
            locale="pt-BR",
            generation_config={"speed": 1.25, "emotion": "calm", "volume": 1.5},
            normalization="off",
            pronunciation_dict_id="dict",
            save=True,
        ).read(),
    )
    adapter = adapter_of(
        server, sample_rate=24_000, normalization="off", pronunciation_dict_id="dict", save=True
    )
    said = Utterance(
        "Olá & <adeus>.",
        model="sonic-3",
        voice=KATIE,
        language="pt-BR",
        speed=1.25,
        options={"emotion": "calm", "volume": 1.5},
    )
    await taken(adapter, said)
    assert meaning(server.requests[-1], HEADERS) == theirs


async def test_encoded_speech(server: FaultyServer) -> None:
    theirs = by_sdk(
        server,
        lambda client: client.tts.generate(
            model_id="sonic-3.5",
            transcript="Hello.",
            voice=KATIE,
            output_format={"container": "mp3", "sample_rate": 44_100, "bit_rate": 192_000},
            language="de",
        ).read(),
    )
    adapter = adapter_of(server, format="mp3", bit_rate=192_000, voice=KATIE, language="de")
    await taken(adapter, "Hello.")
    assert meaning(server.requests[-1], HEADERS) == theirs


async def test_timed_speech(server: FaultyServer) -> None:
    theirs = by_sdk(
        server,
        lambda client: list(
            client.tts.generate_sse(
                model_id="sonic-3.5",
                transcript="One two.",
                voice=KATIE,
                output_format={"container": "raw", "encoding": "pcm_f32le", "sample_rate": 16_000},
                add_timestamps=True,
                use_normalized_timestamps=False,
            )
        ),
    )
    adapter = adapter_of(server, format="f32", sample_rate=16_000, voice=KATIE)
    await taken(adapter, Utterance("One two.", timestamps=Timestamps.WORD))
    assert meaning(server.requests[-1], HEADERS) == theirs


async def test_the_list_of_voices(server: FaultyServer) -> None:
    names = ("authorization", "cartesia-version")
    by_sdk(server, lambda client: list(client.voices.list(limit=100)))
    theirs = [meaning(one, names) for one in server.requests][:2]
    server.requests.clear()
    async with opened(adapter_of(server)) as adapter:
        await adapter.voices()
    assert [meaning(one, names) for one in server.requests] == theirs
