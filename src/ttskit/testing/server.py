"""An HTTP server on this machine that misbehaves on the wire as it is told, for any client."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Self

from ttskit.errors import InvalidParameterError
from ttskit.testing.pushback import Headers, RetryAfter, retry_after_headers
from ttskit.testing.wire import Connection, Ending, Framing, Received, Reply

HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body></body></html>"
ACCEPT_BACKLOG = 1_024
CLOSE_TIMEOUT_S = 5.0
"""How long leaving waits for each thread."""


Body = bytes | Callable[[Received], bytes | Reply]


class FaultyServer:
    """A server for tests of HTTP clients; a context manager that serves from its own threads.

    Without faults it sends ``body`` to every request, over connections that are kept alive. Each
    method adds a fault and returns the server. ``times`` says how many requests a fault concerns,
    from the next one on; None means every request until ``heal``. Faults are taken in the order in
    which they were added. Waiting happens in real time and ends with the server.

    Args:
        body: What a good answer is; a function returns it for each request, in a thread of the
            server: the body alone, or a whole reply, such as a refusal of what was asked for.
        content_type: Of it.
        faults_on: Only requests whose target begins with this are concerned by faults.
    """

    def __init__(
        self, body: Body = b"", *, content_type: str = "audio/wav", faults_on: str = ""
    ) -> None:
        self.requests: list[Received] = []
        """Every request, in the order of arrival."""
        self.connections = 0
        """How many were accepted so far."""
        self.most_in_flight = 0
        """Requests being answered at the same time, at most."""
        self._good: dict[str, tuple[Body, str]] = {"": (body, content_type)}
        self._faults_on = faults_on
        self._script: deque[tuple[Reply, int | None]] = deque()
        self._lock = threading.Lock()
        self._open: dict[Connection, threading.Thread] = {}
        self._in_flight = 0
        self._listener = _bound(0)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor: threading.Thread | None = None
        self._is_listening = False

    @property
    def url(self) -> str:
        """``http://127.0.0.1:<port>``, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        with self._lock:
            return len(self._open)

    def serve(self, target: str, body: Body, *, content_type: str) -> Self:
        """Answer requests whose target begins with ``target`` by ``body``; the longest one wins."""
        self._good[target] = (body, content_type)
        return self

    def reply(self, reply: Reply, *, times: int | None = None) -> Self:
        """Answer by ``reply``, for whatever the other methods do not offer."""
        if times is not None and times < 1:
            raise InvalidParameterError("times must be at least 1")
        with self._lock:
            self._script.append((reply, times))
        return self

    def refuse(self) -> Self:
        """Refuse connections until ``heal``: the port is closed, and what is open ends."""
        self._stop_listening()
        self._listener = _bound(self.port)
        return self

    def reset(self, *, at: int | None = None, times: int | None = None) -> Self:
        """Reset the connection after ``at`` bytes of the body; None: before the header."""
        return self.reply(Reply(ending=Ending.RESET, at=at), times=times)

    def stall(self, *, at: int | None = None, times: int | None = None) -> Self:
        """Send nothing more after ``at`` bytes of the body, or not even the header."""
        return self.reply(Reply(ending=Ending.STALL, at=at), times=times)

    def truncate(
        self, *, at: int, framing: Framing = Framing.CLOSE, times: int | None = None
    ) -> Self:
        """Close the connection after ``at`` bytes; framed by its end, that looks like the whole."""
        return self.reply(Reply(ending=Ending.CLOSE, at=at, framing=framing), times=times)

    def trickle(self, *, step: int = 1, every_s: float = 0.01, times: int | None = None) -> Self:
        """Send the body in steps of ``step`` bytes, every ``every_s`` seconds."""
        return self.reply(Reply(step=step, step_s=every_s), times=times)

    def wrong_length(self, by: int, *, times: int | None = None) -> Self:
        """Claim a body that is ``by`` bytes longer than what comes, or shorter where negative."""
        return self.reply(Reply(length_error=by), times=times)

    def html(self, *, times: int | None = None) -> Self:
        """Send a web page, with status 200, in place of audio."""
        return self.reply(Reply(body=HTML, content_type="text/html"), times=times)

    def empty(self, *, times: int | None = None) -> Self:
        """Send status 200 and no body."""
        return self.reply(Reply(body=b""), times=times)

    def slow_header(self, seconds: float, *, times: int | None = None) -> Self:
        """Send the header byte by byte, over so many seconds."""
        return self.reply(Reply(header_s=seconds), times=times)

    def slow_close(self, seconds: float, *, times: int | None = None) -> Self:
        """Send the whole body, whose end is the connection's, and close only then."""
        return self.reply(Reply(framing=Framing.CLOSE, linger_s=seconds), times=times)

    def fail(
        self,
        status: int,
        *,
        retry_after: float | None = None,
        form: RetryAfter = RetryAfter.SECONDS,
        headers: Headers = (),
        times: int | None = None,
    ) -> Self:
        """Answer with an error, and say when to come again.

        Args:
            status: Such as 429, 500 or 503.
            retry_after: Seconds; None: it does not say.
            form: How it says so.
            headers: Any others, such as a Retry-After that nobody can read.
            times: As for all faults.
        """
        said = () if retry_after is None else retry_after_headers(retry_after, form)
        body = f'{{"error": {{"code": {status}}}}}'.encode()
        return self.reply(
            Reply(status, (*said, *headers), body, content_type="application/json"), times=times
        )

    def heal(self) -> Self:
        """Be well again: accept connections and forget all faults."""
        with self._lock:
            self._script.clear()
        if self._acceptor is None:
            self._start_listening()
        return self

    def __enter__(self) -> Self:
        self._start_listening()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_listening()

    def _start_listening(self) -> None:
        self._listener.listen(ACCEPT_BACKLOG)
        self._is_listening = True
        self._acceptor = threading.Thread(target=self._accept, name="faulty server", daemon=True)
        self._acceptor.start()

    def _stop_listening(self) -> None:
        """Close the port and every connection, and wait for the threads."""
        self._is_listening = False
        with contextlib.suppress(OSError):  # it may not listen
            self._listener.shutdown(socket.SHUT_RDWR)  # Linux: wakes the thread in ``accept``
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()  # elsewhere
        if self._acceptor is not None:
            self._acceptor.join(CLOSE_TIMEOUT_S)
            self._acceptor = None
        self._listener.close()
        with self._lock:
            left = list(self._open.items())
        for connection, thread in left:
            connection.hang_up()
            thread.join(CLOSE_TIMEOUT_S)

    def _accept(self) -> None:
        listener = self._listener
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:  # closed
                return
            if not self._is_listening:
                accepted.close()
                return
            self.connections += 1
            connection = Connection(accepted, self.connections)
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="faulty server", daemon=True
            )
            with self._lock:
                self._open[connection] = thread
            thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            while (received := connection.receive()) and self._answer(connection, received):
                pass
        except (OSError, ValueError):  # the client is gone, or speaks no HTTP
            pass
        finally:
            connection.close()
            with self._lock:
                del self._open[connection]

    def _answer(self, connection: Connection, received: Received) -> bool:
        """Answer one request; return whether another one may come on this connection."""
        with self._lock:
            reply = self._next_reply(received)
            self.requests.append(received)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            return connection.answer(reply, received)
        except OSError:
            received.client_left = True
            raise
        finally:
            received.ended = time.monotonic()
            with self._lock:
                self._in_flight -= 1

    def _next_reply(self, received: Received) -> Reply:
        target = received.target
        body, content_type = self._good[
            max((path for path in self._good if target.startswith(path)), key=len)
        ]
        fault = self._next_fault(target)
        if fault.body is not None:
            return replace(fault, content_type=fault.content_type or content_type)
        good = body if isinstance(body, bytes) else body(received)
        if isinstance(good, bytes):
            good = Reply(body=good)
        reply = good if fault == Reply() else replace(fault, body=good.body or b"")
        kind = fault.content_type or good.content_type or content_type
        return replace(reply, content_type=kind)

    def _next_fault(self, target: str) -> Reply:
        if not self._script or not target.startswith(self._faults_on):
            return Reply()
        fault, left = self._script[0]
        if left == 1:
            self._script.popleft()
        elif left is not None:
            self._script[0] = (fault, left - 1)
        return fault


def _bound(port: int) -> socket.socket:
    """Return a socket that owns the port but does not listen: connections are refused."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
