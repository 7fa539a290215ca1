"""The transport on aiohttp, for asyncio: a seventh of httpx's CPU at one request at a time."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from typing_extensions import override
from yarl import URL

from ttskit.errors import InvalidResponseError, NetworkError, ProviderTimeoutError, TTSError
from ttskit.resources.http.address import Origin
from ttskit.resources.http.wire import (
    JOURNEY,
    KEEP_ALIVE_S,
    Incoming,
    Journey,
    Meanings,
    Request,
    Transport,
    Way,
    translated,
)

_NEVER_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""Header fields that the library would add: a request says all it wants to say itself."""

LARGE_BODY = 512 * 1024


class AiohttpTransport(Transport):
    """Connections on asyncio."""

    lost = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError)

    def __init__(self, origin: Origin, way: Way) -> None:
        super().__init__(origin, way)
        self._base = str(origin)
        self._connector = _Connector(
            limit=0,  # the bulkhead decides
            ssl=way.tls or True,
            keepalive_timeout=KEEP_ALIVE_S,
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_NEVER_ADDED,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=way.connect_s, sock_read=way.silence_s
            ),
            proxy=way.proxy,
        )

    @override
    async def _send(self, request: Request) -> Incoming:
        response = await self._session.request(
            request.method,
            URL(self._base + request.target, encoded=True),
            data=_data(request.body),
            headers=request.headers,
            allow_redirects=False,
        )
        return _AiohttpIncoming(response, self.origin)

    @override
    def refresh(self) -> None:
        self._connector.drop_used()

    @override
    def translate(self, error: BaseException) -> TTSError:
        return translate(error, self.origin)

    @override
    async def aclose(self) -> None:
        await self._session.close()


class _AiohttpIncoming(Incoming):
    def __init__(self, response: aiohttp.ClientResponse, origin: Origin) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self._response = response
        self._body = response.content
        self._origin = origin

    @override
    async def _read(self) -> bytes:
        return await self._body.readany()

    @override
    def translate(self, error: BaseException) -> TTSError:
        return translate(error, self._origin)

    @override
    async def aclose(self) -> None:
        if self._body.at_eof():
            self._response.release()
        else:
            self._response.close()


class _Connector(aiohttp.TCPConnector):
    """A pool that notes on a request's journey whether its connection had been used before."""

    generation = 0

    def drop_used(self) -> None:
        """Have every connection that was made before now closed in place of being used again."""
        self.generation += 1

    @override
    async def connect(
        self, req: ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        journey = JOURNEY.get() or Journey()
        while True:
            try:
                connection = await super().connect(req, traces, timeout)
            except BaseException:
                journey.is_fresh = True  # it failed on the way to a new one
                raise
            protocol: Any = connection.protocol
            made_in = getattr(protocol, "ttskit_generation", None)
            if made_in is None:
                protocol.ttskit_generation = self.generation
                journey.is_fresh = True
                return connection
            if made_in == self.generation:
                _watch(connection, journey)
                return connection
            connection.close()


class _Watch(asyncio.Protocol):
    """Stands in for a connection's protocol until its first byte comes."""

    def __init__(
        self, transport: asyncio.Transport, protocol: asyncio.Protocol, journey: Journey
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._journey = journey

    @override
    def data_received(self, data: bytes) -> None:
        self._journey.was_answered = True
        self._transport.set_protocol(self._protocol)
        self._protocol.data_received(data)

    @override
    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    @override
    def resume_writing(self) -> None:
        self._protocol.resume_writing()


def _data(body: bytes) -> bytes | io.BytesIO | None:
    """Return the body as the library likes it: a large one is written in pieces."""
    return io.BytesIO(body) if len(body) > LARGE_BODY else body or None


def _watch(connection: Connection, journey: Journey) -> None:
    transport, protocol = connection.transport, connection.protocol
    if isinstance(transport, asyncio.Transport) and isinstance(protocol, asyncio.Protocol):
        transport.set_protocol(_Watch(transport, protocol, journey))


_MEANINGS: Meanings = (
    (aiohttp.ConnectionTimeoutError, ProviderTimeoutError, "{origin} accepts no connection"),
    (TimeoutError, ProviderTimeoutError, "{origin} sends nothing"),
    (aiohttp.ClientHttpProxyError, NetworkError, "the proxy does not let us reach {origin}"),
    (aiohttp.ClientProxyConnectionError, NetworkError, "cannot connect to the proxy ({why})"),
    (aiohttp.ClientConnectorError, NetworkError, "cannot connect to {origin} ({why})"),
    (aiohttp.ClientSSLError, NetworkError, "cannot connect to {origin} ({why})"),
    (aiohttp.ServerDisconnectedError, NetworkError, "{origin} ended the connection early"),
    (aiohttp.ClientPayloadError, NetworkError, "{origin} ended the connection early"),
    (aiohttp.ClientConnectionError, NetworkError, "the connection to {origin} broke ({why})"),
    (aiohttp.ClientError, InvalidResponseError, "{origin} does not speak HTTP ({why})"),
    (OSError, NetworkError, "the connection to {origin} broke ({why})"),
)


def translate(error: BaseException, origin: Origin) -> TTSError:
    """Return an exception of aiohttp, or of what is below it, as one of ours."""
    return translated(error, origin, _MEANINGS)
