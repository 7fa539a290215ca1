"""Where a service's news arrive: they go into its health book and out to its listeners."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import anyio
from anyio import to_thread

from ttskit.telemetry.events import Event, Events
from ttskit.telemetry.health import Facts, HealthBook

LAST_NEWS_S = 0.5
"""How long closing waits for listeners to hear what happened last."""


class Tell(Protocol):
    """Hears what happens."""

    def __call__(self, news: Event | Facts, make: Callable[[], Event] | None = None) -> None:
        """Take in an event; or its facts, and what makes the event if somebody listens to it.

        What happens in every request is told by its facts: they cost less than the event.
        """


class Desk:
    """The events, health and statistics of one service."""

    def __init__(self) -> None:
        self.events = Events()
        self.book = HealthBook(time.monotonic)

    def tell(self, news: Event | Facts, make: Callable[[], Event] | None = None) -> None:
        """Record what happened and pass it on; never waits. Safe from any thread.

        Args:
            news: An event, or the facts of one.
            make: Makes the event that has the facts; called if somebody listens to it.
        """
        self.book.record(news)
        if isinstance(news, Event):
            self.events.emit(news)
        elif make is not None and self.events.has_listener(news.event):
            self.events.emit(make())

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
