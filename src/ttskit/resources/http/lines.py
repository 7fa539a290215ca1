"""WebSockets that stay open between utterances, so that a stream's utterances share one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Self, TypeVar
from weakref import WeakKeyDictionary

import anyio
from typing_extensions import override

from ttskit.errors import InvalidResponseError, NetworkError, ProviderTimeoutError, TTSError
from ttskit.resilience.now import now
from ttskit.resources.background import Home
from ttskit.resources.http.client import MAX_AUDIO_BYTES
from ttskit.resources.http.pools import running_loop
from ttskit.resources.http.websocket import CLOSE_TIMEOUT_S, Handshake, Message, WebSocket

if TYPE_CHECKING:
    from ttskit.resources.http.client import HTTPClient, Socketed

_ABANDONED: list[object] = []
"""What a forked child inherited: closing it would end the parent's sockets."""
MemoryT = TypeVar("MemoryT")


class Sealed(str):
    """A message that holds a key: a debugger that prints variables does not show it."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return "Sealed(...)"


@dataclass(frozen=True, slots=True)
class Keeping:
    """How sockets are kept."""

    idle_s: float
    """How long one may wait for its next utterance: well below what the server bears."""
    most: int = 8
    """Sockets that wait at a time, within one event loop; the oldest gives way."""
    is_shared: bool = True
    """After its stream a socket serves another one; not where each that is open counts."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What two sockets must have in common to stand for each other; the key is in no repr."""

    handshake: Handshake
    manner: Hashable


@dataclass(eq=False)
class _Open(Generic[MemoryT]):
    """An open socket and what is known of it."""

    memory: MemoryT = field(repr=False)
    socket: WebSocket = field(repr=False)
    kind: _Kind
    lane: str | None = None
    idle_from: float = 0.0


class Line(Generic[MemoryT]):
    """A socket, lent for one utterance: an async iterator over what the server says meanwhile.

    Args:
        socket: Open.
        memory: What the adapter keeps of the conversation; new with every socket.
        first: The first message, which has come.
    """

    def __init__(self, socket: WebSocket, memory: MemoryT, first: Message) -> None:
        self.memory = memory
        self.is_whole = False
        """The server has said all of the utterance."""
        self._socket = socket
        self._first: Message | None = first
        self._left = MAX_AUDIO_BYTES

    async def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            TTSError: As ``WebSocket.send``.
        """
        await self._socket.send(message)

    def end(self) -> None:
        """The utterance is whole, and the server will say no more of it: the socket is kept."""
        self.is_whole = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        """Return the next message; there is none after ``end``.

        Raises:
            NetworkError: The server closed the socket before the utterance was whole.
            InvalidResponseError: It sent more than any speech.
            TTSError: As ``WebSocket`` raises.
        """
        if self.is_whole:
            raise StopAsyncIteration
        message, self._first = self._first, None
        if message is None:
            message = await _next(self._socket)
        self._left -= len(message)
        if self._left < 0:
            raise InvalidResponseError("the reply is larger than any speech")
        return message


async def _next(socket: WebSocket) -> Message:
    message = await anext(socket, None)
    if message is None:
        raise NetworkError("the server closed the socket before the speech was over")
    return message


Opening = Callable[[MemoryT], Iterable[Message]]
"""Gives what an utterance begins with, by the socket's memory; asked again for a new socket."""
Farewell = Callable[[MemoryT], Iterable[Message]]
"""Gives what tells the server that a stream is over."""


class Lines(Generic[MemoryT]):
    """The sockets of one adapter. They are used in their own event loop and process only.

    Args:
        http: Of the provider.
        keeping: How they are kept.
        remember: Makes the memory of a new socket.
        farewell: What is sent when the stream that a socket was kept for is over.
    """

    def __init__(
        self,
        http: HTTPClient,
        keeping: Keeping,
        *,
        remember: Callable[[], MemoryT],
        farewell: Farewell[MemoryT] | None = None,
    ) -> None:
        self._http = http
        self._keeping = keeping
        self._remember = remember
        self._farewell = farewell
        self._process = os.getpid()
        self._by_loop: WeakKeyDictionary[object, _Shelf[MemoryT]] = WeakKeyDictionary()
        self._is_closed = False

    @asynccontextmanager
    async def ask(
        self,
        call: Socketed,
        opening: Opening[MemoryT],
        *,
        lane: str | None,
        manner: Hashable = None,
    ) -> AsyncIterator[Line[MemoryT]]:
        """Begin an utterance: an async context manager over its line, whose answer has begun.

        The line is nobody else's within the block. It is kept where the block is left in good order
        after ``Line.end``, for its lane first; otherwise it is closed, and nothing of a half-spoken
        text goes on. One that was kept and turns out dead before anything came back is replaced by
        a new one, as a stale connection of HTTP is; nothing is said again after that.

        Args:
            call: ``http.websocket(...)``, which opens a socket where none is kept.
            opening: What is sent first.
            lane: The stream that the utterance belongs to; None: to none.
            manner: What must be the same to use a socket again, beside target and headers.

        Raises:
            TTSError: What a refused handshake, a closing code or a broken connection means.
        """
        try:
            one, first = await self._answered(call, _Kind(call.handshake, manner), opening, lane)
            line = Line(one.socket, one.memory, first)
            try:
                yield line
            except BaseException:
                await one.socket.aclose()
                raise
            if line.is_whole:
                await self._keep(one, lane)
            else:
                await one.socket.aclose()
        except TTSError as error:
            error.provider = error.provider or self._http.provider
            raise

    def release(self, lane: str) -> None:
        """The stream is over: what was kept for it serves others, or is closed."""
        shelf = self._here()
        for one in [one for one in shelf.kept if one.lane == lane]:
            one.lane = None
            if self._farewell is None and self._keeping.is_shared and not self._is_overdue(one):
                continue
            shelf.kept.remove(one)
            self._dismiss(one, shelf)

    async def aclose(self) -> None:
        """Close the sockets of this event loop; those of other loops ended with them."""
        self._is_closed = True
        shelf = self._here()
        while shelf.kept:
            await shelf.kept.pop().socket.aclose()
        for leaving in tuple(shelf.leaving):
            await leaving.socket.aclose()

    async def _answered(
        self, call: Socketed, kind: _Kind, opening: Opening[MemoryT], lane: str | None
    ) -> tuple[_Open[MemoryT], Message]:
        """Return the socket that an utterance was begun on, and the first answer."""
        await self._sweep()
        kept = await self._kept(kind, lane)
        if kept is not None:
            try:
                return kept, await self._begun(kept, opening)
            except ProviderTimeoutError:
                raise
            except TTSError:
                pass  # it was closed meanwhile, and has not seen what was sent
        fresh = _Open(self._remember(), await call.__aenter__(), kind)
        return fresh, await self._begun(fresh, opening)

    async def _begun(self, one: _Open[MemoryT], opening: Opening[MemoryT]) -> Message:
        """Send what an utterance begins with and return the first answer."""
        try:
            await one.socket.say(opening(one.memory))
            return await _next(one.socket)
        except BaseException:
            await one.socket.aclose()
            raise

    async def _kept(self, kind: _Kind, lane: str | None) -> _Open[MemoryT] | None:
        """Return a socket of this kind that is kept for the lane, or for anybody."""
        shelf = self._here()
        for said in [said for one, said in shelf.leaving.items() if one.kind == kind]:
            await said.wait()  # far shorter than a handshake
        for wanted in (lane, None):
            # The latest is the most likely to be alive.
            for one in reversed(shelf.kept):
                if one.lane == wanted and one.kind == kind:
                    shelf.kept.remove(one)
                    return one
        return None

    async def _keep(self, one: _Open[MemoryT], lane: str | None) -> None:
        one.lane, one.idle_from = lane, now()
        may_stay = not self._is_closed and (lane is not None or self._keeping.is_shared)
        if not may_stay:
            await one.socket.aclose()
            return
        kept = self._here().kept
        kept.append(one)
        while len(kept) > self._keeping.most:
            await kept.pop(0).socket.aclose()

    async def _sweep(self) -> None:
        """Close what waited too long."""
        kept = self._here().kept
        while stale := next(filter(self._is_overdue, kept), None):
            kept.remove(stale)
            await stale.socket.aclose()

    def _is_overdue(self, one: _Open[MemoryT]) -> bool:
        return now() - one.idle_from > self._keeping.idle_s

    def _dismiss(self, one: _Open[MemoryT], shelf: _Shelf[MemoryT]) -> None:
        """Part with a socket in a task of its own: whoever releases a lane does not wait."""
        gone = shelf.leaving[one] = anyio.Event()

        async def leave() -> None:
            try:
                await self._dismissed(one)
            finally:
                del shelf.leaving[one], shelf.tasks[one]
                gone.set()

        shelf.tasks[one] = Home.here().spawn(leave, name="ttskit farewell")

    async def _dismissed(self, one: _Open[MemoryT]) -> None:
        """Send the farewell of a stream that is over, and keep the socket if it may be."""
        is_kept = False
        try:
            if self._keeping.is_shared and not self._is_overdue(one):
                with anyio.move_on_after(CLOSE_TIMEOUT_S), suppress(TTSError):
                    for message in self._farewell(one.memory) if self._farewell else ():
                        await one.socket.send(message)
                    is_kept = True
        finally:
            if is_kept:
                await self._keep(one, None)
            else:
                await one.socket.aclose()

    def _here(self) -> _Shelf[MemoryT]:
        """Return the sockets of this event loop and process."""
        if self._process != os.getpid():
            _ABANDONED.append(self._by_loop)
            self._by_loop, self._process = WeakKeyDictionary(), os.getpid()
        return self._by_loop.setdefault(running_loop(), _Shelf())


@dataclass(eq=False)
class _Shelf(Generic[MemoryT]):
    """The sockets of one event loop that are not lent."""

    kept: list[_Open[MemoryT]] = field(default_factory=list)
    """The one that has waited longest comes first."""
    leaving: dict[_Open[MemoryT], anyio.Event] = field(default_factory=dict)
    """Those that are being told that their stream is over."""
    tasks: dict[_Open[MemoryT], object] = field(default_factory=dict)
