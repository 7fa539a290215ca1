"""Pools under stress: races with the server, cancellations, forks, proxies, certificates."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
import threading
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import anyio
import httpcore
import httpcore2
import pytest
import trustme
from anyio import to_thread

from tests import effort
from tests.resources.http.conftest import Connect, Wire
from tests.resources.http.raw_server import RawServer, ok
from ttskit.errors import (
    ConfigurationError,
    InvalidResponseError,
    NetworkError,
    ProviderTimeoutError,
)
from ttskit.resources.http.address import Origin
from ttskit.resources.http.aiohttp_transport import translate as translate_aiohttp
from ttskit.resources.http.httpcore_transport import meanings
from ttskit.resources.http.pools import HTTPOptions, Pools
from ttskit.resources.http.wire import translated
from ttskit.testing import CancelSweep, FaultyServer, Framing, Received, Reply

pytestmark = pytest.mark.anyio
ORIGIN = Origin("https", "api.example.com", 443)


async def test_the_race_of_keep_alive_reaches_no_caller(connect: Connect) -> None:
    """A server that closes connections as requests arrive; half an answer is never sent again."""
    requests = effort.examples(ci=1_500, nightly=20_000)
    dice = random.Random(7)
    answered: Counter[bytes] = Counter()

    def answer(connection: socket.socket, request: bytes, count: int) -> bool:
        name = request.partition(b"\r\n\r\n")[2]
        fate = dice.random()
        if count and fate < 0.1:
            return False  # closed without a look at it
        answered[name] += 1
        if count and fate < 0.15:
            connection.sendall(b"HTTP/1.1 2")
            return False
        connection.sendall(ok(name))
        return fate < 0.6  # else it closes right behind the answer, as the next one comes

    async def ask(client: object, names: Iterator[int]) -> None:
        for name in names:
            try:
                async with client.stream("POST", "/", content=b"%d" % name) as reply:  # type: ignore[attr-defined]
                    assert await reply.read() == b"%d" % name
            except NetworkError:
                broken.append(name)

    broken: list[int] = []
    names = iter(range(requests))
    with RawServer(answer) as server:
        client = connect(server.url)
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(ask, client, names)
    assert set(answered.values()) == {1}
    assert len(answered) == requests
    assert 0 < len(broken) < requests * 0.1  # those of which half an answer came, and no others


async def test_random_cancellations_leave_the_pool_whole(connect: Connect) -> None:
    dice = random.Random(11)
    with FaultyServer(b"x" * 60_000) as server:
        server.reply(Reply(framing=Framing.CHUNKED, step=20_000))
        client = connect(server.url)

        async def ask_and_leave(left: Iterator[int]) -> None:
            for _ in left:
                with anyio.move_on_after(dice.uniform(0, 0.004)):
                    await client.fetch("POST", "/", json={})

        left = iter(range(effort.examples(ci=400, nightly=10_000)))
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(ask_and_leave, left)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for _ in range(50):
                    tasks.start_soon(client.fetch, "GET", "/")
        assert server.open_connections <= 120  # the 50, and what cancelled ones may still hold


async def test_a_cancelled_request_leaves_nothing(connect: Connect) -> None:
    with FaultyServer(b"x" * 30_000) as server:
        client = connect(server.url)
        await client.fetch("GET", "/")

        async def leave_early() -> None:
            async with client.stream("POST", "/", json={}) as reply:
                await anext(reply)
            await client.fetch("GET", "/")

        async def is_well() -> None:
            with anyio.fail_after(5):
                assert len(await client.fetch("GET", "/")) == 30_000

        report = await CancelSweep(leave_early, invariant=is_well).run()
    assert report.cases > 5


async def test_children_of_a_fork_never_read_their_parents_replies(wire: Wire) -> None:
    """Four children and a parent with a warm connection: every body is the one asked for."""

    def echo(received: Received) -> bytes:
        return received.body

    async def ask(client: object, process: int) -> int:
        wrong = 0
        for number in range(100):
            body = b"%d of %d" % (number, process)
            async with client.stream("POST", "/", content=body) as reply:  # type: ignore[attr-defined]
                wrong += await reply.read() != body
        return wrong

    with FaultyServer(echo) as server:
        pools = Pools(HTTPOptions(transport=wire[1]))
        client = _client(pools, server.url)
        assert await ask(client, 0) == 0
        children = [_fork(wire[0], ask, client, number) for number in range(1, 5)]
        assert await ask(client, 0) == 0
        codes = [await to_thread.run_sync(_ended, child) for child in children]
        assert codes == [0, 0, 0, 0]
        assert await ask(client, 0) == 0  # the children closed nothing of ours
        assert server.connections == 5
        await pools.aclose()


def _client(pools: Pools, url: str) -> object:
    from tests.resources.http.conftest import anything_goes
    from ttskit.resources.http.address import Address
    from ttskit.resources.http.client import HTTPClient

    return HTTPClient(pools, Address.of(url), headers={}, provider="p", judge=anything_goes)


def _ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _fork(loop: str, ask: object, client: object, number: int) -> int:
    """Run ``ask`` in a forked child, whose exit code is the number of wrong bodies."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        # The parent's loop runs in this thread as far as the child knows.
        asyncio._set_running_loop(None)
        thread_code: list[int] = []
        runner = threading.Thread(
            target=lambda: thread_code.append(anyio.run(ask, client, number, backend=loop))  # type: ignore[arg-type]
        )
        runner.start()
        runner.join()
        code = thread_code[0]
    except BaseException:  # noqa: BLE001 - nothing of pytest may run in the child
        traceback.print_exc()
    finally:
        os._exit(code)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def tls_server(authority: trustme.CA, anyio_backend: str) -> AsyncIterator[str]:
    """A server that speaks TLS under a certificate of ``authority``; its URL."""
    del anyio_backend
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)

    def answer(connection: socket.socket, request: bytes, count: int) -> bool:
        del request, count
        connection.sendall(ok(b"safe"))
        return True

    with RawServer(answer, tls=context) as server:
        yield server.url.replace("http://127.0.0.1", "https://localhost")


async def test_a_certificate_of_an_unknown_authority_is_refused(
    connect: Connect, tls_server: str
) -> None:
    with pytest.raises(NetworkError, match="certificate"):
        await connect(tls_server).fetch("GET", "/")


async def test_a_ca_file_is_trusted(
    connect: Connect, wire: Wire, tls_server: str, authority: trustme.CA, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    pools = Pools(HTTPOptions(transport=wire[1], ca_file=file))
    client = connect(tls_server, over=pools)
    assert [await client.fetch("GET", "/") for _ in range(2)] == [b"safe", b"safe"]
    await pools.aclose()


async def test_the_environment_names_certificates(
    connect: Connect,
    wire: Wire,
    tls_server: str,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ttskit.resources.http.tls import tls_context

    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    tls_context.cache_clear()
    pools = Pools(HTTPOptions(transport=wire[1]))
    assert await connect(tls_server, over=pools).fetch("GET", "/") == b"safe"
    await pools.aclose()
    tls_context.cache_clear()


async def test_a_ca_file_that_is_none_is_named(
    connect: Connect, wire: Wire, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    pools = Pools(HTTPOptions(transport=wire[1], ca_file=file))
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        await connect("https://localhost:9", over=pools).fetch("GET", "/")
    await pools.aclose()


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[bytes]]]:
    """An HTTP proxy that answers everything itself, and the request lines it saw."""
    seen: list[bytes] = []

    def answer(connection: socket.socket, request: bytes, count: int) -> bool:
        del count
        seen.append(request)
        connection.sendall(ok(b"from the proxy"))
        return True

    with RawServer(answer) as server:
        yield server.url, seen


async def test_the_environment_names_proxies(
    connect: Connect,
    wire: Wire,
    proxy: tuple[str, list[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, seen = proxy
    monkeypatch.setenv("HTTP_PROXY", url)
    monkeypatch.setenv("NO_PROXY", "internal.example")
    for name in ("http_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    pools = Pools(HTTPOptions(transport=wire[1], connect_s=0.5))
    client = connect("http://speech.example/v1", over=pools)
    assert await client.fetch("GET", "/a?b=c") == b"from the proxy"
    assert seen[0].startswith(b"GET http://speech.example/v1/a?b=c HTTP/1.1\r\n")
    with pytest.raises((NetworkError, ProviderTimeoutError)):
        await connect("http://internal.example", over=pools).fetch("GET", "/")
    with FaultyServer(b"direct") as server:
        assert await connect(server.url, over=pools).fetch("GET", "/") == b"direct"
    assert len(seen) == 1
    await pools.aclose()


async def test_a_proxy_is_given_its_password_and_nobody_else(
    connect: Connect, wire: Wire, proxy: tuple[str, list[bytes]]
) -> None:
    url, seen = proxy
    with_user = url.replace("http://", "http://user:pass%40word@")
    pools = Pools(HTTPOptions(transport=wire[1], proxy=with_user))
    await connect("http://speech.example", over=pools).fetch("GET", "/")
    assert b"proxy-authorization: basic dxnlcjpwyxnzqhdvcmq=" in seen[0].lower()
    await pools.aclose()


async def test_a_proxy_that_is_down_is_named_without_its_password(
    connect: Connect, wire: Wire
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    pools = Pools(HTTPOptions(transport=wire[1], proxy=f"http://user:secret@127.0.0.1:{port}"))
    with pytest.raises(NetworkError) as caught:
        await connect("http://speech.example", over=pools).fetch("GET", "/")
    assert "secret" not in str(caught.value)
    await pools.aclose()


def _family(top: type[BaseException]) -> list[type[BaseException]]:
    return [top, *(one for child in top.__subclasses__() for one in _family(child))]


@pytest.mark.parametrize("library", [httpcore, httpcore2])
def test_every_exception_of_httpcore_has_a_meaning(library: object) -> None:
    kinds = [
        kind
        for kind in vars(library).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    table = meanings(library)  # type: ignore[arg-type]
    for kind in kinds:
        if kind.__name__ == "ConnectionNotAvailable":  # the pool's own signal to itself
            continue
        assert any(issubclass(kind, known) for known, _, _ in table), kind
        ours = translated(kind("api-key: secret"), ORIGIN, table)
        assert isinstance(ours, NetworkError | ProviderTimeoutError | InvalidResponseError)
        assert "secret" not in str(ours)
    assert len(kinds) > 10


def test_every_exception_of_aiohttp_has_a_meaning() -> None:
    kinds = _family(aiohttp.ClientError)
    assert len(kinds) > 20
    for kind in kinds:
        error = kind.__new__(kind)
        error.args = ("api-key: secret",)
        ours = translate_aiohttp(error, ORIGIN)
        expected = ProviderTimeoutError if issubclass(kind, TimeoutError) else NetworkError
        if not issubclass(kind, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError):
            expected = InvalidResponseError
        if issubclass(kind, aiohttp.ClientHttpProxyError):
            expected = NetworkError
        assert isinstance(ours, expected), kind
        assert "secret" not in str(ours)
