"""Wyoming's events on the wire: a line of JSON, more JSON, and bytes, the latter two counted.

Source: package wyoming 1.10.2, event.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ttskit.errors import InvalidResponseError
from ttskit.resources.http.framing import Json, json_object
from ttskit.resources.sockets import Connection

MAX_JSON_BYTES = 4 * 1024 * 1024
"""Of a line, and of the data after it. Older peers put all data into the line: every voice of a
server, and every speaker of each."""
MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""Of one event: some servers send all of their audio in one."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event, in either direction."""

    type: str
    data: Mapping[str, object] = field(default_factory=dict)
    payload: bytes = b""

    def packed(self) -> bytes:
        """Return the event as it is sent: data always in a block of its own."""
        data = json.dumps(self.data).encode() if self.data else b""
        lengths = {"data_length": len(data), "payload_length": len(self.payload)}
        line = {"type": self.type} | {name: size for name, size in lengths.items() if size}
        return json.dumps(line).encode() + b"\n" + data + self.payload


async def read_event(connection: Connection) -> Event:
    """Return the next event; data may be in its line, in a block, or in both.

    Raises:
        InvalidResponseError: What comes is no event, or too large.
        NetworkError: The connection broke.
        ProviderTimeoutError: Nothing came for too long.
    """
    line = json_object(await connection.read_line(max_bytes=MAX_JSON_BYTES))
    kind, inline = line.get("type"), line.get("data") or {}
    if not isinstance(kind, str) or not isinstance(inline, dict):
        raise InvalidResponseError("the server does not speak Wyoming")
    data_size = _length(line, "data_length", MAX_JSON_BYTES)
    payload_size = _length(line, "payload_length", MAX_PAYLOAD_BYTES)
    block = json_object(await connection.read_exactly(data_size)) if data_size else {}
    return Event(kind, inline | block, await connection.read_exactly(payload_size))


def _length(line: Json, name: str, most: int) -> int:
    size = line.get(name) or 0
    if not isinstance(size, int) or not 0 <= size <= most:
        raise InvalidResponseError(f"the server announces a {name} that cannot be")
    return size
