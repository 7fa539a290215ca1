"""A server of WebSockets in threads, whose conversations a test defines."""

from __future__ import annotations

import http
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from tests.listening import listening
from ttskit.codecs.pcm import Samples
from ttskit.testing.modem import Modem

Message = str | bytes


@dataclass
class _Talk:
    number: int
    breaks_after: int | None
    sent: int = 0


@dataclass(repr=False)  # a traceback with variables would show the key that came
class Sockets:
    """Has each connection talked to by ``talk``, and remembers what came."""

    talk: Callable[[Sockets, ServerConnection], None]
    """Reads and answers until the connection ends; an AssertionError closes it with code 1008."""
    judge: Callable[[Request], tuple[int, dict[str, str]] | None] = lambda _: None
    """Refuses a handshake by status and fields."""
    handshakes: list[Request] = field(default_factory=list)
    messages: list[tuple[int, Message]] = field(default_factory=list)
    """Each with the number of its connection, from 1."""
    complaints: list[str] = field(default_factory=list)
    connections: int = 0
    breaks_after: list[int] = field(default_factory=list)
    """Messages sent on the next connection, and on those after it, before it breaks."""
    waits_after: int | None = None
    """Messages sent on a connection before it sends nothing more and waits for its end."""
    over: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released with each connection that ended."""
    _talks: dict[ServerConnection, _Talk] = field(default_factory=dict)

    def documents(self) -> list[dict[str, object]]:
        """Return the messages that are JSON."""
        return [json.loads(message) for _, message in self.messages if isinstance(message, str)]

    def receive(self, connection: ServerConnection) -> Message:
        """Return the next message, which is remembered."""
        message = connection.recv(20)
        self.messages.append((self._talks[connection].number, message))
        return message

    def send(self, connection: ServerConnection, message: Message) -> None:
        """Send a message, unless the connection is to break or to fall silent first."""
        talk = self._talks[connection]
        if talk.breaks_after == talk.sent:
            connection.socket.shutdown(socket.SHUT_RDWR)
            raise ConnectionError
        if self.waits_after is not None and talk.sent >= self.waits_after:
            connection.recv(20)  # until it is closed
        talk.sent += 1
        connection.send(message)

    def hang_up(self, *, politely: bool) -> None:
        """End every connection that is open, with a farewell or without."""
        for connection in tuple(self._talks):
            if politely:
                connection.close()
            else:
                connection.socket.shutdown(socket.SHUT_RDWR)

    async def one_is_over(self) -> None:
        """Wait until a connection has ended that nobody waited for yet."""
        assert await anyio.to_thread.run_sync(lambda: self.over.acquire(timeout=20))

    def __call__(self, connection: ServerConnection) -> None:
        self.connections += 1
        breaks_after = self.breaks_after.pop(0) if self.breaks_after else None
        self._talks[connection] = _Talk(self.connections, breaks_after)
        try:
            self.talk(self, connection)
        except (ConnectionClosed, OSError, TimeoutError):
            pass
        except (AssertionError, LookupError, ValueError, TypeError) as error:
            self.complaints.append(repr(error))
            connection.close(1008)
        finally:
            del self._talks[connection]
            self.over.release()

    def process(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a handshake where it is to be refused."""
        self.handshakes.append(request)
        refusal = self.judge(request)
        if refusal is None:
            return None
        response = connection.respond(http.HTTPStatus(refusal[0]), "")
        response.headers.update(refusal[1])
        return response


@contextmanager
def serving(sockets: Sockets) -> Iterator[str]:
    """Serve and give the base URL; at the end nothing may have been wrong with what came."""
    with listening(sockets, sockets.process, close_timeout=0.1) as url:
        yield url
    assert sockets.complaints == []


@dataclass(frozen=True)
class Sound:
    """Some of an utterance, with the word it says."""

    samples: Samples
    word: str | None
    start: float
    """Seconds from the start of the utterance."""
    end: float


def sounds(text: str, voice: str, rate: int) -> Iterator[Sound]:
    """Yield a text in the modem voice, part by part."""
    for tones in Modem(rate).speak(text, voice):
        word = text[slice(*tones.span)] if tones.span else None
        yield Sound(tones.samples, word, tones.start, tones.end)
