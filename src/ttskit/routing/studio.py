"""The live side of a service: its providers, and the performances under way."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from weakref import WeakSet

import anyio
from anyio import to_thread

from ttskit.adapters.base import Runs
from ttskit.audio import Audio, AudioChunk, Provenance
from ttskit.errors import DeadlineExceededError, InvalidParameterError, ServiceClosedError, TTSError
from ttskit.request import AudioFormat, Delivery, SpeechOptions, SpeechRequest
from ttskit.resilience.alarm import Alarm, Scope
from ttskit.resilience.breaker import BreakerState
from ttskit.resilience.now import now
from ttskit.resources.host import Resources
from ttskit.routing.booth import Booth, Policy
from ttskit.routing.conversion import Converting
from ttskit.routing.honour import dialogue_characters
from ttskit.routing.order import candidates, check_own_options, converters, speakers
from ttskit.routing.performance import Pace, Performance
from ttskit.routing.provider import Provider
from ttskit.routing.script import (
    Cue,
    Layout,
    Recital,
    Script,
    Text,
    arriving,
    is_quick,
    pieces_of,
    recite_later,
    whole,
)
from ttskit.routing.speaker import Speaker
from ttskit.routing.stage import Stage, check_rate
from ttskit.routing.strategy import Chooser
from ttskit.routing.take import Take
from ttskit.routing.voicing import Casts
from ttskit.telemetry.desk import Tell
from ttskit.telemetry.events import StreamEvent
from ttskit.telemetry.health import StreamFacts
from ttskit.text.limits import check_text
from ttskit.voices import Aliases, Voice

CONVERSATION_TAG = "conversation"
"""The tag of a request by which the strategy ``sticky`` knows a conversation."""
CLOSE_TIMEOUT_S = 4.0
"""All providers together; the promise to the caller is 5 s."""
CONVERSION_S = 120.0
"""Beyond what a text may take: a recording may last as long, and models on a CPU just keep up."""
CLOUD_IN_FLIGHT = 4
"""Utterances of one request at a time: a cloud's latency is hidden, its limits left to others."""
SOON_ENCODED = frozenset(
    {None, AudioFormat.WAV, AudioFormat.PCM, AudioFormat.MULAW, AudioFormat.ALAW}
)
SOON_ENCODED_FRAMES = 200_000
Deliver = Callable[[AudioChunk], Awaitable[None]]
CORES = os.cpu_count() or 1
STREAM_AHEAD = 3
"""Utterances made ahead of a listener: enough to bridge a slow one, little to throw away."""


class Production(NamedTuple):
    """A performance, the stage it plays on, and the booth it comes from."""

    performance: Performance
    stage: Stage
    booth: Booth
    chooser: Chooser

    async def run(self, deliver: Deliver | None = None) -> None:
        """Hand over every chunk, the last one marked; tell when it began and how it ended.

        Args:
            deliver: Takes the chunks; None: nobody listens, and the stage keeps the audio.

        Raises:
            Exception: As ``Performance.run``.
        """
        self.booth.start()
        self._tell("opened")
        outcome, origin = "cancelled", self.stage.origin

        async def play(cue: Cue, take: Take) -> None:
            if deliver is None:
                self.stage.keep(cue, take)
                self._note_first_audio()
                return
            for chunk in self.stage.play(cue, take):
                await deliver(chunk)
                self._note_first_audio()

        try:
            await self.performance.run(play)
            if deliver and not self.stage.is_finished and (last := self.stage.finish()):
                await deliver(last)
            outcome = origin.outcome.value
            self._remember_speaker()
        except TTSError as error:
            outcome = error.code
            raise
        except Exception:
            outcome = "text_failed"
            raise
        finally:
            if self.booth.succession is not None:
                self.booth.succession.close()
            self._tell(outcome)

    def _note_first_audio(self) -> None:
        origin = self.stage.origin
        if origin.time_to_first_audio is None:
            origin.time_to_first_audio = now() - self.booth.start()

    def _remember_speaker(self) -> None:
        talk = self.booth.options.tags.get(CONVERSATION_TAG)
        if self.stage.origin.provider is not None:
            self.chooser.note(talk, self.stage.origin.provider)

    def _tell(self, outcome: str) -> None:
        self.booth.tell(StreamFacts(outcome), lambda: self._event(outcome))

    def _event(self, outcome: str) -> StreamEvent:
        origin = self.stage.origin
        return StreamEvent(
            provider=origin.provider,
            model=origin.model,
            outcome=outcome,
            characters=self.stage.ledger.characters,
            frames=self.stage.ledger.frames,
            sample_rate=self.stage.sample_rate,
            duration=now() - self.booth.start(),
            time_to_first_audio=origin.time_to_first_audio,
            request_id=self.booth.request_id,
            tags=self.booth.options.tags,
        )


class Studio:
    """Serves the requests of one service.

    Args:
        providers: In routing order.
        aliases: From the settings.
        resources: Shared by the providers; closed with the studio.
        layout: How text is cut.
        within: The directory that output may be saved in; None: anywhere.
        tell: Hears what happens.
        chooser: Puts the able providers in order.
        policy: What of routing is the same for all requests.
    """

    def __init__(  # noqa: PLR0913 - what a service is made of
        self,
        providers: Sequence[Provider],
        aliases: Aliases,
        *,
        resources: Resources,
        layout: Layout,
        within: Path | None = None,
        tell: Tell,
        chooser: Chooser,
        policy: Policy | None = None,
    ) -> None:
        self._tell = tell
        self._policy = policy or Policy()
        self._chooser = chooser
        self._providers = list(providers)
        self._casts = Casts(self._providers, aliases)
        self._resources = resources
        self._layout = layout
        self._whole_layout = layout._replace(fast_start=False)
        self._within = within
        self._running: WeakSet[Performance] = WeakSet()
        self._conversions: set[Scope] = set()
        self._alarm = Alarm()
        self._is_closed = False

    async def synthesize(self, request: SpeechRequest) -> Audio:
        """Return the finished audio of a request.

        Raises:
            TTSError: The request is wrong, or nobody could speak it; nothing is half done.
        """
        asked = speakers(self._admit(request))
        layout = self._layout_for(request, asked[0], is_stream=False)
        if is_quick(request.source):
            passages = whole(request.text, request.ssml, layout)
        else:
            passages = await to_thread.run_sync(whole, request.text, request.ssml, layout)
        script = Recital(passages, request.text)
        made = self._produce(script, request, asked, source=request.source, is_stream=False)
        try:
            await made.run()
        finally:
            self.forget(made.performance)
        made.stage.origin.wall_time = now() - made.booth.start()
        if _is_soon_encoded(request.format, made.stage):
            return made.stage.audio()
        return await to_thread.run_sync(made.stage.audio)

    async def convert(self, recording: Path | bytes, options: SpeechOptions) -> Audio:
        """Return a recording in another voice.

        Raises:
            TTSError: The request is wrong, or nobody could do it; nothing is half done.
        """
        asked = converters(self._admit(options))
        deadline = options.deadline
        if deadline is None:
            deadline = asked[0].time_for(0) + CONVERSION_S
        booth = self._booth(options, deadline_s=deadline, is_stream=False)
        ends_at = booth.start() + deadline
        with self._alarm.scope(ends_at) as scope:
            self._conversions.add(scope)
            try:
                heard = await self._resources.references.read(recording, keeps_time=True)
                return await Converting(heard, asked, booth, within=self._within).run()
            finally:
                self._conversions.discard(scope)
        self._check_open()
        raise DeadlineExceededError(f"not done within {deadline:g} s")

    def produce(self, text: Text | None, ssml: str | None, options: SpeechOptions) -> Production:
        """Prepare a stream; nothing is spoken before its performance runs.

        Raises:
            ValidationError: The request, or a text that is all there, is wrong.
        """
        asked = speakers(self._admit(options))
        layout = self._layout_for(options, asked[0], is_stream=True)
        script = _script(text, ssml, layout)
        return self._produce(script, options, asked, source=ssml, is_stream=True)

    def forget(self, performance: Performance) -> None:
        """The performance is over."""
        self._running.discard(performance)

    async def voices(self, provider: str | None = None, *, refresh: bool = False) -> list[Voice]:
        """Return the voices of every provider that can tell, or of the one named.

        Args:
            provider: One only.
            refresh: Clouds are asked, however new their lists are.

        Raises:
            InvalidParameterError: No provider has this name.
            TTSError: The one named cannot tell.
        """
        self._check_open()
        if provider is not None:
            named = candidates(self._providers, SpeechOptions(provider=provider))
            return await named[0].voices(refresh=refresh)
        return await self._casts.all_voices(refresh=refresh)

    def reset(self, provider: str | None = None) -> None:
        """Forget every failure of one provider, or of all.

        Raises:
            InvalidParameterError: No provider has this name.
        """
        chosen = SpeechOptions(provider=provider)
        for one in candidates(self._providers, chosen) if provider else self._providers:
            one.guard.reset()

    def force(self, provider: str, state: str) -> None:
        """Keep the breaker of one provider open or closed until it is reset.

        Raises:
            InvalidParameterError: No provider has this name, or there is no such state.
        """
        forced = {"open": BreakerState.OPEN, "closed": BreakerState.CLOSED}.get(state)
        if forced is None:
            raise InvalidParameterError(f"a breaker is open or closed, not {state[:60]!r}")
        for one in candidates(self._providers, SpeechOptions(provider=provider)):
            one.guard.force(forced)

    async def close(self) -> None:
        """End every performance and give everything back, within 5 s."""
        self._is_closed = True
        for performance in tuple(self._running):
            performance.abort(ServiceClosedError("the service was shut down"))
        for scope in tuple(self._conversions):
            scope.cancel()
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_TIMEOUT_S):
            async with anyio.create_task_group() as tasks:
                for provider in self._providers:
                    tasks.start_soon(provider.close)
            await self._resources.aclose()
        self._alarm.close()

    def _produce(
        self,
        script: Script,
        options: SpeechOptions,
        asked: list[Provider],
        *,
        source: str | None,
        is_stream: bool,
    ) -> Production:
        pace = _pace(
            is_stream=is_stream,
            is_live=options.delivery is Delivery.LIVE,
            is_local=asked[0].capabilities.runs is Runs.LOCAL,
        )
        deadline = options.deadline
        if deadline is None and not is_stream:
            deadline = asked[0].time_for(len(source or ""))
        booth = self._booth(options, deadline_s=deadline, is_stream=is_stream)
        origin = Provenance(tags=dict(options.tags))
        stage = Stage(
            booth,
            origin=origin,
            chunk_format=(options.format or AudioFormat.PCM) if is_stream else None,
            source=source,
            within=self._within,
        )
        speaker = Speaker(asked, booth, origin=origin)
        performance = Performance(script, speaker, pace, alarm=self._alarm, deadline=deadline)
        self._running.add(performance)
        return Production(performance, stage, booth, self._chooser)

    def _booth(self, options: SpeechOptions, *, deadline_s: float | None, is_stream: bool) -> Booth:
        return Booth(
            options,
            self._casts,
            in_turn=is_stream,
            deadline_s=deadline_s,
            tell=self._tell,
            policy=self._policy,
            references=self._resources.references,
        )

    def _admit(self, options: SpeechOptions) -> list[Provider]:
        """Return whom to ask, in order; never empty.

        Raises:
            ValidationError: The options cannot be met.
            ServiceClosedError: Nobody is asked any more.
        """
        self._check_open()
        check_rate(options)
        check_own_options(self._providers, options)
        return self._asked(options)

    def _asked(self, options: SpeechOptions) -> list[Provider]:
        able = candidates(self._providers, options)
        if options.provider is not None or len(able) == 1:
            return able
        by_name = {provider.name: provider for provider in able}
        offers = [(one.name, one.price) for one in able]
        talk = options.tags.get(CONVERSATION_TAG)
        return [by_name[name] for name in self._chooser.order(offers, talk)]

    def _layout_for(self, options: SpeechOptions, first: Provider, *, is_stream: bool) -> Layout:
        layout = self._layout if is_stream else self._whole_layout
        if options.language is not None:
            layout = layout._replace(language=options.language)
        if is_stream and options.delivery is Delivery.EXACT:
            return layout  # a whole scene would be waited for
        scene = dialogue_characters(first.adapter.able(None, options.model), options)
        return layout._replace(scene_characters=scene) if scene else layout

    def _check_open(self) -> None:
        if self._is_closed:
            raise ServiceClosedError("the service was shut down")


def _is_soon_encoded(audio_format: AudioFormat | None, stage: Stage) -> bool:
    """Whether encoding takes less time than a trip into a thread, which costs some 0.2 ms."""
    return audio_format in SOON_ENCODED and stage.ledger.frames <= SOON_ENCODED_FRAMES


def _script(text: Text | None, ssml: str | None, layout: Layout) -> Script:
    if isinstance(text, str):
        check_text(text, max_characters=layout.max_characters)
        return arriving(pieces_of(text), layout, whole=text)
    if text is not None:
        return arriving(text, layout)
    if ssml is not None and not is_quick(ssml):
        return recite_later(ssml, layout)
    return Recital(whole(None, ssml, layout), None)


@lru_cache
def _pace(*, is_stream: bool, is_live: bool, is_local: bool) -> Pace:
    """A listener needs the next utterance in time and no more: cores are left to other streams."""
    if is_stream:
        # A local engine makes them in turn; the next one lies ready for it.
        calls = STREAM_AHEAD - 1
        return Pace(calls, calls, ahead=STREAM_AHEAD, first_alone=True, is_live=is_live)
    calls = CORES if is_local else CLOUD_IN_FLIGHT
    return Pace(calls, calls + 1, ahead=2 * calls, first_alone=False, is_live=is_live)
