"""WebSockets on asyncio and trio: the protocol by the library websockets, the wire by AnyIO.

A socket belongs to one call and is never shared, so neither pools nor forks concern it.
"""

from __future__ import annotations

import base64
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream
from typing_extensions import override

from ttskit.errors import (
    ConfigurationError,
    InvalidParameterError,
    InvalidResponseError,
    NetworkError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    TextTooLongError,
    TTSError,
)
from ttskit.resources.http.address import Origin
from ttskit.resources.http.tls import proxy_user
from ttskit.resources.http.wire import Headers, Incoming, Meanings, Way, translated, without_frames

if TYPE_CHECKING:
    from websockets.client import ClientProtocol
    from websockets.http11 import Response

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
READ_BYTES = 64 * 1024
CLOSE_TIMEOUT_S = 0.5
"""How long the farewell may take; the call is over in any case."""
MAX_PROXY_HEAD = 16 * 1024
SWITCHING_PROTOCOLS = 101
GOOD_CODES = frozenset({1000, 1001})
NO_FAREWELL = 1006
CLOSES: Mapping[int, type[TTSError]] = MappingProxyType(
    {1007: InvalidParameterError, 1009: TextTooLongError, NO_FAREWELL: NetworkError}
)
"""What a server means by the code it closes with, where the adapter knows no better."""
_OWN_FIELDS = frozenset({"accept", "accept-encoding", "content-type", "host"})
"""Header fields that the handshake sets itself, or has no use for."""
_BROKE = "the connection to {origin} broke ({why})"
_MEANINGS: Meanings = (
    (anyio.BrokenResourceError, NetworkError, _BROKE),
    (anyio.ClosedResourceError, NetworkError, _BROKE),
    (OSError, NetworkError, "cannot connect to {origin} ({why})"),
)

_silent = logging.getLogger(f"{__name__}.frames")
_silent.disabled = True  # it would tell every header and message: the key and the text

Message = str | bytes


@dataclass(frozen=True, slots=True)
class Handshake:
    """What opens a socket."""

    origin: Origin
    """``http`` for a plain socket, ``https`` for one over TLS."""
    target: str
    """Path and query."""
    headers: Headers
    subprotocols: tuple[str, ...] = ()
    closes: Mapping[int, type[TTSError]] = field(default_factory=lambda: CLOSES)


class HandshakeRefused(Exception):  # noqa: N818 - a reply, not yet an error
    """The server answered the handshake with a reply of its own.

    Args:
        reply: Its head and body.
    """

    def __init__(self, reply: Incoming) -> None:
        super().__init__(f"HTTP {reply.status}")
        self.reply = reply


class WebSocket:
    """An open socket: an async iterator over what the server says, until it closes normally.

    One task may read while another one sends.
    """

    def __init__(
        self, stream: ByteStream, protocol: ClientProtocol, handshake: Handshake, way: Way
    ) -> None:
        self._stream = stream
        self._protocol = protocol
        self._origin = handshake.origin
        self._closes = handshake.closes
        self._silence_s = way.silence_s
        self._sending = anyio.Lock()
        self._messages: deque[Message] = deque()
        self._parts: list[bytes] = []
        self._is_text = False

    async def send(self, message: Message) -> None:
        """Send a text or a binary message.

        Raises:
            NetworkError: The socket is closed, or the connection broke.
            TTSError: What the server meant by the code it closed with.
        """
        from websockets.exceptions import InvalidState

        try:
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
        except InvalidState:
            raise self._ended(self._farewell() or NO_FAREWELL) from None
        await self.flush()

    async def say(self, messages: Iterable[Message]) -> None:
        """Send messages that are answered only when all have come.

        A server that closes the socket meanwhile may have said why: what it meant is raised, and
        what it said before, which belongs to no answer, is passed over.

        Raises:
            TTSError: As ``send`` and reading raise.
        """
        try:
            for message in messages:
                await self.send(message)
        except NetworkError:
            async for _ in self:
                pass
            raise

    def __aiter__(self) -> WebSocket:
        return self

    async def __anext__(self) -> Message:
        """Return the next message.

        Raises:
            NetworkError: The connection broke.
            ProviderTimeoutError: Nothing came in time.
            TTSError: The server closed with a code that means an error.
        """
        while not self._messages:
            code = self._farewell()
            if code is not None:
                if code in GOOD_CODES:
                    raise StopAsyncIteration
                raise self._ended(code)
            await self._receive()
        return self._messages.popleft()

    async def flush(self) -> None:
        """Send what the protocol has to say."""
        async with self._sending:
            for data in self._protocol.data_to_send():
                if data:
                    with _ours(self._origin):
                        await self._stream.send(data)

    def take(self, events: Sequence[object]) -> None:
        """Put what came to its messages."""
        from websockets.frames import Frame, Opcode

        for event in events:
            if not isinstance(event, Frame) or event.opcode >= Opcode.CLOSE:
                continue
            if event.opcode is not Opcode.CONT:
                self._is_text = event.opcode is Opcode.TEXT
            self._parts.append(bytes(event.data))
            if event.fin:
                data = b"".join(self._parts)
                self._parts.clear()
                self._messages.append(_text(data) if self._is_text else data)

    async def aclose(self) -> None:
        """Say goodbye and close the connection, whatever the server does."""
        from websockets.exceptions import InvalidState

        try:
            with (
                anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True),
                contextlib.suppress(InvalidState, TTSError),
            ):
                self._protocol.send_close(1000)
                await self.flush()
        finally:
            await anyio.aclose_forcefully(self._stream)

    def _ended(self, code: int) -> TTSError:
        kind = NetworkError if code in GOOD_CODES else self._closes.get(code)
        return (kind or ProviderUnavailableError)(f"{self._origin} closed the socket (code {code})")

    def _farewell(self) -> int | None:
        """Return the code the server closed with, or ended without; None: it has not."""
        said = self._protocol.close_rcvd
        return self._protocol.close_code if said is None else said.code

    async def _receive(self) -> None:
        with anyio.move_on_after(self._silence_s) as clock:
            await receive(self._stream, self._protocol, self._origin)
            self.take(self._protocol.events_received())
            try:
                await self.flush()
            except NetworkError:
                if self._farewell() is None:
                    raise
                # It did not wait for our farewell, but it has said why it went.
        if clock.cancelled_caught:
            raise ProviderTimeoutError(f"{self._origin} sends nothing")


async def receive(stream: ByteStream, protocol: ClientProtocol, origin: Origin) -> None:
    """Hand the protocol the next bytes, or the end of them."""
    with _ours(origin):
        try:
            protocol.receive_data(await stream.receive(READ_BYTES))
        except anyio.EndOfStream:
            protocol.receive_eof()


async def open_socket(handshake: Handshake, way: Way) -> WebSocket:
    """Connect and shake hands.

    Raises:
        HandshakeRefused: The server answered with something else than a socket.
        NetworkError: It cannot be reached.
        ProviderTimeoutError: It took too long.
        InvalidResponseError: What it speaks is no HTTP.
    """
    with anyio.move_on_after(way.connect_s):
        with _ours(handshake.origin):
            stream = await _connected(handshake.origin, way)
        try:
            return await _shaken(stream, handshake, way)
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
    raise ProviderTimeoutError(f"{handshake.origin} does not open the socket in time")


async def _shaken(stream: ByteStream, handshake: Handshake, way: Way) -> WebSocket:
    from websockets.client import ClientProtocol
    from websockets.http11 import Response
    from websockets.uri import parse_uri

    origin = handshake.origin
    scheme = "wss" if origin.scheme == "https" else "ws"
    protocol = ClientProtocol(
        parse_uri(f"{scheme}://{origin.netloc}{handshake.target}"),
        subprotocols=list(handshake.subprotocols) or None,  # type: ignore[arg-type] # plain strings
        max_size=MAX_MESSAGE_BYTES,
        logger=_silent,
    )
    request = protocol.connect()
    for name, value in handshake.headers.items():
        if name.lower() not in _OWN_FIELDS:
            request.headers[name] = value
    protocol.send_request(request)
    socket = WebSocket(stream, protocol, handshake, way)
    await socket.flush()
    events: list[object] = []
    while not events and protocol.handshake_exc is None:
        await receive(stream, protocol, origin)
        events = list(protocol.events_received())
    if protocol.handshake_exc is not None:
        answer = events[0] if events else None
        if isinstance(answer, Response) and answer.status_code != SWITCHING_PROTOCOLS:
            raise HandshakeRefused(_Refused(answer))
        raise InvalidResponseError(f"{origin} does not speak WebSocket")
    socket.take(events[1:])
    await socket.flush()
    return socket


class _Refused(Incoming):
    """A reply to a handshake, read to its end."""

    def __init__(self, response: Response) -> None:
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.raw_items()}
        self._body = bytes(response.body or b"")

    @override
    async def _read(self) -> bytes:
        body, self._body = self._body, b""
        return body

    @override
    def translate(self, error: BaseException) -> TTSError:
        raise AssertionError("nothing is left to fail") from error

    @override
    async def aclose(self) -> None:
        """It is over already."""


async def _connected(origin: Origin, way: Way) -> ByteStream:
    """Return a connection, through a proxy and under TLS where they are wanted."""
    stream: ByteStream
    if way.proxy is None:
        stream = await anyio.connect_tcp(origin.host, origin.port)
    else:
        stream = await _tunnelled(origin, way.proxy)
    if way.tls is None:
        return stream
    try:
        return await TLSStream.wrap(
            stream, hostname=origin.host, ssl_context=way.tls, standard_compatible=False
        )
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise


async def _tunnelled(origin: Origin, proxy: str) -> ByteStream:
    """Return a connection through an HTTP proxy. Source: RFC 9110, section 9.3.6."""
    parts = urlsplit(proxy)
    if parts.scheme != "http" or parts.hostname is None:
        raise ConfigurationError("WebSockets go through http:// proxies only")
    stream = await anyio.connect_tcp(parts.hostname, parts.port or 80)
    try:
        place = f"{origin.host}:{origin.port}"
        lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
        if user := proxy_user(proxy):
            encoded = base64.b64encode(":".join(user).encode()).decode()
            lines.append(f"Proxy-Authorization: Basic {encoded}")
        await stream.send("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while b"\r\n\r\n" not in head and len(head) < MAX_PROXY_HEAD:
            head += await stream.receive()
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    if head.split(b" ", 2)[1:2] != [b"200"]:
        await anyio.aclose_forcefully(stream)
        raise NetworkError(f"the proxy does not let us reach {origin}")
    return stream


@contextlib.contextmanager
def _ours(origin: Origin) -> Iterator[None]:
    """Turn what the wire raises into our errors."""
    try:
        yield
    except TTSError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is one of ours from here on
        raise translated(error, origin, _MEANINGS) from without_frames(error)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidResponseError("the server sent text that is no UTF-8") from None
