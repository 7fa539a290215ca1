"""What a provider says of the account counts: how many calls it bears, and what they cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from typing_extensions import override

from ttskit import AsyncTTSService
from ttskit.adapters.base import AudioSource, Utterance
from ttskit.testing import MockAdapter

pytestmark = pytest.mark.anyio


class Modest(MockAdapter):
    """The mock provider, which says with each reply how many calls at a time it bears."""

    bears = 2

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        async with super().synthesize(utterance) as source:
            source.concurrency = self.bears
            yield source


async def most_at_a_time(adapter: Modest, **limits: int) -> int:
    """Return how many of twenty calls ran at a time, once the provider had said its word."""
    settings = {"providers": {"mock": {"limits": limits}}}
    async with AsyncTTSService(settings, providers=[adapter]) as tts:
        await tts.synthesize("Hello.")
        adapter.faults.slow(first=0.01)
        adapter.most_running = 0
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(tts.synthesize, f"Number {number}.")
    return adapter.most_running


async def test_no_more_is_asked_at_a_time_than_the_account_allows() -> None:
    assert await most_at_a_time(Modest()) == 2


async def test_settings_may_ask_for_less_than_the_account_allows() -> None:
    adapter = Modest()
    adapter.bears = 10
    assert await most_at_a_time(adapter, concurrency=3) == 3


async def test_an_account_that_grows_is_used() -> None:
    adapter = Modest()
    assert await most_at_a_time(adapter) == 2
    adapter.bears = 6
    assert await most_at_a_time(adapter) == 6


@pytest.mark.parametrize("bears", [0, -3])
async def test_an_account_that_allows_nothing_is_still_asked(bears: int) -> None:
    adapter = Modest()
    adapter.bears = bears
    assert await most_at_a_time(adapter) == 1


async def test_a_price_in_the_settings_is_what_speech_costs() -> None:
    settings = {"providers": {"mock": {"price": 30}}}
    async with AsyncTTSService(settings, providers=[MockAdapter()]) as tts:
        audio = await tts.synthesize("One two. Three four.")
    assert audio.origin.cost == pytest.approx(30 * len("One two.Three four.") / 1_000_000)


async def test_without_a_price_the_cost_is_not_made_up() -> None:
    async with AsyncTTSService(providers=[MockAdapter()]) as tts:
        assert (await tts.synthesize("One two.")).origin.cost is None
