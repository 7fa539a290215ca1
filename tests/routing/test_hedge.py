"""A second provider is asked where the first one is slow; only one of them is heard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from ttskit import AsyncTTSService
from ttskit.telemetry.events import Event, HedgeEvent
from ttskit.testing import CancelSweep, MockAdapter, listen, transcribe, virtual_time

Run = Callable[[Callable[[], Awaitable[None]]], None]
HEDGED: dict[str, object] = {
    "routing": {"hedge": {"enabled": True, "minimum_calls": 10, "ratio": 0.2}}
}
TEXT = "One two three. Four five six."


@pytest.fixture(params=["asyncio", "trio"])
def on_virtual_time(request: pytest.FixtureRequest) -> Run:
    def run(main: Callable[[], Awaitable[None]]) -> None:
        virtual_time(main, backend=request.param)

    return run


def pair() -> tuple[MockAdapter, MockAdapter]:
    return MockAdapter(provider="first", latency_s=0.1), MockAdapter(
        provider="second", latency_s=0.1, voices=["bass"]
    )


async def practised(tts: AsyncTTSService) -> None:
    """Let the service learn how long the first provider takes."""
    for _ in range(30):
        await tts.synthesize("Hello.")
        await anyio.sleep(0.2)


@pytest.mark.parametrize("delivery", ["exact", "live"])
def test_a_slow_first_answer_is_overtaken_and_one_voice_is_heard(
    on_virtual_time: Run, delivery: str
) -> None:
    first, second = pair()

    async def main() -> None:
        async with AsyncTTSService(HEDGED, providers=[first, second]) as tts:
            await practised(tts)
            first.faults.slow(first=5.0)
            began = anyio.current_time()
            async with tts.stream(TEXT, delivery=delivery) as speech:
                chunks = [await anext(speech)]
                assert anyio.current_time() - began < 1
                chunks += [chunk async for chunk in speech]
            assert first.running == 0
            assert {heard.voice for heard in listen(chunks)} == {"second:bass"}
            assert transcribe(chunks) == TEXT
            assert [one.state for one in tts.health()] == ["closed", "closed"]
            assert tts.stats().providers["second"].hedges == 1

    on_virtual_time(main)


def test_a_hedge_is_told_as_it_starts_and_ends() -> None:
    first, second = pair()
    events: list[Event] = []

    async def main() -> None:
        async with AsyncTTSService(HEDGED, providers=[first, second]) as tts:
            tts.on("hedge", events.append)
            await practised(tts)
            first.faults.slow(first=5.0)
            await tts.synthesize(TEXT)

    virtual_time(main)
    told = [event.outcome for event in events if isinstance(event, HedgeEvent)]
    assert told == ["started", "won"]


def test_the_slower_second_is_cancelled(on_virtual_time: Run) -> None:
    first, second = pair()
    second.faults.slow(first=50.0)

    async def main() -> None:
        async with AsyncTTSService(HEDGED, providers=[first, second]) as tts:
            await practised(tts)
            first.faults.slow(first=2.0)
            audio = await tts.synthesize(TEXT)
            assert audio.origin.provider == "first"
            assert len(second.requests) == 1
            assert second.running == 0

    on_virtual_time(main)


def test_nobody_is_hedged_unless_asked_for(on_virtual_time: Run) -> None:
    first, second = pair()

    async def main() -> None:
        async with AsyncTTSService(providers=[first, second]) as tts:
            await practised(tts)
            first.faults.slow(first=5.0)
            await tts.synthesize(TEXT)

    on_virtual_time(main)
    assert second.requests == []


def test_both_failing_is_one_error_or_the_third(on_virtual_time: Run) -> None:
    first, second = pair()
    third = MockAdapter(provider="third")

    async def main() -> None:
        async with AsyncTTSService(HEDGED, providers=[first, second, third]) as tts:
            await practised(tts)
            first.faults.slow(first=1.0).die_mid_stream(at=0.0)
            second.faults.slow(first=1.0).die_mid_stream(at=0.0)
            audio = await tts.synthesize(TEXT)
            assert audio.origin.provider == "third"
            assert transcribe(audio) == TEXT

    on_virtual_time(main)


def test_whoever_was_heard_first_and_then_dies_is_followed_by_the_other(
    on_virtual_time: Run,
) -> None:
    first, second = pair()

    async def main() -> None:
        async with AsyncTTSService(HEDGED, providers=[first, second]) as tts:
            await practised(tts)
            first.faults.slow(first=3.0)
            second.faults.die_mid_stream(at=0.5)
            audio = await tts.synthesize("One two three.")
            assert transcribe(audio) == "One two three."
            assert audio.origin.provider == "first"

    on_virtual_time(main)


def test_second_calls_stay_a_small_share(on_virtual_time: Run) -> None:
    first, second = pair()

    async def main() -> None:
        settings = {"routing": {"hedge": {"enabled": True}}}
        async with AsyncTTSService(settings, providers=[first, second]) as tts:
            for number in range(600):
                first.faults.heal().slow(first=1.0 if number % 33 == 32 else 0.0)
                await tts.synthesize("Hello.")
                await anyio.sleep(0.02)

    on_virtual_time(main)
    assert 0 < len(second.requests) <= 0.05 * 600 + 1


def test_a_contest_may_be_cancelled_anywhere(on_virtual_time: Run) -> None:
    first, second = pair()
    settings = {"routing": {"hedge": {"enabled": True, "minimum_calls": 1, "ratio": 1.0}}}

    async def main() -> None:
        async with AsyncTTSService(settings, providers=[first, second]) as tts:
            await practised(tts)
            first.faults.slow(first=0.5)

            async def work() -> None:
                async with tts.stream("One two.", delivery="live") as speech:
                    async for _ in speech:
                        pass

            async def nothing_runs() -> None:
                assert first.running == second.running == 0
                assert {one.state for one in tts.health()} == {"closed"}

            await CancelSweep(work, invariant=nothing_runs).run()
        assert second.requests

    on_virtual_time(main)
