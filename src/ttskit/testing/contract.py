"""What every adapter must do, as a pytest class to subclass.

Give it a fixture ``adapter`` that returns a fresh adapter which has not been opened::

    class TestAcme(AdapterContract):
        @pytest.fixture
        @override
        def adapter(self) -> AcmeAdapter:
            return AcmeAdapter(AcmeOptions())
"""

# ruff: noqa: S101, PLR2004 - these are tests; the expected number belongs in the assertion
from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import ClassVar

import anyio
import numpy as np
import pytest

from ttskit.adapters.base import (
    NATIVE,
    Adapter,
    AdapterOptions,
    AudioSource,
    Capabilities,
    Support,
    TimedText,
    Turn,
    Utterance,
)
from ttskit.codecs.decode import open_decoder
from ttskit.codecs.pcm import Samples
from ttskit.errors import TTSError, VoiceNotFoundError
from ttskit.languages import is_related
from ttskit.request import Timestamps, check_language
from ttskit.resources.host import Resources
from ttskit.voices import Voice

AnyAdapter = Adapter[AdapterOptions]


@dataclass(frozen=True, slots=True)
class _Take:
    """One utterance as it was heard."""

    samples: Samples
    sample_rate: int
    words: list[TimedText]
    chunks: int

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def level(self) -> float:
        """Root mean square of the samples."""
        return float(np.sqrt(np.mean(np.square(self.samples, dtype=np.float64))))


class AdapterContract:
    """Tests that any adapter passes; subclass it and give it a fixture ``adapter``.

    Tests of what the adapter's capabilities do not declare are skipped. ``sentence``, ``paragraph``
    and ``patience_s`` may be overridden, for a provider that speaks another language, or slowly.
    """

    pytestmark: ClassVar[list[pytest.MarkDecorator]] = [pytest.mark.anyio]
    sentence: ClassVar[str] = "The quick brown fox jumps over the lazy dog."
    paragraph: ClassVar[str] = " ".join(
        ["It was a bright cold day, and the clocks struck one."] * 6
    )
    patience_s: ClassVar[float] = 60.0
    """Seconds in which any one utterance must be over."""

    @pytest.fixture(
        params=[
            "asyncio",
            pytest.param(
                "trio", marks=pytest.mark.skipif(find_spec("trio") is None, reason="needs trio")
            ),
        ]
    )
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """Both event loops."""
        return str(request.param)

    @pytest.fixture
    def adapter(self) -> AnyAdapter:
        """The adapter under test, not opened yet; a subclass gives it."""
        raise NotImplementedError("a subclass of AdapterContract needs a fixture `adapter`")

    @pytest.fixture
    async def opened(self, adapter: AnyAdapter, anyio_backend: str) -> AsyncIterator[AnyAdapter]:
        """The adapter, opened, and closed after the test."""
        del anyio_backend
        resources = Resources()
        await adapter.open(resources)
        yield adapter
        await adapter.close()
        await resources.aclose()

    def test_it_can_be_read_about_without_being_opened(self, adapter: AnyAdapter) -> None:
        """Name, options and capabilities belong to the class."""
        assert isinstance(type(adapter).capabilities, Capabilities)
        assert isinstance(adapter.options, type(adapter).options_model)
        assert adapter.name
        assert adapter.provider

    async def test_it_has_voices_of_its_own(self, opened: AnyAdapter) -> None:
        """At least one voice; ids differ; each says whose it is."""
        voices = await opened.voices()
        assert voices
        assert len({voice.id for voice in voices}) == len(voices)
        assert {voice.provider for voice in voices} == {opened.provider}

    async def test_its_voices_speak_declared_languages(self, opened: AnyAdapter) -> None:
        """Every tag is BCP 47 and, where languages are declared, one of them."""
        spoken = {check_language(tag) for voice in await opened.voices() for tag in voice.languages}
        assert all(is_related(tag, opened.capabilities.languages) for tag in spoken)

    async def test_a_sentence_lasts_as_long_as_speech_does(self, opened: AnyAdapter) -> None:
        """Between 8 and 250 ms a character, not silent, within full scale."""
        take = await self._take(opened, self.sentence)
        assert 0.008 <= take.duration / len(self.sentence) <= 0.25
        assert take.level > 0.003
        assert np.abs(take.samples).max() <= 1.0

    async def test_the_audio_is_what_it_was_declared_to_be(self, opened: AnyAdapter) -> None:
        """A declared format, and the sample rate of the voice."""
        voice = await self._default(opened)
        async with opened.synthesize(Utterance(self.sentence)) as source:
            assert source.format in opened.capabilities.formats
            assert voice.sample_rate in {None, (await self._read(source)).sample_rate}

    async def test_the_first_voice_is_the_default(self, opened: AnyAdapter) -> None:
        """No voice asked for sounds as the first one does."""
        voice = await self._default(opened)
        unasked = await self._take(opened, self.sentence)
        asked = await self._take(opened, self.sentence, voice=voice.id)
        assert asked.sample_rate == unasked.sample_rate
        assert asked.duration == pytest.approx(unasked.duration, rel=0.3)

    async def test_a_long_text_comes_in_chunks(self, opened: AnyAdapter) -> None:
        """Who declares streaming does not send all at once."""
        self._needs(opened.capabilities.streaming)
        assert (await self._take(opened, self.paragraph)).chunks > 1

    @pytest.mark.parametrize("text", ["x < 3 and y > 2", "R&B & <b>bold</b>", "`$(100)`", "C++"])
    async def test_plain_text_is_never_markup(self, opened: AnyAdapter, text: str) -> None:
        """What looks like markup is spoken."""
        assert (await self._take(opened, text)).duration > 0.1

    @pytest.mark.parametrize("text", ["...", "\U0001f98a", "\u00a0\u200b.", "a" * 300])
    async def test_odd_text_is_spoken_or_refused_by_name(
        self, opened: AnyAdapter, text: str
    ) -> None:
        """Only errors of ttskit's family come out."""
        try:
            await self._take(opened, text)
        except TTSError as error:
            assert error.code != "tts_error", error  # noqa: PT017 - a refusal is as good as speech

    async def test_an_unknown_voice_is_refused(self, opened: AnyAdapter) -> None:
        """Before any audio."""
        with pytest.raises(VoiceNotFoundError):
            await self._take(opened, self.sentence, voice="no such voice")

    async def test_two_utterances_at_once_do_not_mix(self, opened: AnyAdapter) -> None:
        """Each is as long as it is alone."""
        texts = [self.sentence, self.paragraph]
        alone = [(await self._take(opened, text)).duration for text in texts]
        together = [0.0, 0.0]

        async def speak(place: int) -> None:
            together[place] = (await self._take(opened, texts[place])).duration

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(speak, 0)
            tasks.start_soon(speak, 1)
        assert together == pytest.approx(alone, rel=0.3)

    async def test_leaving_early_ends_the_utterance(self, opened: AnyAdapter) -> None:
        """The next one speaks as if nothing had been."""
        with anyio.fail_after(self.patience_s):
            async with opened.synthesize(Utterance(self.paragraph)) as source:
                await anext(source.chunks)
        assert (await self._take(opened, self.sentence)).duration > 0.1

    async def test_an_error_of_the_caller_passes_through(self, opened: AnyAdapter) -> None:
        """What is raised within the block comes out as it is."""
        with pytest.raises(ZeroDivisionError):
            async with opened.synthesize(Utterance(self.paragraph)):
                raise ZeroDivisionError
        assert (await self._take(opened, self.sentence)).duration > 0.1

    @pytest.mark.parametrize("chunks", [0, 1, 2])
    async def test_cancelling_leaves_nothing_running(self, opened: AnyAdapter, chunks: int) -> None:
        """Cancelled when so many chunks were read, it has no tasks left and speaks again."""
        before = {task.id for task in anyio.get_running_tasks()}
        with anyio.CancelScope() as scope:
            await self._cancelled(opened, chunks, scope)
        assert {task.id for task in anyio.get_running_tasks()} <= before
        assert (await self._take(opened, self.sentence)).duration > 0.1

    async def test_declared_speed_changes_the_duration(self, opened: AnyAdapter) -> None:
        """Twice the speed is about half the time."""
        self._needs(opened.capabilities.speed)
        low, high = opened.capabilities.speed_range
        slow = await self._take(opened, self.paragraph, speed=max(low, 0.75))
        fast = await self._take(opened, self.paragraph, speed=min(high, 1.5))
        ratio = min(high, 1.5) / max(low, 0.75)
        assert slow.duration / fast.duration == pytest.approx(ratio, rel=0.35)

    async def test_declared_volume_changes_the_level(self, opened: AnyAdapter) -> None:
        """By 12 dB, give or take 6."""
        self._needs(opened.capabilities.volume)
        usual = await self._take(opened, self.sentence)
        quiet = await self._take(opened, self.sentence, volume=-12.0)
        assert 2.0 < usual.level / quiet.level < 8.0

    async def test_declared_word_timings_lie_in_the_audio(self, opened: AnyAdapter) -> None:
        """In order, each on a word of the text, and not all in one place."""
        self._needs(opened.capabilities.word_timestamps)
        take = await self._take(opened, self.sentence, timestamps=Timestamps.WORD)
        times = [time for word in take.words for time in (word.start, word.end)]
        heard = [self.sentence[slice(*word.span)] for word in take.words]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= take.duration + 0.01
        assert times[-1] - times[0] > take.duration / 2
        assert [word.strip(" .") for word in heard] == self.sentence.strip(".").split()

    async def test_declared_character_timings_lie_in_their_words(self, opened: AnyAdapter) -> None:
        """In order, one for each character that is no white space."""
        self._needs(opened.capabilities.character_timestamps)
        take = await self._take(opened, self.sentence, timestamps=Timestamps.CHARACTER)
        characters = [each for word in take.words for each in word.characters]
        times = [time for each in characters for time in (each.start, each.end)]
        assert times == sorted(times)
        assert "".join(self.sentence[slice(*each.span)] for each in characters) == (
            self.sentence.replace(" ", "")
        )
        for word in take.words:
            assert word.start <= word.characters[0].start
            assert word.characters[-1].end <= word.end

    async def test_a_declared_dialogue_says_every_turn(self, opened: AnyAdapter) -> None:
        """It takes about as long as its turns, one after the other."""
        if opened.capabilities.max_voices is None:
            pytest.skip("not declared")
        first, second = [voice.id for voice in await opened.voices()][:2]
        size = len(self.sentence)
        turns = (Turn((0, size), first), Turn((size + 1, 2 * size + 1), second))
        one = await self._take(opened, self.sentence, voice=first)
        both = await self._take(opened, f"{self.sentence}\n{self.sentence}", turns=turns)
        assert both.duration > 1.5 * one.duration

    async def test_a_declared_seed_gives_the_same_audio_again(self, opened: AnyAdapter) -> None:
        """Sample for sample, or nearly."""
        self._needs(opened.capabilities.seed)
        first = await self._take(opened, self.sentence, seed=7)
        second = await self._take(opened, self.sentence, seed=7)
        assert len(first.samples) == len(second.samples)
        np.testing.assert_allclose(first.samples, second.samples, atol=1e-3)

    async def test_a_declared_break_is_heard(self, opened: AnyAdapter) -> None:
        """A second of pause makes the utterance longer, by half a second at least."""
        if "break" not in opened.capabilities.ssml:
            pytest.skip("break is not declared")
        short = await self._take(opened, "<speak>One two.</speak>", is_ssml=True)
        pause = '<speak>One<break time="1000ms"/> two.</speak>'
        assert (await self._take(opened, pause, is_ssml=True)).duration > short.duration + 0.5

    async def test_a_check_of_a_good_provider_passes(self, opened: AnyAdapter) -> None:
        """And makes no sound."""
        with anyio.fail_after(self.patience_s):
            await opened.check()

    async def test_closing_twice_does_no_harm(self, opened: AnyAdapter) -> None:
        """After speech as well as before."""
        await self._take(opened, self.sentence)
        await opened.close()
        await opened.close()

    def _needs(self, support: Support) -> None:
        if support is not NATIVE:
            pytest.skip("not declared")

    async def _default(self, adapter: AnyAdapter) -> Voice:
        return (await adapter.voices())[0]

    async def _take(self, adapter: AnyAdapter, text: str, **settings: object) -> _Take:
        utterance = replace(Utterance(text), **settings)  # type: ignore[arg-type] # its own fields
        with anyio.fail_after(self.patience_s):
            async with adapter.synthesize(utterance) as source:
                return await self._read(source)

    async def _read(self, source: AudioSource) -> _Take:
        """Read a source to its end; bytes that are no whole frames of its format fail."""
        if source.format == "f32":
            arrays = [_array(chunk) async for chunk in source.chunks]
            samples = np.concatenate(arrays) if arrays else np.zeros(0, np.float32)
            return _Take(samples, source.sample_rate, source.words, len(arrays))
        decoder = open_decoder(
            source.format, sample_rate=source.sample_rate, channels=source.channels
        )
        parts = [decoder.decode(_data(chunk)) async for chunk in source.chunks]
        samples = np.concatenate([*parts, decoder.finish()])
        assert source.sample_rate in {0, decoder.sample_rate}
        return _Take(samples, decoder.sample_rate, source.words, len(parts))

    async def _cancelled(self, adapter: AnyAdapter, chunks: int, scope: anyio.CancelScope) -> None:
        async with adapter.synthesize(Utterance(self.paragraph)) as source:
            left = chunks
            if not left:
                scope.cancel()
            async for _ in source.chunks:
                left -= 1
                if left <= 0:
                    scope.cancel()
                await anyio.lowlevel.checkpoint()


def _array(chunk: object) -> Samples:
    assert isinstance(chunk, np.ndarray), "f32 comes as arrays"
    assert chunk.dtype == np.float32, "f32 comes as float32"
    return chunk


def _data(chunk: object) -> bytes:
    assert isinstance(chunk, bytes), "an encoded format comes as bytes"
    return chunk
