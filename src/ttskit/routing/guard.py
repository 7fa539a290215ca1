"""What stands between requests and one provider: limits, breakers, retries, and their record."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from ttskit.errors import AuthenticationError, CircuitOpenError, TTSError
from ttskit.resilience.breaker import Breaker, BreakerChange, BreakerState
from ttskit.resilience.budget import RetryBudget
from ttskit.resilience.bulkhead import Bulkhead
from ttskit.resilience.now import now
from ttskit.resilience.rate import RateLimit
from ttskit.resilience.retry import with_retries
from ttskit.resilience.settings import (
    BreakerSettings,
    BudgetSettings,
    LimitSettings,
    RetrySettings,
    TimeoutSettings,
)
from ttskit.routing.probe import Prober
from ttskit.telemetry.desk import Tell
from ttskit.telemetry.events import AttemptEvent, BreakerEvent, RetryEvent
from ttskit.telemetry.health import AttemptFacts

TENANT_TAG = "tenant"
"""The tag of a request that says for whom it is: tenants take turns where calls wait."""
T = TypeVar("T")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """How one provider is guarded."""

    limits: LimitSettings = field(default_factory=LimitSettings)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    timeouts: TimeoutSettings = field(default_factory=TimeoutSettings)


class Ask(NamedTuple):
    """The facts of one call that its guard needs."""

    characters: int
    utterance: int
    model: str | None = None
    voice: str | None = None
    request_id: str = ""
    tags: Mapping[str, str] = MappingProxyType({})
    deadline: float | None = None
    """When the whole request must be done, on the event loop's clock."""
    has_alternative: bool = False
    """Another provider could speak instead."""
    is_committed: Callable[[], bool] | None = None
    """Tells whether a part was delivered already, so that the call cannot be made again."""
    on_audio: Callable[[], None] | None = None
    """Called when the first audio of an attempt comes."""


@dataclass(slots=True)
class Signs:
    """What is noticed while a call runs."""

    alive: Callable[[], None]
    """To be called with every chunk: the breaker gives up a probe that shows no life."""
    on_audio: Callable[[], None] | None = None
    """To be called with the first chunk."""
    began: float = 0.0
    """When the present attempt began, on the event loop's clock."""
    first_audio_s: float | None = None
    """Seconds from then to its first audio."""


Work = Callable[[Signs], Awaitable[T]]


class Guard:
    """Limits, breakers and retries of one provider; it knows nothing of audio.

    Args:
        provider: The configured name.
        settings: How patient each protection is.
        concurrency: Calls in flight at a time, where the settings leave it open.
        tell: Hears of attempts, retries and changes of state.
        random: Draws waits; this guard's own.
        check: Asks the provider, at next to no cost, whether it would speak; None: it cannot be
            asked, and after a failure requests find out.
    """

    def __init__(
        self,
        provider: str,
        settings: GuardSettings,
        *,
        concurrency: int,
        tell: Tell,
        random: Random,
        check: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        limit = settings.limits.concurrency or concurrency
        queue = settings.limits.queue
        clock = now
        self._provider = provider
        self._settings = settings
        self._tell = tell
        self._random = random
        self._check = check
        self._breakers: dict[str | None, Breaker] = {}
        self._probers: dict[str | None, Prober] = {}
        self._forced: BreakerState | None = None
        self._budget = RetryBudget(settings.budget, clock=clock)
        self._bulkhead = Bulkhead(limit, 4 * limit if queue is None else queue, clock=clock)
        self._rate = RateLimit(
            settings.limits.requests_per_minute, settings.limits.characters_per_minute, clock=clock
        )
        self._refusal: AuthenticationError | None = None

    def allow(self, concurrency: int) -> None:
        """Take the provider at its word for how many calls it bears; settings may say fewer."""
        limit = max(min(concurrency, self._settings.limits.concurrency or concurrency), 1)
        if limit != self._bulkhead.limit:
            self._bulkhead.resize(limit)

    @property
    def refusal(self) -> AuthenticationError | None:
        """Why the provider is not asked any more; None while it is."""
        return self._refusal

    @property
    def breakers(self) -> Mapping[str | None, Breaker]:
        """The breaker of each model that was asked for; None is the default model."""
        return self._breakers

    def breaker(self, model: str | None) -> Breaker:
        """Return the model's breaker, made when it is first asked for."""
        if model not in self._breakers:
            self._breakers[model] = Breaker(
                self._settings.breaker,
                key=self._provider,
                clock=now,
                random=self._random,
                on_change=partial(self._tell_change, model),
            )
            if self._forced is not None:
                _force(self._breakers[model], self._forced)
        return self._breakers[model]

    @property
    def budget(self) -> RetryBudget:
        """Of calls beyond one a request."""
        return self._budget

    def is_open_for_calls(self, model: str | None) -> bool:
        """Whether a call would be let through now, as far as health goes."""
        if self._refusal is not None:
            return False
        breaker = self._breakers.get(model)
        return breaker is None or breaker.snapshot().state is BreakerState.CLOSED

    def force(self, state: BreakerState) -> None:
        """Keep every breaker open or closed until ``reset``, whatever comes of calls."""
        self._forced = state
        for breaker in self._breakers.values():
            _force(breaker, state)

    def close(self) -> None:
        """End what goes on in the background."""
        for prober in self._probers.values():
            prober.close()

    def reset(self) -> None:
        """Forget every failure, a refused key too."""
        self._refusal = self._forced = None
        for breaker in self._breakers.values():
            breaker.reset()

    async def call(self, work: Work[T], ask: Ask) -> T:
        """Do the work within the limits, trying again where that may help.

        Raises:
            CircuitOpenError: The provider failed too often of late.
            AuthenticationError: Its key was refused before; it was not asked again.
            QueueFullError: Too many calls wait already.
            RateLimitedError: The limits leave no room before the deadline.
            TTSError: What the work failed with in the end.
        """
        if self._refusal is not None:
            raise AuthenticationError(
                "the key was refused before; not asked until it is reset", provider=self._provider
            )
        try:
            async with self._bulkhead.slot(
                tenant=ask.tags.get(TENANT_TAG, ""), deadline=ask.deadline
            ):
                if self._rate.is_limited:
                    await self._rate.acquire(ask.characters, deadline=ask.deadline)
                self._budget.deposit()
                return await self._admitted(work, ask)
        except TTSError as error:
            error.provider = error.provider or self._provider
            raise

    async def _admitted(self, work: Work[T], ask: Ask) -> T:
        """Do the work if the breaker lets it; it counts once, however often it was tried."""
        breaker = self.breaker(ask.model)
        if ask.has_alternative and breaker.state is BreakerState.OPEN:
            self._refuse(breaker, ask.model)
        with breaker.admit(deadline=ask.deadline) as permit:
            signs = Signs(permit.progress, ask.on_audio)
            try:
                made = await with_retries(
                    lambda number: self._once(work, ask, signs, number),
                    self._settings.retry,
                    budget=self._budget,
                    deadline=ask.deadline,
                    clock=now,
                    random=self._random,
                    on_retry=partial(self._tell_retry, ask),
                    has_alternative=ask.has_alternative,
                    is_committed=ask.is_committed,
                )
            except TTSError as error:
                if error.counts:
                    permit.fail()
                if isinstance(error, AuthenticationError):
                    self._disable(error)
                raise
            permit.succeed(first_audio_s=signs.first_audio_s)
            return made

    def _refuse(self, breaker: Breaker, model: str | None) -> None:
        """Refuse a call that another provider can take, and find out in the background.

        Raises:
            CircuitOpenError: Unless nobody can be asked but by a call.
        """
        prober = self._prober(model)
        if prober is None:
            return
        state = breaker.snapshot()
        wait = state.next_probe_in
        if state.state is not BreakerState.OPEN or wait is None:
            return  # where a person switched it off, the breaker says so itself
        if wait == 0:
            prober.start()
        raise CircuitOpenError(
            "failed of late, not asked", provider=self._provider, retry_after=wait
        )

    def _prober(self, model: str | None) -> Prober | None:
        if self._check is None:
            return None
        if model not in self._probers:
            self._probers[model] = Prober(
                self.breaker(model),
                self._check,
                deadline_s=self._settings.breaker.probe_deadline_s,
                tell=partial(self._tell_probe, model),
            )
        return self._probers[model]

    async def _once(self, work: Work[T], ask: Ask, signs: Signs, number: int) -> T:
        signs.began, signs.first_audio_s = now(), None
        outcome, counts = "cancelled", False
        try:
            made = await work(signs)
        except TTSError as error:
            outcome, counts = error.code, error.counts
            raise
        else:
            outcome = "ok"
            return made
        finally:
            self._tell_attempt(ask, signs, number, outcome, counts=counts)

    def _disable(self, error: AuthenticationError) -> None:
        if self._refusal is None:
            self._refusal = error
            _logger.warning("%s does not accept its key and is not asked any more", self._provider)

    def _tell_attempt(
        self, ask: Ask, signs: Signs, number: int, outcome: str, *, counts: bool
    ) -> None:
        self._tell(
            AttemptFacts(
                self._provider,
                ask.model,
                outcome,
                counts,
                ask.characters,
                signs.first_audio_s,
                time.time(),
            ),
            lambda: AttemptEvent(
                provider=self._provider,
                model=ask.model,
                voice=ask.voice,
                utterance=ask.utterance,
                number=number,
                outcome=outcome,
                counts=counts,
                characters=ask.characters,
                duration=now() - signs.began,
                time_to_first_audio=signs.first_audio_s,
                request_id=ask.request_id,
                tags=ask.tags,
            ),
        )

    def _tell_retry(self, ask: Ask, number: int, error: TTSError, wait: float) -> None:
        self._tell(
            RetryEvent(
                provider=self._provider,
                model=ask.model,
                utterance=ask.utterance,
                number=number,
                outcome=error.code,
                wait=wait,
                request_id=ask.request_id,
                tags=ask.tags,
            )
        )

    def _tell_probe(
        self,
        model: str | None,
        outcome: str,
        duration: float,
        counts: bool,  # noqa: FBT001 - a callback
    ) -> None:
        self._tell(
            AttemptEvent(
                provider=self._provider,
                model=model,
                outcome=outcome,
                counts=counts,
                duration=duration,
            )
        )

    def _tell_change(self, model: str | None, change: BreakerChange) -> None:
        if change.after is BreakerState.OPEN and change.wait_s is not None:
            prober = self._prober(model)
            if prober is not None:
                prober.schedule(change.wait_s)
        self._tell(
            BreakerEvent(
                provider=self._provider,
                model=model,
                before=change.before,
                after=change.after,
                reason=change.reason,
                next_probe_in=change.wait_s,
            )
        )


def _force(breaker: Breaker, state: BreakerState) -> None:
    if state is BreakerState.OPEN:
        breaker.force_open()
    else:
        breaker.force_closed()
