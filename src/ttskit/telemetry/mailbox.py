"""A listener's own queue and thread, so that it holds up nobody but itself."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Generic, TypeVar

from ttskit.errors import ResourceError

LOGGER_NAME = "ttskit.telemetry"

EventT = TypeVar("EventT")

_logger = logging.getLogger(LOGGER_NAME)


class Count:
    """A number that many threads add to."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may run a finaliser that emits an event, here as well.
        self._lock = threading.RLock()
        self.value = 0

    def add_one(self) -> None:
        """Count one more."""
        with self._lock:
            self.value += 1


class Mailbox(Generic[EventT]):
    """Calls a listener with what is posted, one after the other, on a daemon thread.

    Args:
        callback: The listener; whatever it raises is logged once and then passed over.
        limit: Letters that may wait; further ones are dropped.
        dropped: Counts those.

    Raises:
        ResourceError: The system gives no further thread.
    """

    def __init__(self, callback: Callable[[EventT], object], *, limit: int, dropped: Count) -> None:
        self.callback = callback
        self._limit = limit
        self._dropped = dropped
        # Its ``put`` is reentrant, never waits, and takes no lock that Python code could hold.
        self._letters: SimpleQueue[_Letter[EventT] | None] = SimpleQueue()
        self._is_cut_off = False
        self._has_overflowed = False
        self._has_raised = False
        self._thread = threading.Thread(target=self._run, name="ttskit listener", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            raise ResourceError("no thread can be started for a listener", cause=error) from error

    def post(self, event: EventT, subscription: Subscription[EventT]) -> None:
        """Queue the event; the listener will see the caller's context variables. Never waits."""
        # Threads that post at the same instant may each find the last place free.
        if self._letters.qsize() >= self._limit:
            self._drop()
        else:
            self._letters.put(_Letter(event, subscription, contextvars.copy_context()))

    def close(self) -> None:
        """End the thread once what is queued has been delivered."""
        self._letters.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end, at most so long, then deliver nothing more.

        Returns:
            Whether the thread has ended. From that very thread: False, at once.
        """
        if self._thread is not threading.current_thread():
            self._thread.join(max(timeout_s, 0.0))
        self._is_cut_off = True
        return not self._thread.is_alive()

    def _drop(self) -> None:
        self._dropped.add_one()
        if not self._has_overflowed:
            self._has_overflowed = True
            _logger.warning(
                "a listener is too slow or hangs: %d events wait for it, further ones are dropped",
                self._limit,
            )

    def _run(self) -> None:
        while (letter := self._letters.get()) is not None:
            if letter.subscription.is_active and not self._is_cut_off:
                self._deliver(letter)
            del letter  # what it refers to must not live on while the thread waits

    def _deliver(self, letter: _Letter[EventT]) -> None:
        try:
            letter.context.run(self.callback, letter.event)
        except BaseException:  # a user's callback: not even its sys.exit() ends the thread
            if not self._has_raised:
                self._has_raised = True
                _logger.exception("a listener failed; its further failures are not logged")


@dataclass(eq=False, slots=True)
class Subscription(Generic[EventT]):
    """One wish of a listener to hear of some kinds of events."""

    kinds: tuple[type[EventT], ...]
    mailbox: Mailbox[EventT]
    is_active: bool = field(default=True, init=False)

    def post(self, event: EventT) -> None:
        """Queue the event for the listener."""
        self.mailbox.post(event, self)


@dataclass(frozen=True, slots=True)
class _Letter(Generic[EventT]):
    event: EventT
    subscription: Subscription[EventT]
    context: contextvars.Context
