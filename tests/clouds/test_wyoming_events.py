"""Wyoming's framing: what is packed is read, in whatever way it comes."""

from __future__ import annotations

import socket

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.clouds.wyoming_server import packed
from tests.resources.socket_server import SocketServer
from ttskit.adapters.wyoming_events import Event, read_event
from ttskit.resources.host import Resources

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
EVENTS = st.builds(
    Event,
    st.text(min_size=1, max_size=20),
    st.dictionaries(st.text(max_size=9), JSON, max_size=4),
    st.binary(max_size=200),
)


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65_536):
        connection.sendall(data)


async def read_back(port: int, data: bytes, count: int) -> list[Event]:
    resources = Resources()
    async with resources.socket("127.0.0.1", port, provider="box").connect() as connection:
        await connection.send(data)
        events = [await read_event(connection) for _ in range(count)]
    await resources.aclose()
    return events


@pytest.mark.parametrize("way", ["ours", "block", "line"])
@given(events=st.lists(EVENTS, max_size=4))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_events_are_read_as_they_were_written(
    anyio_backend: str, way: str, events: list[Event]
) -> None:
    def written(event: Event) -> bytes:
        if way == "ours":
            return event.packed()
        return packed(event.type, event.data, event.payload, is_old=way == "line")

    with SocketServer(echo) as server:
        data = b"".join(map(written, events))
        assert anyio.run(read_back, server.port, data, len(events), backend=anyio_backend) == events
