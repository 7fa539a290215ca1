"""A recording said again in another voice, by the first provider that can."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from anyio import to_thread

from ttskit.adapters.base import AudioSource, Conversion
from ttskit.audio import Attempt, Audio, Notice, Provenance, Spoken
from ttskit.codecs.pcm import Samples, as_samples, concatenated
from ttskit.errors import AllProvidersFailedError, InvalidResponseError, TTSError
from ttskit.request import VoicePolicy
from ttskit.resilience.now import now
from ttskit.resources.reference_shelf import Reference
from ttskit.routing.booth import Booth
from ttskit.routing.guard import Ask
from ttskit.routing.provider import Provider
from ttskit.routing.recording import Decoding
from ttskit.routing.verdict import check_speech
from ttskit.routing.voicing import Casting, Wish
from ttskit.telemetry.events import FailoverEvent

SHORTEST, LONGEST = 0.5, 2.0
"""Of the recording's duration: what changes a voice keeps its time."""


class _Heard(NamedTuple):
    """The whole audio of one call, found to be the recording in another voice."""

    samples: Samples
    sample_rate: int
    source: AudioSource


class Converting:
    """One recording on its way through the providers.

    Args:
        recording: Checked and normalised.
        asked: Who can, in order; never empty.
        booth: Of the request.
        within: The directory that the result may be saved in; None: anywhere.
    """

    def __init__(
        self,
        recording: Reference,
        asked: Sequence[Provider],
        booth: Booth,
        *,
        within: Path | None = None,
    ) -> None:
        self._recording = recording
        self._asked = list(asked)
        self._booth = booth
        self._within = within
        self._options = booth.options
        self._origin = Provenance(tags=dict(booth.options.tags))
        self._errors: list[TTSError] = []
        self._warnings: list[Notice] = []

    async def run(self) -> Audio:
        """Return the recording in the other voice.

        Raises:
            VoiceNotFoundError: Nobody has the voice.
            InvalidVoiceReferenceError: The sample of the voice cannot be used.
            AllProvidersFailedError: Several were asked, and each failed.
            TTSError: The only one failed, or no other could do better.
        """
        await self._booth.read_reference()
        await self._settle_order()
        for place, provider in enumerate(self._asked):
            following = self._asked[place + 1 :]
            try:
                heard, voice = await self._turn(provider, has_alternative=bool(following))
            except TTSError as error:
                self._errors.append(error)
                if not error.failover:
                    raise
                if following:
                    self._tell_failover(provider, following[0], error)
            else:
                self._sign(provider, voice, heard)
                return await to_thread.run_sync(partial(self._audio, provider, voice, heard))
        raise self._failure()

    async def _settle_order(self) -> None:
        """Ask those first who have the voice themselves, unless the caller gave the order."""
        voice, casts = self._options.voice, self._booth.casts
        if voice is not None:
            await casts.require_known(voice)
            if self._options.provider is None:
                self._asked = await casts.owners_first(voice, self._asked)

    async def _turn(
        self, provider: Provider, *, has_alternative: bool
    ) -> tuple[_Heard, str | None]:
        """Have one provider do it, and enter that in the record."""
        began = now()
        try:
            await provider.open()
            casting = await self._cast(provider)
            own = self._options.provider_options
            conversion = Conversion(
                self._recording,
                voice=casting.voice,
                reference=casting.reference,
                options=own.get(provider.name) or own.get(provider.adapter.name) or {},
                request_id=self._booth.request_id,
            )
            ask = self._ask(casting, has_alternative=has_alternative)
            heard = await provider.convert(conversion, self._hear, ask)
        except TTSError as error:
            error.provider = error.provider or provider.name
            self._note(provider, None, began, outcome=error.code, message=error.message)
            raise
        voice = casting.label or await provider.default_id()
        self._note(provider, voice, began)
        return heard, voice

    async def _cast(self, provider: Provider) -> Casting:
        """Return the voice; nothing but an alias stands in for it: it is all that is wanted."""
        if self._booth.reference is not None:
            return Casting(None, reference=self._booth.reference)
        if self._options.voice is None:
            return Casting(provider.place.default_voice)
        wish = Wish(self._options.voice, None, VoicePolicy.ALIAS)
        casting = await self._booth.casts.cast(wish, provider)
        if casting.is_replacement:
            message = f"{casting.voice} speaks for the voice asked for"
            self._warnings.append(Notice("voice_replaced", "voice", message, provider.name))
        return casting

    async def _hear(self, source: AudioSource) -> _Heard:
        """Return all the audio of a call.

        Raises:
            InvalidResponseError: It cannot be the recording in another voice.
        """
        decoding = Decoding(source)
        parts = [decoding.decode(chunk) async for chunk in source.chunks]
        parts.append(decoding.finish())
        samples = as_samples(concatenated([part for part in parts if len(part)]))
        check_speech(samples, decoding.sample_rate, "")
        seconds, due = len(samples) / decoding.sample_rate, self._recording.seconds
        if not SHORTEST * due <= seconds <= LONGEST * due:
            raise InvalidResponseError(
                f"{seconds:.2f} s of audio came for a recording of {due:.2f} s"
            )
        return _Heard(samples, decoding.sample_rate, source)

    def _sign(self, provider: Provider, voice: str | None, heard: _Heard) -> None:
        origin = self._origin
        origin.provider, origin.voice = provider.name, voice
        origin.request_id, origin.cost = heard.source.request_id, heard.source.cost
        origin.wall_time = now() - self._booth.start()

    def _audio(self, provider: Provider, voice: str | None, heard: _Heard) -> Audio:
        spoken = Spoken(0, (0, 0), (0, len(heard.samples)), provider.name, voice)
        return Audio.from_samples(
            heard.samples,
            sample_rate=heard.sample_rate,
            origin=self._origin,
            ledger=[spoken],
            warnings=self._warnings,
            within=self._within,
        )

    def _ask(self, casting: Casting, *, has_alternative: bool) -> Ask:
        return Ask(
            characters=0,
            utterance=0,
            voice=casting.label,
            request_id=self._booth.request_id,
            tags=self._options.tags,
            deadline=self._booth.deadline,
            has_alternative=has_alternative,
        )

    def _note(
        self,
        provider: Provider,
        voice: str | None,
        began: float,
        *,
        outcome: str = "ok",
        message: str | None = None,
    ) -> None:
        attempt = Attempt(
            provider=provider.name,
            voice=voice,
            utterance=0,
            outcome=outcome,
            characters=0,
            started=began - self._booth.start(),
            duration=now() - began,
            message=message,
        )
        self._origin.attempts.append(attempt)

    def _tell_failover(self, provider: Provider, following: Provider, error: TTSError) -> None:
        self._booth.tell(
            FailoverEvent(
                provider=provider.name,
                to=following.name,
                utterance=0,
                outcome=error.code,
                request_id=self._booth.request_id,
                tags=self._options.tags,
            )
        )

    def _failure(self) -> TTSError:
        if len(self._errors) == 1:
            return self._errors[0]
        tried = "; ".join(str(error) for error in self._errors)
        return AllProvidersFailedError(
            f"all {len(self._errors)} providers failed: {tried}",
            self._errors,
            attempts=self._origin.attempts,
        )
