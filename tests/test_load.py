"""A crowd: every caller gets the right audio, whatever goes wrong with a third of the calls."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from ttskit import AsyncTTSService, TTSService
from ttskit.audio import Audio
from ttskit.errors import NetworkError, ProviderUnavailableError
from ttskit.testing import MockAdapter, transcribe, virtual_time
from ttskit.testing.faults import Behaviour

REQUESTS = 1_000
LIMITS = {"providers": {"p0": {"limits": {"concurrency": 8, "queue": REQUESTS}}}}
FAULTS = [
    lambda: Behaviour(refusal=ProviderUnavailableError("refused by chance")),
    lambda: Behaviour(stops_at=0.4, failure=NetworkError("broke off by chance")),
    lambda: Behaviour(stops_at=0.9),
    lambda: Behaviour(stops_at=0.0),
    lambda: Behaviour(silent=True),
    lambda: Behaviour(html=True),
]


class Flaky(MockAdapter):
    """Does three of ten calls wrong, each in a way drawn from a seed."""

    def __init__(self, provider: str, *, seed: int, **settings: object) -> None:
        super().__init__(provider=provider, sample_rate=8_000, **settings)
        draw = random.Random(seed)
        self.went_wrong = 0

        def behaviour(_text: str, _now: float) -> Behaviour:
            if draw.random() >= 0.3:
                return Behaviour()
            self.went_wrong += 1
            return draw.choice(FAULTS)()

        self.faults.behaviour = behaviour  # type: ignore[method-assign] # a script of its own


def crowd(**settings: object) -> list[MockAdapter]:
    """Return a flaky provider with two fallbacks, the first of which is as flaky."""
    return [
        Flaky("p0", seed=1, **settings),
        Flaky("p1", seed=2, **settings),
        MockAdapter(provider="p2", sample_rate=8_000, **settings),
    ]


def text_of(number: int) -> str:
    return f"Order {number} is ready, number {number * 7919 % 1_000}."


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_thousand_at_once_get_each_their_own_words(backend: str) -> None:
    adapters = crowd(latency_s=0.05)
    heard: dict[int, Audio] = {}
    failures: list[Exception] = []

    async def ask(tts: AsyncTTSService, number: int) -> None:
        try:
            heard[number] = await tts.synthesize(text_of(number))
        except Exception as error:  # noqa: BLE001 - counted
            failures.append(error)

    async def main() -> None:
        async with (
            AsyncTTSService(LIMITS, providers=adapters) as tts,
            anyio.create_task_group() as callers,
        ):
            for number in range(REQUESTS):
                callers.start_soon(ask, tts, number)

    virtual_time(main, backend=backend)
    wrong = [n for n, audio in heard.items() if transcribe(audio) != text_of(n)]
    asked = [len(adapter.requests) for adapter in adapters]
    print(f"{len(failures)} of {REQUESTS} failed, {len(wrong)} wrong; calls {asked}")  # noqa: T201
    assert wrong == []
    assert len(failures) < REQUESTS / 1_000
    assert adapters[0].most_running <= 8
    assert isinstance(adapters[0], Flaky)
    assert adapters[0].went_wrong > 0.2 * asked[0]
    assert [adapter.running for adapter in adapters] == [0, 0, 0]


def test_two_hundred_threads_get_each_their_own_words() -> None:
    numbers = list(range(1_000))
    random.Random(7).shuffle(numbers)
    with TTSService(providers=crowd()) as tts, ThreadPoolExecutor(200) as threads:
        heard = list(threads.map(lambda number: tts.synthesize(text_of(number)), numbers))
    assert [transcribe(audio) for audio in heard] == [text_of(number) for number in numbers]
