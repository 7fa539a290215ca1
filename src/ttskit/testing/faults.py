"""What goes wrong with the mock adapter: a script, or a draw from a seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

from typing_extensions import override

from ttskit.errors import (
    AuthenticationError,
    ContentRejectedError,
    InvalidParameterError,
    NetworkError,
    ProviderUnavailableError,
    RateLimitedError,
    TTSError,
)

ErrorFactory: TypeAlias = Callable[[str], TTSError]
"""An error class, or a function that takes the message and returns the error."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one call goes; places are parts of the utterance's audio, from 0 to 1."""

    refusal: TTSError | None = None
    """Raised in place of any audio."""
    first_s: float = 0.0
    """Seconds before the first chunk, and"""
    per_chunk_s: float = 0.0
    """before each chunk, beyond what the adapter's options say."""
    stops_at: float = 1.0
    """Where the audio ends;"""
    failure: TTSError | None = None
    """with this error, or"""
    hangs: bool = False
    """never, while nothing more comes."""
    silent: bool = False
    html: bool = False
    """A web page comes in place of audio."""
    declared_rate: int | None = None
    """Hz that the source claims to have."""


@dataclass(slots=True)
class _Fault:
    behaviour: Callable[[], Behaviour]
    left: int | None = None
    """Calls that it still concerns; None: all."""


class Faults:
    """A script of faults. Each method adds one and returns the script, for chained calls.

    ``times`` says how many calls a fault concerns, from the next one on; None means every call
    until ``heal``. Faults that concern a call at the same time are taken in the order in which
    they were scripted, one for each call; ``slow`` goes with any other.
    """

    def __init__(self) -> None:
        self.seed: int | None = None
        """What random faults were drawn from."""
        self._script: list[_Fault] = []
        self._slowness = Behaviour()
        self._rejected: re.Pattern[str] | None = None
        self._key_is_good = True
        self._outage: ErrorFactory | None = None
        self._random: Callable[[], Behaviour] | None = None
        self._limit: _RateLimit | None = None

    @override
    def __repr__(self) -> str:
        drawn = "" if self.seed is None else f", seed={self.seed}"
        return f"<Faults: {len(self._script)} scripted{drawn}>"

    def fail_first(self, n: int, error: ErrorFactory = ProviderUnavailableError) -> Self:
        """Refuse the next ``n`` calls with ``error``."""
        return self._add(lambda: Behaviour(refusal=error("refused as the test asked")), n)

    def rate_limit(self, *, after: int, retry_after: float) -> Self:
        """Let ``after`` calls pass, refuse the others for ``retry_after`` seconds, and so on."""
        self._limit = _RateLimit(after, retry_after)
        return self

    def die_mid_stream(
        self, *, at: float = 0.5, error: ErrorFactory = NetworkError, times: int | None = None
    ) -> Self:
        """Raise ``error`` when the part ``at`` of the audio (0 to 1) has been sent."""
        _check_part(at)
        return self._add(
            lambda: Behaviour(stops_at=at, failure=error("broke off as the test asked")), times
        )

    def hang(self, *, at: float = 0.0, times: int | None = None) -> Self:
        """Send nothing more, without an end, once the part ``at`` of the audio was sent."""
        _check_part(at)
        return self._add(lambda: Behaviour(stops_at=at, hangs=True), times)

    def truncate(self, *, at: float = 0.5, times: int | None = None) -> Self:
        """End after the part ``at`` of the audio as if that were all."""
        _check_part(at)
        return self._add(lambda: Behaviour(stops_at=at), times)

    def empty(self, *, times: int | None = None) -> Self:
        """Succeed without any audio."""
        return self.truncate(at=0.0, times=times)

    def silence(self, *, times: int | None = None) -> Self:
        """Send silence as long as the speech would be."""
        return self._add(lambda: Behaviour(silent=True), times)

    def html(self, *, times: int | None = None) -> Self:
        """Send a web page in place of audio."""
        return self._add(lambda: Behaviour(html=True), times)

    def wrong_rate(self, declared: int = 8_000, *, times: int | None = None) -> Self:
        """Declare ``declared`` Hz, while the audio stays at the voice's sample rate."""
        return self._add(lambda: Behaviour(declared_rate=declared), times)

    def slow(self, *, first: float = 0.0, per_chunk: float = 0.0) -> Self:
        """Wait ``first`` seconds before the audio and ``per_chunk`` before each chunk of it."""
        self._slowness = Behaviour(first_s=first, per_chunk_s=per_chunk)
        return self

    def revoke_key(self) -> Self:
        """Refuse every call and check, as a provider does whose key is no longer good."""
        self._key_is_good = False
        return self

    def outage(self, error: ErrorFactory = ProviderUnavailableError) -> Self:
        """Refuse every call and check with ``error``, until ``heal``."""
        self._outage = error
        return self

    def reject_content(self, *, matching: str) -> Self:
        """Refuse texts in which the regular expression ``matching`` is found."""
        self._rejected = re.compile(matching)
        return self

    def random_faults(self, seed: int, *, rate: float = 0.2) -> Self:
        """Let the part ``rate`` of the calls go wrong, each in a way drawn from ``seed``.

        Some are refused, some break off, some are truncated, silent or empty; none hangs.
        """
        _check_part(rate)
        self.seed = seed
        draw = random.Random(seed)  # noqa: S311 - a test wants the same numbers again
        self._random = lambda: _drawn(draw) if draw.random() < rate else Behaviour()
        return self

    def heal(self) -> Self:
        """Forget the whole script; all is well again."""
        self.__init__()  # type: ignore[misc] # the state of a new script is the state of no script
        return self

    def behaviour(self, text: str, now: float) -> Behaviour:
        """Return how the next call goes. This is the adapter's question; tests need not ask it.

        Args:
            text: What the call is to say.
            now: Seconds on the event loop's clock.
        """
        refusal = self.refusal() or self._refused_content(text) or self._over_limit(now)
        if refusal is not None:
            return Behaviour(refusal=refusal)
        slow = self._slowness
        return replace(self._next(), first_s=slow.first_s, per_chunk_s=slow.per_chunk_s)

    def refusal(self) -> TTSError | None:
        """Return why even a check of the provider fails; None where it does not."""
        if self._outage is not None:
            return self._outage("down as the test asked")
        return None if self._key_is_good else AuthenticationError("the key was revoked")

    def _refused_content(self, text: str) -> TTSError | None:
        if self._rejected is not None and self._rejected.search(text):
            return ContentRejectedError("the text is against the mock's policy")
        return None

    def _over_limit(self, now: float) -> TTSError | None:
        return None if self._limit is None else self._limit.refusal(now)

    def _next(self) -> Behaviour:
        for fault in self._script:
            if fault.left is None:
                return fault.behaviour()
            if fault.left > 0:
                fault.left -= 1
                return fault.behaviour()
        return Behaviour() if self._random is None else self._random()

    def _add(self, behaviour: Callable[[], Behaviour], times: int | None) -> Self:
        self._script.append(_Fault(behaviour, times))
        return self


@dataclass(slots=True)
class _RateLimit:
    after: int
    retry_after: float
    passed: int = 0
    closed_until: float | None = None

    def refusal(self, now: float) -> TTSError | None:
        if self.closed_until is not None and now >= self.closed_until:
            self.closed_until, self.passed = None, 0
        if self.passed < self.after:
            self.passed += 1
            return None
        if self.closed_until is None:
            self.closed_until = now + self.retry_after
        return RateLimitedError("too many calls", retry_after=self.closed_until - now)


def _drawn(draw: random.Random) -> Behaviour:
    place = draw.random()
    return draw.choice(
        [
            Behaviour(refusal=ProviderUnavailableError("refused by chance")),
            Behaviour(stops_at=place, failure=NetworkError("broke off by chance")),
            Behaviour(stops_at=place),
            Behaviour(stops_at=0.0),
            Behaviour(silent=True),
        ]
    )


def _check_part(value: float) -> None:
    if not 0 <= value <= 1:
        raise InvalidParameterError("a part lies between 0 and 1")
