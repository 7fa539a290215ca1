"""Cartesia's SDK and our adapter ask the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.clouds import test_cartesia_socket as sockets
from tests.clouds.contract import KEY
from tests.clouds.opening import opened, taken
from tests.clouds.parity import SENTENCES, Conversation, conversation, meaning, stream_ours
from tests.clouds.test_cartesia import KATIE, adapter_of, cartesia
from ttskit.adapters import cartesia_socket
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


def stream_theirs(url: str) -> None:
    from cartesia import Cartesia

    socket_url = url.replace("http", "ws", 1)
    with (
        Cartesia(api_key=KEY, websocket_base_url=socket_url) as client,
        client.tts.websocket_connect() as connection,
    ):
        context = connection.context(
            model_id="sonic-3",
            voice=KATIE,
            output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000},
            language="pt",
            generation_config={"emotion": "calm", "volume": 1.5},
            pronunciation_dict_id="dict",
            add_timestamps=True,
            use_normalized_timestamps=False,
        )
        for one in SENTENCES:
            context.push(f"{one} ", flush=True)
        context.no_more_inputs()
        assert [event.type for event in context.receive()][-1] == "done"


def first_context(said: Conversation) -> Conversation:
    """Leave out what was said after the first context, and its random name."""
    messages = said.messages
    end = [bool(one["continue"]) for one in messages].index(False) + 1
    assert len({one["context_id"] for one in messages[:end]}) == 1
    return replace(said, messages=[{**one, "context_id": ""} for one in messages[:end]])


@pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning")  # by the SDK
def test_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cartesia_socket, "CONTEXT_S", 60.0)  # the machine may be a slow one
    streams = sockets.TestCartesiaStreams()
    section: dict[str, object] = {
        "model": "sonic-3",
        "voice": KATIE,
        "language": "pt",
        "sample_rate": 16_000,
        "emotion": "calm",
        "volume": 1.5,
        "pronunciation_dict_id": "dict",
    }
    names = ("authorization", "cartesia-version")
    theirs = conversation(streams, stream_theirs, names)
    # The second stream waits until the end of the first one's context has been said.
    ours = conversation(streams, lambda url: stream_ours(streams, url, times=2, **section), names)
    assert len(theirs.messages) == len(SENTENCES) + 1
    assert first_context(ours) == first_context(theirs)
