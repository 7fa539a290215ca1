"""What a provider's guard does for a request, seen through the public door on virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from ttskit import AsyncTTSService, TTSService
from ttskit.errors import (
    AllProvidersFailedError,
    CircuitOpenError,
    DeadlineExceededError,
    InvalidParameterError,
    NetworkError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QueueFullError,
    RateLimitedError,
)
from ttskit.telemetry.events import AttemptEvent, BreakerEvent, Event, FailoverEvent, RetryEvent
from ttskit.testing import MockAdapter, transcribe
from ttskit.testing.clock import virtual_time

TEXT = "One two three. Four five six."


@pytest.fixture(params=["asyncio", "trio"])
def on_virtual_time(
    request: pytest.FixtureRequest,
) -> Callable[[Callable[[], Awaitable[None]]], None]:
    def run(main: Callable[[], Awaitable[None]]) -> None:
        virtual_time(main, backend=request.param, grace_s=0.01)

    return run


Run = Callable[[Callable[[], Awaitable[None]]], None]


def pair() -> tuple[MockAdapter, MockAdapter]:
    return MockAdapter(provider="first"), MockAdapter(provider="second")


def test_a_hiccup_is_retried_and_nobody_hears_of_it(on_virtual_time: Run) -> None:
    first, second = pair()
    first.faults.fail_first(1, NetworkError)

    async def main() -> None:
        async with AsyncTTSService(providers=[first, second]) as tts:
            audio = await tts.synthesize("Hello there.")
        assert audio.origin.provider == "first"

    on_virtual_time(main)
    assert (len(first.requests), len(second.requests)) == (2, 0)


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        pytest.param(NetworkError, 3, id="a hiccup is tried again while nobody notices"),
        pytest.param(ProviderUnavailableError, 1, id="an overloaded one is left at once"),
    ],
)
def test_where_another_can_speak_nobody_is_kept_waiting(
    on_virtual_time: Run, error: type[ProviderError], calls: int
) -> None:
    first, second = pair()
    first.faults.fail_first(99, error)

    async def main() -> None:
        began = anyio.current_time()
        async with AsyncTTSService(providers=[first, second]) as tts:
            audio = await tts.synthesize("Hello there.")
        assert audio.origin.provider == "second"
        assert anyio.current_time() - began < 0.3

    on_virtual_time(main)
    assert 1 <= len(first.requests) <= calls


def test_the_only_provider_is_asked_three_times(on_virtual_time: Run) -> None:
    adapter = MockAdapter()
    adapter.faults.fail_first(99)

    async def main() -> None:
        async with AsyncTTSService(providers=[adapter]) as tts:
            with pytest.raises(ProviderUnavailableError):
                await tts.synthesize("Hello there.")

    on_virtual_time(main)
    assert len(adapter.requests) == 3


def test_an_open_breaker_is_not_asked_and_a_probe_brings_the_provider_back(
    on_virtual_time: Run,
) -> None:
    first, second = pair()
    first.faults.fail_first(10**6)

    async def main() -> None:
        async with AsyncTTSService(providers=[first, second]) as tts:
            for _ in range(6):
                await tts.synthesize("Hello there.")
            asked = len(first.requests)
            await tts.synthesize("Hello there.")
            assert len(first.requests) == asked
            first.faults.heal()
            await anyio.sleep(30)
            spoken = [(await tts.synthesize("Hello there.")).origin.provider for _ in range(3)]
        assert spoken == ["first"] * 3

    on_virtual_time(main)


def test_a_provider_that_goes_quiet_is_left_within_its_clock(on_virtual_time: Run) -> None:
    first, second = pair()
    first.faults.hang(at=0.5)
    config = {"providers": {"first": {"adapter": "mock", "timeouts": {"stall_s": 2}}}}

    async def main() -> None:
        async with AsyncTTSService(config, providers=[first, second]) as tts:
            audio = await tts.synthesize("Hello there.")
            assert audio.origin.provider == "second"
            assert anyio.current_time() - began < 3 * 2 + 3

    async def timed() -> None:
        nonlocal began
        began = anyio.current_time()
        await main()

    began = 0.0
    on_virtual_time(timed)
    assert first.running == 0


def test_no_first_audio_in_time_is_a_timeout(on_virtual_time: Run) -> None:
    adapter = MockAdapter()
    adapter.faults.hang()

    async def main() -> None:
        async with AsyncTTSService(providers=[adapter]) as tts:
            with pytest.raises(ProviderTimeoutError, match="no audio"):
                await tts.synthesize("Hello there.", deadline=600)

    on_virtual_time(main)


def test_the_time_for_a_whole_text_is_configured_with_its_provider(on_virtual_time: Run) -> None:
    adapter = MockAdapter()
    adapter.faults.hang()
    timeouts = {"total_s": 5, "total_per_character_s": 0}
    config = {"providers": {"mock": {"timeouts": timeouts}}}

    async def main() -> None:
        async with AsyncTTSService(config, providers=[adapter]) as tts:
            with pytest.raises(DeadlineExceededError):
                await tts.synthesize("Hello there.")
            assert anyio.current_time() < 6

    on_virtual_time(main)


def test_a_listener_who_pauses_is_no_stall(on_virtual_time: Run) -> None:
    adapter = MockAdapter()

    async def main() -> None:
        async with AsyncTTSService(providers=[adapter]) as tts, tts.stream(TEXT * 20) as speech:
            heard = [await anext(speech)]
            await anyio.sleep(540)
            heard += [chunk async for chunk in speech]
        assert transcribe(heard).replace(" ", "") == (TEXT * 20).replace(" ", "")

    on_virtual_time(main)


def test_a_long_pushback_is_not_waited_for_where_another_can_speak(on_virtual_time: Run) -> None:
    first, second = pair()
    first.faults.rate_limit(after=0, retry_after=600)

    async def main() -> None:
        began = anyio.current_time()
        async with AsyncTTSService(providers=[first, second]) as tts:
            audio = await tts.synthesize("Hello there.")
        assert audio.origin.provider == "second"
        assert anyio.current_time() - began < 1

    on_virtual_time(main)
    assert len(first.requests) == 1


def test_a_revoked_key_fails_over_and_is_not_tried_again_until_it_is_reset(
    on_virtual_time: Run, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = pair()
    first.faults.revoke_key()

    async def main() -> None:
        async with AsyncTTSService(providers=[first, second]) as tts:
            for _ in range(3):
                assert (await tts.synthesize("Hello there.")).origin.provider == "second"
            assert len(first.requests) == 1
            first.faults.heal()
            tts.reset("first")
            assert (await tts.synthesize("Hello there.")).origin.provider == "first"
            with pytest.raises(InvalidParameterError, match="first"):
                tts.reset("furst")

    on_virtual_time(main)
    assert [record.message for record in caplog.records if "key" in record.message] == [
        "first does not accept its key and is not asked any more"
    ]


def test_errors_of_the_callers_own_making_open_nothing(on_virtual_time: Run) -> None:
    adapter = MockAdapter()
    adapter.faults.reject_content(matching="forbidden")

    async def main() -> None:
        async with AsyncTTSService(providers=[adapter]) as tts:
            for _ in range(20):
                with pytest.raises(Exception, match=r"policy|reject|content"):
                    await tts.synthesize("A forbidden word.")
            await tts.synthesize("A word.")
            assert tts.health()[0].state == "closed"

    on_virtual_time(main)


def test_all_down_ends_in_one_error_within_the_deadline(on_virtual_time: Run) -> None:
    first, second = pair()
    for adapter in (first, second):
        adapter.faults.fail_first(10**6)

    async def main() -> None:
        async with AsyncTTSService(providers=[first, second]) as tts:
            for _ in range(8):
                began = anyio.current_time()
                with pytest.raises(AllProvidersFailedError) as failure:
                    await tts.synthesize("Hello there.", deadline=30)
                assert anyio.current_time() - began < 30
            assert any(isinstance(e, CircuitOpenError) for e in failure.value.exceptions)
            assert failure.value.retry_after is not None

    on_virtual_time(main)


def test_a_crowd_waits_its_turn_at_a_local_engine(on_virtual_time: Run) -> None:
    adapter = MockAdapter(latency_s=0.01)
    texts = [
        f"Caller number {number} speaks. Then caller {number} leaves." for number in range(400)
    ]
    heard: dict[str, str] = {}

    async def call(tts: AsyncTTSService, text: str) -> None:
        heard[text] = transcribe(await tts.synthesize(text))

    async def main() -> None:
        async with AsyncTTSService(providers=[adapter]) as tts, anyio.create_task_group() as tasks:
            for text in texts:
                tasks.start_soon(call, tts, text)

    on_virtual_time(main)
    assert heard == {text: text for text in texts}
    assert adapter.most_running <= 64


def test_the_queue_for_a_provider_is_bounded(on_virtual_time: Run) -> None:
    adapter = MockAdapter(provider="small")
    adapter.faults.hang()
    limits = {"concurrency": 1, "queue": 1}
    config = {"providers": {"small": {"adapter": "mock", "limits": limits}}}

    async def main() -> None:
        async with (
            AsyncTTSService(config, providers=[adapter]) as tts,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(2):
                tasks.start_soon(tts.synthesize, "Hello there.")
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(QueueFullError, match="small"):
                await tts.synthesize("Hello there.")
            tasks.cancel_scope.cancel()

    on_virtual_time(main)


def test_the_characters_of_a_minute_are_kept_to(on_virtual_time: Run) -> None:
    adapter = MockAdapter(provider="slow")
    limits = {"characters_per_minute": 120}
    config = {"providers": {"slow": {"adapter": "mock", "limits": limits}}}

    async def main() -> None:
        began = anyio.current_time()
        async with AsyncTTSService(config, providers=[adapter]) as tts:
            for _ in range(6):
                await tts.synthesize("A sentence of forty characters is this..", deadline=600)
            assert anyio.current_time() - began > 45
            with pytest.raises(RateLimitedError):
                await tts.synthesize("A sentence of forty characters is this..", deadline=0.5)

    on_virtual_time(main)


def test_events_tell_the_story_of_a_failure_without_its_text(on_virtual_time: Run) -> None:
    first, second = pair()
    first.faults.fail_first(10**6, NetworkError)
    heard: list[Event] = []

    async def main() -> None:
        async with AsyncTTSService(providers=[first, second]) as tts:
            tts.on("*", heard.append)
            for _ in range(6):
                await tts.synthesize("Zanzibar is a secret.", tags={"job": "7"})
            stats = tts.stats()
            tts._desk().events.close(5.0)
        assert (stats.requests, stats.providers["second"].characters) == (6, 126)

    on_virtual_time(main)
    kinds = {type(event) for event in heard}
    assert {AttemptEvent, RetryEvent, FailoverEvent, BreakerEvent} <= kinds
    assert "Zanzibar" not in repr(heard)
    assert {event.tags.get("job") for event in heard if isinstance(event, AttemptEvent)} == {"7"}


def test_health_tells_state_errors_and_the_next_probe(on_virtual_time: Run) -> None:
    adapter = MockAdapter()
    adapter.faults.fail_first(10**6, ProviderUnavailableError)

    async def main() -> None:
        async with AsyncTTSService(providers=[adapter]) as tts:
            for _ in range(5):
                with pytest.raises(ProviderUnavailableError):
                    await tts.synthesize("Hello there.")
            with pytest.raises(CircuitOpenError):
                await tts.synthesize("Hello there.")
            (health,) = tts.health()
        assert (health.state, health.error_rate) == ("open", 1.0)
        assert (health.provider, health.last_error) == ("mock", "provider_unavailable")
        assert health.next_probe_in is not None

    on_virtual_time(main)


def test_a_provider_that_is_switched_off_is_not_asked_until_it_is_reset(
    on_virtual_time: Run,
) -> None:
    first, second = pair()

    async def main() -> None:
        async with AsyncTTSService(providers=[first, second]) as tts:
            tts.force("first", "open")
            await anyio.sleep(3_600)
            origin = (await tts.synthesize("Hello.")).origin
            assert origin.provider == "second"
            assert origin.attempts[0].message == "was switched off"
            tts.reset("first")
            assert (await tts.synthesize("Hello.")).origin.provider == "first"

    on_virtual_time(main)
    assert len(first.requests) == 1


def test_a_provider_that_is_kept_on_is_asked_however_often_it_fails(on_virtual_time: Run) -> None:
    first, second = pair()
    first.faults.outage()

    async def main() -> None:
        async with AsyncTTSService(providers=[first, second]) as tts:
            tts.force("first", "closed")
            for _ in range(8):
                await tts.synthesize("Hello.")

    on_virtual_time(main)
    assert len(first.requests) >= 8


@pytest.mark.parametrize(("provider", "state"), [("fist", "open"), ("first", "ajar")])
def test_what_cannot_be_forced_is_said(provider: str, state: str) -> None:
    first, second = pair()
    with TTSService(providers=[first, second]) as tts, pytest.raises(InvalidParameterError):
        tts.force(provider, state)  # type: ignore[arg-type] # the point of it
