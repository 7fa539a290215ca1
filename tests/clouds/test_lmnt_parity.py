"""LMNT's SDK and our adapter ask the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.clouds import test_lmnt_socket as sockets
from tests.clouds.contract import KEY
from tests.clouds.opening import opened, taken
from tests.clouds.parity import SENTENCES, conversation, meaning, stream_ours
from tests.clouds.test_lmnt import adapter_of, lmnt
from ttskit.adapters.base import Utterance
from ttskit.request import Timestamps
from ttskit.testing import FaultyServer

if TYPE_CHECKING:
    from lmnt import Lmnt

pytestmark = [pytest.mark.engine("lmnt sdk"), pytest.mark.anyio]
HEADERS = ("x-api-key", "lmnt-version")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with lmnt() as server:
        yield server


def by_sdk(server: FaultyServer, call: Callable[[Lmnt], object]) -> dict[str, object]:
    from lmnt import Lmnt

    with Lmnt(api_key=KEY, base_url=server.url, max_retries=0) as client:
        call(client)
    return meaning(server.requests[-1], HEADERS)


async def test_speech(server: FaultyServer) -> None:
    theirs = by_sdk(
        server,
        lambda client: client.speech.generate(
            text="Olá & <adeus>.",
            voice="ava",
            model="blizzard",
            format="pcm_s16le",
            language="pt",
            sample_rate=16_000,
            temperature=0.5,
            top_p=0.9,
            debug=True,
        ).read(),
    )
    adapter = adapter_of(server, model="blizzard", sample_rate=16_000, debug=True)
    said = Utterance(
        "Olá & <adeus>.",
        voice="ava",
        language="pt-BR",
        options={"temperature": 0.5, "top_p": 0.9},
    )
    await taken(adapter, said)
    assert meaning(server.requests[-1], HEADERS) == theirs


async def test_timed_speech(server: FaultyServer) -> None:
    theirs = by_sdk(
        server,
        lambda client: client.speech.generate_detailed(
            text="One two.", voice="leah", format="mp3", return_timestamps=True
        ),
    )
    said = Utterance("One two.", timestamps=Timestamps.WORD)
    await taken(adapter_of(server, format="mp3"), said)
    assert meaning(server.requests[-1], HEADERS) == theirs


async def test_voices_and_account(server: FaultyServer) -> None:
    theirs = [
        by_sdk(server, lambda client: client.voices.list(owner="all")),
        by_sdk(server, lambda client: client.accounts.retrieve()),
    ]
    server.requests.clear()
    async with opened(adapter_of(server)) as adapter:
        await adapter.voices()
        await adapter.check()
    assert [meaning(one, HEADERS) for one in server.requests] == theirs


async def stream_theirs(url: str) -> None:
    from lmnt import AsyncLmnt

    async with AsyncLmnt(api_key=KEY, base_url=url) as client:
        session = await client.speech.sessions.create(
            voice="ava", format="pcm_s16le", language="pt", return_timestamps=True,
            sample_rate=16_000,
        )  # fmt: skip
        for one in SENTENCES:
            await session.send_text(one)
            nonce = await session.send_flush()
            async for told in session:
                if told.type == "flush_complete" and told.nonce == nonce:
                    break
        await session.close()


def test_a_stream() -> None:
    streams = sockets.TestLMNTStreams()
    theirs = conversation(streams, lambda url: anyio.run(stream_theirs, url))
    ours = conversation(
        streams,
        lambda url: stream_ours(streams, url, voice="ava", language="pt", sample_rate=16_000),
    )
    assert theirs.messages[0]["X-API-Key"] == KEY
    theirs.messages[0].setdefault("type", "init")  # its schema's default, which it leaves out
    assert ours == theirs
