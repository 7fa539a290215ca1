"""The client that an adapter gets: requests to one server, under its own headers."""

from __future__ import annotations

import json as jsonlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import TracebackType
from typing import Generic, TypeVar

import anyio
from typing_extensions import override

from ttskit import __version__
from ttskit.errors import InvalidResponseError, ProviderTimeoutError, TTSError
from ttskit.resources.http.address import Address, Query
from ttskit.resources.http.decompress import Inflater, inflater
from ttskit.resources.http.framing import (
    Framed,
    Json,
    JsonLines,
    ServerEvent,
    ServerEvents,
    json_object,
)
from ttskit.resources.http.pools import Pools
from ttskit.resources.http.websocket import (
    CLOSES,
    Handshake,
    HandshakeRefused,
    WebSocket,
    open_socket,
)
from ttskit.resources.http.wire import Headers, Incoming, Request

MAX_AUDIO_BYTES = 512 * 1024 * 1024
"""Of one reply: more than an hour and a half of the widest PCM."""
MAX_DOCUMENT_BYTES = 32 * 1024 * 1024
FETCH_S = 30.0

ThingT = TypeVar("ThingT")
Judge = Callable[["Reply"], Awaitable[None]]
"""Raises our error where a reply's head says that it is none of what was asked for."""


class Reply:
    """A reply whose head has come: an async iterator over its body, inflated and bounded.

    Args:
        incoming: From the transport.
        max_bytes: Of the inflated body.
    """

    def __init__(self, incoming: Incoming, *, max_bytes: int) -> None:
        self.status = incoming.status
        self.headers: Mapping[str, str] = incoming.headers
        """Names in lower case."""
        self._incoming = incoming
        self._left = max_bytes
        self._inflater = inflater(incoming.headers.get("content-encoding", ""))
        self._pieces: Iterator[bytes] = iter(())

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; empty where none is given."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def __aiter__(self) -> Reply:
        return self

    async def __anext__(self) -> bytes:
        inflating = self._inflater
        data = await (
            self._incoming.read() if inflating is None else self._next_inflated(inflating)
        )
        if not data:
            raise StopAsyncIteration
        self._left -= len(data)
        if self._left < 0:
            raise InvalidResponseError("the reply is larger than any speech")
        return data

    async def _next_inflated(self, inflating: Inflater) -> bytes:
        while True:
            for piece in self._pieces:
                return piece
            data = await self._incoming.read()
            if not data:
                inflating.finish()
                return b""
            self._pieces = inflating.feed(data)

    def json_lines(self) -> Framed[Json]:
        """Return the body's JSON objects, one to a line, as they come."""
        return Framed(self, JsonLines())

    def events(self) -> Framed[ServerEvent]:
        """Return the body's server-sent events, as they come."""
        return Framed(self, ServerEvents())

    async def read(self) -> bytes:
        """Return the whole body."""
        return b"".join([data async for data in self])

    async def head(self, most: int) -> bytes:
        """Return the first bytes of a body that is not read any further."""
        parts, size = [], 0
        async for data in self:
            parts.append(data)
            size += len(data)
            if size >= most:
                break
        return b"".join(parts)[:most]

    async def json(self) -> Json:
        """Return the whole body, a JSON object.

        Raises:
            InvalidResponseError: It is none.
        """
        return json_object(await self.read())


class _Call(ABC, Generic[ThingT]):
    """A call as an async context manager; errors that leave it get the provider's name."""

    def __init__(self, pools: Pools, *, provider: str, judge: Judge) -> None:
        self._pools = pools
        self._provider = provider
        self._judge = judge
        self._open: Incoming | WebSocket | None = None

    async def __aenter__(self) -> ThingT:
        try:
            return await self._begin()
        except TTSError as error:
            self._name(error)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._open is not None:
            await self._open.aclose()
        if isinstance(error, TTSError):
            self._name(error)

    @abstractmethod
    async def _begin(self) -> ThingT:
        """Make the call, note what has to be closed, and return what it gives."""

    def _name(self, error: TTSError) -> None:
        error.provider = error.provider or self._provider


class Sent(_Call[Reply]):
    """A request as an async context manager over its reply; leaving it ends the exchange."""

    def __init__(
        self, pools: Pools, request: Request, *, max_bytes: int, provider: str, judge: Judge
    ) -> None:
        super().__init__(pools, provider=provider, judge=judge)
        self._request = request
        self._max_bytes = max_bytes

    @override
    async def _begin(self) -> Reply:
        transport = await self._pools.transport(self._request.origin)
        self._open = incoming = await transport.send(self._request)
        try:
            reply = Reply(incoming, max_bytes=self._max_bytes)
            await self._judge(reply)
        except BaseException:
            await incoming.aclose()
            raise
        return reply


class Socketed(_Call[WebSocket]):
    """A handshake as an async context manager over the socket; leaving it ends the call."""

    def __init__(self, pools: Pools, handshake: Handshake, *, provider: str, judge: Judge) -> None:
        super().__init__(pools, provider=provider, judge=judge)
        self.handshake = handshake

    @override
    async def _begin(self) -> WebSocket:
        way = await self._pools.way(self.handshake.origin)
        try:
            self._open = socket = await open_socket(self.handshake, way)
        except HandshakeRefused as refused:
            await self._judge(Reply(refused.reply, max_bytes=MAX_DOCUMENT_BYTES))
            raise InvalidResponseError("the server opened no socket") from None
        return socket


class HTTPClient:
    """Requests of one provider.

    Args:
        pools: Of the service.
        address: The base URL.
        headers: Sent with every request, such as the key's.
        provider: The configured name, for errors.
        judge: Told of every reply's head.
    """

    def __init__(
        self,
        pools: Pools,
        address: Address,
        *,
        headers: Mapping[str, str],
        provider: str,
        judge: Judge,
    ) -> None:
        self._pools = pools
        self._address = address
        self.provider = provider
        self._judge = judge
        self._headers = Headers(
            {
                "Host": address.origin.netloc,
                "User-Agent": f"ttskit/{__version__}",
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                **headers,
            }
        )

    def stream(  # noqa: PLR0913 - what a request is made of, by keyword
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        json: Mapping[str, object] | None = None,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_AUDIO_BYTES,
    ) -> Sent:
        """Return an async context manager that sends a request and gives its reply.

        Args:
            method: Such as ``POST``.
            path: Below the base URL, percent-encoded; see ``address.path``.
            query: Encoded here.
            json: The body as JSON.
            content: The body as it is, where ``json`` is not given.
            headers: Beyond those of every request.
            max_bytes: Of the reply's body, inflated.

        Raises:
            NetworkError: On entering or reading: the server could not be reached, or broke off.
            ProviderTimeoutError: It took too long.
            InvalidResponseError: The reply is no HTTP, or larger than allowed.
            TTSError: What the judge makes of the reply.
        """
        own = Headers(self._headers)
        if headers:
            own.update(headers)
        if json is not None:
            content = jsonlib.dumps(json, separators=(",", ":")).encode()
            own.setdefault("Content-Type", "application/json")
        if content or method not in ("GET", "HEAD"):
            own["Content-Length"] = str(len(content))
        request = Request(
            method, self._address.origin, self._address.target(path, query), own, content
        )
        return Sent(
            self._pools,
            request,
            max_bytes=max_bytes,
            provider=self.provider,
            judge=self._judge,
        )

    async def fetch(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        json: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = FETCH_S,
    ) -> bytes:
        """Send a request and return the whole body of its reply.

        Raises:
            TTSError: As ``stream``.
        """
        asked = {"Accept-Encoding": "gzip", **(headers or {})}
        with anyio.move_on_after(timeout_s):
            async with self.stream(
                method, path, query=query, json=json, headers=asked, max_bytes=MAX_DOCUMENT_BYTES
            ) as reply:
                return await reply.read()
        raise ProviderTimeoutError(f"no reply within {timeout_s:g} s", provider=self.provider)

    def websocket(
        self,
        path: str,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        subprotocols: tuple[str, ...] = (),
        closes: Mapping[int, type[TTSError]] | None = None,
    ) -> Socketed:
        """Return an async context manager that opens a WebSocket.

        Args:
            path: Below the base URL, percent-encoded.
            query: Encoded here.
            headers: Beyond those of every request.
            subprotocols: Offered to the server.
            closes: What the server means by the code it closes with, beyond the usual.

        Raises:
            NetworkError: On entering or using it: the server could not be reached, or broke off.
            ProviderTimeoutError: It took too long.
            TTSError: What the judge makes of a refused handshake, or a closing code means.
        """
        handshake = Handshake(
            self._address.origin,
            self._address.target(path, query),
            Headers({**self._headers, **(headers or {})}),
            subprotocols,
            {**CLOSES, **(closes or {})},
        )
        return Socketed(self._pools, handshake, provider=self.provider, judge=self._judge)
