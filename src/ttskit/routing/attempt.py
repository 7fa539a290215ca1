"""One provider's turn at one passage: markup lowered, calls made, audio handed to a recorder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from ttskit.adapters.base import AudioSource, Support, Utterance
from ttskit.audio import Notice
from ttskit.errors import TTSError, UnsupportedFeatureError
from ttskit.request import Timestamps
from ttskit.routing.booth import Booth
from ttskit.routing.dialogue import Room, conversations
from ttskit.routing.guard import Ask
from ttskit.routing.honour import Prosody, dialogue_characters, narrowest, prosody, unmet
from ttskit.routing.live import Broadcast
from ttskit.routing.part import Part, Role
from ttskit.routing.provider import Provider
from ttskit.routing.readings import Reading
from ttskit.routing.recording import Recorder, Recording
from ttskit.routing.script import ALONE, Around, context_after, context_before
from ttskit.routing.take import Emit
from ttskit.routing.voicing import Casting, Wish
from ttskit.text.lower import Lowered, Piece, Silence, Speech, lower
from ttskit.text.plan import Passage
from ttskit.text.sanitise import is_speakable
from ttskit.text.segment import cut
from ttskit.text.style import PLAIN, VoiceChoice

Hear = Callable[[AudioSource], Awaitable[None]]


class Attempt:
    """Has one provider speak one passage.

    Args:
        provider: Who is asked.
        booth: Of the request.
        passage: What to say.
        emit: Gets what may be delivered.
        around: What is spoken before and after it.
        has_alternative: Another provider could say it instead.
        on_audio: Called when audio comes.
        max_characters: The most that is sent in one call, where that is less than the provider's
            own limit.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, and all of them differ from turn to turn
        self,
        provider: Provider,
        booth: Booth,
        passage: Passage,
        *,
        emit: Emit,
        around: Around = ALONE,
        has_alternative: bool = False,
        on_audio: Callable[[], None] | None = None,
        max_characters: int | None = None,
    ) -> None:
        self._provider = provider
        self._able = provider.capabilities
        self._booth = booth
        self._options = booth.options
        self._passage = passage
        self._emit = emit
        self._around = around
        self._has_alternative = has_alternative
        self._on_audio = on_audio
        self._cut_at = max_characters
        self._recorder = self._made_recorder()
        self.voice: str | None = None
        """Who speaks, once that is known."""
        self._read = 0
        """Characters of the passage that were sent."""
        self._said: list[Reading] = []

    async def speak(self) -> None:
        """Emit the passage as this provider speaks it.

        Raises:
            TTSError: Of whatever kind. In live delivery a part may have been emitted, up to a place
                that its last take tells.
        """
        if not self._provider.is_open:
            await self._provider.open()
        await self._look_at_voices()
        lowered = self._lower()
        if notices := self._notices(lowered):
            self._recorder.note(notices)
        try:
            for piece in self._pieces(lowered):
                if isinstance(piece, Silence):
                    self._recorder.rest(piece.seconds)
                elif isinstance(piece, Speech):
                    await self._say(piece)
                else:
                    await self._say_together(piece)
            self._recorder.finish()
        except TTSError:
            self._break_off()
            raise
        self._booth.readings.note(self._passage.index, self._said, goes_on=self._booth.is_live)

    async def _look_at_voices(self) -> None:
        """Find out what the provider can do with the voices that are not the configured one."""
        own, model = self._provider.place.default_voice, self._options.model
        if self._is_usual:
            if own is not None and self._booth.reference is None:
                self._able = self._provider.adapter.able(own, None)
            return
        styles = [run.style for run in self._passage.runs if is_speakable(run.text)]
        wishes = dict.fromkeys((style.voice, style.language) for style in styles)
        voices = dict.fromkeys([(await self._cast(*wish)).voice for wish in wishes])
        if model is not None or any(voices):
            able = self._provider.adapter.able
            self._able = narrowest([able(voice, model) for voice in voices])

    @property
    def _is_usual(self) -> bool:
        """Whether nobody asks for a voice, a language or a model, as in most requests."""
        options = self._options
        is_asked = options.voice or options.language or options.model
        return not is_asked and all(run.style is PLAIN for run in self._passage.runs)

    @property
    def _max_characters(self) -> int | None:
        own = self._able.max_characters
        return min(self._cut_at, own) if self._cut_at and own else self._cut_at or own

    def _break_off(self) -> None:
        """End the turn; what of it was heard stays in the listener's ear."""
        if self._recorder.is_committed:
            self._said.append(Reading(self._provider.name, None, None))
        if self._booth.is_live:
            self._booth.readings.note(self._passage.index, self._said, goes_on=True)
        self._recorder.break_off()

    def _made_recorder(self) -> Recorder:
        if self._booth.is_live:
            return Broadcast(
                self._provider,
                self._options,
                self._passage,
                emit=self._emit,
                paces=self._booth.paces,
            )
        return Recording(self._provider, self._options, self._passage, self._emit)

    def _lower(self) -> Lowered:
        lowered = self._lowered_to(self._able.ssml)
        if self._able.ssml and any(
            isinstance(p, Speech) and p.is_ssml and self._is_too_long(p.text)
            for p in lowered.pieces
        ):
            # Markup cannot be cut; without it the text can.
            return self._lowered_to(frozenset())
        return lowered

    def _lowered_to(self, elements: frozenset[str]) -> Lowered:
        if dialogue_characters(self._able, self._options):
            elements |= {"voice"}
        return lower(
            self._passage,
            elements=elements,
            speed=self._able.speed is not Support.UNSUPPORTED,
            pitch=self._able.pitch is not Support.UNSUPPORTED,
            volume=True,
            language=self._options.language,
        )

    def _is_too_long(self, text: str) -> bool:
        return len(text) > (self._max_characters or len(text)) or (
            self._able.max_bytes is not None and len(text.encode()) > self._able.max_bytes
        )

    def _notices(self, lowered: Lowered) -> list[Notice]:
        name = self._provider.name
        notices = unmet(name, self._able, self._options)
        if not notices and not lowered.losses:
            return notices
        notices += [
            Notice(loss.code, loss.element, loss.message, name, loss.span)
            for loss in lowered.losses
        ]
        refused = [notice for notice in notices if notice.code != "emulated"]
        if self._options.strict and refused:
            reason = refused[0].message.removeprefix(f"{name} ")
            raise UnsupportedFeatureError(f"{reason} (strict)", provider=name)
        return notices

    def _pieces(self, lowered: Lowered) -> Iterable[list[Speech] | Piece]:
        """Return what is said in one go, in order: several voices where the provider has that."""
        most = dialogue_characters(self._able, self._options)
        if not most or self._able.max_voices is None:
            return lowered.pieces
        room = Room(self._able.max_voices, min(most, self._max_characters or most))
        return conversations(lowered.pieces, room)

    async def _say_together(self, speeches: Sequence[Speech]) -> None:
        """Have several voices say a piece each, in one call."""
        roles = [await self._role(speech) for speech in speeches]
        await self._call(Part.together(speeches, roles))

    async def _say(self, speech: Speech) -> None:
        role = await self._role(speech)
        for start, end in self._cut(speech):
            part = Part.of(speech, start, end, role)
            if part.text:
                await self._call(part)

    async def _role(self, speech: Speech) -> Role:
        casting = await self._cast(speech.voice, speech.language)
        if casting.is_replacement:
            message = f"{casting.voice or 'the default voice'} speaks for the voice asked for"
            self._recorder.note([Notice("voice_replaced", "voice", message, self._provider.name)])
        is_timed = self._able.word_timestamps is Support.NATIVE
        return Role(casting, self._prosody(speech), is_timed)

    async def _cast(self, choice: VoiceChoice | None, language: str | None) -> Casting:
        if self._booth.reference is not None and not (choice and choice.name):
            return Casting(None, reference=self._booth.reference)
        voice = choice.name if choice and choice.name else self._options.voice
        language = language or self._options.language
        if voice is None and language is None:  # most requests: there is nothing to look up
            return Casting(self._provider.place.default_voice)
        wish = Wish(voice, language, self._options.voice_policy)
        return await self._booth.casts.cast(wish, self._provider)

    def _prosody(self, speech: Speech) -> Prosody:
        return prosody(
            self._able,
            speed=self._options.speed * speech.speed,
            pitch=self._options.pitch + speech.pitch,
            volume=self._options.volume + speech.volume,
        )

    def _cut(self, speech: Speech) -> list[tuple[int, int]]:
        """Cut the text to the provider's limit; markup is never cut."""
        if speech.is_ssml:
            return [(0, len(speech.text))]
        if self._able.max_bytes is not None:
            most = min(self._able.max_bytes, self._max_characters or self._able.max_bytes)
            return cut(speech.text, most, measure=lambda text: len(text.encode()))
        if self._max_characters is not None:
            return cut(speech.text, self._max_characters)
        return [(0, len(speech.text))]

    async def _call(self, part: Part) -> None:
        reading = self._who(part)

        async def hear(source: AudioSource) -> None:
            nonlocal reading
            try:
                # Not sooner: who is down tells no voices, and its breaker must hear of that.
                self.voice = await self._heard_in(part)
                self._recorder.speak_as(self.voice)
                await self._recorder.hear(source, part)
                reading = reading._replace(continuation=source.continuation)
            except TTSError as error:
                error.provider = error.provider or self._provider.name
                raise

        succession = self._booth.succession
        if succession is None:
            await self._ask_in_line(part, hear)
        else:
            async with succession.turn(self._provider):
                await self._ask_in_line(part, hear)
        self._recorder.keep(part)
        self._said.append(reading)

    async def _ask_in_line(self, part: Part, hear: Hear) -> None:
        # What a listener waits for, so that two are asked, waits for no other utterance.
        if self._booth.line is None or self._on_audio is not None:
            await self._ask_for(part, hear)
        else:
            async with self._booth.line:
                await self._ask_for(part, hear)

    async def _heard_in(self, part: Part) -> str | None:
        """Return the voice of a part; of a dialogue all of them, with commas."""
        if not part.turns:
            return part.role.casting.label or await self._provider.default_id()
        asked = dict.fromkeys(turn.voice for turn in part.turns)
        voices = [voice or await self._provider.default_id() for voice in asked]
        return ", ".join(voice for voice in voices if voice) or None

    async def _ask_for(self, part: Part, hear: Hear) -> None:
        utterance = self._utterance(part)  # only now is known what was said before it
        await self._provider.call(utterance, hear, self._ask(utterance))

    def _utterance(self, part: Part) -> Utterance:
        options, settings = self._options, part.role.settings
        before, after = self._neighbours(part)
        return Utterance(
            text=part.text,
            index=self._passage.index,
            is_ssml=part.speech.is_ssml,
            voice=part.role.casting.voice,
            turns=part.turns,
            language=part.speech.language or options.language,
            model=options.model,
            speed=settings.speed,
            pitch=settings.pitch,
            volume=settings.volume,
            timestamps=self._timestamps(),
            seed=options.seed,
            previous_text=before,
            next_text=after,
            previous_ids=self._before(part),
            options=_own(options.provider_options, self._provider),
            reference=part.role.casting.reference,
            request_id=self._booth.request_id,
            lane=self._booth.lane,
            is_live=self._booth.is_live,
        )

    def _neighbours(self, part: Part) -> tuple[str | None, str | None]:
        """Return what is spoken before and after a part, for a provider that reads that."""
        if self._able.context is Support.UNSUPPORTED:
            return None, None
        text, around = self._passage.text, self._around
        start = text.find(part.text, self._read)
        if start >= 0:
            self._read = start + len(part.text)
            around = Around(
                f"{around.before} {text[:start]}", f"{text[self._read :]} {around.after}"
            )
        return context_before(around.before), context_after(around.after)

    def _before(self, part: Part) -> tuple[str, ...]:
        """Return what a provider that reads context may go on from."""
        if self._able.context is Support.UNSUPPORTED:
            return ()
        return self._booth.readings.before(self._passage.index, self._said, self._who(part))

    def _who(self, part: Part) -> Reading:
        # To a provider a dialogue goes on from dialogues only, whoever spoke in them.
        voice = "" if part.turns else part.role.casting.label
        return Reading(self._provider.name, voice, None)

    def _timestamps(self) -> Timestamps:
        """Return what to ask for: live speech goes on at a word, where the provider can tell."""
        wanted = self._options.timestamps
        is_timed = self._able.word_timestamps is Support.NATIVE
        if self._booth.is_live and is_timed and wanted is Timestamps.NONE:
            return Timestamps.WORD
        return wanted

    def _ask(self, utterance: Utterance) -> Ask:
        return Ask(
            characters=len(utterance.text),
            utterance=utterance.index,
            model=utterance.model,
            voice=utterance.voice,
            request_id=utterance.request_id,
            tags=self._options.tags,
            deadline=self._booth.deadline,
            has_alternative=self._has_alternative,
            is_committed=lambda: self._recorder.is_committed,
            on_audio=self._on_audio,
        )


def _own(options: Mapping[str, Mapping[str, object]], provider: Provider) -> Mapping[str, object]:
    """Return the caller's options for this provider, by its name or else by its adapter's."""
    return options.get(provider.name) or options.get(provider.adapter.name) or {}
