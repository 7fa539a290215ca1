"""A document of several voices is one call, where the provider can have them speak together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ttskit import AsyncTTSService, Audio
from ttskit.adapters.base import Utterance
from ttskit.testing import MockAdapter, transcribe

pytestmark = pytest.mark.anyio
TALK = (
    "<speak><voice name='alto'>Who is &lt; there? Tell me.</voice>\n"
    "<voice name='tenor'>Nobody, it is the “wind”.</voice> <voice name='alto'>Ah!</voice></speak>"
)
SAID = ["Who is < there? Tell me.", "Nobody, it is the “wind”.", "Ah!"]


def talker(provider: str = "mock", *, voices: int = 10, characters: int = 2_000) -> MockAdapter:
    """Return a provider that has several voices speak in one call."""
    able = replace(MockAdapter.capabilities, max_voices=voices, max_dialogue_characters=characters)
    return MockAdapter(provider=provider, capabilities=able, voices=("alto", "tenor", "bass"))


async def told(*adapters: MockAdapter, ssml: str = TALK, **options: object) -> Audio:
    async with AsyncTTSService(providers=list(adapters)) as tts:
        return await tts.synthesize(ssml=ssml, **options)  # type: ignore[arg-type] # its options


def turns(utterance: Utterance) -> list[tuple[str, str | None]]:
    return [(utterance.text[slice(*turn.span)], turn.voice) for turn in utterance.turns]


async def test_voices_of_a_document_speak_in_one_call() -> None:
    adapter = talker()
    audio = await told(adapter)
    (asked,) = adapter.requests
    assert turns(asked) == list(zip(SAID, ("alto", "tenor", "alto"), strict=True))
    assert asked.text == "\n".join(SAID)
    assert asked.voice == "alto"
    assert not asked.is_ssml
    assert [entry.voice for entry in audio.ledger] == ["alto, tenor"]
    assert audio.warnings == []
    assert transcribe(audio) == "\n".join(SAID)


async def test_its_words_are_found_in_the_document() -> None:
    audio = await told(talker(), timestamps="word")
    words = [(entry.word, TALK[slice(*entry.span)]) for entry in audio.words]
    assert [word for word, _ in words] == " ".join(SAID).split()
    assert [place.replace("&lt;", "<") for _, place in words] == " ".join(SAID).split()


async def test_who_has_one_voice_at_a_time_is_called_for_each() -> None:
    adapter = MockAdapter(voices=("alto", "tenor"))
    await told(adapter)
    assert all(not one.turns for one in adapter.requests)
    assert {one.voice for one in adapter.requests} == {"alto", "tenor"}


async def test_who_takes_over_without_dialogue_says_all_of_it_voice_by_voice() -> None:
    first, second = talker("first"), MockAdapter(provider="second", voices=("alto", "tenor"))
    first.faults.outage()
    audio = await told(first, second)
    assert [(one.text, one.voice) for one in second.requests] == [
        (said, voice) for said, voice in zip(SAID, ("alto", "tenor", "alto"), strict=True)
    ]
    assert {entry.provider for entry in audio.ledger} == {"second"}


@pytest.mark.parametrize(
    ("adapter", "calls"),
    [
        (talker(voices=2), [["alto", "tenor"], ["bass"]]),
        (talker(characters=9), [["alto", "tenor"], ["bass"]]),
        (talker(characters=8), [["alto"], ["tenor"], ["bass"]]),
        (talker(), [["alto", "tenor", "bass"]]),
    ],
    ids=["two voices", "nine characters", "eight characters", "all"],
)
async def test_what_is_too_much_for_one_call_is_several(
    adapter: MockAdapter, calls: list[list[str]]
) -> None:
    talk = "".join(f"<voice name='{name}'>{name[:4]}</voice>" for name in ("alto", "tenor", "bass"))
    adapter.requests.clear()
    await told(adapter, ssml=f"<speak>{talk}</speak>")
    asked = sorted(adapter.requests, key=lambda one: "abt".index((one.voice or "?")[0]))
    found = [[voice for _, voice in turns(one)] or [one.voice] for one in asked]
    assert sorted(map(sorted, found)) == sorted(map(sorted, calls))  # type: ignore[type-var] # voices


@pytest.mark.parametrize(
    ("ssml", "options"),
    [
        (TALK.replace("Ah!", "<prosody volume='+3dB'>Ah!</prosody>"), {}),
        (TALK.replace("Ah!", "<break time='1s'/>Ah!"), {}),
        (TALK, {"speed": 1.1}),
    ],
    ids=["prosody", "pause", "speed"],
)
async def test_what_a_dialogue_does_not_have_is_said_apart(
    ssml: str, options: dict[str, object]
) -> None:
    adapter = talker()
    await told(adapter, ssml=ssml, **options)
    assert len(adapter.requests) > 1
    assert "Ah!" in [one.text for one in adapter.requests]


async def test_one_voice_is_no_dialogue() -> None:
    adapter = talker()
    await told(adapter, ssml="<speak><voice name='alto'>One. Two.</voice></speak>")
    assert [(one.text, one.turns) for one in adapter.requests] == [("One.", ()), ("Two.", ())]


@pytest.mark.parametrize("delivery", ["exact", "live"])
async def test_a_listener_does_not_wait_for_a_whole_scene(delivery: str) -> None:
    adapter = talker()
    async with (
        AsyncTTSService(providers=[adapter]) as tts,
        tts.stream(ssml=TALK, delivery=delivery) as speech,
    ):
        audio = await speech.collect()
    assert (len(adapter.requests) == 1) is (delivery == "live")
    assert transcribe(audio).split() == " ".join(SAID).split()
