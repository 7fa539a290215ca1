"""What a provider can do may differ from voice to voice, and from model to model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typing_extensions import override

from ttskit import AsyncTTSService
from ttskit.adapters.base import NATIVE, UNSUPPORTED, Capabilities
from ttskit.audio import TimingSource
from ttskit.testing import MockAdapter, transcribe

pytestmark = pytest.mark.anyio


class Company(MockAdapter):
    """A provider of whose voices one, and of whose models one, can do less."""

    @override
    def able(self, voice: str | None, model: str | None) -> Capabilities:
        if "simple" not in {voice, model}:
            return self.capabilities
        return replace(
            self.capabilities,
            pitch=UNSUPPORTED,
            speed=UNSUPPORTED,
            ssml=frozenset(),
            word_timestamps=UNSUPPORTED,
            max_characters=9,
        )


def company() -> Company:
    able = replace(
        MockAdapter.capabilities,
        pitch=NATIVE,
        speed=NATIVE,
        models=NATIVE,
        ssml=frozenset({"speak", "break", "emphasis"}),
    )
    return Company(capabilities=able, voices=("able", "simple"))


@pytest.mark.parametrize("asked", [{"voice": "simple"}, {"model": "simple"}], ids=str)
async def test_a_voice_or_model_is_asked_for_nothing_it_cannot_do(asked: dict[str, str]) -> None:
    adapter = company()
    async with AsyncTTSService(providers=[adapter]) as tts:
        audio = await tts.synthesize(
            "One two three.", pitch=2, speed=1.1, timestamps="word", **asked
        )
    assert {(one.pitch, one.speed) for one in adapter.requests} == {(0.0, 1.0)}
    assert max(len(one.text) for one in adapter.requests) <= 9
    assert {(one.code, one.feature) for one in audio.warnings} == {
        ("ignored", "pitch"),
        ("ignored", "speed"),
        ("emulated", "timestamps"),
    }


async def test_another_voice_is_asked_for_all_of_it() -> None:
    adapter = company()
    async with AsyncTTSService(providers=[adapter]) as tts:
        audio = await tts.synthesize("One two three.", pitch=2, speed=1.1, voice="able")
    assert [(one.pitch, one.speed) for one in adapter.requests] == [(2.0, 1.1)]
    assert audio.warnings == []


async def test_of_several_voices_what_all_of_them_can_do_counts() -> None:
    adapter = company()
    ssml = (
        "<speak>One <emphasis>two</emphasis> "
        "<voice name='simple'>three</voice> four. Five <emphasis>six</emphasis>.</speak>"
    )
    async with AsyncTTSService(providers=[adapter]) as tts:
        audio = await tts.synthesize(ssml=ssml)
    assert [one.is_ssml for one in adapter.requests if "six" in one.text] == [True]
    assert not any(one.is_ssml for one in adapter.requests if "six" not in one.text)
    assert ("ignored", "emphasis") in {(one.code, one.feature) for one in audio.warnings}


async def test_live_speech_of_an_untimed_voice_is_held_back_by_its_sound() -> None:
    adapter = company()
    async with (
        AsyncTTSService(providers=[adapter]) as tts,
        tts.stream("One two.", voice="simple", delivery="live", timestamps="word") as speech,
    ):
        audio = await speech.collect()
    assert transcribe(audio) == "One two."
    assert {entry.source for entry in audio.words} == {TimingSource.ESTIMATED}
