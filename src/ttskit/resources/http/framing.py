"""Items within a body, whose pieces may end anywhere: lines of JSON, and server-sent events."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ttskit.errors import InvalidResponseError

MAX_ITEM_BYTES = 32 * 1024 * 1024
"""Of one line or event: five minutes of audio, in base64."""
ItemT = TypeVar("ItemT")
ItemT_co = TypeVar("ItemT_co", covariant=True)
Json = dict[str, object]


class Framing(Protocol[ItemT_co]):
    """Cuts a body into items."""

    def feed(self, data: bytes) -> Iterator[ItemT_co]:
        """Yield the items that end within the next bytes."""

    def finish(self) -> Iterator[ItemT_co]:
        """Yield what is left at the body's end."""


class Framed(Generic[ItemT]):
    """The items of a body, as they come.

    Not a generator: one that is left early would be closed some time later, in another task.
    """

    def __init__(self, body: AsyncIterator[bytes], framing: Framing[ItemT]) -> None:
        self._body = body
        self._framing = framing
        self._items: deque[ItemT] = deque()
        self._is_over = False

    def __aiter__(self) -> Framed[ItemT]:
        return self

    async def __anext__(self) -> ItemT:
        while not self._items:
            if self._is_over:
                raise StopAsyncIteration
            data = await anext(self._body, None)
            if data is None:
                self._is_over = True
                self._items.extend(self._framing.finish())
            else:
                self._items.extend(self._framing.feed(data))
        return self._items.popleft()


class JsonLines:
    """JSON objects, one to a line, perhaps with blank lines between (NDJSON)."""

    def __init__(self) -> None:
        self._lines = _Lines()

    def feed(self, data: bytes) -> Iterator[Json]:
        """Yield the objects whose lines end within the next bytes.

        Raises:
            InvalidResponseError: A line is no JSON object, or too long.
        """
        for line in self._lines.feed(data):
            if line.strip():
                yield json_object(line)

    def finish(self) -> Iterator[Json]:
        """Yield the object of a last line without an end."""
        if rest := self._lines.rest().strip():
            yield json_object(rest)


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a stream. Source: WHATWG HTML, section 9.2."""

    data: str
    event: str = "message"


class ServerEvents:
    """Server-sent events; comments, ids and retry times are passed over."""

    def __init__(self) -> None:
        self._lines = _Lines()
        self._is_first = True
        self._event = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> Iterator[ServerEvent]:
        """Yield the events that end within the next bytes.

        Raises:
            InvalidResponseError: A line is no UTF-8, or too long.
        """
        for line in self._lines.feed(data):
            yield from self._take(line)

    def finish(self) -> Iterator[ServerEvent]:
        """Yield a last event that no blank line ended: servers forget it."""
        if rest := self._lines.rest():
            yield from self._take(rest)
        yield from self._take(b"")

    def _take(self, line: bytes) -> Iterator[ServerEvent]:
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if self._data:
                yield ServerEvent("\n".join(self._data), self._event or "message")
            self._event, self._data = "", []
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(_text(value))
        elif name == b"event":
            self._event = _text(value)


class _Lines:
    """Lines that end in CR, LF or both, without their ends."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._after_cr = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        while data:
            end, width = _line_end(data)
            if end < 0:
                self._keep(data)
                return
            line = b"".join((*self._parts, data[:end])) if self._parts else data[:end]
            self._parts, self._size = [], 0
            self._after_cr = data[end:] == b"\r"
            data = data[end + width :]
            yield line

    def rest(self) -> bytes:
        rest = b"".join(self._parts)
        self._parts, self._size = [], 0
        return rest

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_ITEM_BYTES:
            raise InvalidResponseError("the reply holds a line without an end")
        self._parts.append(data)


def _line_end(data: bytes) -> tuple[int, int]:
    """Return where the first line ends and how long its end is; -1 where it does not end here."""
    feed = data.find(b"\n")
    back = data.find(b"\r", 0, feed if feed >= 0 else len(data))
    if back < 0:
        return feed, 1
    return back, 2 if data[back + 1 : back + 2] == b"\n" else 1


def json_object(data: bytes | str) -> Json:
    """Return a JSON object.

    Raises:
        InvalidResponseError: It is none. What it is instead is not told: it may quote the text.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidResponseError("the reply holds what is no JSON") from None
    if not isinstance(value, dict):
        raise InvalidResponseError("the reply holds JSON that is no object")
    return value


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidResponseError("the reply holds what is no UTF-8") from None
