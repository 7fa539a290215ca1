"""Recordings said again in another voice."""

from __future__ import annotations

import anyio
import numpy as np
import pytest

from tests.resources import samples
from tests.resources.converting_engine import ConvertingAdapter, SpeakingOnlyAdapter
from ttskit import AsyncTTSService, Audio, TTSService
from ttskit.adapters.base import NATIVE
from ttskit.errors import (
    AllProvidersFailedError,
    InvalidParameterError,
    InvalidResponseError,
    InvalidVoiceReferenceError,
    ServiceClosedError,
    UnsupportedFeatureError,
    VoiceNotFoundError,
)
from ttskit.testing import MockAdapter, listen, transcribe

pytestmark = pytest.mark.anyio

TEXT = "One two three. Four five six."


def mock(name: str = "mock", **settings: object) -> MockAdapter:
    return MockAdapter(provider=name, conversion=NATIVE, cloning=NATIVE, **settings)


async def spoken(tts: AsyncTTSService) -> Audio:
    return await tts.synthesize(TEXT, voice="alto", provider="speaker")


async def test_the_words_stay_and_the_voice_is_another() -> None:
    async with AsyncTTSService(providers=[MockAdapter(provider="speaker"), mock()]) as tts:
        heard = await tts.convert(await spoken(tts), "tenor")
    assert transcribe(heard) == TEXT
    assert {one.voice for one in listen(heard)} == {"mock:tenor"}
    assert (heard.origin.provider, heard.origin.voice) == ("mock", "tenor")
    assert [attempt.outcome for attempt in heard.origin.attempts] == ["ok"]


async def test_the_voice_may_be_that_of_a_sample() -> None:
    adapter = mock()
    async with AsyncTTSService(providers=[MockAdapter(provider="speaker"), adapter]) as tts:
        heard = await tts.convert(await spoken(tts), reference=samples.GOOD["wav"])
    sample = adapter.requests[0].reference
    assert sample is not None
    assert {one.voice for one in listen(heard)} == {f"mock:{sample.name}"}
    assert heard.origin.voice == sample.name


@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_a_local_engine_converts_where_it_runs(isolation: str) -> None:
    settings = {"providers": {"converting": {"isolation": isolation}}}
    adapters = [
        MockAdapter(provider="speaker"),
        ConvertingAdapter(ConvertingAdapter.options_model()),
    ]
    async with AsyncTTSService(settings, providers=adapters) as tts:
        recording = await spoken(tts)
        heard = await tts.convert(recording)
    assert transcribe(heard) == TEXT
    assert heard.duration == pytest.approx(recording.duration, abs=0.01)
    assert heard.origin.voice == "half"


async def test_who_converts_no_voices_is_passed_over_or_named() -> None:
    async with AsyncTTSService(providers=[MockAdapter(provider="plain")]) as tts:
        recording = await tts.synthesize(TEXT)
        with pytest.raises(UnsupportedFeatureError, match="plain"):
            await tts.convert(recording)


async def test_the_next_provider_takes_over() -> None:
    failing = mock("failing")
    failing.faults.fail_first(99)
    last = mock("last")
    async with AsyncTTSService(providers=[MockAdapter(provider="speaker"), failing, last]) as tts:
        heard = await tts.convert(await spoken(tts))
    assert transcribe(heard) == TEXT
    assert [one.provider for one in heard.origin.attempts] == ["failing", "last"]


async def test_where_all_fail_each_is_told() -> None:
    failing = [mock("one"), mock("two")]
    for adapter in failing:
        adapter.faults.fail_first(99)
    async with AsyncTTSService(providers=[MockAdapter(provider="speaker"), *failing]) as tts:
        recording = await spoken(tts)
        with pytest.raises(AllProvidersFailedError) as caught:
            await tts.convert(recording)
    assert len(caught.value.attempts) == 2


@pytest.mark.parametrize("fault", ["silence", "truncate"])
async def test_what_cannot_be_the_recording_is_a_failure(fault: str) -> None:
    bad = mock()
    if fault == "silence":
        bad.faults.silence()
    else:
        bad.faults.truncate(at=0.2)
    async with AsyncTTSService(providers=[MockAdapter(provider="speaker"), bad]) as tts:
        recording = await spoken(tts)
        with pytest.raises(InvalidResponseError):
            await tts.convert(recording)


async def test_an_engine_that_cannot_says_so() -> None:
    adapter = SpeakingOnlyAdapter(SpeakingOnlyAdapter.options_model())
    async with AsyncTTSService(providers=[MockAdapter(provider="speaker"), adapter]) as tts:
        recording = await spoken(tts)
        with pytest.raises(UnsupportedFeatureError, match="converts no voices"):
            await tts.convert(recording)


async def test_the_time_of_a_recording_stays_with_its_silent_ends() -> None:
    quiet = np.zeros(16_000, np.float32)
    recording = samples.encoded(np.concatenate([quiet, samples.voice(), quiet]), 16_000)
    adapter = ConvertingAdapter(ConvertingAdapter.options_model())
    async with AsyncTTSService(providers=[adapter]) as tts:
        heard = await tts.convert(recording)
    assert heard.duration == pytest.approx(4.0, abs=0.01)


async def test_a_bad_recording_or_request_asks_nobody() -> None:
    adapter = mock()
    async with AsyncTTSService(providers=[adapter]) as tts:
        with pytest.raises(InvalidVoiceReferenceError, match="accepted: WAV"):
            await tts.convert(b"no audio")
        with pytest.raises(InvalidParameterError, match="not both"):
            await tts.convert(samples.GOOD["wav"], "alto", reference=samples.GOOD["wav"])
        with pytest.raises(VoiceNotFoundError, match="tenor"):
            await tts.convert(samples.GOOD["wav"], "tenorr")
    assert adapter.requests == []


async def test_no_similar_voice_stands_in_but_an_alias_does() -> None:
    settings = {"voices": {"hero": {"speaker": "alto", "mock": "tenor"}}}
    adapters = [MockAdapter(provider="speaker"), mock()]
    async with AsyncTTSService(settings, providers=adapters) as tts:
        heard = await tts.convert(await spoken(tts), "hero")
        assert heard.origin.voice == "tenor"
        with pytest.raises(VoiceNotFoundError):
            await tts.convert(heard, "speaker:nobody", provider="mock")


async def test_closing_the_service_ends_a_conversion() -> None:
    hanging = mock()
    hanging.faults.hang()
    failures: list[Exception] = []

    async def convert(tts: AsyncTTSService, recording: Audio) -> None:
        try:
            await tts.convert(recording)
        except ServiceClosedError as error:
            failures.append(error)

    async with AsyncTTSService(providers=[MockAdapter(provider="speaker"), hanging]) as tts:
        recording = await spoken(tts)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(convert, tts, recording)
            while not hanging.running:
                await anyio.lowlevel.checkpoint()
            await tts.shutdown()
    assert len(failures) == 1


def test_a_blocking_service_converts_as_well() -> None:
    with TTSService(providers=[mock()]) as tts:
        assert transcribe(tts.convert(tts.synthesize(TEXT), "tenor")) == TEXT
