"""Connections of raw bytes, over real sockets and on both event loops."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.resources.socket_server import SocketServer, refused_port, reset, wait_for_end
from ttskit.errors import (
    InvalidResponseError,
    NetworkError,
    ProviderTimeoutError,
    ServiceClosedError,
)
from ttskit.resources.host import Resources
from ttskit.resources.http.pools import HTTPOptions
from ttskit.resources.sockets import Connection, SocketClient
from ttskit.testing import CancelSweep, Census

pytestmark = pytest.mark.anyio
PATIENCE_S = 10
LINE = 1_000
Step = Callable[[Connection], Awaitable[None]]


@pytest.fixture
async def resources(anyio_backend: str) -> AsyncIterator[Resources]:
    del anyio_backend
    resources = Resources(http=HTTPOptions(silence_s=5.0, connect_s=2.0))
    yield resources
    await resources.aclose()


def client(resources: Resources, server: SocketServer, host: str = "127.0.0.1") -> SocketClient:
    return resources.socket(host, server.port, provider="box")


async def visit(plug: SocketClient, *steps: Step) -> None:
    """Connect, take each step, and leave."""
    async with plug.connect() as connection:
        for step in steps:
            await step(connection)


async def say_x(connection: Connection) -> None:
    await connection.send(b"x")


async def say_much(connection: Connection) -> None:
    while True:
        await connection.send(bytes(1_000_000))


async def a_line(connection: Connection) -> None:
    await connection.read_line(max_bytes=LINE)


async def some_bytes(connection: Connection) -> None:
    await connection.read_exactly(LINE)


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65_536):
        connection.sendall(data)


def byte_by_byte(connection: socket.socket) -> None:
    while data := connection.recv(65_536):
        for byte in data:
            connection.sendall(bytes([byte]))


@pytest.mark.parametrize("talk", [echo, byte_by_byte])
async def test_lines_and_counted_bytes_come_as_they_were_sent(
    resources: Resources, talk: Callable[[socket.socket], None]
) -> None:
    with SocketServer(talk) as server:
        async with client(resources, server).connect() as connection:
            await connection.send(b"one\n\n12345two\r\n")
            assert await connection.read_line(max_bytes=LINE) == b"one"
            assert await connection.read_line(max_bytes=LINE) == b""
            assert await connection.read_exactly(5) == b"12345"
            assert await connection.read_exactly(0) == b""
            assert await connection.read_line(max_bytes=LINE) == b"two\r"


@given(
    parts=st.lists(st.one_of(st.binary(max_size=300), st.binary(max_size=60).map(bytes.hex))),
    step=st.integers(1, 400),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_sent_in_whatever_pieces_is_read_whole(
    anyio_backend: str, parts: list[bytes | str], step: int
) -> None:
    """Binary parts are counted, text is a line."""
    packed = [part if isinstance(part, bytes) else f"{part}\n".encode() for part in parts]
    data = b"".join(packed)

    def talk(connection: socket.socket) -> None:
        for start in range(0, len(data), step):
            connection.sendall(data[start : start + step])
        wait_for_end(connection)

    async def read(connection: Connection, part: bytes | str) -> bytes | str:
        if isinstance(part, bytes):
            return await connection.read_exactly(len(part))
        return (await connection.read_line(max_bytes=LINE)).decode()

    async def main() -> None:
        resources = Resources()
        async with client(resources, server).connect() as connection:
            assert [await read(connection, part) for part in parts] == parts
        await resources.aclose()

    with SocketServer(talk) as server:
        anyio.run(main, backend=anyio_backend)


async def test_much_is_sent_and_read_at_the_same_time(resources: Resources) -> None:
    data = bytes(range(256)) * 40_000
    with SocketServer(echo) as server:
        async with (
            client(resources, server).connect() as connection,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(connection.send, data)
            assert await connection.read_exactly(len(data)) == data


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_closed_port_is_a_network_error(resources: Resources, host: str) -> None:
    held, port = refused_port()
    with held, pytest.raises(NetworkError, match="cannot connect") as caught:
        await visit(resources.socket(host, port, provider="box"))
    assert caught.value.provider == "box"
    assert f"tcp://{host}:{port}" in str(caught.value)
    assert is_ours_alone(caught.value)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".invalid", "x..y"])
async def test_a_name_that_is_none_is_a_network_error(resources: Resources, host: str) -> None:
    with pytest.raises(NetworkError, match="cannot connect"):
        await visit(resources.socket(host, 9, provider="box"))


async def test_a_host_that_accepts_nothing_is_left_in_time(anyio_backend: str) -> None:
    del anyio_backend
    resources = Resources(http=HTTPOptions(connect_s=0.2))
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,
        # It fills the queue, which nobody empties.
        socket.create_connection(full.getsockname()),
        anyio.fail_after(PATIENCE_S),
        pytest.raises(ProviderTimeoutError, match="accepts no"),
    ):
        await visit(resources.socket(*full.getsockname(), provider="box"))
    await resources.aclose()


def cut(connection: socket.socket) -> None:
    connection.sendall(b"half")


def cut_by_reset(connection: socket.socket) -> None:
    connection.recv(1)
    reset(connection)


@pytest.mark.parametrize("talk", [cut, cut_by_reset])
@pytest.mark.parametrize("read", [a_line, some_bytes])
async def test_a_connection_that_ends_early_is_a_network_error(
    resources: Resources, talk: Callable[[socket.socket], None], read: Step
) -> None:
    with SocketServer(talk) as server, pytest.raises(NetworkError) as caught:
        await visit(client(resources, server), say_x, read)
    assert caught.value.provider == "box"
    assert is_ours_alone(caught.value)


async def test_a_server_that_hangs_up_takes_nothing_more(resources: Resources) -> None:
    with SocketServer(reset) as server, pytest.raises(NetworkError):
        await visit(client(resources, server), say_much)


async def test_silence_is_left_in_time(anyio_backend: str) -> None:
    del anyio_backend
    resources = Resources(http=HTTPOptions(silence_s=0.1))
    with (
        SocketServer(wait_for_end) as server,
        anyio.fail_after(PATIENCE_S),
        pytest.raises(ProviderTimeoutError, match="sends nothing"),
    ):
        await visit(client(resources, server), a_line)
    await resources.aclose()


async def test_a_server_that_takes_nothing_is_left_in_time(anyio_backend: str) -> None:
    del anyio_backend
    resources = Resources(http=HTTPOptions(silence_s=0.1))
    with (
        socket.create_server(("127.0.0.1", 0)) as deaf,
        anyio.fail_after(PATIENCE_S),
        pytest.raises(ProviderTimeoutError, match="takes nothing"),
    ):
        await visit(resources.socket(*deaf.getsockname(), provider="box"), say_much)
    await resources.aclose()


@pytest.mark.parametrize("end", [b"\n", b""], ids=["ended", "endless"])
async def test_a_line_that_is_too_long_is_refused(resources: Resources, end: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"x" * (LINE + 1) + end)
        wait_for_end(connection)

    with SocketServer(talk) as server, pytest.raises(InvalidResponseError, match="without an end"):
        await visit(client(resources, server), a_line)


async def test_a_line_may_be_as_long_as_is_allowed(resources: Resources) -> None:
    with SocketServer(byte_by_byte) as server:
        async with client(resources, server).connect() as connection:
            await connection.send(b"x" * LINE + b"\n")
            assert await connection.read_line(max_bytes=LINE) == b"x" * LINE


async def test_closing_the_service_ends_what_is_open(resources: Resources) -> None:
    async def read(connection: Connection) -> None:
        with pytest.raises(ServiceClosedError):
            await connection.read_line(max_bytes=LINE)

    with SocketServer(wait_for_end) as server:
        async with client(resources, server).connect() as connection:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read, connection)
                await anyio.wait_all_tasks_blocked()
                await resources.aclose()
            with pytest.raises(ServiceClosedError):
                await connection.send(b"x")
        with pytest.raises(ServiceClosedError):
            await visit(client(resources, server))


async def test_leaving_closes_the_connection(resources: Resources) -> None:
    async def fail(connection: Connection) -> None:
        await connection.send(bytes(1_000_000))
        raise ZeroDivisionError

    with SocketServer(echo) as server:
        await visit(client(resources, server))
        census = Census.take()
        with pytest.raises(ZeroDivisionError):
            await visit(client(resources, server), fail)
        await census.check()


async def test_cancelled_anywhere_it_leaves_nothing(resources: Resources) -> None:
    async def work() -> None:
        async with client(resources, server).connect() as connection:
            await connection.send(b"one\nx" + bytes(LINE))
            await a_line(connection)
            await some_bytes(connection)

    with SocketServer(echo) as server:
        report = await CancelSweep(work).run()
    assert report.cases > 5


def is_ours_alone(error: BaseException) -> bool:
    """Whether no frame of a library would be shown."""
    shown = "".join(traceback.format_exception(error))
    return not [name for name in ("anyio", "asyncio", "trio") if f"{os.sep}{name}{os.sep}" in shown]
