"""Where a service's news arrive: they go into its health book and out to its listeners."""

from __future__ import annotations

import time

from ttskit.telemetry.events import Event, Events
from ttskit.telemetry.health import HealthBook


class Desk:
    """The events, health and statistics of one service."""

    def __init__(self) -> None:
        self.events = Events()
        self.book = HealthBook(time.monotonic)

    def tell(self, event: Event) -> None:
        """Record the event and pass it on; never waits. Safe from any thread."""
        self.book.record(event)
        self.events.emit(event)
