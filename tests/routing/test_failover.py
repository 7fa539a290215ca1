from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ttskit import AsyncTTSService
from ttskit.adapters.base import AudioSource, Utterance
from ttskit.audio import Outcome
from ttskit.errors import (
    AllProvidersFailedError,
    AuthenticationError,
    ContentRejectedError,
    InvalidResponseError,
    NetworkError,
    ProviderUnavailableError,
    TextTooLongError,
)
from ttskit.testing import MockAdapter, transcribe, virtual_time

pytestmark = pytest.mark.anyio
TEXT = "One two three. Four five six. Seven eight nine."


def pair() -> tuple[MockAdapter, MockAdapter]:
    return MockAdapter(provider="first"), MockAdapter(provider="second")


async def test_the_next_provider_speaks_the_sentence_from_its_start() -> None:
    first, second = pair()
    first.faults.die_mid_stream(at=0.4)
    async with AsyncTTSService(providers=[first, second]) as tts:
        audio = await tts.synthesize(TEXT)
    assert transcribe(audio) == TEXT
    assert audio.origin.outcome is Outcome.COMPLETE


async def test_speech_that_another_provider_finished_says_so() -> None:
    first, second = pair()
    async with (
        AsyncTTSService(providers=[first, second]) as tts,
        tts.stream(TEXT, sample_rate=16_000) as speech,
    ):
        heard = [await anext(speech)]
        first.faults.die_mid_stream(at=0.4)
        heard += [chunk async for chunk in speech]
    assert transcribe(heard) == TEXT
    assert speech.origin.outcome is Outcome.RESUMED
    assert [entry.provider for entry in speech.ledger][::2] == ["first", "second"]


@pytest.mark.parametrize("fault", ["silence", "empty", "truncate", "html", "wrong_rate"])
async def test_a_reply_that_is_no_speech_fails_over(fault: str) -> None:
    first, second = MockAdapter(provider="first", format="wav"), MockAdapter(provider="second")
    faults = {
        "silence": first.faults.silence,
        "empty": first.faults.empty,
        "truncate": lambda: first.faults.truncate(at=0.05),
        "html": first.faults.html,
        "wrong_rate": first.faults.wrong_rate,
    }
    faults[fault]()
    async with AsyncTTSService(providers=[first, second]) as tts:
        audio = await tts.synthesize("The quick brown fox jumps over the lazy dog again.")
    assert transcribe(audio) == "The quick brown fox jumps over the lazy dog again."


async def test_raw_audio_at_another_rate_than_the_voices_own_fails_over() -> None:
    first, second = pair()
    first.faults.wrong_rate()
    async with AsyncTTSService(providers=[first, second]) as tts:
        audio = await tts.synthesize("Hello there.", voice="alto")
    assert transcribe(audio) == "Hello there."


async def test_the_ledger_says_who_spoke_what() -> None:
    first, second = pair()
    first.faults.fail_first(99)
    async with AsyncTTSService(providers=[first, second]) as tts:
        audio = await tts.synthesize(TEXT)
    assert {entry.provider for entry in audio.ledger} == {"second"}
    assert "".join(TEXT[slice(*entry.text)] for entry in audio.ledger) == TEXT


async def test_every_attempt_is_on_the_result() -> None:
    first, second = pair()
    first.faults.fail_first(99, NetworkError)
    async with AsyncTTSService(providers=[first, second]) as tts:
        audio = await tts.synthesize("Hello there.")
    told = [(attempt.provider, attempt.outcome) for attempt in audio.origin.attempts]
    assert told == [("first", "network"), ("second", "ok")]


async def test_a_provider_that_failed_is_asked_last_for_the_rest_of_the_request() -> None:
    first, second = pair()
    first.faults.fail_first(99)
    async with (
        AsyncTTSService(providers=[first, second]) as tts,
        tts.stream(TEXT) as speech,
    ):
        chunks = [chunk async for chunk in speech]
    assert {chunk.provider for chunk in chunks} == {"second"}


async def test_the_fourth_provider_is_reached_when_three_are_down() -> None:
    adapters = [MockAdapter(provider=f"p{index}") for index in range(4)]
    for adapter in adapters[:3]:
        adapter.faults.fail_first(99)
    async with AsyncTTSService(providers=adapters) as tts:
        audio = await tts.synthesize("Hello there.")
    assert audio.origin.provider == "p3"


async def test_all_failing_is_one_error_that_tells_each_attempt() -> None:
    first, second = pair()
    first.faults.fail_first(99, NetworkError)
    second.faults.fail_first(99, ProviderUnavailableError)
    async with AsyncTTSService(providers=[first, second]) as tts:
        with pytest.raises(AllProvidersFailedError) as failure:
            await tts.synthesize("Hello there.")
    assert [type(error) for error in failure.value.exceptions] == [
        NetworkError,
        ProviderUnavailableError,
    ]
    assert [attempt.provider for attempt in failure.value.attempts] == ["first", "second"]


def test_an_outage_in_a_long_text_is_one_error_in_whatever_order_tasks_run() -> None:
    adapter = MockAdapter(sample_rate=8_000)
    adapter.faults.outage()

    async def main() -> None:
        async with AsyncTTSService(providers=[adapter]) as tts:
            with pytest.raises(ProviderUnavailableError):
                await tts.synthesize(" ".join([TEXT] * 2))

    for seed in range(60, 120):
        virtual_time(main, seed=seed)


async def test_the_only_provider_fails_with_its_own_error() -> None:
    adapter = MockAdapter()
    adapter.faults.revoke_key()
    async with AsyncTTSService(providers=[adapter]) as tts:
        with pytest.raises(AuthenticationError):
            await tts.synthesize("Hello there.")


async def test_rejected_content_is_not_shopped_around() -> None:
    first, second = pair()
    first.faults.reject_content(matching="forbidden")
    async with AsyncTTSService(providers=[first, second]) as tts:
        with pytest.raises(ContentRejectedError):
            await tts.synthesize("A forbidden word.")
    assert second.requests == []


async def test_rejected_content_goes_to_the_next_where_that_is_allowed() -> None:
    first, second = pair()
    first.faults.reject_content(matching="forbidden")
    settings = {"routing": {"ask_others_when_rejected": True}}
    async with AsyncTTSService(settings, providers=[first, second]) as tts:
        audio = await tts.synthesize("A forbidden word.")
        health = {one.provider: one.state for one in tts.health()}
    assert transcribe(audio) == "A forbidden word."
    assert audio.origin.provider == "second"
    assert health["first"] == "closed"


class ShortBreathed(MockAdapter):
    """Finds texts too long without having said what its limit is."""

    async def _refuse(self, utterance: Utterance) -> None:
        if len(utterance.text) > 50:
            raise TextTooLongError("too long for this model", provider=self.provider)

    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        await self._refuse(utterance)
        async with super().synthesize(utterance) as source:
            yield source


LONG = "The quick brown fox jumps over the lazy dog and runs away into the deep dark wood, alone."


async def test_a_text_too_long_for_one_goes_to_another() -> None:
    first, second = ShortBreathed(provider="first"), MockAdapter(provider="second")
    async with AsyncTTSService(providers=[first, second]) as tts:
        audio = await tts.synthesize(LONG)
        assert [one.state for one in tts.health()] == ["closed", "closed"]
    assert second.texts == [LONG]
    assert transcribe(audio) == LONG


@pytest.mark.parametrize("delivery", ["exact", "live"])
async def test_a_text_too_long_for_everybody_is_said_in_shorter_pieces(delivery: str) -> None:
    only = ShortBreathed(provider="only")
    async with AsyncTTSService(providers=[only]) as tts:
        audio = await tts.synthesize(LONG, delivery=delivery)
    assert transcribe(audio).split() == LONG.split()
    assert len(only.texts) > 1


async def test_the_text_is_in_no_message() -> None:
    first, second = pair()
    for adapter in (first, second):
        adapter.faults.silence()
    async with AsyncTTSService(providers=[first, second]) as tts:
        with pytest.raises((AllProvidersFailedError, InvalidResponseError)) as failure:
            await tts.synthesize("Zanzibar is a secret.")
    assert "Zanzibar" not in f"{failure.value!r} {failure.value} {failure.value.to_dict()}"


async def test_rates_of_different_engines_become_one() -> None:
    first = MockAdapter(provider="first", sample_rate=22_050)
    second = MockAdapter(provider="second", sample_rate=48_000)
    first.faults.die_mid_stream(at=0.9)
    async with AsyncTTSService(providers=[first, second]) as tts:
        audio = await tts.synthesize(TEXT, sample_rate=24_000)
    assert audio.sample_rate == 24_000
    assert transcribe(audio) == TEXT


async def test_a_text_longer_than_the_provider_takes_is_cut_for_it() -> None:
    text = "The quick brown fox jumps over the lazy dog and runs away into the deep dark wood"
    adapter = MockAdapter(max_characters=30)
    async with AsyncTTSService(providers=[adapter]) as tts:
        audio = await tts.synthesize(text)
    assert max(map(len, adapter.texts)) <= 30
    assert transcribe(audio).split() == text.split()
