"""A circuit breaker: a provider that fails too often is left alone, then tried with one call."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from random import Random
from typing import Self

from ttskit.errors import CircuitOpenError
from ttskit.resilience.settings import BreakerSettings
from ttskit.resilience.window import Counts, Window

_log = logging.getLogger(__name__)

_ROUNDING_S = 1e-6
"""Who waits exactly as long as it was told is let through, however the sum is rounded."""


class BreakerState(StrEnum):
    """``closed``: calls pass. ``open``: none does. ``half-open``: one at a time, as a probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class BreakerReason(StrEnum):
    """Why the state changed."""

    CONSECUTIVE_FAILURES = "consecutive failures"
    FAILURE_RATIO = "failure ratio"
    SLOW_CALLS = "slow calls"
    PROBE_DUE = "probe due"
    PROBE_FAILED = "probe failed"
    PROBE_EXPIRED = "probe expired"
    RECOVERED = "recovered"
    FORCED = "forced"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """One change of state, as the listener gets it."""

    key: str
    before: BreakerState
    after: BreakerState
    reason: BreakerReason
    generation: int
    wait_s: float | None
    """Seconds until a probe is due; None unless it opened by itself."""


@dataclass(frozen=True, slots=True)
class BreakerSnapshot:
    """The breaker at one moment."""

    key: str
    state: BreakerState
    is_forced: bool
    calls: int
    """Calls in the window that ended, and were no cancellation."""
    failure_ratio: float
    slow_ratio: float
    consecutive_failures: int
    next_probe_in: float | None
    """Seconds until a call is let through as a probe; None where closed or forced open."""
    generation: int
    """Grows with each change; a call admitted under an earlier one counts no more."""
    listener_failures: int
    """How often ``on_change`` raised."""


class _Outcome(Enum):
    SUCCESS = auto()
    SLOW = auto()
    FAILURE = auto()
    NEUTRAL = auto()


@dataclass(slots=True, eq=False)
class Permit:
    """Leave for one call. Only the first outcome counts; as a context manager, none is neutral."""

    generation: int
    _slow_after_s: float = field(repr=False)
    _settle: Callable[[Permit, _Outcome], None] = field(repr=False)
    _extend: Callable[[Permit], None] = field(repr=False)
    is_settled: bool = field(default=False, init=False)

    def succeed(self, *, first_audio_s: float | None = None) -> None:
        """Report whole, right speech.

        Args:
            first_audio_s: Seconds from the call to its first audio. None: not known, and not slow.
        """
        is_slow = first_audio_s is not None and first_audio_s > self._slow_after_s
        self._settle(self, _Outcome.SLOW if is_slow else _Outcome.SUCCESS)

    def fail(self) -> None:
        """Report a failure that speaks against the provider."""
        self._settle(self, _Outcome.FAILURE)

    def cancel(self) -> None:
        """Report that nothing was learned: cancelled, or an error that is not the provider's."""
        self._settle(self, _Outcome.NEUTRAL)

    def progress(self) -> None:
        """Report a sign of life, such as a chunk: a probe gets another full deadline."""
        self._extend(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.is_settled:  # what is settled stays so, and asking costs no lock
            self.cancel()


class _Listener:
    """Hands changes to the callback: in order, outside the breaker's lock, one at a time."""

    def __init__(self, key: str, callback: Callable[[BreakerChange], object] | None) -> None:
        self._key = key
        self._callback = callback
        self._turn = threading.Lock()
        self._changes: deque[BreakerChange] = deque()
        self.failures = 0

    def note(self, change: BreakerChange) -> None:
        """Keep the change until ``tell``."""
        self._changes.append(change)

    def tell(self) -> None:
        """Hand over what was noted; where that is being done already, it goes on with the rest."""
        while self._changes and self._turn.acquire(blocking=False):
            try:
                if self._changes:
                    self._call(self._changes.popleft())
            finally:
                self._turn.release()

    def _call(self, change: BreakerChange) -> None:
        if self._callback is None:
            return
        try:
            self._callback(change)
        except Exception:  # noqa: BLE001 - a user's callback must not fail the call
            self.failures += 1
            if self.failures == 1:
                _log.warning("a listener of the breaker of %s failed", self._key, exc_info=True)


class Breaker:
    """One provider's breaker (and model's, and region's, where these fail apart from each other).

    Any thread may call it; nothing in it waits. Time passes only in its calls: what was due before
    a call takes effect, as of when it was due, at that call's beginning.

    Args:
        settings: When it opens, and how it closes.
        key: Whose it is; the ``provider`` of its errors.
        clock: Monotonic seconds, the same clock for every thread.
        random: Draws the waits; nobody else's while it is in use here.
        on_change: Called after each change of state, in order, in the thread whose call brought it
            about or noticed it. It may raise or call the breaker; while it blocks, later changes
            wait for it, calls of other threads do not.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        *,
        key: str,
        clock: Callable[[], float],
        random: Random,
        on_change: Callable[[BreakerChange], object] | None = None,
    ) -> None:
        self._settings = settings
        self._key = key
        self._clock = clock
        self._random = random
        self._listener = _Listener(key, on_change)
        # Reentrant, as the collector may end an abandoned call in the midst of another one's entry.
        self._lock = threading.RLock()
        self._window = Window(settings.window_s, settings.buckets)
        self._slow_after_s = math.inf if settings.slow_after_s is None else settings.slow_after_s
        self._now = -math.inf
        self._state = BreakerState.CLOSED
        self._is_forced = False
        self._generation = 0
        self._consecutive = 0
        self._span = settings.first_wait_s
        self._probe_at = math.inf
        self._probe: Permit | None = None
        self._probe_ends_by = math.inf
        self._probe_expires_at = math.inf
        self._successes = 0

    def admit(self, *, deadline: float | None = None) -> Permit:
        """Return leave for one call, which must be settled by whatever its outcome is.

        Args:
            deadline: When the caller will have given up, by the clock; no probe outlasts it.

        Raises:
            CircuitOpenError: The provider is not to be asked now; ``retry_after`` says when it may
                be, in seconds, and is None where it was forced open.
        """
        with self._lock:
            now = self._tick()
            permit = self._admitted(now, deadline)
            wait = self._wait(now) if permit is None else None
        self._listener.tell()
        if permit is not None:
            return permit
        why = "was switched off" if wait is None else f"failed of late, not asked for {wait:.1f} s"
        raise CircuitOpenError(why, provider=self._key, retry_after=wait)

    @property
    def state(self) -> BreakerState:
        """The state that the last call left; what became due since takes effect with the next."""
        return self._state

    def snapshot(self) -> BreakerSnapshot:
        """Return the state and the numbers behind it."""
        with self._lock:
            now = self._tick()
            counts = self._window.counts(now)
            taken = BreakerSnapshot(
                key=self._key,
                state=self._state,
                is_forced=self._is_forced,
                calls=counts.calls,
                failure_ratio=counts.failure_ratio,
                slow_ratio=counts.slow_ratio,
                consecutive_failures=self._consecutive,
                next_probe_in=None if self._state is BreakerState.CLOSED else self._wait(now),
                generation=self._generation,
                listener_failures=self._listener.failures,
            )
        self._listener.tell()
        return taken

    def force_open(self) -> None:
        """Let no call through, not even a probe, until ``force_closed`` or ``reset``."""
        self._force(BreakerState.OPEN)

    def force_closed(self) -> None:
        """Let every call through, whatever becomes of it, until ``force_open`` or ``reset``."""
        self._force(BreakerState.CLOSED)

    def reset(self) -> None:
        """Close it, forget every call, and let it act by itself again."""
        with self._lock:
            self._is_forced = False
            self._close(BreakerReason.RESET)
        self._listener.tell()

    def _force(self, state: BreakerState) -> None:
        with self._lock:
            self._is_forced = True
            self._probe_at = math.inf
            self._change(state, BreakerReason.FORCED)
        self._listener.tell()

    def _tick(self) -> float:
        """Return the time, which never goes back, after giving up a probe that is overdue."""
        self._now = max(self._now, self._clock())
        if self._probe is not None and self._now >= self._probe_expires_at:
            # It may have hung for reasons of its own: the wait does not grow.
            self._open(BreakerReason.PROBE_EXPIRED, self._probe_expires_at)
        return self._now

    def _wait(self, now: float) -> float | None:
        """Return the seconds until a call may pass; None where only a person can say."""
        if self._state is BreakerState.HALF_OPEN:
            return 0.0 if self._probe is None else self._probe_expires_at - now
        return None if math.isinf(self._probe_at) else max(self._probe_at - now, 0.0)

    def _admitted(self, now: float, deadline: float | None) -> Permit | None:
        if self._state is BreakerState.OPEN and now >= self._probe_at - _ROUNDING_S:
            self._successes = 0
            self._change(BreakerState.HALF_OPEN, BreakerReason.PROBE_DUE)
        if self._state is BreakerState.OPEN or self._probe is not None:
            return None
        permit = Permit(self._generation, self._slow_after_s, self._settle, self._extend)
        if self._state is BreakerState.HALF_OPEN:
            self._probe = permit
            self._probe_ends_by = math.inf if deadline is None else deadline
            self._extend_probe(now)
        return permit

    def _extend(self, permit: Permit) -> None:
        if self._probe is not permit:  # a chunk of an ordinary call costs no lock
            return
        with self._lock:
            now = self._tick()
            if self._probe is permit:
                self._extend_probe(now)
        self._listener.tell()

    def _extend_probe(self, now: float) -> None:
        expires_at = min(now + self._settings.probe_deadline_s, self._probe_ends_by)
        # A deadline that has passed must not bring the next probe forward.
        self._probe_expires_at = max(expires_at, now)

    def _settle(self, permit: Permit, outcome: _Outcome) -> None:
        with self._lock:
            now = self._tick()
            if not permit.is_settled:
                permit.is_settled = True
                if permit.generation == self._generation:
                    self._end(outcome, now)
        self._listener.tell()

    def _end(self, outcome: _Outcome, now: float) -> None:
        self._probe = None  # if there was one, this was it: there is no other call beside it
        if outcome is _Outcome.NEUTRAL:
            return
        is_failure = outcome is _Outcome.FAILURE
        self._consecutive = self._consecutive + 1 if is_failure else 0
        counts = self._window.add(now, is_failure=is_failure, is_slow=outcome is _Outcome.SLOW)
        if self._state is BreakerState.HALF_OPEN:
            self._judge_probe(now, is_good=outcome is _Outcome.SUCCESS)
        elif not self._is_forced and (reason := self._reason_to_open(counts)):
            self._open(reason, now)

    def _judge_probe(self, now: float, *, is_good: bool) -> None:
        if not is_good:
            grown = self._span * self._settings.wait_factor
            self._span = min(grown, self._settings.longest_wait_s)
            self._open(BreakerReason.PROBE_FAILED, now)
            return
        self._successes += 1
        if self._successes >= self._settings.probe_successes:
            self._close(BreakerReason.RECOVERED)

    def _reason_to_open(self, counts: Counts) -> BreakerReason | None:
        limits = self._settings
        if self._consecutive >= limits.consecutive_failures:
            return BreakerReason.CONSECUTIVE_FAILURES
        if counts.calls < limits.minimum_calls:
            return None
        if counts.failure_ratio >= limits.failure_ratio:
            return BreakerReason.FAILURE_RATIO
        return BreakerReason.SLOW_CALLS if counts.slow_ratio >= limits.slow_ratio else None

    def _open(self, reason: BreakerReason, since: float) -> None:
        # Equal jitter, drawn after the cap: clients that failed together do not come back together.
        wait = self._span / 2 + self._random.uniform(0, self._span / 2)
        self._probe_at = since + wait
        self._change(BreakerState.OPEN, reason, wait)

    def _close(self, reason: BreakerReason) -> None:
        self._window.clear()
        self._consecutive = 0
        self._span = self._settings.first_wait_s
        self._change(BreakerState.CLOSED, reason)

    def _change(
        self, after: BreakerState, reason: BreakerReason, wait_s: float | None = None
    ) -> None:
        """Enter the state anew: calls admitted before count no more."""
        before, self._state = self._state, after
        self._generation += 1
        self._probe = None
        if before is not after:
            change = BreakerChange(self._key, before, after, reason, self._generation, wait_s)
            self._listener.note(change)
