"""Finds out whether a provider that failed is back, without a request and without any text."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

from ttskit.errors import CircuitOpenError, ProviderTimeoutError, TTSError
from ttskit.resilience.breaker import Breaker
from ttskit.resilience.now import now
from ttskit.resources.background import Callback, Home

_logger = logging.getLogger(__name__)

Tell = Callable[[str, float, bool], None]
"""Told the outcome of a probe, its duration in seconds, and whether it speaks against health."""


class Prober:
    """Checks a provider in the background when its open breaker says that it may be tried.

    A timer does it where nobody asks; a request that comes first does it at once. A check that
    succeeds lets a single request through, whose success closes the breaker.

    Args:
        breaker: Of the provider and model.
        check: The provider's cheap answer to whether it would speak.
        deadline_s: Seconds a check may take.
        tell: Told of each check.
    """

    def __init__(
        self,
        breaker: Breaker,
        check: Callable[[], Awaitable[None]],
        *,
        deadline_s: float,
        tell: Tell,
    ) -> None:
        self._breaker = breaker
        self._check = check
        self._deadline_s = deadline_s
        self._tell = tell
        self._home: Home | None = None
        self._stop_timer: Callback | None = None
        self._scope: anyio.CancelScope | None = None
        self._task: object = None
        self._is_closed = False

    def schedule(self, wait_s: float) -> None:
        """Check in so many seconds."""
        if self._is_closed:
            return
        self._stop()
        self._home = Home.here()
        self._stop_timer = self._home.call_at(now() + wait_s, self.start)

    def start(self) -> None:
        """Check now, unless a check is under way in this event loop."""
        if self._is_closed or (self._scope is not None and self._is_here()):
            return
        self._stop()
        self._home = Home.here()
        self._scope = anyio.CancelScope()
        self._task = self._home.spawn(self._run, name="ttskit probe")

    def close(self) -> None:
        """End whatever is under way."""
        self._is_closed = True
        if self._scope is not None:
            self._scope.cancel()
        self._stop()

    def _is_here(self) -> bool:
        return self._home is not None and self._home.is_here()

    def _stop(self) -> None:
        if self._stop_timer is not None and self._is_here():
            self._stop_timer()
        self._stop_timer = None

    async def _run(self) -> None:
        scope = self._scope
        if scope is None:
            return
        try:
            with scope:
                await self._probe()
        finally:
            self._scope = self._task = None

    async def _probe(self) -> None:
        try:
            permit = self._breaker.admit()
        except CircuitOpenError:
            return  # a request was let through in the meantime, or a person switched it off
        began = now()
        outcome, counts = "cancelled", False
        with permit:
            try:
                with anyio.fail_after(self._deadline_s):
                    await self._check()
            except TTSError as error:
                outcome, counts = error.code, error.counts
            except TimeoutError:
                outcome, counts = ProviderTimeoutError.code, True
            except Exception as error:
                _logger.warning("the check of a provider failed", exc_info=error)
                outcome, counts = TTSError.code, True
            else:
                outcome = "ok"
            # The provider's state follows: this probe was the only call.
            self._tell(outcome, now() - began, counts)
            if outcome == "ok":
                permit.succeed()
            elif counts:
                permit.fail()
