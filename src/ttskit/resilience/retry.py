"""Trying a call again on the same provider, on top of tenacity."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar, cast

import anyio
from tenacity import AsyncRetrying, RetryCallState, retry_if_result
from typing_extensions import TypeIs

from ttskit.errors import ProviderTimeoutError, ProviderUnavailableError, TTSError
from ttskit.resilience.budget import RetryBudget
from ttskit.resilience.settings import RetrySettings

T = TypeVar("T")
OnRetry = Callable[[int, TTSError, float], object]

_MOST_DOUBLINGS = 64
"""Beyond it a float might overflow; any cap is reached long before."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failed attempt. As a value, its traceback holds none of tenacity's frames in a cycle."""

    error: TTSError


@dataclass(frozen=True, slots=True)
class _Retries(Generic[T]):
    """What tenacity asks, about one utterance on one provider."""

    call: Callable[[int], Awaitable[T]]
    settings: RetrySettings
    budget: RetryBudget
    deadline: float
    clock: Callable[[], float]
    random: Random
    on_retry: OnRetry | None
    has_alternative: bool
    is_committed: Callable[[], bool] | None

    async def outcome(self, first: _Failure) -> T | _Failure:
        """Return what the last attempt came to, after the first one failed."""
        retrying = AsyncRetrying(
            sleep=anyio.sleep,
            retry=retry_if_result(_may_retry),
            wait=self._wait,
            stop=self._stop,
            before_sleep=self._tell,
            retry_error_callback=_result,
        )
        number = 0

        async def attempt() -> T | _Failure:
            nonlocal number
            number += 1
            return first if number == 1 else await _tried(self.call, number)

        return cast("T | _Failure", await retrying(attempt))

    def _wait(self, state: RetryCallState) -> float:
        """Return the seconds before the next attempt; infinite where there should be none here."""
        error = _error(state)
        left = self.deadline - self.clock()
        if error.retry_after is None:
            if self.has_alternative:
                return 0.0 if left > 0 else math.inf  # at once or not at all: somebody listens
            return wait_before(state.attempt_number, error, self.settings, left, self.random)
        return _pushback(error.retry_after, self.settings, left, self.random)

    def _stop(self, state: RetryCallState) -> bool:
        """Return whether that was the last attempt; the budget is asked only when all else fits."""
        return (
            state.attempt_number >= self.settings.attempts
            or (self.is_committed is not None and self.is_committed())
            or not math.isfinite(state.upcoming_sleep)
            or (self.has_alternative and self._is_worse_than_another(state))
            or not self.budget.withdraw()
        )

    def _is_worse_than_another(self, state: RetryCallState) -> bool:
        """Return whether somebody else should speak.

        One more try at once keeps the voice where a connection broke. What is overloaded, or took
        too long already, would be heard of again only after the listener has noticed.
        """
        error = _error(state)
        return (
            state.attempt_number > 1
            or _is_throttled(error)
            or isinstance(error, ProviderTimeoutError)
            or state.upcoming_sleep > self.settings.patience_s
        )

    def _tell(self, state: RetryCallState) -> None:
        if self.on_retry is not None:
            self.on_retry(state.attempt_number + 1, _error(state), state.upcoming_sleep)


async def with_retries(  # noqa: PLR0913 - keyword-only, and all of them differ from call to call
    call: Callable[[int], Awaitable[T]],
    settings: RetrySettings,
    *,
    budget: RetryBudget,
    deadline: float | None,
    clock: Callable[[], float],
    random: Random,
    on_retry: OnRetry | None = None,
    has_alternative: bool = False,
    is_committed: Callable[[], bool] | None = None,
) -> T:
    """Return what the call returns, after trying it again where that may help.

    Only errors that say ``retryable`` are followed by another attempt, and only while attempts,
    time and budget last. A provider's own ``retry_after`` is kept to; where it is too long, the
    error is raised at once, so that another provider can be asked. A cancelled call ends.

    Args:
        call: Gets the number of the attempt, from 1.
        settings: Attempts and waits.
        budget: Of the provider, shared with hedges. The first attempt is not taken from it, nor
            deposited in it.
        deadline: When the whole request must be done, by the clock.
        clock: Monotonic seconds.
        random: Draws the waits.
        on_retry: Told the number of the attempt to come, from 2, the error of the one before and
            the wait in seconds.
        has_alternative: Another provider could do it. Then there is one further attempt at most, at
            once or within ``patience_s`` where the provider asks for a wait, and none where it is
            overloaded or took too long.
        is_committed: Asked after a failure; true where a part of it was heard already, so that
            there is no further attempt, whatever the error says.

    Raises:
        TTSError: What the last attempt failed with.
    """
    try:
        return await call(1)
    except TTSError as error:
        outcome: T | _Failure = _Failure(error)
    if _may_retry(outcome):  # most calls succeed at once, and tenacity costs more than all the rest
        until = math.inf if deadline is None else deadline
        retries = _Retries(
            call, settings, budget, until, clock, random, on_retry, has_alternative, is_committed
        )
        outcome = await retries.outcome(outcome)
    if not isinstance(outcome, _Failure):
        return outcome
    try:
        raise outcome.error
    finally:
        del outcome  # or the error would hold this frame, and this frame the error


def wait_before(
    failed: int, error: TTSError, settings: RetrySettings, left_s: float, random: Random
) -> float:
    """Return the seconds to wait after the attempt with this number, from 1, where nobody says.

    Full jitter: anything from nothing to the doubled and capped wait is equally likely. The draw
    comes after the cap, so that clients which wait the longest are spread as well. Infinite where
    no time is left.
    """
    if left_s <= 0:
        return math.inf
    throttled = _is_throttled(error)
    base = settings.throttled_base_wait_s if throttled else settings.base_wait_s
    doubled = base * 2.0 ** min(failed - 1, _MOST_DOUBLINGS)
    return random.uniform(0, min(doubled, settings.longest_wait_s, left_s))


def _pushback(asked_s: float, settings: RetrySettings, left_s: float, random: Random) -> float:
    """Return the wait that was asked for or a little more; infinite where it is not worth it."""
    if not 0 <= asked_s < min(left_s, math.nextafter(settings.longest_pushback_s, math.inf)):
        return math.inf
    return asked_s + random.uniform(0, min(asked_s * settings.pushback_jitter, left_s - asked_s))


def _is_throttled(error: TTSError) -> bool:
    return error.category == "load" or isinstance(error, ProviderUnavailableError)


async def _tried(call: Callable[[int], Awaitable[T]], number: int) -> T | _Failure:
    try:
        return await call(number)
    except TTSError as error:
        return _Failure(error)


def _may_retry(outcome: object) -> TypeIs[_Failure]:
    return isinstance(outcome, _Failure) and outcome.error.retryable


def _result(state: RetryCallState) -> object:
    if state.outcome is None:
        raise AssertionError("tenacity decides only after an attempt")
    return cast("object", state.outcome.result())


def _error(state: RetryCallState) -> TTSError:
    return cast("_Failure", _result(state)).error
