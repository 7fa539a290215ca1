"""HTTP as a misbehaving server speaks it: what a reply can be, and one connection of a socket."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from http.client import parse_headers
from io import BufferedReader

from ttskit.testing.pushback import Headers, http_date

DRAIN_S = 1.0
"""How long a reset waits until what was sent before it has arrived."""


class Framing(StrEnum):
    """How the client learns where the body ends."""

    LENGTH = "Content-Length"
    CHUNKED = "chunked"
    CLOSE = "the connection's end"


class Ending(StrEnum):
    """What happens where a reply breaks off."""

    CLOSE = "close"
    RESET = "reset"
    STALL = "stall"


@dataclass(frozen=True, slots=True)
class Reply:
    """How one request is answered; as it stands, well."""

    status: int = 200
    headers: Headers = ()
    """Beyond Content-Type, Date and what the framing needs; these two can be replaced."""
    body: bytes | None = None
    """None: what the server has for the path."""
    content_type: str | None = None
    framing: Framing = Framing.LENGTH
    length_error: int = 0
    """Bytes by which Content-Length is wrong."""
    header_s: float = 0.0
    """Seconds over which the header comes, byte by byte."""
    step: int | None = None
    """Bytes of the body sent at a time; None: all at once."""
    step_s: float = 0.0
    """Seconds before each step."""
    ending: Ending | None = None
    """None: the reply is whole."""
    at: int | None = None
    """Bytes of the body that come before ``ending``; None: not even the header comes."""
    linger_s: float = 0.0
    """Seconds between the last byte and the connection's end."""


@dataclass(slots=True)
class Received:
    """A request as it came, and how far its answer went. Times are those of ``time.monotonic``."""

    method: str
    target: str
    """Path and query."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    connection: int
    """The number of the connection it came on, from 1."""
    started: float
    ended: float | None = None
    """When the answer was over, one way or another; None: it is under way."""
    sent: int = 0
    """Bytes of the body that were sent, framing not counted."""
    client_left: bool = False
    """The client hung up before the answer was over."""


@dataclass(eq=False, slots=True)
class Connection:
    """One connection and the HTTP that is spoken on it, by a thread of its own."""

    socket: socket.socket
    number: int
    reader: BufferedReader = field(init=False)

    def __post_init__(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")

    def receive(self) -> Received | None:
        """Return the next request; None when the client hung up in between."""
        self.socket.settimeout(None)
        line = self.reader.readline(65_536).decode("latin-1").split()
        if not line:
            return None
        started = time.monotonic()
        method, target, _ = line
        headers = {name.lower(): value for name, value in parse_headers(self.reader).items()}
        return Received(method, target, headers, self._body(headers), self.number, started)

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.reader.read(int(headers.get("content-length", "0")))
        parts = []
        while size := int(self.reader.readline().partition(b";")[0], 16):
            parts.append(self.reader.read(size))
            self.reader.readline()
        self.reader.readline()
        return b"".join(parts)

    def answer(self, reply: Reply, received: Received) -> bool:
        """Send the reply as far as it goes; return whether the connection lives on."""
        breaks_before = reply.ending is not None and reply.at is None
        if not breaks_before:
            self._send_header(reply)
            self._send_body(reply, received)
        if reply.ending is Ending.RESET:
            self._reset()
        elif reply.ending is Ending.STALL:
            self._wait(None)
        self._wait(reply.linger_s)
        is_whole = reply.ending is None and not reply.length_error
        return is_whole and reply.framing is not Framing.CLOSE

    def _send_header(self, reply: Reply) -> None:
        header = _header(reply)
        if not reply.header_s:
            self._send(header)
            return
        for byte in header:
            self._wait(reply.header_s / len(header))
            self._send(bytes([byte]))

    def _send_body(self, reply: Reply, received: Received) -> None:
        body = reply.body or b""
        end = len(body) if reply.ending is None else min(reply.at or 0, len(body))
        step = reply.step or max(end, 1)
        for start in range(0, end, step):
            self._wait(reply.step_s)
            piece = body[start : min(start + step, end)]
            is_chunked = reply.framing is Framing.CHUNKED
            self._send(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            received.sent += len(piece)
        if reply.framing is Framing.CHUNKED and reply.ending is None:
            self._send(b"0\r\n\r\n")

    def _send(self, data: bytes) -> None:
        self.socket.settimeout(None)
        self.socket.sendall(data)

    def _wait(self, seconds: float | None) -> None:
        """Do nothing for so long; raise as soon as the client, or the server, hangs up."""
        if seconds == 0:
            return
        self.socket.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            if not self.socket.recv(1, socket.MSG_PEEK):
                raise ConnectionResetError("the client hung up")

    def _reset(self) -> None:
        """Have the client's machine see a reset, after all that was sent before."""
        until = time.monotonic() + DRAIN_S
        while _on_its_way(self.socket) and time.monotonic() < until:
            time.sleep(0.001)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def hang_up(self) -> None:
        """End the connection from another thread."""
        with contextlib.suppress(OSError):  # it is over already
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; once more is fine."""
        self.reader.close()
        self.socket.close()


def _header(reply: Reply) -> bytes:
    given = {name.lower() for name, _ in reply.headers}
    known = reply.status in HTTPStatus._value2member_map_
    phrase = HTTPStatus(reply.status).phrase if known else "Unknown"  # providers make some up
    lines = [f"HTTP/1.1 {reply.status} {phrase}"]
    if "date" not in given:
        lines.append(f"Date: {http_date(time.time())}")
    if reply.content_type and "content-type" not in given:
        lines.append(f"Content-Type: {reply.content_type}")
    lines += [f"{name}: {value}" for name, value in reply.headers]
    length = len(reply.body or b"") + reply.length_error
    framing = {
        Framing.LENGTH: f"Content-Length: {length}",
        Framing.CHUNKED: "Transfer-Encoding: chunked",
        Framing.CLOSE: "Connection: close",
    }
    return "\r\n".join((*lines, framing[reply.framing], "", "")).encode("latin-1")


def _on_its_way(connection: socket.socket) -> bool:
    """Whether bytes were sent that have not arrived; a reset would take them back."""
    if sys.platform != "linux":
        return False
    import fcntl  # both only there
    import termios

    waiting = fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0\0\0\0")
    return any(waiting)
