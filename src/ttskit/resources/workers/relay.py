"""Log records of a worker, on their way to the application."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Mapping

from typing_extensions import override

from ttskit.resources.engine import JsonValue

LONGEST = 2_000
"""Characters of a message."""

whose_request: contextvars.ContextVar[str] = contextvars.ContextVar("whose_request", default="")
"""The id of the request that is being worked on."""


class Relay(logging.Handler):
    """Passes records on as plain data.

    Args:
        send: Writes one frame.
    """

    def __init__(self, send: Callable[[Mapping[str, JsonValue]], None]) -> None:
        super().__init__()
        self._send = send

    def listen(self, level: int) -> None:
        """Take the records of all loggers that are at least so severe."""
        root = logging.getLogger()
        root.addHandler(self)
        root.setLevel(level)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()[:LONGEST]
        except Exception:  # noqa: BLE001 - a library's own mistake in a log call
            message = "(a record that cannot be formatted)"
        if record.exc_info and record.exc_info[0] is not None:
            message += f" ({record.exc_info[0].__name__})"
        self._send(
            {
                "level": record.levelno,
                "logger": record.name,
                "message": message,
                "request": whose_request.get(),
            }
        )
