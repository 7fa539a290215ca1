"""Sockets to a real server: what is said both ways, and how they end."""

from __future__ import annotations

import http
import logging
import socket
import ssl
import threading
from collections.abc import AsyncIterator

import anyio
import pytest
import trustme
from anyio.abc import ByteStream
from typing_extensions import override
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.sync.server import ServerConnection
from websockets.uri import parse_uri

from tests.listening import listening
from tests.resources.http.conftest import anything_goes
from tests.resources.http.raw_server import RawServer
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    InvalidResponseError,
    NetworkError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    TTSError,
)
from ttskit.resources.http.address import Address, Origin
from ttskit.resources.http.client import HTTPClient, Reply
from ttskit.resources.http.pools import HTTPOptions, Pools
from ttskit.resources.http.websocket import Handshake, WebSocket
from ttskit.resources.http.wire import Way
from ttskit.testing import CancelSweep

pytestmark = pytest.mark.anyio
KEY = "sk-canary-55e1c9a3f7"


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


def closing(code: int) -> Frame:
    return Frame(Opcode.CLOSE, Close(code, "").serialize())


@pytest.fixture
async def pools(anyio_backend: str) -> AsyncIterator[Pools]:
    del anyio_backend
    pools = Pools(HTTPOptions(silence_s=5.0, connect_s=2.0))
    yield pools
    await pools.aclose()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def client(pools: Pools, url: str, judge: object = anything_goes) -> HTTPClient:
    return HTTPClient(
        pools,
        Address.of(f"{url}/v1"),
        headers={"xi-api-key": KEY},
        provider="cloud",
        judge=judge,  # type: ignore[arg-type]
    )


async def test_messages_go_both_ways(pools: Pools) -> None:
    seen: list[Request] = []

    def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append(connection.request)
        echo(connection)

    with listening(handler) as url:
        opened = client(pools, url).websocket("/speak", query={"model": "a b"})
        async with opened as socket:
            for message in ("héllo", b"\x00\xff", "", "x" * 300_000):
                await socket.send(message)
                assert await anext(socket) == message
    assert seen[0].path == "/v1/speak?model=a+b"
    assert seen[0].headers["xi-api-key"] == KEY
    assert seen[0].headers["User-Agent"].startswith("ttskit/")


async def test_fragments_are_one_message(pools: Pools) -> None:
    def handler(connection: ServerConnection) -> None:
        connection.send(iter(["one ", "two ", "three"]))
        connection.send(iter([b"1", b"2"]))
        connection.ping()

    with listening(handler) as url:
        async with client(pools, url).websocket("/") as socket:
            assert [message async for message in socket] == ["one two three", b"12"]


async def test_pings_are_answered_while_reading(pools: Pools) -> None:
    def handler(connection: ServerConnection) -> None:
        connection.ping().wait(5)
        connection.send("pong came")

    with listening(handler) as url:
        async with client(pools, url).websocket("/") as socket:
            assert await anext(socket) == "pong came"


async def test_one_task_reads_while_another_sends(pools: Pools) -> None:
    async def say(socket: object) -> None:
        for number in range(200):
            await socket.send(f"{number}")  # type: ignore[attr-defined]

    with listening(echo) as url:
        async with client(pools, url).websocket("/") as socket, anyio.create_task_group() as tasks:
            tasks.start_soon(say, socket)
            assert [await anext(socket) for _ in range(200)] == [str(n) for n in range(200)]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1000, None),
        (1001, None),
        (1007, InvalidParameterError),
        (1008, ProviderUnavailableError),
        (1011, ProviderUnavailableError),
        (4429, RateLimitedError),
    ],
)
async def test_the_closing_code_says_how_it_ended(
    pools: Pools, code: int, kind: type[TTSError] | None
) -> None:
    def handler(connection: ServerConnection) -> None:
        connection.send("last words")
        connection.close(code, "the reason may quote the text")

    with listening(handler) as url:
        async with client(pools, url).websocket("/", closes={4429: RateLimitedError}) as socket:
            assert await anext(socket) == "last words"
            if kind is None:
                assert await anext(socket, None) is None
                return
            with pytest.raises(kind) as caught:
                await anext(socket)
    assert type(caught.value) is kind
    assert "quote" not in str(caught.value)


async def test_who_sends_to_a_closed_socket_is_told_why_it_was_closed(pools: Pools) -> None:
    def handler(connection: ServerConnection) -> None:
        connection.close(4429)

    with listening(handler) as url:
        async with client(pools, url).websocket("/", closes={4429: RateLimitedError}) as socket:
            with pytest.raises(RateLimitedError):
                await anext(socket)
            with pytest.raises(RateLimitedError):
                await socket.send("too late")


class LeftUnheard(ByteStream):
    """A connection whose peer has said its last words and gone: they can still be read."""

    def __init__(self, words: bytes) -> None:
        self._words = words

    @override
    async def receive(self, max_bytes: int = 65_536) -> bytes:
        words, self._words = self._words[:max_bytes], self._words[max_bytes:]
        if not words:
            raise anyio.BrokenResourceError
        return words

    @override
    async def send(self, item: bytes) -> None:
        raise anyio.BrokenResourceError

    @override
    async def send_eof(self) -> None:
        raise anyio.BrokenResourceError

    @override
    async def aclose(self) -> None:
        """It is closed already."""


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ([Frame(Opcode.TEXT, b"about to"), closing(4429)], RateLimitedError),
        ([Frame(Opcode.TEXT, b"about to")], NetworkError),
        ([closing(1000)], NetworkError),
    ],
    ids=["a reason", "none", "a farewell"],
)
async def test_who_was_hung_up_on_in_mid_sentence_learns_why(
    words: list[Frame], kind: type[TTSError]
) -> None:
    stream = LeftUnheard(b"".join(frame.serialize(mask=False) for frame in words))
    handshake = Handshake(Origin("http", "a.example", 80), "/", {}, closes={4429: RateLimitedError})
    protocol = ClientProtocol(parse_uri("ws://a.example/"), state=State.OPEN)
    opened = WebSocket(stream, protocol, handshake, Way())
    with pytest.raises(kind) as caught:
        await opened.say(["one", "two"])
    assert type(caught.value) is kind


async def test_a_connection_that_breaks_is_an_error(pools: Pools) -> None:
    def handler(connection: ServerConnection) -> None:
        connection.send("half a")
        connection.socket.shutdown(socket.SHUT_RDWR)

    with listening(handler) as url:
        async with client(pools, url).websocket("/") as opened:
            assert await anext(opened) == "half a"
            with pytest.raises(NetworkError):
                await anext(opened)


async def test_a_server_that_falls_silent_is_left(anyio_backend: str) -> None:
    del anyio_backend
    pools = Pools(HTTPOptions(silence_s=0.2))
    with (
        listening(echo) as url,
        anyio.fail_after(5),
        pytest.raises(ProviderTimeoutError) as caught,
    ):
        async with client(pools, url).websocket("/") as socket:
            await anext(socket)
    assert caught.value.provider == "cloud"


async def test_leaving_tells_the_server(pools: Pools) -> None:
    codes: list[int | None] = []
    ended = threading.Event()

    def handler(connection: ServerConnection) -> None:
        try:
            connection.recv()
            connection.recv()
        except ConnectionClosed as error:
            codes.append(error.rcvd.code if error.rcvd else None)
        ended.set()

    with listening(handler) as url:
        async with client(pools, url).websocket("/") as socket:
            await socket.send("hello")
        assert await anyio.to_thread.run_sync(ended.wait, 5)
    assert codes == [1000]


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_a_refused_handshake_is_judged_as_a_reply(pools: Pools, status: int) -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        del request
        return connection.respond(http.HTTPStatus(status), '{"error": "no"}')

    async def judge(reply: Reply) -> None:
        seen.append((reply.status, await reply.read()))
        raise AuthenticationError("no")

    seen: list[tuple[int, bytes]] = []
    with (
        listening(echo, refuse) as url,
        pytest.raises(AuthenticationError) as caught,
    ):
        async with client(pools, url, judge).websocket("/"):
            pass
    assert seen == [(status, b'{"error": "no"}')]
    assert caught.value.provider == "cloud"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"",
    ],
    ids=["200", "no accept", "ssh", "nothing"],
)
async def test_what_opens_no_socket_is_refused(pools: Pools, answer: bytes) -> None:
    def answered(connection: socket.socket, request: bytes, count: int) -> bool:
        del request, count
        connection.sendall(answer)
        return False

    with RawServer(answered) as server, pytest.raises(InvalidResponseError):
        async with client(pools, server.url).websocket("/"):
            pass


async def test_a_port_that_is_closed_is_an_error(pools: Pools) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(NetworkError, match="refused"):
        async with client(pools, f"http://127.0.0.1:{port}").websocket("/"):
            pass


async def test_a_cancelled_call_leaves_nothing(pools: Pools) -> None:
    with listening(echo) as url:

        async def work() -> None:
            async with client(pools, url).websocket("/") as socket:
                await socket.send("a")
                await anext(socket)

        report = await CancelSweep(work).run()
    assert report.cases > 5


async def test_keys_and_texts_reach_no_log(pools: Pools, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with listening(echo) as url:
        async with client(pools, url).websocket("/") as socket:
            await socket.send("a very private text")
            await anext(socket)
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert KEY not in told
    assert "private" not in told


async def test_a_socket_over_tls_checks_the_certificate(
    anyio_backend: str, tmp_path: object
) -> None:
    del anyio_backend
    authority = trustme.CA()
    file = f"{tmp_path}/ca.pem"
    authority.cert_pem.write_to_path(file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with listening(echo, ssl=context) as url:
        secure = url.replace("http://127.0.0.1", "https://localhost")
        async with client(Pools(HTTPOptions(ca_file=file)), secure).websocket("/") as opened:  # type: ignore[arg-type]
            await opened.send("safe")
            assert await anext(opened) == "safe"
        with pytest.raises(NetworkError, match="certificate"):
            async with client(Pools(), secure).websocket("/"):
                pass


async def test_a_socket_goes_through_a_proxy(anyio_backend: str) -> None:
    del anyio_backend
    seen: list[bytes] = []
    with listening(echo) as url:
        port = int(url.rpartition(":")[2])

        def tunnel(connection: socket.socket, request: bytes, count: int) -> bool:
            del count
            seen.append(request)
            with socket.create_connection(("127.0.0.1", port)) as inner:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                up = threading.Thread(target=_pump, args=(connection, inner))
                up.start()
                _pump(inner, connection)
                up.join(5)
            return False

        with RawServer(tunnel) as proxy:
            through = proxy.url.replace("http://", "http://user:pass@")
            pools = Pools(HTTPOptions(proxy=through))
            async with client(pools, "http://speech.example").websocket("/") as opened:
                await opened.send("through")
                assert await anext(opened) == "through"
    assert seen[0].startswith(b"CONNECT speech.example:80 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in seen[0]


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
