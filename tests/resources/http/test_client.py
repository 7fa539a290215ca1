"""Requests over real connections: what is sent, what comes back, what is never done."""

from __future__ import annotations

import gzip
import zlib

import anyio
import pytest

from tests.resources.http.conftest import Connect
from tests.resources.http.raw_server import RawServer, ok
from ttskit.errors import (
    InvalidResponseError,
    NetworkError,
    ProviderTimeoutError,
    ServiceClosedError,
)
from ttskit.resources.http.address import Address
from ttskit.resources.http.pools import Pools
from ttskit.testing import Ending, FaultyServer, Framing, Reply

pytestmark = pytest.mark.anyio
MIB = 1024 * 1024


async def test_a_request_says_what_was_given_and_nothing_else(connect: Connect) -> None:
    with FaultyServer(b"ok") as server:
        client = connect(f"{server.url}/v1/", x_key="secret")
        query = {"a": "ü&", "flag": True, "none": None, "many": ["1", "2"], "n": 7}
        await client.fetch("POST", "/speech", query=query, json={"text": "é", "n": 1.5})
        request = server.requests[0]
    assert (request.method, request.target) == (
        "POST",
        "/v1/speech?a=%C3%BC%26&flag=true&many=1&many=2&n=7",
    )
    assert request.body == rb'{"text":"\u00e9","n":1.5}'
    assert request.headers.pop("host") == server.url.removeprefix("http://")
    assert request.headers.pop("user-agent").startswith("ttskit/")
    assert request.headers == {
        "accept": "*/*",
        "accept-encoding": "gzip",
        "content-length": str(len(request.body)),
        "content-type": "application/json",
        "x-key": "secret",
    }


async def test_a_body_comes_as_it_is_sent(connect: Connect) -> None:
    with FaultyServer(b"abc" * 40_000) as server:
        client = connect(server.url)
        for framing in Framing:
            server.reply(Reply(framing=framing, step=30_000), times=1)
            async with client.stream("GET", "/") as reply:
                pieces = [piece async for piece in reply]
            assert b"".join(pieces) == b"abc" * 40_000


async def test_connections_are_kept_and_shared(connect: Connect) -> None:
    with FaultyServer(b"x" * 5_000) as server:
        first, second = connect(server.url), connect(f"{server.url}/v2")
        for client in (first, second, first, second):
            await client.fetch("GET", "/")
        assert server.connections == 1
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(first.fetch, "GET", "/")
        assert server.connections <= 20


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
async def test_a_compressed_body_is_inflated(connect: Connect, encode: object) -> None:
    body = b"the quick brown fox " * 9_000
    name = "gzip" if encode is gzip.compress else "deflate"
    reply = Reply(
        headers=(("Content-Encoding", name),),
        body=gzip.compress(body) if name == "gzip" else zlib.compress(body),
        step=999,
    )
    with FaultyServer().reply(reply) as server:
        assert await connect(server.url).fetch("GET", "/") == body


async def test_a_bomb_is_refused_before_it_is_held(connect: Connect) -> None:
    bomb = gzip.compress(bytes(200 * MIB))
    reply = Reply(headers=(("Content-Encoding", "gzip"),), body=bomb)
    with FaultyServer().reply(reply) as server:
        client = connect(server.url)
        with pytest.raises(InvalidResponseError, match="larger"):
            await client.fetch("GET", "/")
        async with client.stream("GET", "/") as lazy:
            assert len(await anext(lazy)) <= MIB


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("br", b"x"), ("gzip", b"no gzip at all"), ("gzip", gzip.compress(b"x" * 9_000)[:-9])],
    ids=["unknown", "broken", "cut"],
)
async def test_a_body_that_cannot_be_inflated_is_refused(
    connect: Connect, encoding: str, body: bytes
) -> None:
    reply = Reply(headers=(("Content-Encoding", encoding),), body=body)
    with FaultyServer().reply(reply) as server, pytest.raises(InvalidResponseError):
        await connect(server.url).fetch("GET", "/")


async def test_a_body_without_end_is_left_at_the_limit(connect: Connect) -> None:
    with FaultyServer(b"x" * 4 * MIB) as server:
        client = connect(server.url)
        with pytest.raises(InvalidResponseError, match="larger"):
            async with client.stream("GET", "/", max_bytes=MIB) as reply:
                await reply.read()


async def test_a_redirect_is_not_followed(connect: Connect) -> None:
    with FaultyServer(b"gotcha") as elsewhere, FaultyServer() as server:
        server.reply(Reply(307, (("Location", elsewhere.url),)))
        async with connect(server.url, x_key="secret").stream("GET", "/") as reply:
            assert reply.status == 307
        assert not elsewhere.requests


async def test_cookies_are_not_kept(connect: Connect) -> None:
    with FaultyServer().reply(Reply(headers=(("Set-Cookie", "a=b"),), body=b"x")) as server:
        client = connect(server.url)
        await client.fetch("GET", "/")
        await client.fetch("GET", "/")
        assert "cookie" not in server.requests[1].headers


async def test_a_fetch_has_a_time_of_its_own(connect: Connect) -> None:
    with (
        FaultyServer(b"x").reply(Reply(ending=Ending.STALL, at=0)) as server,
        anyio.fail_after(4),
        pytest.raises(ProviderTimeoutError, match=r"0\.2 s"),
    ):
        await connect(server.url).fetch("GET", "/", timeout_s=0.2)


async def test_a_header_without_end_is_refused(connect: Connect) -> None:
    endless = b"HTTP/1.1 200 OK\r\n" + b"X-Filler: %s\r\n" % (b"x" * 4_000) * 500

    def answer(connection: object, request: bytes, count: int) -> bool:
        del request, count
        connection.sendall(endless)  # type: ignore[attr-defined]
        return True

    with RawServer(answer) as server, pytest.raises((NetworkError, InvalidResponseError)):
        await connect(server.url).fetch("GET", "/")


async def test_what_is_no_http_is_refused(connect: Connect) -> None:
    def answer(connection: object, request: bytes, count: int) -> bool:
        del request, count
        connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")  # type: ignore[attr-defined]
        return False

    with RawServer(answer) as server, pytest.raises((NetworkError, InvalidResponseError)):
        await connect(server.url).fetch("GET", "/")


async def test_an_idle_connection_that_the_server_closed_costs_no_request(
    connect: Connect, pools: Pools
) -> None:
    """The next request on it is sent again, once, on a new connection."""

    def answer(connection: object, request: bytes, count: int) -> bool:
        del request
        if count:
            return False  # closed when the second request has come: the race of keep-alive
        connection.sendall(ok(b"fine"))  # type: ignore[attr-defined]
        return True

    with RawServer(answer) as server:
        client = connect(server.url)
        for _ in range(5):
            assert await client.fetch("POST", "/", json={}) == b"fine"
        assert server.connections == 5
        transport = await pools.transport(Address.of(server.url).origin)
        assert transport.free_retries == 4


async def test_a_request_on_a_new_connection_is_not_sent_again(connect: Connect) -> None:
    def answer(connection: object, request: bytes, count: int) -> bool:
        del connection, request, count
        return False

    with RawServer(answer) as server:
        with pytest.raises(NetworkError):
            await connect(server.url).fetch("POST", "/", json={})
        assert server.connections == 1


async def test_a_request_that_was_half_answered_is_not_sent_again(connect: Connect) -> None:
    seen: list[bytes] = []

    def answer(connection: object, request: bytes, count: int) -> bool:
        seen.append(request)
        connection.sendall(b"HTTP/1.1 20" if count else ok(b"fine"))  # type: ignore[attr-defined]
        return not count

    with RawServer(answer) as server:
        client = connect(server.url)
        assert await client.fetch("POST", "/", json={}) == b"fine"
        with pytest.raises(NetworkError):
            await client.fetch("POST", "/", json={})
        assert len(seen) == 2


@pytest.mark.parametrize("at", [None, 40], ids=["before the head", "in the body"])
async def test_an_error_shows_no_frame_of_a_library(connect: Connect, at: int | None) -> None:
    """Among their variables is what was sent, and with it the key."""
    with (
        FaultyServer(b"x" * 5_000).reset(at=at) as server,
        pytest.raises(NetworkError) as caught,
    ):
        await connect(server.url).fetch("POST", "/", json={})
    cause = caught.value.__cause__
    assert cause is not None
    while cause is not None:
        assert cause.__traceback__ is None
        cause = cause.__cause__


async def test_after_closing_nothing_is_sent(connect: Connect, pools: Pools) -> None:
    with FaultyServer(b"x") as server:
        client = connect(server.url)
        await client.fetch("GET", "/")
        await pools.aclose()
        with pytest.raises(ServiceClosedError):
            await client.fetch("GET", "/")
        assert len(server.requests) == 1
