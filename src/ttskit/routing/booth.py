"""What all attempts of one request share."""

from __future__ import annotations

import os
from dataclasses import dataclass

import anyio

from ttskit.request import Delivery, SpeechOptions
from ttskit.resilience.hedge import Hedging
from ttskit.resilience.now import now
from ttskit.resources.reference_shelf import Reference
from ttskit.resources.references import References
from ttskit.routing.live import Paces
from ttskit.routing.readings import Readings
from ttskit.routing.succession import Succession
from ttskit.routing.voicing import Casts
from ttskit.telemetry.desk import Tell


@dataclass(frozen=True, slots=True)
class Policy:
    """What of routing a service decides for all its requests."""

    ask_others_when_rejected: bool = False
    """Text that one provider refuses for its content may go to the next."""
    hedging: Hedging | None = None
    """Asks a second provider where the first one is slow; None: never."""


class Booth:
    """What all attempts of one request share.

    Args:
        options: The request.
        casts: Finds each provider's voice.
        in_turn: Whether it is a stream, whose utterances a local engine makes one after the other.
        deadline_s: Seconds for the whole request; None: no limit.
        tell: Hears what happens.
        policy: Of the service.
        references: Checks the sample of a voice that the request brings.
    """

    def __init__(  # noqa: PLR0913 - keyword-only facts of one request
        self,
        options: SpeechOptions,
        casts: Casts,
        *,
        in_turn: bool,
        deadline_s: float | None,
        tell: Tell,
        policy: Policy,
        references: References,
    ) -> None:
        self.options = options
        self.casts = casts
        self.policy = policy
        self.paces = Paces()
        self.readings = Readings()
        self.is_live = options.delivery is Delivery.LIVE
        self.line: anyio.Semaphore | None = None
        """Held while a provider is called; None while one utterance is made at a time."""
        self.request_id = os.urandom(16).hex()
        """Ours, for the logs on both sides."""
        self.lane = self.request_id if in_turn else None
        self.succession = Succession(self.lane) if self.lane is not None else None
        """The order of its utterances; None where it is no stream."""
        self.deadline: float | None = None
        """When all must be done, on the event loop's clock; known once the request runs."""
        self.started: float | None = None
        self.reference: Reference | None = None
        """Whom to speak like; known once ``read_reference`` has been called."""
        self._references = references
        self._reading: anyio.Lock | None = None
        self._deadline_s = deadline_s
        self.tell = tell

    def share_line(self, calls: int) -> None:
        """Several utterances are made at a time from here on, by so many calls of providers."""
        self.line = anyio.Semaphore(calls, fast_acquire=True)

    async def read_reference(self) -> None:
        """Have the request's sample of a voice checked, once; there may be none.

        Raises:
            InvalidVoiceReferenceError: It cannot be used.
            UnsafePathError: It may not be read from there.
        """
        source = self.options.reference
        if source is None:
            return
        self._reading = self._reading or anyio.Lock()  # few requests bring a sample
        async with self._reading:
            if self.reference is None:
                self.reference = await self._references.read(source)

    def start(self) -> float:
        """Start the request's clock, unless it runs; return when it was started."""
        if self.started is None:
            self.started = now()
            if self._deadline_s is not None:
                self.deadline = self.started + self._deadline_s
        return self.started
