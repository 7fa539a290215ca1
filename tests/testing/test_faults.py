"""The script of faults: each goes wrong as it says, for as many calls as it says."""

from __future__ import annotations

import anyio
import numpy as np
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from ttskit.adapters.base import Utterance
from ttskit.codecs.pcm import Samples, from_pcm
from ttskit.errors import (
    AuthenticationError,
    ContentRejectedError,
    GenerationError,
    InvalidParameterError,
    NetworkError,
    ProviderUnavailableError,
    RateLimitedError,
    TTSError,
)
from ttskit.resources.host import Resources
from ttskit.testing import Faults, MockAdapter, listen, transcribe

TEXT = "One two three. Four five six."
pytestmark = pytest.mark.anyio


@pytest.fixture
async def adapter(anyio_backend: str) -> MockAdapter:
    del anyio_backend
    mock = MockAdapter()
    await mock.open(Resources())
    return mock


async def take(adapter: MockAdapter, text: str = TEXT) -> Samples:
    """Return what comes of one call before it ends or fails."""
    data = b""
    async with adapter.synthesize(Utterance(text)) as source:
        async for chunk in source.chunks:
            assert isinstance(chunk, bytes)
            data += chunk
    return from_pcm(data)


async def outcome(adapter: MockAdapter, text: str = TEXT) -> str:
    """Return the code of the call's error, or what was heard."""
    try:
        return transcribe((await take(adapter, text), 24_000))
    except TTSError as error:
        return error.code


async def test_it_fails_as_often_as_it_was_told(adapter: MockAdapter) -> None:
    adapter.faults.fail_first(2)
    outcomes = [await outcome(adapter) for _ in range(3)]
    assert outcomes == [ProviderUnavailableError.code] * 2 + [TEXT]


async def test_it_fails_with_the_error_it_was_given(adapter: MockAdapter) -> None:
    adapter.faults.fail_first(1, GenerationError)
    assert await outcome(adapter) == "generation"


async def test_every_refusal_is_an_error_of_its_own(adapter: MockAdapter) -> None:
    adapter.faults.fail_first(2)
    errors = []
    for _ in range(2):
        with pytest.raises(ProviderUnavailableError) as caught:
            await take(adapter)
        errors.append(caught.value)
    assert errors[0] is not errors[1]
    assert {error.provider for error in errors} == {"mock"}


@pytest.mark.parametrize("at", [0.0, 0.4, 1.0])
async def test_it_dies_where_it_was_told(adapter: MockAdapter, at: float) -> None:
    whole = len(await take(adapter))
    adapter.faults.die_mid_stream(at=at)
    received = 0
    with pytest.raises(NetworkError):  # noqa: PT012 - what came before counts
        async with adapter.synthesize(Utterance(TEXT)) as source:
            async for chunk in source.chunks:
                assert isinstance(chunk, bytes)
                received += len(chunk) // 2
    assert received == round(whole * at)


async def test_truncated_speech_ends_as_if_it_were_whole(adapter: MockAdapter) -> None:
    adapter.faults.truncate(at=0.5)
    (heard,) = listen((await take(adapter), 24_000))
    assert not heard.complete
    assert heard.text
    assert TEXT.startswith(heard.text)


async def test_silence_lasts_as_long_as_the_speech_would(adapter: MockAdapter) -> None:
    whole = len(await take(adapter))
    adapter.faults.silence()
    silence = await take(adapter)
    assert len(silence) == whole
    assert not np.any(silence)


async def test_an_empty_reply_has_no_audio(adapter: MockAdapter) -> None:
    adapter.faults.empty()
    assert len(await take(adapter)) == 0


@pytest.mark.parametrize("audio_format", ["pcm", "mp3", "wav"])
async def test_a_web_page_comes_in_place_of_audio(audio_format: str, anyio_backend: str) -> None:
    del anyio_backend
    adapter = MockAdapter(format=audio_format, faults=Faults().html())
    await adapter.open(Resources())
    async with adapter.synthesize(Utterance(TEXT)) as source:
        (page,) = [chunk async for chunk in source.chunks]
    assert isinstance(page, bytes)
    assert page.startswith(b"<!DOCTYPE html>")


async def test_a_wrong_sample_rate_contradicts_the_voice(adapter: MockAdapter) -> None:
    adapter.faults.wrong_rate(16_000)
    async with adapter.synthesize(Utterance(TEXT)) as source:
        assert source.sample_rate == 16_000
    assert (await adapter.voices())[0].sample_rate == 24_000


async def test_a_revoked_key_fails_everything(adapter: MockAdapter) -> None:
    adapter.faults.revoke_key()
    assert await outcome(adapter) == AuthenticationError.code
    for question in (adapter.check, adapter.voices):
        with pytest.raises(AuthenticationError):
            await question()


async def test_only_matching_content_is_rejected(adapter: MockAdapter) -> None:
    adapter.faults.reject_content(matching="(?i)secret")
    assert await outcome(adapter, "A Secret.") == ContentRejectedError.code
    assert await outcome(adapter, "A song.") == "A song."


async def test_a_hanging_provider_sends_nothing_more(adapter: MockAdapter) -> None:
    adapter.faults.hang(at=0.5, times=1)
    heard = []
    with anyio.move_on_after(0.2):
        async with adapter.synthesize(Utterance(TEXT)) as source:
            heard += [chunk async for chunk in source.chunks]
    assert adapter.running == 0
    assert await outcome(adapter) == TEXT


async def test_healing_ends_all_faults(adapter: MockAdapter) -> None:
    adapter.faults.die_mid_stream().revoke_key().reject_content(matching=".").random_faults(1)
    adapter.faults.heal()
    assert await outcome(adapter) == TEXT


async def test_faults_come_in_the_order_of_the_script(adapter: MockAdapter) -> None:
    adapter.faults.fail_first(1).empty(times=1).silence(times=1)
    outcomes = [await outcome(adapter) for _ in range(4)]
    assert outcomes == ["provider_unavailable", "", "", TEXT]


async def test_chance_is_the_same_for_the_same_seed(anyio_backend: str) -> None:
    del anyio_backend
    runs = []
    for seed in (7, 7, 8):
        adapter = MockAdapter(faults=Faults().random_faults(seed, rate=0.5))
        await adapter.open(Resources())
        runs.append([await outcome(adapter) for _ in range(12)])
    assert runs[0] == runs[1] != runs[2]
    assert 0 < runs[0].count(TEXT) < 12


def test_the_seed_is_shown() -> None:
    assert "seed=7" in repr(Faults().random_faults(7))


@pytest.mark.parametrize("at", [-0.1, 1.1, float("nan")])
def test_a_place_outside_the_audio_is_refused(at: float) -> None:
    with pytest.raises(InvalidParameterError):
        Faults().die_mid_stream(at=at)


@given(after=st.integers(0, 4), retry_after=st.integers(1, 100), windows=st.integers(1, 4))
def test_a_rate_limit_lets_as_many_pass_in_each_window(
    after: int, retry_after: int, windows: int
) -> None:
    faults = Faults().rate_limit(after=after, retry_after=retry_after)
    for window in range(windows):
        now = float(window * retry_after)
        refusals = [faults.behaviour(TEXT, now=now).refusal for _ in range(6)]
        assert [refusal is None for refusal in refusals] == [call < after for call in range(6)]


def test_a_rate_limit_says_how_long_it_lasts() -> None:
    faults = Faults().rate_limit(after=0, retry_after=1.5)
    faults.behaviour(TEXT, now=10.0)
    refusal = faults.behaviour(TEXT, now=10.5).refusal
    assert isinstance(refusal, RateLimitedError)
    assert refusal.retry_after == pytest.approx(1.0)


def test_slowness_is_that_of_the_clock() -> None:
    async def main() -> float:
        adapter = MockAdapter(faults=Faults().slow(first=60, per_chunk=10), chunk_s=0.1)
        await adapter.open(Resources())
        start = trio.current_time()
        chunks = -(-len(await take(adapter)) // 2_400)
        return trio.current_time() - start - 10 * chunks

    assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) == pytest.approx(60)
