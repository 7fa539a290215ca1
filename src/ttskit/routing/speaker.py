"""Speaks passages of one request: each by the first provider in order that says it whole."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from ttskit.audio import Attempt as AttemptRecord
from ttskit.audio import Provenance
from ttskit.errors import AllProvidersFailedError, TTSError
from ttskit.routing.attempt import Attempt, Booth, Take
from ttskit.routing.provider import Provider
from ttskit.telemetry.events import FailoverEvent
from ttskit.text.plan import Passage


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
        self._attempts = {one.name: Attempt(one, booth) for one in candidates}
        self._failed_at: dict[str, int] = {}
        self._options = booth.options
        self._casts = booth.casts
        self._is_settled = False
        self._origin = origin
        self._booth = booth

    async def speak(self, passage: Passage) -> Take:
        """Return the passage as the first able provider speaks it.

        Raises:
            AllProvidersFailedError: Several providers were asked, and each failed.
            TTSError: The only provider failed, or no other could do better.
        """
        self._booth.start()
        await self._settle_order()
        errors: list[TTSError] = []
        order = tuple(self._order)
        for provider, following in zip(order, (*order[1:], None), strict=True):
            try:
                return await self._recorded(
                    provider, passage, has_alternative=following is not None
                )
            except TTSError as error:
                errors.append(error)
                if not error.failover:
                    raise
                self._demote(provider, passage)
                if following is not None:
                    self._tell_failover(provider, following, passage, error)
        raise self._all_failed(errors)

    def is_stale(self, passage: Passage, take: Take) -> bool:
        """Whether its provider failed with an earlier passage since.

        Then it is better said anew by the one who took over: the voice would alternate.
        """
        return self._failed_at.get(take.provider, passage.index) < passage.index

    async def _settle_order(self) -> None:
        """Ask those first who have the voice themselves, unless the caller gave the order.

        Raises:
            VoiceNotFoundError: Nobody has it.
        """
        voice = self._options.voice
        if voice is None or self._is_settled:
            return
        await self._casts.require_known(voice)
        if self._options.provider is None and not self._is_settled:
            self._order = await self._casts.owners_first(voice, self._order)
        self._is_settled = True

    async def _recorded(
        self, provider: Provider, passage: Passage, *, has_alternative: bool
    ) -> Take:
        began = anyio.current_time()
        try:
            take = await self._attempts[provider.name].speak(
                passage, has_alternative=has_alternative
            )
        except TTSError as error:
            self._record(provider, passage, began, outcome=error.code, message=error.message)
            raise
        self._record(provider, passage, began, voice=take.voice)
        return take

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
                duration=anyio.current_time() - began,
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

    def _demote(self, provider: Provider, passage: Passage) -> None:
        earliest = self._failed_at.get(provider.name, passage.index)
        self._failed_at[provider.name] = min(earliest, passage.index)
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
