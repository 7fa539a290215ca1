"""Connections to servers that speak no HTTP: lines and counted bytes over TCP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketStream

from ttskit.errors import (
    InvalidResponseError,
    NetworkError,
    ProviderTimeoutError,
    ServiceClosedError,
    TTSError,
)
from ttskit.resources.background import Home
from ttskit.resources.http.address import Origin
from ttskit.resources.http.wire import Meanings, translated, without_frames

RECEIVE_BYTES = 65_536
_MISSES: Meanings = ((Exception, NetworkError, "cannot connect to {origin} ({why})"),)
_BREAKS: Meanings = (
    (anyio.EndOfStream, NetworkError, "{origin} ended the connection early"),
    (anyio.ClosedResourceError, ServiceClosedError, "the service was shut down"),
    (Exception, NetworkError, "the connection to {origin} broke ({why})"),
)


class Connection:
    """One connection; made by ``SocketClient.connect``. One task at a time may read from it.

    Args:
        stream: Connected.
        origin: Where it leads, for errors.
        silence_s: How long the server may send nothing, or take nothing.
    """

    def __init__(self, stream: SocketStream, origin: Origin, *, silence_s: float) -> None:
        self._stream = stream
        self._origin = origin
        self._silence_s = silence_s
        self._pending = bytearray()

    async def send(self, data: bytes) -> None:
        """Send all of the data.

        Raises:
            NetworkError: The connection broke.
            ProviderTimeoutError: The server takes nothing.
            ServiceClosedError: The service was shut down.
        """
        with anyio.move_on_after(self._silence_s):
            try:
                await self._stream.send(data)
            except Exception as error:  # noqa: BLE001 - whatever is raised there is one of ours
                raise self._broken(error) from without_frames(error)
            return
        raise ProviderTimeoutError(f"{self._origin} takes nothing")

    async def read_line(self, *, max_bytes: int) -> bytes:
        """Return the next line without its end.

        Raises:
            NetworkError: The connection broke, or ended before the line did.
            ProviderTimeoutError: Nothing came for too long.
            InvalidResponseError: The line is longer than allowed.
            ServiceClosedError: The service was shut down.
        """
        searched = 0
        while (end := self._pending.find(b"\n", searched, max_bytes + 1)) < 0:
            searched = len(self._pending)
            if searched > max_bytes:
                raise InvalidResponseError(f"{self._origin} sends a line without an end")
            self._pending += await self._receive()
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        return line

    async def read_exactly(self, size: int) -> bytes:
        """Return the next ``size`` bytes; how many are too many is the caller's to say.

        Raises:
            NetworkError: The connection broke, or ended before they had come.
            ProviderTimeoutError: Nothing came for too long.
            ServiceClosedError: The service was shut down.
        """
        while len(self._pending) < size:
            self._pending += await self._receive()
        data = bytes(self._pending[:size])
        del self._pending[:size]
        return data

    async def _receive(self) -> bytes:
        with anyio.move_on_after(self._silence_s):
            try:
                return await self._stream.receive(RECEIVE_BYTES)
            except Exception as error:  # noqa: BLE001 - whatever is raised there is one of ours
                raise self._broken(error) from without_frames(error)
        raise ProviderTimeoutError(f"{self._origin} sends nothing")

    def _broken(self, error: Exception) -> TTSError:
        return translated(error, self._origin, _BREAKS)


class Sockets:
    """The connections of one service; each belongs to the event loop it was made in.

    Args:
        connect_s: How long connecting may take.
        silence_s: How long a server may send nothing.
    """

    def __init__(self, *, connect_s: float, silence_s: float) -> None:
        self._connect_s = connect_s
        self._silence_s = silence_s
        self._open: dict[SocketStream, Home] = {}
        self._is_closed = False

    @asynccontextmanager
    async def connect(self, origin: Origin) -> AsyncIterator[Connection]:
        """Connect, and close the connection on leaving.

        Raises:
            NetworkError: The server cannot be reached.
            ProviderTimeoutError: It accepts no connection.
            ServiceClosedError: The service was shut down.
        """
        if self._is_closed:
            raise ServiceClosedError("the service was shut down")
        stream = await self._connected(origin)
        self._open[stream] = Home.here()
        try:
            yield Connection(stream, origin, silence_s=self._silence_s)
        finally:
            del self._open[stream]
            await _close(stream)

    async def aclose(self) -> None:
        """Close the connections of this event loop; those of other loops ended with them."""
        self._is_closed = True
        for stream, home in tuple(self._open.items()):
            if home.is_here():
                await _close(stream)

    async def _connected(self, origin: Origin) -> SocketStream:
        with anyio.move_on_after(self._connect_s):
            try:
                return await anyio.connect_tcp(origin.host, origin.port)
            except Exception as error:  # noqa: BLE001 - whatever is raised there is one of ours
                raise translated(error, origin, _MISSES) from without_frames(error)
        raise ProviderTimeoutError(f"{origin} accepts no connection")


class SocketClient:
    """Connections of one provider to its server; made by ``Resources.socket``.

    Args:
        sockets: Of the service.
        origin: Where the server is.
        provider: The configured name, for errors.
    """

    def __init__(self, sockets: Sockets, origin: Origin, *, provider: str) -> None:
        self._sockets = sockets
        self._origin = origin
        self._provider = provider

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """Connect, and close the connection on leaving; errors within get the provider's name.

        Raises:
            NetworkError: The server cannot be reached.
            ProviderTimeoutError: It accepts no connection.
            ServiceClosedError: The service was shut down.
        """
        try:
            async with self._sockets.connect(self._origin) as connection:
                yield connection
        except TTSError as error:
            error.provider = error.provider or self._provider
            raise


async def _close(stream: SocketStream) -> None:
    """Close at once. The socket is closed before the first wait, which asyncio may cancel."""
    with anyio.CancelScope(shield=True):
        await stream.aclose()
