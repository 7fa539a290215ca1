"""A TCP server of raw bytes: what it does with each connection is a function over the socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

Talk = Callable[[socket.socket], None]
"""Speaks on one connection, which is closed when it returns."""
JOIN_S = 5.0


class SocketServer:
    """Serves each connection in a thread of its own until it is left."""

    def __init__(self, talk: Talk, *, host: str = "127.0.0.1") -> None:
        self._talk = talk
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        """How many were accepted so far."""
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, name="socket server", daemon=True)

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._open)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # elsewhere than on Linux it may not be shut down
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in (self._acceptor, *self._threads):
            thread.join(JOIN_S)

    def hang_up(self) -> None:
        """End every connection."""
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):  # it is over already
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            self.connections += 1
            self._open.add(connection)
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="socket server", daemon=True
            )
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._talk(connection)
        self._open.discard(connection)


def reset(connection: socket.socket) -> None:
    """Have the client see a reset when the connection is closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def wait_for_end(connection: socket.socket) -> None:
    """Do nothing until the client, or the server, hangs up."""
    while connection.recv(65_536):
        pass


def refused_port() -> tuple[socket.socket, int]:
    """Return a socket to hold, and its port, at which connections are refused."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound, bound.getsockname()[1]
