"""Where a service's news arrive: they go into its health book and out to its listeners."""

from __future__ import annotations

import time

import anyio
from anyio import to_thread

from ttskit.telemetry.events import Event, Events
from ttskit.telemetry.health import HealthBook

LAST_NEWS_S = 0.5
"""How long closing waits for listeners to hear what happened last."""


class Desk:
    """The events, health and statistics of one service."""

    def __init__(self) -> None:
        self.events = Events()
        self.book = HealthBook(time.monotonic)

    def tell(self, event: Event) -> None:
        """Record the event and pass it on; never waits. Safe from any thread."""
        self.book.record(event)
        self.events.emit(event)

    async def aclose(self) -> None:
        """Deliver what is queued, for at most ``LAST_NEWS_S`` seconds, and end the threads."""
        if not self.events.has_listeners:
            self.events.close(0.0)
            return
        try:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self.events.close, LAST_NEWS_S)
        except RuntimeError:  # the interpreter exits, and gives no thread to wait in
            self.events.close(0.0)
