"""Sockets that are kept between utterances: for whom, how long, and when not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import anyio
import pytest
from websockets.sync.server import ServerConnection

from tests.clouds.socket_server import Sockets, serving
from tests.resources.http.conftest import anything_goes
from ttskit.errors import NetworkError
from ttskit.resources.http.address import Address
from ttskit.resources.http.client import HTTPClient
from ttskit.resources.http.lines import Keeping, Lines
from ttskit.resources.http.pools import HTTPOptions, Pools
from ttskit.testing import CancelSweep

pytestmark = pytest.mark.anyio
KEY = "sk-canary-90ab3d"


@dataclass
class Memory:
    said: list[str] = field(default_factory=list)


def talk(sockets: Sockets, connection: ServerConnection) -> None:
    """Answer each message by itself, twice, and by an end."""
    while True:
        message = str(sockets.receive(connection))
        if message.startswith("bye"):
            continue
        for part in (f"{message} 1", f"{message} 2", "end"):
            sockets.send(connection, part)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sockets() -> Sockets:
    return Sockets(talk)


@pytest.fixture
def url(sockets: Sockets) -> Iterator[str]:
    with serving(sockets) as url:
        yield url


@pytest.fixture
async def pools(anyio_backend: str) -> AsyncIterator[Pools]:
    del anyio_backend
    pools = Pools(HTTPOptions(silence_s=5.0, connect_s=5.0))
    yield pools
    await pools.aclose()


class Phone:
    """Asks a server over lines."""

    def __init__(self, pools: Pools, url: str, keeping: Keeping, *, says_bye: bool = False) -> None:
        self.http = HTTPClient(
            pools,
            Address.of(url),
            headers={"xi-api-key": KEY},
            provider="cloud",
            judge=anything_goes,
        )

        def farewell(memory: Memory) -> list[str]:
            return [f"bye after {len(memory.said)}"]

        self.lines: Lines[Memory] = Lines(
            self.http, keeping, remember=Memory, farewell=farewell if says_bye else None
        )

    async def ask(
        self, word: str, lane: str | None = None, *, path: str = "/", manner: str | None = None
    ) -> list[str]:
        def opening(memory: Memory) -> list[str]:
            memory.said.append(word)
            return [word]

        heard = []
        async with self.lines.ask(
            self.http.websocket(path), opening, lane=lane, manner=manner
        ) as line:
            async for message in line:
                heard.append(str(message))
                if message == "end":
                    line.end()
        return heard


@pytest.fixture
async def phone(pools: Pools, url: str) -> AsyncIterator[Phone]:
    phone = Phone(pools, url, Keeping(idle_s=60.0))
    yield phone
    await phone.lines.aclose()


async def test_a_stream_keeps_its_socket_and_gives_it_away_when_it_is_over(
    phone: Phone, sockets: Sockets
) -> None:
    assert await phone.ask("one", "a") == ["one 1", "one 2", "end"]
    await phone.ask("two", "a")
    await phone.ask("one", "b")
    assert sockets.connections == 2
    phone.lines.release("a")
    await phone.ask("three", "c")
    await phone.ask("four", None)
    assert sockets.connections == 3
    assert [number for number, _ in sockets.messages] == [1, 1, 2, 1, 3]


async def test_only_alike_sockets_stand_for_each_other(phone: Phone, sockets: Sockets) -> None:
    await phone.ask("one")
    await phone.ask("two", path="/other")
    await phone.ask("three", manner="slow")
    await phone.ask("four")
    assert [number for number, _ in sockets.messages] == [1, 2, 3, 1]


async def test_a_socket_that_counts_for_the_account_ends_with_its_stream(
    pools: Pools, url: str, sockets: Sockets
) -> None:
    phone = Phone(pools, url, Keeping(idle_s=60.0, is_shared=False))
    await phone.ask("one", "a")
    await phone.ask("two", "a")
    phone.lines.release("a")
    await sockets.one_is_over()
    await phone.ask("alone")
    await sockets.one_is_over()
    assert sockets.connections == 2
    await phone.lines.aclose()


async def test_a_farewell_is_said_once_and_the_socket_goes_on(
    pools: Pools, url: str, sockets: Sockets
) -> None:
    phone = Phone(pools, url, Keeping(idle_s=60.0), says_bye=True)
    await phone.ask("one", "a")
    await phone.ask("two", "a")
    phone.lines.release("a")
    phone.lines.release("a")
    assert await phone.ask("three", "b") == ["three 1", "three 2", "end"]
    assert [message for _, message in sockets.messages] == ["one", "two", "bye after 2", "three"]
    await phone.lines.aclose()
    assert sockets.connections == 1


async def test_one_that_waited_too_long_is_not_used_again(
    pools: Pools, url: str, sockets: Sockets
) -> None:
    phone = Phone(pools, url, Keeping(idle_s=-1.0))
    await phone.ask("one", "a")
    await phone.ask("two", "a")
    assert sockets.connections == 2
    await phone.lines.aclose()


async def test_no_more_than_so_many_wait(pools: Pools, url: str, sockets: Sockets) -> None:
    phone = Phone(pools, url, Keeping(idle_s=60.0, most=2))
    for lane in "abc":
        await phone.ask("one", lane)
    await sockets.one_is_over()
    await phone.ask("two", "c")
    await phone.ask("two", "a")
    assert sockets.connections == 4
    await phone.lines.aclose()


@pytest.mark.parametrize("politely", [True, False])
async def test_one_that_died_while_it_waited_is_replaced(
    phone: Phone, sockets: Sockets, *, politely: bool
) -> None:
    await phone.ask("one", "a")
    await anyio.to_thread.run_sync(lambda: sockets.hang_up(politely=politely))
    assert await phone.ask("two", "a") == ["two 1", "two 2", "end"]
    assert sockets.connections == 2


async def test_nothing_is_said_again_once_an_answer_came(phone: Phone, sockets: Sockets) -> None:
    sockets.breaks_after = [4]
    await phone.ask("one", "a")
    with pytest.raises(NetworkError):
        await phone.ask("two", "a")
    assert [message for _, message in sockets.messages] == ["one", "two"]


async def test_one_that_failed_in_mid_utterance_is_not_kept(phone: Phone, sockets: Sockets) -> None:
    sockets.breaks_after = [1]
    with pytest.raises(NetworkError) as caught:
        await phone.ask("one", "a")
    assert caught.value.provider == "cloud"
    await phone.ask("two", "a")
    assert sockets.connections == 2


async def test_whoever_leaves_early_takes_the_socket_along(phone: Phone, sockets: Sockets) -> None:
    async with phone.lines.ask(phone.http.websocket("/"), lambda _: ["one"], lane="a") as line:
        await anext(line)
    await sockets.one_is_over()
    await phone.ask("two", "a")
    assert sockets.connections == 2


async def test_after_closing_nothing_is_kept(phone: Phone, sockets: Sockets) -> None:
    await phone.ask("one", "a")
    await phone.lines.aclose()
    await sockets.one_is_over()
    await phone.ask("two", "a")
    await sockets.one_is_over()


async def test_a_key_is_in_no_repr(phone: Phone) -> None:
    await phone.ask("one", "a")
    assert KEY not in repr(vars(phone.lines))


async def test_a_cancelled_utterance_leaves_the_others_whole(
    pools: Pools, url: str, sockets: Sockets
) -> None:
    # A farewell is said by a task of its own, whose cancellation is nobody else's.
    phone = Phone(pools, url, Keeping(idle_s=60.0))

    async def work() -> None:
        try:
            assert await phone.ask("one", "a") == ["one 1", "one 2", "end"]
            assert await phone.ask("two", "a") == ["two 1", "two 2", "end"]
        finally:
            phone.lines.release("a")

    report = await CancelSweep(work).run()
    assert report.cases > 10
    await phone.lines.aclose()
    for _ in range(sockets.connections):
        await sockets.one_is_over()
