"""Speaks passages of one request: each by the first provider in order that says it whole."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ttskit.audio import Attempt as AttemptRecord
from ttskit.audio import Provenance
from ttskit.errors import (
    AllProvidersFailedError,
    ContentRejectedError,
    TextTooLongError,
    TTSError,
)
from ttskit.resilience.hedge import Hedging
from ttskit.resilience.now import now
from ttskit.routing.attempt import Attempt
from ttskit.routing.booth import Booth
from ttskit.routing.hedge import Contest
from ttskit.routing.provider import Provider
from ttskit.routing.script import ALONE, Around
from ttskit.routing.take import Emit, Take
from ttskit.telemetry.events import FailoverEvent, HedgeEvent
from ttskit.text.plan import Passage

SHORTEST_CUT = 40
"""Characters below which no text is cut because a provider finds it too long."""


@dataclass(slots=True)
class _Telling:
    """One passage on its way to the listener, by one provider after another."""

    passage: Passage | None
    """What is left to be said."""
    emit: Emit
    waiting: deque[Provider]
    """Whom to ask, in order."""
    around: Around = ALONE
    last: Take | None = None
    """Of the present turn."""
    errors: list[TTSError] = field(default_factory=list)
    too_long_for: list[Provider] = field(default_factory=list)
    asked_again: set[str] = field(default_factory=set)

    def put(self, take: Take) -> None:
        """Deliver the take."""
        self.last = take
        self.emit(take)

    def may_ask_again(self, provider: Provider) -> bool:
        """Whether who failed may say the rest: once, as an extra call of its budget."""
        if provider.name in self.asked_again or not provider.guard.budget.withdraw():
            return False
        self.asked_again.add(provider.name)
        return True

    def go_on(self) -> bool:
        """Leave out what was delivered in the turn that failed; return whether anything was."""
        last, self.last = self.last, None
        if last is None or last.span is None or self.passage is None:
            return False
        end, text = self.passage.span[1], self.passage.text
        self.passage = self.passage.after(last.span[1])
        if self.passage is None:  # it failed in the silence after the last word
            self.emit(_closing(last, end))
        else:
            heard = text.removesuffix(self.passage.text)
            self.around = Around(f"{self.around.before} {heard}", self.around.after)
        return True


_Failed = tuple[Provider, TTSError]


@dataclass(frozen=True, slots=True)
class _Hedge:
    """Who may be asked besides, and when."""

    hedging: Hedging
    passage: Passage
    provider: Provider
    rival: Provider
    wait_s: float


class Speaker:
    """Plain failover, for one request.

    A provider that failed goes to the end of the order for the rest of the request, so that the
    listener does not hear voices alternate.

    Args:
        candidates: Whom to ask, in order; never empty.
        booth: Of the request.
        origin: Where attempts are recorded.
    """

    def __init__(self, candidates: Sequence[Provider], booth: Booth, *, origin: Provenance) -> None:
        self._order = list(candidates)
        self._failed_with: defaultdict[str, list[int]] = defaultdict(list)
        """The passages that each provider failed with, in the order of its failures."""
        self._failures_before: dict[tuple[str, int], int] = {}
        """How often a provider had failed when it was asked for a passage, at its last turn."""
        self._options = booth.options
        self._is_settled = booth.options.voice is None and booth.options.reference is None
        self._origin = origin
        self._booth = booth

    def start(self) -> float:
        """Start the request's clock, unless it runs; return when it was started."""
        return self._booth.start()

    def share(self, calls: int) -> None:
        """Several passages are spoken at a time from here on, by so many calls of providers."""
        self._booth.share_line(calls)

    async def speak(self, passage: Passage, emit: Emit, around: Around = ALONE) -> None:
        """Emit the passage as the first able provider speaks it: one take, or several when live.

        Where a provider fails after a part was heard live, the next one says what is left. Those
        that read what is spoken around it are given that.

        Raises:
            AllProvidersFailedError: Several providers were asked, and each failed.
            TTSError: The only provider failed, or no other could do better.
        """
        succession = self._booth.succession
        if succession is None:
            await self._speak(passage, emit, around)
        else:
            with succession.passage(passage.index):
                await self._speak(passage, emit, around)

    async def _speak(self, passage: Passage, emit: Emit, around: Around) -> None:
        if not self._is_settled:
            await self._settle_order()
        telling = _Telling(passage, emit, deque(self._order), around)
        while telling.waiting and telling.passage is not None:
            provider = await self._next(telling, passage.index)
            hedge = self._hedge(provider, telling)
            if hedge is None:
                failures = await self._alone(provider, telling)
            else:
                failures = await self._contest(hedge, telling)
            if not failures:
                return
            for failed, error in failures:
                self._take_over(failed, error, telling)
        if telling.passage is not None and not await self._said_in_pieces(telling):
            raise self._all_failed(telling.errors)

    def is_stale(self, passage: Passage, take: Take) -> bool:
        """Whether its provider failed with an earlier passage since it was asked for this one.

        Then it is better said anew by the one who took over: the voice would alternate.
        """
        failed_with = self._failed_with.get(take.provider, ())
        since = self._failures_before.get((take.provider, passage.index), 0)
        return any(index < passage.index for index in failed_with[since:])

    async def _settle_order(self) -> None:
        """Ask those first who have the voice themselves, unless the caller gave the order.

        Raises:
            VoiceNotFoundError: Nobody has it.
            InvalidVoiceReferenceError: The sample to clone cannot be used.
            UnsafePathError: It may not be read from there.
        """
        await self._booth.read_reference()
        voice, casts = self._options.voice, self._booth.casts
        if voice is None:
            self._is_settled = True
            return
        await casts.require_known(voice)
        if self._options.provider is None and not self._is_settled:
            self._order = await casts.owners_first(voice, self._order)
        self._is_settled = True

    async def _alone(self, provider: Provider, telling: _Telling) -> list[_Failed]:
        """Have one provider say what is left; return its failure, if it failed."""
        if telling.passage is None:
            return []
        try:
            await self._turn(provider, telling.passage, telling)
        except TTSError as error:
            return [(provider, error)]
        return []

    async def _next(self, telling: _Telling, index: int) -> Provider:
        """Return whom to ask. Who reads a stream as one text is asked when all before was said."""
        succession = self._booth.succession
        if succession is not None and succession.reads_as_one(telling.waiting[0]):
            await succession.come_to(index)
            if not telling.errors:
                telling.waiting = deque(self._order)  # somebody may have failed meanwhile
        return telling.waiting.popleft()

    def _hedge(self, provider: Provider, telling: _Telling) -> _Hedge | None:
        """Return who may be asked besides and when, where somebody waits for audio.

        That is the case with the first utterance; the others are made ahead of the listener.
        """
        hedging, passage = self._booth.policy.hedging, telling.passage
        if hedging is None or passage is None or passage.index or telling.errors:
            return None
        model = self._options.model
        rival = next((one for one in telling.waiting if one.guard.is_open_for_calls(model)), None)
        hedging.deposit()
        wait_s = hedging.wait(provider.name)
        if rival is None or wait_s is None:
            return None
        return _Hedge(hedging, passage, provider, rival, wait_s)

    async def _contest(self, hedge: _Hedge, telling: _Telling) -> list[_Failed]:
        """Have the passage said by whoever of the two is heard first; return who failed."""
        turn = partial(self._turn, passage=hedge.passage, telling=telling)
        contest = Contest(turn, telling.put)
        result = await contest.run(
            hedge.provider,
            hedge.rival,
            wait_s=hedge.wait_s,
            may_ask=partial(self._may_ask, hedge),
        )
        for slow, after_s in result.slow:
            hedge.hedging.observe(slow.name, after_s)
        if not result.is_hedged:
            return result.failures
        is_won = result.heard is hedge.rival
        self._tell_hedge(hedge, "won" if is_won else "lost")
        if result.speaker is not None:
            # So that the voice stays.
            self._order.remove(result.speaker)
            self._order.insert(0, result.speaker)
            return []
        failed = {one.name for one, _ in result.failures}
        if hedge.rival.name in failed:
            telling.waiting.remove(hedge.rival)
        if hedge.provider.name not in failed:
            telling.waiting.append(hedge.provider)
        return result.failures

    def _may_ask(self, hedge: _Hedge) -> bool:
        is_allowed = hedge.hedging.allow(hedge.rival.guard.budget)
        if is_allowed:
            self._tell_hedge(hedge, "started")
        return is_allowed

    def _take_over(self, provider: Provider, error: TTSError, telling: _Telling) -> None:
        """Have the next provider go on where this one failed.

        Raises:
            TTSError: This error: no other provider could do better.
        """
        passage = telling.passage
        if passage is None:
            raise error
        telling.errors.append(error)
        was_heard = telling.go_on()
        self._demote(provider, passage)
        if telling.passage is None:
            return
        if not self._lets_others_try(error):
            raise error
        if isinstance(error, TextTooLongError):
            telling.too_long_for.append(provider)
        if was_heard and error.retryable and telling.may_ask_again(provider):
            telling.waiting.append(provider)
        following = next((one for one in telling.waiting if one is not provider), None)
        if following is not None:
            self._tell_failover(provider, following, passage, error)

    def _lets_others_try(self, error: TTSError) -> bool:
        is_rejected = isinstance(error, ContentRejectedError)
        return error.failover or (is_rejected and self._booth.policy.ask_others_when_rejected)

    async def _said_in_pieces(self, telling: _Telling) -> bool:
        """Return whether somebody who found the text too long said it in shorter pieces."""
        limit = 0 if telling.passage is None else len(telling.passage.text)
        while telling.too_long_for and limit > SHORTEST_CUT:
            limit = max(limit // 2, SHORTEST_CUT)
            for provider in tuple(telling.too_long_for):
                if telling.passage is None:
                    return True
                try:
                    await self._turn(provider, telling.passage, telling, max_characters=limit)
                except TTSError as error:
                    telling.go_on()
                    if not isinstance(error, TextTooLongError):
                        telling.errors.append(error)
                        telling.too_long_for.remove(provider)
                else:
                    return True
        return telling.passage is None

    async def _turn(
        self,
        provider: Provider,
        passage: Passage,
        telling: _Telling,
        *,
        emit: Emit | None = None,
        on_audio: Callable[[], None] | None = None,
        max_characters: int | None = None,
    ) -> None:
        """Have one provider say the passage, and enter it in the record."""
        began = now()
        failures = len(self._failed_with.get(provider.name, ()))
        self._failures_before[provider.name, passage.index] = failures
        attempt = Attempt(
            provider,
            self._booth,
            passage,
            emit=emit or telling.put,
            around=telling.around,
            has_alternative=bool(telling.waiting),
            on_audio=on_audio,
            max_characters=max_characters,
        )
        try:
            await attempt.speak()
        except TTSError as error:
            self._record(provider, passage, began, outcome=error.code, message=error.message)
            raise
        self._record(provider, passage, began, voice=attempt.voice)

    def _record(
        self,
        provider: Provider,
        passage: Passage,
        began: float,
        *,
        outcome: str = "ok",
        voice: str | None = None,
        message: str | None = None,
    ) -> None:
        self._origin.attempts.append(
            AttemptRecord(
                provider=provider.name,
                voice=voice,
                utterance=passage.index,
                outcome=outcome,
                characters=len(passage.text),
                started=began - self._booth.start(),
                duration=now() - began,
                message=message,
            )
        )

    def _tell_failover(
        self, provider: Provider, following: Provider, passage: Passage, error: TTSError
    ) -> None:
        self._booth.tell(
            FailoverEvent(
                provider=provider.name,
                model=self._options.model,
                to=following.name,
                utterance=passage.index,
                outcome=error.code,
                request_id=self._booth.request_id,
                tags=self._options.tags,
            )
        )

    def _tell_hedge(self, hedge: _Hedge, outcome: str) -> None:
        self._booth.tell(
            HedgeEvent(
                provider=hedge.provider.name,
                model=self._options.model,
                to=hedge.rival.name,
                utterance=hedge.passage.index,
                outcome=outcome,
                wait=hedge.wait_s,
                request_id=self._booth.request_id,
                tags=self._options.tags,
            )
        )

    def _demote(self, provider: Provider, passage: Passage) -> None:
        self._failed_with[provider.name].append(passage.index)
        self._order.remove(provider)
        self._order.append(provider)

    def _all_failed(self, errors: list[TTSError]) -> TTSError:
        kinds = {type(error) for error in errors}
        if len(errors) == 1 or (len(kinds) == 1 and errors[0].category == "validation"):
            return errors[0]
        tried = "; ".join(str(error) for error in errors)
        return AllProvidersFailedError(
            f"all {len(errors)} providers failed: {tried}", errors, attempts=self._origin.attempts
        )


def _closing(last: Take, end: int) -> Take:
    """Return the take that completes a passage of which all was said."""
    said = None if last.span is None else (last.span[0], end)
    return last._replace(
        samples=last.samples[:0],
        words=(),
        notices=(),
        cost=None,
        span=said,
        begins=False,
        ends=True,
        completes=True,
    )
