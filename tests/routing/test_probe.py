"""A provider that failed comes back by a probe that carries nobody's text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from ttskit import AsyncTTSService
from ttskit.telemetry.events import AttemptEvent, BreakerEvent, Event
from ttskit.testing import MockAdapter, virtual_time

Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(params=["asyncio", "trio"])
def on_virtual_time(request: pytest.FixtureRequest) -> Run:
    def run(main: Callable[[], Awaitable[None]]) -> None:
        virtual_time(main, backend=request.param, grace_s=0)

    return run


@pytest.fixture
def first() -> MockAdapter:
    return MockAdapter(provider="first")


async def broken(tts: AsyncTTSService, first: MockAdapter) -> None:
    """Let the first provider fail until its breaker is open."""
    first.faults.outage()
    for _ in range(6):
        await tts.synthesize("Hello there.")
    [state] = [one.state for one in tts.health() if one.provider == "first"]
    assert state == "open"


def service(first: MockAdapter) -> AsyncTTSService:
    return AsyncTTSService(providers=[first, MockAdapter(provider="second")])


def test_no_text_is_sent_to_a_provider_that_is_down(
    on_virtual_time: Run, first: MockAdapter
) -> None:
    async def main() -> None:
        async with service(first) as tts:
            await broken(tts, first)
            asked = len(first.requests)
            for _ in range(100):
                await anyio.sleep(1)
                assert (await tts.synthesize("Hello there.")).origin.provider == "second"
            assert len(first.requests) == asked

    on_virtual_time(main)


def test_recovery_is_found_without_any_request(on_virtual_time: Run, first: MockAdapter) -> None:
    events: list[Event] = []

    async def main() -> None:
        async with service(first) as tts:
            tts.on("breaker", events.append)
            await broken(tts, first)
            asked = len(first.requests)
            first.faults.heal()
            await anyio.sleep(30)
            assert len(first.requests) == asked
            assert [h.state for h in tts.health() if h.provider == "first"] == ["half-open"]
            assert (await tts.synthesize("Hello there.")).origin.provider == "first"
            assert [h.state for h in tts.health() if h.provider == "first"] == ["closed"]

    on_virtual_time(main)
    states = [event.after for event in events if isinstance(event, BreakerEvent)]
    assert states == ["open", "half-open", "closed"]


def test_streams_come_back_as_well(on_virtual_time: Run, first: MockAdapter) -> None:
    async def main() -> None:
        async with service(first) as tts:
            await broken(tts, first)
            first.faults.heal()
            await anyio.sleep(30)
            async with tts.stream("Hello there.") as speech:
                assert {chunk.provider async for chunk in speech} == {"first"}

    on_virtual_time(main)


def test_a_probe_is_an_attempt_without_text(on_virtual_time: Run, first: MockAdapter) -> None:
    events: list[Event] = []

    async def main() -> None:
        async with service(first) as tts:
            tts.on("attempt", events.append)
            await broken(tts, first)
            await anyio.sleep(30)
            first.faults.heal()
            await anyio.sleep(30)

    on_virtual_time(main)
    probes = [e for e in events if isinstance(e, AttemptEvent) and e.utterance is None]
    assert [probe.characters for probe in probes] == [0] * len(probes)
    assert probes[0].outcome == "provider_unavailable"
    assert probes[-1].outcome == "ok"


def test_the_wait_grows_while_probes_fail(on_virtual_time: Run, first: MockAdapter) -> None:
    events: list[Event] = []

    async def main() -> None:
        async with service(first) as tts:
            tts.on("breaker", events.append)
            await broken(tts, first)
            await anyio.sleep(200)

    on_virtual_time(main)
    waits = [e.next_probe_in for e in events if isinstance(e, BreakerEvent) and e.after == "open"]
    assert all(wait is not None and wait <= 20 for wait in waits)
    assert 8 < len(waits) < 40


class Hanging(MockAdapter):
    """Never answers whether it is well."""

    async def check(self) -> None:
        if self.faults.refusal() is not None:
            await anyio.sleep_forever()


def test_a_probe_that_hangs_is_given_up(on_virtual_time: Run) -> None:
    first = Hanging(provider="first")

    async def main() -> None:
        async with service(first) as tts:
            await broken(tts, first)
            await anyio.sleep(60)
            first.faults.heal()
            await anyio.sleep(30)
            assert (await tts.synthesize("Hello there.")).origin.provider == "first"

    on_virtual_time(main)


class Careless(MockAdapter):
    """Raises something that is none of ours."""

    async def check(self) -> None:
        raise LookupError("a mistake in an adapter")


def test_a_check_with_a_mistake_in_it_harms_nobody(on_virtual_time: Run) -> None:
    first = Careless(provider="first")

    async def main() -> None:
        async with service(first) as tts:
            await broken(tts, first)
            await anyio.sleep(60)
            assert (await tts.synthesize("Hello there.")).origin.provider == "second"

    on_virtual_time(main)


def test_the_only_provider_is_probed_by_whoever_asks(
    on_virtual_time: Run, first: MockAdapter
) -> None:
    first.faults.fail_first(5)

    async def main() -> None:
        settings = {"providers": {"first": {"retry": {"attempts": 1}}}}
        async with AsyncTTSService(settings, providers=[first]) as tts:
            outcomes = []
            for _ in range(40):
                try:
                    outcomes.append((await tts.synthesize("Hello.")).origin.outcome)
                except Exception as error:  # noqa: BLE001 - of any kind
                    outcomes.append(type(error).__name__)
                await anyio.sleep(1)
            assert outcomes[-1] == "complete"
            assert "CircuitOpenError" in outcomes

    on_virtual_time(main)


def test_one_loop_after_another_finds_the_provider_again(first: MockAdapter) -> None:
    tts = service(first)

    async def fail() -> None:
        await broken(tts, first)

    async def recover() -> None:
        await anyio.sleep(60)
        await tts.synthesize("Hello there.")
        await anyio.sleep(1)
        assert (await tts.synthesize("Hello there.")).origin.provider == "first"
        await tts.aclose()

    virtual_time(fail)
    first.faults.heal()
    virtual_time(recover)
