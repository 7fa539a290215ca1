"""A request that brings a sample of the voice it wants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.resources import samples
from ttskit import AsyncTTSService, Audio, TTSService
from ttskit.adapters.base import NATIVE
from ttskit.errors import (
    InvalidParameterError,
    InvalidVoiceReferenceError,
    UnsafePathError,
    UnsupportedFeatureError,
)
from ttskit.testing import Faults, MockAdapter, listen, transcribe

pytestmark = pytest.mark.anyio

GOOD = samples.GOOD["wav"]
TEXT = "One two three. Four five six. Seven eight nine."


def cloner(name: str = "cloner", faults: Faults | None = None) -> MockAdapter:
    return MockAdapter(provider=name, cloning=NATIVE, faults=faults)


async def test_every_utterance_is_spoken_like_the_sample_which_is_read_once() -> None:
    adapter = cloner()
    async with AsyncTTSService(providers=[adapter]) as tts:
        audio = await tts.synthesize(TEXT, reference=GOOD)
    assert transcribe(audio) == TEXT
    first = adapter.requests[0].reference
    assert first is not None
    assert all(utterance.reference is first for utterance in adapter.requests)
    assert len(adapter.requests) > 1
    assert {heard.voice for heard in listen(audio)} == {f"cloner:{first.name}"}
    assert {spoken.voice for spoken in audio.ledger} == {first.name}


async def test_a_stream_is_spoken_like_the_sample_too() -> None:
    adapter = cloner()
    async with (
        AsyncTTSService(providers=[adapter]) as tts,
        tts.stream(TEXT, reference=GOOD) as speech,
    ):
        assert transcribe(await speech.collect()) == TEXT
    assert all(utterance.reference for utterance in adapter.requests)


async def test_who_clones_no_voices_is_passed_over() -> None:
    plain, failing, last = MockAdapter(provider="plain"), cloner("failing"), cloner("last")
    failing.faults.fail_first(99)
    async with AsyncTTSService(providers=[plain, failing, last]) as tts:
        audio = await tts.synthesize("One two three.", reference=GOOD)
    assert transcribe(audio) == "One two three."
    assert (audio.origin.provider, plain.requests) == ("last", [])


async def test_who_is_named_and_clones_none_is_named_in_the_error() -> None:
    async with AsyncTTSService(providers=[MockAdapter(provider="plain"), cloner()]) as tts:
        with pytest.raises(UnsupportedFeatureError, match="plain"):
            await tts.synthesize("x", reference=GOOD, provider="plain")


async def test_a_bad_sample_is_told_and_no_provider_is_asked() -> None:
    adapter = cloner()
    async with AsyncTTSService(providers=[adapter]) as tts:
        with pytest.raises(InvalidVoiceReferenceError, match="accepted: WAV, FLAC and Ogg"):
            await tts.synthesize(TEXT, reference=GOOD[:100])
        async with tts.stream(TEXT, reference=GOOD[:100]) as speech:
            with pytest.raises(InvalidVoiceReferenceError):
                await speech.collect()
    assert adapter.requests == []


async def test_a_path_or_audio_of_ours_serves_as_well(tmp_path: Path) -> None:
    path = tmp_path / "voice.bin"
    path.write_bytes(GOOD)
    audio = Audio.from_samples(samples.voice(), sample_rate=16_000, format="mp3")
    adapter = cloner()
    async with AsyncTTSService(providers=[adapter]) as tts:
        for reference in (path, str(path), audio):
            await tts.synthesize("One.", reference=reference)
    given = [utterance.reference for utterance in adapter.requests]
    assert all(sample and sample.seconds == pytest.approx(2, abs=0.1) for sample in given)
    assert given[0] == given[1]


async def test_a_voice_and_a_sample_contradict_each_other() -> None:
    async with AsyncTTSService(providers=[cloner()]) as tts:
        with pytest.raises(InvalidParameterError, match="not both"):
            await tts.synthesize("x", voice="alto", reference=GOOD)


async def test_a_voice_named_in_the_markup_speaks_for_itself() -> None:
    adapter = cloner()
    ssml = '<speak>One two. <voice name="tenor">Three four.</voice></speak>'
    async with AsyncTTSService(providers=[adapter]) as tts:
        await tts.synthesize(ssml=ssml, reference=GOOD)
    asked = [(utterance.voice, utterance.reference is None) for utterance in adapter.requests]
    assert asked == [(None, False), ("tenor", True)]


async def test_files_are_read_from_the_directories_in_the_settings_only(tmp_path: Path) -> None:
    allowed = tmp_path / "voices"
    allowed.mkdir()
    for folder in (allowed, tmp_path):
        (folder / "voice.wav").write_bytes(GOOD)
    settings = {"reference_directories": [str(allowed)]}
    async with AsyncTTSService(providers=[cloner()], resources=settings) as tts:
        await tts.synthesize("One.", reference="voice.wav")
        with pytest.raises(UnsafePathError):
            await tts.synthesize("One.", reference=tmp_path / "voice.wav")


async def test_the_limits_are_settings() -> None:
    settings = {"reference_shortest": "3 s", "reference_longest": "5 s"}
    async with AsyncTTSService(providers=[cloner()], resources=settings) as tts:
        with pytest.raises(InvalidVoiceReferenceError, match="of 3 to 5 s"):
            await tts.synthesize("One.", reference=GOOD)


def test_a_blocking_service_clones_as_well() -> None:
    with TTSService(providers=[cloner()]) as tts:
        assert transcribe(tts.synthesize("One two.", reference=GOOD)) == "One two."
