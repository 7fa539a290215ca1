"""What happens inside a service, as events, and their way to whoever listens.

An event holds names, codes, counts and times: never a text, never a secret.
"""

from __future__ import annotations

import difflib
import inspect
import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, TypeVar, cast

from ttskit.errors import InvalidParameterError, ServiceClosedError
from ttskit.telemetry.mailbox import LOGGER_NAME, Count, Mailbox, Subscription

QUEUE_LIMIT = 1024
"""Events that may wait for one listener."""

CLOSE_TIMEOUT_S = 1.0

_logger = logging.getLogger(LOGGER_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event tells; to listen to this class, or to ``"*"``, is to listen to all."""

    name: ClassVar[str] = "*"

    request_id: str | None = None
    """ttskit's own id of the request, as sent to providers; None where there is no request."""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The request's own, copied."""
    at: float = field(default_factory=time.time, compare=False)
    """Unix time in seconds: listeners hear of it a little later."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", dict(self.tags))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sound(Event):
    """An event about audio."""

    characters: int = 0
    """Of text: sent in an attempt, else spoken."""
    frames: int = 0
    sample_rate: int = 0
    """Hz; 0 while there is no audio."""

    @property
    def audio(self) -> float:
        """Seconds of audio."""
        return self.frames / self.sample_rate if self.sample_rate else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEvent(_Sound):
    """One call of one provider came to its end."""

    name: ClassVar[str] = "attempt"

    provider: str
    model: str | None = None
    voice: str | None = None
    utterance: int | None = None
    """Index of the utterance; None for a probe, which speaks no user's text."""
    number: int = 1
    """1 for the first call of this provider for this utterance, 2 for its first retry."""
    outcome: str = "ok"
    """``ok``, ``cancelled`` or the ``code`` of the error."""
    counts: bool = False
    """Whether the error speaks against the provider's health."""
    duration: float = 0.0
    """Seconds of wall time."""
    time_to_first_audio: float | None = None
    """Seconds until the provider's first audio; None where none came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryEvent(Event):
    """A provider will be asked again for the same utterance."""

    name: ClassVar[str] = "retry"

    provider: str
    model: str | None = None
    utterance: int | None = None
    number: int
    """Of the attempt that follows; at least 2."""
    outcome: str
    """``code`` of the error that the attempt before ended with."""
    wait: float
    """Seconds until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverEvent(Event):
    """The next provider takes over from one that failed."""

    name: ClassVar[str] = "failover"

    provider: str
    """Who failed."""
    model: str | None = None
    to: str
    """Who speaks instead."""
    utterance: int | None = None
    outcome: str
    """``code`` of the error."""
    offset: int | None = None
    """Frames of the stream before the splice, where it is known."""
    words: int | None = None
    """Words of the stream before the splice, where they are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerEvent(Event):
    """A provider's circuit breaker changed its state: ``closed``, ``open``, ``half-open``."""

    name: ClassVar[str] = "breaker"

    provider: str
    model: str | None = None
    before: str
    after: str
    reason: str | None = None
    """Why, in a word: ``code`` of the last error, ``forced``, ``reset``."""
    next_probe_in: float | None = None
    """Seconds; None unless open, or where only a person closes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeEvent(Event):
    """A second provider was asked because the first was slow."""

    name: ClassVar[str] = "hedge"

    provider: str
    """Who was slow."""
    model: str | None = None
    to: str
    """Who was asked besides."""
    utterance: int | None = None
    outcome: str
    """``started``; then ``won`` (the second speaks) or ``lost``."""
    wait: float = 0.0
    """Seconds after which the second was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceEvent(_Sound):
    """An utterance was handed to the listener."""

    name: ClassVar[str] = "utterance"

    provider: str
    """Who spoke its end."""
    model: str | None = None
    voice: str | None = None
    utterance: int
    outcome: str = "complete"
    """``complete``, ``resumed`` or ``truncated``."""
    duration: float = 0.0
    """Seconds from the first attempt to the end of the audio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent(_Sound):
    """A request's speech, streamed or whole, began or ended."""

    name: ClassVar[str] = "stream"

    provider: str | None = None
    """Who spoke last."""
    model: str | None = None
    outcome: str
    """``opened``; then ``complete``, ``resumed``, ``cancelled`` or the ``code`` of the error."""
    duration: float = 0.0
    """Seconds since it was opened."""
    time_to_first_audio: float | None = None
    """Seconds until the caller had the first audible frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEvent(Event):
    """An engine's model in a worker process was loaded, or left the memory."""

    name: ClassVar[str] = "model"

    provider: str
    outcome: str
    """``loaded``; ``evicted``, for the sake of another one; or ``idle``, as nobody used it."""
    memory: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Bytes by device: ``cpu`` is main memory, a GPU ``cuda:0``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadEvent(Event):
    """A local engine fetches a model; told every half second, and in the end."""

    name: ClassVar[str] = "download"

    provider: str
    what: str
    """As its source calls it."""
    received: int
    """Bytes so far."""
    total: int | None = None
    """Bytes; None where the source does not say."""
    is_over: bool = False
    """All of it is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEvent(Event):
    """An engine found no memory; this was done before it was asked again."""

    name: ClassVar[str] = "memory"

    provider: str
    step: str
    """``release`` what the failed attempt held, ``clear`` the engine's caches, ``split`` the text,
    ``wait`` for another model, ``evict`` idle ones, ``cpu`` in place of the GPU, ``restart`` the
    worker process. The next step is the next provider."""


EventT = TypeVar("EventT", bound=Event)
Unsubscribe = Callable[[], None]

_KINDS: tuple[type[Event], ...] = (
    AttemptEvent,
    RetryEvent,
    FailoverEvent,
    BreakerEvent,
    HedgeEvent,
    UtteranceEvent,
    StreamEvent,
    ModelEvent,
    MemoryEvent,
    DownloadEvent,
)


class Events:
    """The events of one service, delivered to its listeners.

    Each listener has a bounded queue and a daemon thread of its own, started when it subscribes.
    It gets its events one at a time and in order; one that hangs, raises or is slow keeps nobody
    else waiting. The same callback, subscribed more than once, is one listener.

    Args:
        queue_limit: Events that may wait for one listener; further ones are dropped and counted.
    """

    def __init__(self, *, queue_limit: int = QUEUE_LIMIT) -> None:
        self._limit = queue_limit
        self._changing = threading.RLock()
        # Replaced and never changed, so that ``emit`` needs no lock.
        self._subscriptions: Mapping[type[Event], tuple[Subscription[Event], ...]] = {}
        self._mailboxes: list[Mailbox[Event]] = []
        self._dropped = Count()
        self._is_closed = False
        # The threads of a service that nobody closed end with it.
        weakref.finalize(self, _close_all, self._mailboxes)

    @property
    def dropped(self) -> int:
        """Events that found a listener's queue full."""
        return self._dropped.value

    def on(self, event: str | type[EventT], callback: Callable[[EventT], object]) -> Unsubscribe:
        """Have the callback called, on a thread of its own, with each event of a kind.

        Args:
            event: ``attempt``, ``retry``, ``failover``, ``breaker``, ``hedge``, ``utterance``,
                ``stream``, or ``*`` for all; or the event's class.
            callback: A plain function.

        Returns:
            A function that ends it, from any thread and as often as you like. What is queued is
            not delivered any more; a call that has begun is not waited for.

        Raises:
            InvalidParameterError: No such event, nearest name given; or not a plain function.
            ResourceError: The system gives no further thread.
            ServiceClosedError: ``close`` was called.
        """
        kinds = _kinds(event)
        _check_listener(callback)
        with self._changing:
            if self._is_closed:
                raise ServiceClosedError("the service was shut down")
            # It gets no other events than those of the kind that it takes.
            listener = cast("Callable[[Event], object]", callback)
            subscription = Subscription(kinds, self._mailbox(listener))
            known = self._subscriptions
            more = {kind: (*known.get(kind, ()), subscription) for kind in kinds}
            self._subscriptions = {**known, **more}
        return partial(self._remove, subscription)

    @property
    def has_listeners(self) -> bool:
        """Whether anybody hears of anything."""
        return bool(self._mailboxes)

    def has_listener(self, kind: type[Event]) -> bool:
        """Return whether anybody would hear of such an event; else it need not be made."""
        return bool(self._subscriptions.get(kind))

    def emit(self, event: Event) -> None:
        """Queue the event for its listeners; never waits, never raises. Safe from any thread.

        A change of a breaker's state is logged as well.
        """
        if isinstance(event, BreakerEvent):
            _log(event)
        for subscription in self._subscriptions.get(type(event), ()):
            subscription.post(event)

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
        """Deliver what is queued, for at most so many seconds, and end the threads.

        Later events go nowhere. A listener that hangs keeps its daemon thread, but is not called
        again.

        Returns:
            Whether all listeners were through.
        """
        with self._changing:
            self._is_closed = True
            self._subscriptions = {}
            mailboxes = list(self._mailboxes)
            self._mailboxes.clear()
        _close_all(mailboxes)
        end = time.monotonic() + timeout_s
        ended = [mailbox.join(end - time.monotonic()) for mailbox in mailboxes]
        return all(ended)

    def _mailbox(self, callback: Callable[[Event], object]) -> Mailbox[Event]:
        """Return the listener's mailbox; a new one if it has none."""
        for mailbox in self._mailboxes:
            if mailbox.callback == callback:
                return mailbox
        made = Mailbox(callback, limit=self._limit, dropped=self._dropped)
        self._mailboxes.append(made)
        return made

    def _remove(self, subscription: Subscription[Event]) -> None:
        with self._changing:
            subscription.is_active = False
            self._subscriptions = {
                kind: tuple(one for one in known if one is not subscription)
                for kind, known in self._subscriptions.items()
            }
            used = {one.mailbox for known in self._subscriptions.values() for one in known}
            mailbox = subscription.mailbox
            if mailbox in self._mailboxes and mailbox not in used:
                self._mailboxes.remove(mailbox)
                mailbox.close()


def _close_all(mailboxes: Sequence[Mailbox[Event]]) -> None:
    for mailbox in mailboxes:
        mailbox.close()


def _kinds(event: str | type[EventT]) -> tuple[type[Event], ...]:
    if event in (Event, Event.name):
        return _KINDS
    names = {kind.name: kind for kind in _KINDS}
    kind = names.get(event) if isinstance(event, str) else event
    if kind in _KINDS:
        return (kind,)
    near = difflib.get_close_matches(str(event), names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
    raise InvalidParameterError(f"no event is called {str(event)[:60]!r}; {hint}")


def _check_listener(callback: object) -> None:
    if not callable(callback) or inspect.iscoroutinefunction(callback):
        raise InvalidParameterError(
            "a listener is a plain function: it is called on a thread of its own, without a loop"
        )


def _log(change: BreakerEvent) -> None:
    model = f" (model {change.model!r})" if change.model else ""
    reason = f" ({change.reason})" if change.reason else ""
    probe = "" if change.next_probe_in is None else f", next probe in {change.next_probe_in:.1f} s"
    _logger.log(
        logging.WARNING if change.after == "open" else logging.INFO,
        "%s%s: circuit %s, was %s%s%s",
        change.provider,
        model,
        change.after,
        change.before,
        reason,
        probe,
    )
