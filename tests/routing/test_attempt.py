from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from typing_extensions import override

from ttskit import AsyncTTSService
from ttskit.adapters.base import NATIVE, UNSUPPORTED, AudioSource, Utterance
from ttskit.audio import TimingSource
from ttskit.testing import MockAdapter, transcribe

pytestmark = pytest.mark.anyio


async def test_an_engine_that_reads_ssml_gets_it_whole() -> None:
    adapter = MockAdapter(ssml=frozenset({"speak", "break", "sub"}))
    async with AsyncTTSService(providers=[adapter]) as tts:
        audio = await tts.synthesize(
            ssml='<speak>Tom &amp; <sub alias="Jerry">J</sub> run.</speak>'
        )
    assert adapter.requests[0].is_ssml
    assert "&amp;" in adapter.requests[0].text
    assert transcribe(audio) == "Tom & Jerry run."


async def test_markup_beyond_the_providers_limit_is_given_up_for_text_that_can_be_cut() -> None:
    adapter = MockAdapter(ssml=frozenset({"speak", "sub"}), max_characters=40)
    ssml = (
        '<speak>The <sub alias="first">1st</sub> of many words in a sentence that goes on.</speak>'
    )
    async with AsyncTTSService(providers=[adapter]) as tts:
        audio = await tts.synthesize(ssml=ssml)
    assert not any(utterance.is_ssml for utterance in adapter.requests)
    assert transcribe(audio) == "The first of many words in a sentence that goes on."


async def test_a_voice_element_changes_the_speaker() -> None:
    adapter = MockAdapter()
    ssml = '<speak>One. <voice name="tenor">Two.</voice></speak>'
    async with AsyncTTSService(providers=[adapter]) as tts:
        await tts.synthesize(ssml=ssml, voice="alto")
    asked = {utterance.text: utterance.voice for utterance in adapter.requests}
    assert asked == {"One.": "alto", "Two.": "tenor"}


async def test_prosody_multiplies_the_requests_own_speed() -> None:
    adapter = MockAdapter()
    async with AsyncTTSService(providers=[adapter]) as tts:
        await tts.synthesize(ssml='<speak><prosody rate="150%">Go.</prosody></speak>', speed=1.2)
    assert adapter.requests[0].speed == pytest.approx(1.8)


@pytest.mark.parametrize("native", [True, False], ids=["native", "estimated"])
async def test_word_times_say_where_they_come_from(native: bool) -> None:  # noqa: FBT001 - parametrised
    adapter = MockAdapter(word_timestamps=NATIVE if native else UNSUPPORTED)
    async with AsyncTTSService(providers=[adapter]) as tts:
        audio = await tts.synthesize("One two. Three four.", timestamps="word")
    expected = TimingSource.NATIVE if native else TimingSource.ESTIMATED
    assert [(word.word.strip("."), word.source) for word in audio.words] == [
        (name, expected) for name in ("One", "two", "Three", "four")
    ]


async def test_character_times_are_estimated_within_the_words() -> None:
    async with AsyncTTSService(providers=[MockAdapter()]) as tts:
        audio = await tts.synthesize("One two.", timestamps="character")
    assert "".join(entry.word for entry in audio.words).replace(".", "") == "Onetwo"
    assert {entry.source for entry in audio.words} == {TimingSource.ESTIMATED}


async def test_options_for_a_provider_reach_it_and_nobody_else() -> None:
    first, second = MockAdapter(provider="first"), MockAdapter(provider="second")
    first.faults.fail_first(99)
    async with AsyncTTSService(providers=[first, second]) as tts:
        await tts.synthesize("Hi there.", provider_options={"first": {"style": "calm"}})
    assert first.requests[0].options == {"style": "calm"}
    assert second.requests[0].options == {}


async def test_a_quieter_backup_is_brought_to_the_level_of_the_first_voice() -> None:
    loud, quiet = MockAdapter(provider="loud"), MockAdapter(provider="quiet", volume=NATIVE)
    text = "The first sentence is said. The second sentence is said."
    async with AsyncTTSService(providers=[loud, quiet]) as tts, tts.stream(text) as speech:
        chunks = [await anext(speech)]
        loud.faults.fail_first(99)
        chunks += [chunk async for chunk in speech]
    levels = [
        np.sqrt(np.mean(np.concatenate([c.samples for c in chunks if c.provider == name]) ** 2))
        for name in ("loud", "quiet")
    ]
    assert levels[1] == pytest.approx(levels[0], rel=0.2)


class _Recorded(MockAdapter):
    """Sends the same 16-bit numbers whatever the text, cut in the middle of some."""

    name = "recorded"
    pcm = np.random.default_rng(3).integers(-32_768, 32_767, 24_000, np.int16).tobytes()

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(self.pcm), 4_999):
                yield self.pcm[start : start + 4_999]

        yield AudioSource(pieces(), format="pcm", sample_rate=24_000)


@pytest.mark.parametrize("delivery", ["exact", "live"])
async def test_pcm_that_nothing_changes_is_what_the_provider_sent(delivery: str) -> None:
    async with AsyncTTSService(providers=[_Recorded()]) as tts:
        audio = await tts.synthesize("One two three.", format="pcm")
        async with tts.stream("One two three.", delivery=delivery) as speech:
            streamed = b"".join([chunk.pcm async for chunk in speech])
    assert audio.data == _Recorded.pcm
    assert streamed == _Recorded.pcm


async def test_pcm_is_changed_where_that_was_asked_for() -> None:
    async with AsyncTTSService(providers=[_Recorded()]) as tts:
        softer = await tts.synthesize("One two three.", volume=-6)
        slower = await tts.synthesize("One two three.", sample_rate=12_000)
    sent = np.frombuffer(_Recorded.pcm, "<i2") / 32_768
    assert np.allclose(softer.samples, sent * 10 ** (-6 / 20), atol=1 / 32_768)
    assert slower.frames == 12_000
