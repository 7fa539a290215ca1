"""Two providers at once for what a listener waits for: whoever is heard first speaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from ttskit.errors import TTSError
from ttskit.resilience.hedge import Hedging
from ttskit.resilience.now import now
from ttskit.routing.provider import Provider
from ttskit.routing.take import Emit, Take
from ttskit.telemetry.desk import Tell
from ttskit.telemetry.events import AttemptEvent, Event
from ttskit.telemetry.health import AttemptFacts, Facts


def observing(tell: Tell, hedging: Hedging) -> Tell:
    """Return what tells of events, and lets hedging know how long first audio takes."""

    def observe(news: Event | Facts, make: Callable[[], Event] | None = None) -> None:
        tell(news, make)
        match news:
            case AttemptEvent() | AttemptFacts() if news.time_to_first_audio is not None:
                hedging.observe(news.provider, news.time_to_first_audio)

    return observe


class Turn(Protocol):
    """Has a provider speak."""

    def __call__(
        self, provider: Provider, *, emit: Emit, on_audio: Callable[[], None]
    ) -> Awaitable[None]:
        """Emit what the provider says; ``on_audio`` is called at its first audio.

        Raises:
            TTSError: It failed.
        """


@dataclass(slots=True)
class Outcome:
    """How a contest ended."""

    speaker: Provider | None = None
    """Who said all of it; None: everybody who was asked failed."""
    failures: list[tuple[Provider, TTSError]] = field(default_factory=list)
    is_hedged: bool = False
    """The second was asked as well."""
    heard: Provider | None = None
    """Whose audio came first."""
    slow: list[tuple[Provider, float]] = field(default_factory=list)
    """Who was given up without any audio, after how many seconds."""


class Contest:
    """One passage, said by the first of two providers from whom audio comes.

    The second is asked when the first lets wait, and the slower one is cancelled as soon as the
    other is heard: never are two voices heard.

    Args:
        turn: Has a provider speak.
        emit: Gets what the faster one says.
    """

    def __init__(self, turn: Turn, emit: Emit) -> None:
        self._turn = turn
        self._emit = emit
        self._outcome = Outcome()
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._changed = anyio.Event()
        self._crash: Exception | None = None

    async def run(
        self,
        first: Provider,
        second: Provider,
        *,
        wait_s: float,
        may_ask: Callable[[], bool],
    ) -> Outcome:
        """Have the passage said and return by whom.

        Args:
            first: Asked at once.
            second: Asked when the first is not heard and has not failed after ``wait_s`` seconds.
            wait_s: Seconds.
            may_ask: Whether the second may be asked then.
        """
        async with anyio.create_task_group() as tasks:
            self._start(tasks, first)
            with anyio.move_on_after(wait_s):
                await self._changed.wait()
            if not self._changed.is_set() and may_ask():
                self._outcome.is_hedged = True
                self._start(tasks, second)
        if self._crash is not None:
            raise self._crash
        return self._outcome

    def _start(self, tasks: TaskGroup, provider: Provider) -> None:
        self._scopes[provider.name] = anyio.CancelScope()
        tasks.start_soon(self._compete, provider)

    async def _compete(self, provider: Provider) -> None:
        began = now()
        with self._scopes[provider.name] as scope:
            try:
                await self._turn(
                    provider,
                    emit=partial(self._put, provider),
                    on_audio=partial(self._win, provider),
                )
                self._win(provider)
                self._outcome.speaker = provider
            except TTSError as error:
                self._outcome.failures.append((provider, error))
            except Exception as error:  # noqa: BLE001 - raised again; the task group would wrap it
                self._crash = error
        self._changed.set()
        if scope.cancelled_caught:
            self._outcome.slow.append((provider, now() - began))

    def _put(self, provider: Provider, take: Take) -> None:
        if self._outcome.heard is provider:
            self._emit(take)

    def _win(self, provider: Provider) -> None:
        if self._outcome.heard is not None:
            return
        self._outcome.heard = provider
        self._changed.set()
        for name, scope in self._scopes.items():
            if name != provider.name:
                scope.cancel()
