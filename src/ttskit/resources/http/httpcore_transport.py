"""The transport on httpx's engine: httpcore, or httpcore2 where httpx2 is installed.

One level below httpx's client, for two reasons: only there can be seen whether any byte of a reply
was read, without which a request must not be sent again; and cookies, redirects and authentication,
which the client adds, are nothing we use and half of its cost.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterable
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import anyio
from typing_extensions import override

from ttskit.errors import (
    ConfigurationError,
    InvalidResponseError,
    NetworkError,
    ProviderTimeoutError,
    TTSError,
)
from ttskit.resources.background import Home
from ttskit.resources.http.address import DEFAULT_PORTS, Origin
from ttskit.resources.http.tls import proxy_user
from ttskit.resources.http.wire import (
    JOURNEY,
    KEEP_ALIVE_S,
    Incoming,
    Meanings,
    Request,
    Transport,
    Way,
    translated,
)

if TYPE_CHECKING:
    import httpcore

SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)
CLOSE_TIMEOUT_S = 1.0


class HttpcoreTransport(Transport):
    """Connections on asyncio and trio.

    Args:
        origin: Where they lead.
        way: How to get there.
        library: The module httpcore, or httpcore2.
    """

    def __init__(self, origin: Origin, way: Way, *, library: ModuleType) -> None:
        super().__init__(origin, way)
        self._library = library
        self._meanings = meanings(library)
        self._loses_slots = library.__name__ == "httpcore"  # its issues #830, #1116
        self.lost = (library.RemoteProtocolError, library.ReadError, library.WriteError)
        self._scheme = origin.scheme.encode()
        self._host = origin.host.encode("idna" if not origin.host.isascii() else "ascii")
        self._extensions = {
            "timeout": {
                "connect": way.connect_s,
                "read": way.silence_s,
                "write": way.silence_s,
                "pool": None,
            }
        }
        is_usual = origin.port == DEFAULT_PORTS[origin.scheme]
        self._port = None if is_usual else origin.port
        self._home = Home.here()
        self._closing: dict[httpcore.AsyncConnectionPool, object] = {}
        self._pool = self._new_pool()
        self._in_flight: dict[httpcore.AsyncConnectionPool, int] = {self._pool: 0}

    @override
    async def _send(self, request: Request) -> Incoming:
        pool = self._pool
        self._in_flight[pool] += 1
        try:
            response = await pool.handle_async_request(
                self._library.Request(
                    method=request.method.encode(),
                    url=self._library.URL(
                        scheme=self._scheme,
                        host=self._host,
                        port=self._port,
                        target=request.target.encode(),
                    ),
                    headers=[
                        (name.encode(), value.encode()) for name, value in request.headers.items()
                    ],
                    content=_Body(request.body),
                    extensions=self._extensions,
                )
            )
        except BaseException as error:
            self.left(pool, was_cancelled=not isinstance(error, Exception))
            await self.close_replaced()
            raise
        return _HttpcoreIncoming(response, self, pool)

    @override
    def refresh(self) -> None:
        self._pool = self._new_pool()
        self._in_flight[self._pool] = 0

    def left(self, pool: httpcore.AsyncConnectionPool, *, was_cancelled: bool) -> None:
        """Note that a request is over; a pool that may have lost connections is replaced."""
        if pool in self._in_flight:
            self._in_flight[pool] -= 1
        if was_cancelled and self._loses_slots and pool is self._pool:
            self.refresh()

    async def close_replaced(self) -> None:
        """Close the pools that were replaced and have nothing under way any more."""
        while pool := next((one for one, most in self._in_flight.items() if not most), None):
            if pool is self._pool:
                return
            del self._in_flight[pool]
            try:
                await _closed(pool)
            except BaseException:
                # asyncio's own cancellation heeds no shield: somebody else has to finish.
                task = self._home.spawn(partial(self._close, pool), name="ttskit closing")
                self._closing[pool] = task
                raise

    async def _close(self, pool: httpcore.AsyncConnectionPool) -> None:
        await _closed(pool)
        self._closing.pop(pool, None)

    @override
    def translate(self, error: BaseException) -> TTSError:
        return translated(error, self.origin, self._meanings)

    @override
    async def aclose(self) -> None:
        pools, self._in_flight = list(self._in_flight), {}
        for pool in pools:
            await _closed(pool)

    def _new_pool(self) -> httpcore.AsyncConnectionPool:
        limits: dict[str, Any] = {
            "max_connections": None,  # the bulkhead decides
            "max_keepalive_connections": None,
            "keepalive_expiry": KEEP_ALIVE_S,
            "ssl_context": self.way.tls,
            "network_backend": _Backend(self._library),
        }
        pool: httpcore.AsyncConnectionPool
        if self.way.proxy is None:
            pool = self._library.AsyncConnectionPool(**limits)
        elif self.way.proxy.startswith("socks5"):
            pool = self._socks_proxy(limits)
        else:
            url, user = self._library.URL(self.way.proxy), proxy_user(self.way.proxy)
            bare = self._library.URL(scheme=url.scheme, host=url.host, port=url.port, target=b"/")
            pool = self._library.AsyncHTTPProxy(bare, proxy_auth=user, **limits)
        return pool

    def _socks_proxy(self, limits: dict[str, Any]) -> httpcore.AsyncConnectionPool:
        try:
            pool: httpcore.AsyncConnectionPool = self._library.AsyncSOCKSProxy(
                self.way.proxy, **limits
            )
        except ImportError as error:
            raise ConfigurationError(
                'a SOCKS proxy needs socksio; run: pip install "httpx[socks]"', cause=error
            ) from error
        return pool


class _HttpcoreIncoming(Incoming):
    def __init__(
        self,
        response: httpcore.Response,
        transport: HttpcoreTransport,
        pool: httpcore.AsyncConnectionPool,
    ) -> None:
        self.status = response.status
        self.headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers
        }
        self._response = response
        self._transport = transport
        self._pool: httpcore.AsyncConnectionPool | None = pool
        self._body = _body(response)
        self._was_cancelled = False

    @override
    async def _read(self) -> bytes:
        self._was_cancelled = True
        data: bytes | None = b""
        while data is not None and not data:
            data = await anext(self._body, None)
        self._was_cancelled = False
        return data or b""

    @override
    def translate(self, error: BaseException) -> TTSError:
        return self._transport.translate(error)

    @override
    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        was_cancelled, self._was_cancelled = self._was_cancelled, True
        try:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + CLOSE_TIMEOUT_S):
                await self._response.aclose()
                # The library nests generators and closes none of them. On a connection that is
                # closed they end by themselves; left as they are, trio would complain of each.
                with contextlib.suppress(Exception):
                    async for _ in self._body:
                        pass
            self._was_cancelled = was_cancelled
        finally:
            self._transport.left(pool, was_cancelled=self._was_cancelled)
            await self._transport.close_replaced()


def _body(response: httpcore.Response) -> AsyncIterator[bytes]:
    stream = response.stream
    assert not isinstance(stream, Iterable)  # noqa: S101 - an async pool gives no other
    return aiter(stream)


class _Body:
    """The body of a request; no generator, which a cancelled request would leave behind."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> _Body:
        return _Body(self._data)

    async def __anext__(self) -> bytes:
        data, self._data = self._data, b""
        if not data:
            raise StopAsyncIteration
        return data


class _Backend:
    """The library's own connections, which note on a request's journey what they see."""

    def __init__(self, library: ModuleType) -> None:
        self._library = library
        self._inner: httpcore.AsyncNetworkBackend | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> _Stream:
        journey = JOURNEY.get()
        if journey is not None:
            journey.is_fresh = True
        inner = self._chosen()
        return _Stream(await inner.connect_tcp(host, port, timeout, local_address, socket_options))

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def _chosen(self) -> httpcore.AsyncNetworkBackend:
        if self._inner is None:
            native = anyio.lowlevel.current_token().native_token
            is_trio = type(native).__module__.startswith("trio")
            self._inner = self._library.TrioBackend() if is_trio else self._library.AnyIOBackend()
        return self._inner


class _Stream:
    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self.write = inner.write
        self.aclose = inner.aclose
        self.get_extra_info = inner.get_extra_info

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's
    ) -> bytes:
        data = await self._inner.read(max_bytes, timeout)
        journey = JOURNEY.get()
        if data and journey is not None:
            journey.was_answered = True
        return data

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's
    ) -> _Stream:
        return _Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout))


def meanings(library: ModuleType) -> Meanings:
    """Return what the library's exceptions mean."""
    unreached, broke = (
        "cannot connect to {origin} ({why})",
        "the connection to {origin} broke ({why})",
    )
    no_http = "{origin} does not speak HTTP ({why})"
    return (
        (library.ConnectTimeout, ProviderTimeoutError, "{origin} accepts no connection"),
        (library.TimeoutException, ProviderTimeoutError, "{origin} sends nothing"),
        (TimeoutError, ProviderTimeoutError, "{origin} sends nothing"),
        (library.ProxyError, NetworkError, "the proxy does not let us reach {origin}"),
        (library.ConnectError, NetworkError, unreached),
        (library.RemoteProtocolError, NetworkError, "{origin} ended the connection early"),
        (library.ProtocolError, InvalidResponseError, no_http),
        (library.UnsupportedProtocol, InvalidResponseError, no_http),
        (library.NetworkError, NetworkError, broke),
        (OSError, NetworkError, broke),
    )


async def _closed(pool: httpcore.AsyncConnectionPool) -> None:
    with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True), contextlib.suppress(Exception):
        await pool.aclose()
