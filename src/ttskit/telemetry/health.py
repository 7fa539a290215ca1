"""How providers fare and what a service has done so far, read from its events."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import ClassVar, NamedTuple, TypeAlias

from ttskit.telemetry.events import (
    AttemptEvent,
    BreakerEvent,
    Event,
    FailoverEvent,
    HedgeEvent,
    RetryEvent,
    StreamEvent,
    UtteranceEvent,
)

Clock = Callable[[], float]
"""Returns seconds that only ever grow."""

WINDOW_S = 300.0
"""Calls older than this say nothing of a provider's health."""

CALLS_KEPT = 1000
"""The latest calls of a provider's model that are remembered within the window."""

INBOX_LIMIT = 100
"""Events that wait to be entered in the books."""

MODELS_KEPT = 100
"""A caller may name any model, and each has a record: the one unused for longest gives way."""


# Not frozen, as all else that is only handed on: one is made for every call of a provider, and
# freezing takes several times as long.
@dataclass(slots=True)
class AttemptFacts:
    """What the book keeps of an ``AttemptEvent``; its fields are those of the event."""

    event: ClassVar[type[Event]] = AttemptEvent

    provider: str
    model: str | None
    outcome: str
    counts: bool
    characters: int
    time_to_first_audio: float | None
    at: float


@dataclass(slots=True)
class UtteranceFacts:
    """What the book keeps of an ``UtteranceEvent``; its fields are those of the event."""

    event: ClassVar[type[Event]] = UtteranceEvent

    provider: str
    characters: int
    audio: float


@dataclass(slots=True)
class StreamFacts:
    """What the book keeps of a ``StreamEvent``; its field is that of the event."""

    event: ClassVar[type[Event]] = StreamEvent

    outcome: str


Facts: TypeAlias = AttemptFacts | UtteranceFacts | StreamFacts
"""What is counted of the events of every request, whether somebody listens to them or not."""

CLOSED = "closed"
NO_ERROR = ("ok", "cancelled")


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Half, 95 and 99 of 100 values are at most so high (nearest rank)."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Percentiles | None:
        """Return those of the values, in any order; None where there are none."""
        if not values:
            return None
        ranked = sorted(values)
        return cls(*(ranked[math.ceil(len(ranked) * part / 100) - 1] for part in (50, 95, 99)))


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """How one provider, with one of its models, has fared of late."""

    provider: str
    model: str | None = None
    state: str = CLOSED
    """Of its circuit breaker: ``closed``, ``open``, ``half-open``."""
    calls: int = 0
    """Ended within the window, whatever came of them; at most ``CALLS_KEPT``."""
    error_rate: float | None = None
    """Failures among the calls that speak for or against it, 0 to 1; None where none does.

    Cancelled calls and errors that were not its fault speak neither way.
    """
    time_to_first_audio: Percentiles | None = None
    """Seconds; None where no call came to audio."""
    last_error: str | None = None
    """``code`` of the latest error of any kind, however long ago."""
    last_error_at: float | None = None
    """Unix time in seconds."""
    next_probe_in: float | None = None
    """Seconds until an open breaker lets a call through; None where it is not open."""


@dataclass(frozen=True, slots=True)
class ProviderStats:
    """What one provider did since the service began."""

    attempts: int = 0
    failures: int = 0
    """Attempts that ended with an error; cancelled ones are none."""
    retries: int = 0
    failovers: int = 0
    """Times that another provider took over from it."""
    hedges: int = 0
    """Times that it was asked besides a slow one."""
    characters_sent: int = 0
    """In all attempts, also those that failed: what a provider bills."""
    characters: int = 0
    """Spoken to listeners."""
    audio: float = 0.0
    """Seconds of it."""

    def __add__(self, other: ProviderStats) -> ProviderStats:
        return ProviderStats(
            self.attempts + other.attempts,
            self.failures + other.failures,
            self.retries + other.retries,
            self.failovers + other.failovers,
            self.hedges + other.hedges,
            self.characters_sent + other.characters_sent,
            self.characters + other.characters,
            self.audio + other.audio,
        )


@dataclass(frozen=True, slots=True)
class StreamStats:
    """What the streams of a service are doing, and how they ended."""

    open: int = 0
    opened: int = 0
    """Since the service began."""
    ended: Mapping[str, int] = field(default_factory=dict)
    """How many by the way they ended: ``exhausted``, ``failed``, ``closed`` early by the reader,
    ``dropped`` without being closed, ``idle``, ``shutdown``."""
    buffered: float = 0.0
    """Seconds of audio, of all open streams, that are ready and not taken."""
    longest_wait: float = 0.0
    """Seconds that audio has been ready in the stream that was read least recently."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What a service did since it began."""

    requests: int = 0
    """Ended, whatever came of them."""
    failed_requests: int = 0
    """Ended with an error; cancelled ones are none."""
    open_requests: int = 0
    total: ProviderStats = field(default_factory=ProviderStats)
    """Of all providers together."""
    providers: Mapping[str, ProviderStats] = field(default_factory=dict)
    streams: StreamStats = field(default_factory=StreamStats)


class HealthBook:
    """Keeps what events tell of providers, in bounded memory. Safe from any thread.

    Args:
        clock: Tells how old a call is.
        window_s: Seconds for which a call speaks of its provider's health.
    """

    def __init__(self, clock: Clock, *, window_s: float = WINDOW_S) -> None:
        self._clock = clock
        self._window_s = window_s
        # Read by whoever wants to know, or when it is full: many events at once cost less than
        # each by itself. And the garbage collector may end a stream, and so record an event, at
        # any line of this class: appending is safe there, taking the lock would not be.
        self._inbox: deque[tuple[Event | Facts, float]] = deque()
        self._lock = threading.Lock()
        self._records: dict[tuple[str, str | None], _Record] = {}
        self._tallies: dict[str, _Tally] = {}
        self._requests = _Requests()

    def record(self, event: Event | Facts) -> None:
        """Take in an event of any kind, or the facts of one, when it happens; never waits."""
        self._inbox.append((event, self._clock()))
        if len(self._inbox) >= INBOX_LIMIT and self._lock.acquire(blocking=False):
            try:
                self._read_inbox()
            finally:
                self._lock.release()

    def of(self, provider: str, model: str | None = None) -> ProviderHealth:
        """Return the health of a provider's model; that of a new one if nothing is known."""
        with self._lock:
            self._read_inbox()
            return self._health(provider, model)

    def health(self) -> list[ProviderHealth]:
        """Return the health of all that were heard of, by name of provider and model."""
        with self._lock:
            self._read_inbox()
            keys = sorted(self._records, key=lambda key: (key[0], key[1] or ""))
            return [self._health(provider, model) for provider, model in keys]

    def stats(self) -> Stats:
        """Return the totals."""
        with self._lock:
            self._read_inbox()
            providers = {name: tally.stats() for name, tally in sorted(self._tallies.items())}
            requests = self._requests
            return Stats(
                requests=requests.ended,
                failed_requests=requests.failed,
                open_requests=max(requests.opened - requests.ended, 0),
                total=sum(providers.values(), ProviderStats()),
                providers=providers,
            )

    def _read_inbox(self) -> None:
        for _ in range(len(self._inbox)):
            self._take_in(*self._inbox.popleft())

    def _take_in(self, event: Event | Facts, now: float) -> None:
        match event:
            case StreamFacts() | StreamEvent():
                self._requests.count(event.outcome)
            case AttemptFacts() | AttemptEvent():
                self._count_attempt(event)
                self._record(event.provider, event.model).add(event, now)
            case UtteranceFacts() | UtteranceEvent():
                tally = self._tally(event.provider)
                tally.characters += event.characters
                tally.audio += event.audio
            case BreakerEvent():
                self._record(event.provider, event.model).turn(event, now)
            case RetryEvent():
                self._tally(event.provider).retries += 1
            case FailoverEvent():
                self._tally(event.provider).failovers += 1
            case HedgeEvent() if event.outcome == "started":
                self._tally(event.to).hedges += 1

    def _count_attempt(self, event: AttemptEvent | AttemptFacts) -> None:
        tally = self._tally(event.provider)
        tally.attempts += 1
        tally.failures += event.outcome not in NO_ERROR
        tally.characters_sent += event.characters

    def _health(self, provider: str, model: str | None) -> ProviderHealth:
        record = self._records.get((provider, model), _Record())
        return record.health(provider, model, self._clock(), self._window_s)

    def _tally(self, provider: str) -> _Tally:
        tally = self._tallies.get(provider)
        if tally is None:
            tally = self._tallies[provider] = _Tally()
        return tally

    def _record(self, provider: str, model: str | None) -> _Record:
        """Return the record, and note that it was used last."""
        key = (provider, model)
        record = self._records.pop(key, None) or _Record()
        if len(self._records) >= MODELS_KEPT:
            del self._records[self._least_needed()]
        self._records[key] = record
        return record

    def _least_needed(self) -> tuple[str, str | None]:
        """Return the one unused for longest; of an open breaker only where all are."""
        closed = (key for key, record in self._records.items() if record.state == CLOSED)
        return next(closed, next(iter(self._records)))


@dataclass(slots=True)
class _Tally:
    """What ``ProviderStats`` tells, while it is counted."""

    attempts: int = 0
    failures: int = 0
    retries: int = 0
    failovers: int = 0
    hedges: int = 0
    characters_sent: int = 0
    characters: int = 0
    audio: float = 0.0

    def stats(self) -> ProviderStats:
        """Return it as it is told."""
        return ProviderStats(**asdict(self))


class _Call(NamedTuple):
    at: float
    is_success: bool | None
    """None: speaks neither for nor against the provider."""
    time_to_first_audio: float | None


@dataclass(slots=True)
class _Requests:
    opened: int = 0
    ended: int = 0
    failed: int = 0

    def count(self, outcome: str) -> None:
        if outcome == "opened":
            self.opened += 1
            return
        self.ended += 1
        self.failed += outcome not in ("complete", "resumed", "cancelled")


@dataclass(slots=True)
class _Record:
    calls: deque[_Call] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))
    state: str = CLOSED
    probe_at: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None

    def add(self, event: AttemptEvent | AttemptFacts, now: float) -> None:
        is_success = event.outcome == "ok" or (False if event.counts else None)
        self.calls.append(_Call(now, is_success, event.time_to_first_audio))
        if event.outcome not in NO_ERROR:
            self.last_error, self.last_error_at = event.outcome, event.at

    def turn(self, event: BreakerEvent, now: float) -> None:
        self.state = event.after
        self.probe_at = None if event.next_probe_in is None else now + event.next_probe_in

    def health(
        self, provider: str, model: str | None, now: float, window_s: float
    ) -> ProviderHealth:
        calls = [call for call in self.calls if now - call.at <= window_s]
        verdicts = [call.is_success for call in calls if call.is_success is not None]
        return ProviderHealth(
            provider,
            model,
            state=self.state,
            calls=len(calls),
            error_rate=verdicts.count(False) / len(verdicts) if verdicts else None,
            time_to_first_audio=Percentiles.of(
                [call.time_to_first_audio for call in calls if call.time_to_first_audio is not None]
            ),
            last_error=self.last_error,
            last_error_at=self.last_error_at,
            next_probe_in=None if self.probe_at is None else max(self.probe_at - now, 0.0),
        )
