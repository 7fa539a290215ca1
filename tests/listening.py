"""A server of WebSockets on this machine, for those that answer them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ssl import SSLContext

from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

Handler = Callable[[ServerConnection], None]
Judge = Callable[[ServerConnection, Request], Response | None]
"""Answers a handshake in its own way; None: the socket is opened."""


@contextmanager
def listening(
    handler: Handler,
    judge: Judge | None = None,
    *,
    ssl: SSLContext | None = None,
    close_timeout: float = 10.0,
) -> Iterator[str]:
    """Serve sockets in threads, and give the base URL that a client is given.

    Args:
        handler: Called with each connection, in a thread of its own.
        judge: Of handshakes.
        ssl: Of a server over TLS.
        close_timeout: Seconds that a client has to answer a farewell.
    """
    logger = logging.getLogger("sockets under test")
    logger.disabled = True  # what goes wrong is for the test to say
    with serve(
        handler,
        "127.0.0.1",
        0,
        process_request=judge,
        ssl=ssl,
        close_timeout=close_timeout,
        logger=logger,
    ) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join(5)
