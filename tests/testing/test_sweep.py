"""The sweep finds what cancellation breaks; and it finds nothing in ttskit's own coroutines."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from ttskit import AsyncTTSService, SpeechRequest
from ttskit.errors import RateLimitedError
from ttskit.testing import MockAdapter, transcribe
from ttskit.testing.census import LeakError
from ttskit.testing.sweep import CancelSweep, SweepError

pytestmark = pytest.mark.anyio
TEXT = "One two. Three four."
Work = Callable[[], Awaitable[object]]
Call = Callable[[AsyncTTSService], Awaitable[None]]


@pytest.fixture
def on_asyncio(anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("asyncio's own way of cancelling")


async def turns(count: int) -> None:
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


async def test_each_point_is_reached_and_a_sound_coroutine_passes(anyio_backend_name: str) -> None:
    gone: list[int] = []

    async def work() -> None:
        for turn in range(5):
            try:
                await turns(1)
            except BaseException:
                gone.append(turn)
                raise

    report = await CancelSweep(work).run()
    assert set(gone) == set(range(5))
    assert report.cases >= (5 * 7 if anyio_backend_name == "asyncio" else 5)


async def test_tasks_that_the_work_starts_have_points_too() -> None:
    progress: set[int] = set()

    async def child(steps: list[int]) -> None:
        for step in range(9):
            await turns(1)
            steps.append(step)

    async def work() -> None:
        steps: list[int] = []
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(child, steps)
        finally:
            progress.add(len(steps))

    await CancelSweep(work).run()
    assert progress == set(range(10))


async def test_a_permit_lost_at_one_point_is_found() -> None:
    permits = anyio.Semaphore(1)

    async def work() -> None:
        await permits.acquire()
        await turns(2)
        permits.release()

    async def permitted() -> None:
        permits.acquire_nowait()
        permits.release()

    with pytest.raises(anyio.WouldBlock) as failure:
        await CancelSweep(work, invariant=permitted).run()
    assert "cancelled 1x by a scope around it, at suspension" in failure.value.__notes__[0]


@pytest.mark.usefixtures("on_asyncio")
async def test_what_only_a_second_cancellation_breaks_is_found() -> None:
    free = [True]

    async def work() -> None:
        free[0] = False
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):  # which a native cancellation does not heed
                await asyncio.sleep(0)
            free[0] = True
            raise
        free[0] = True

    async def is_free() -> None:
        assert free[0]

    await CancelSweep(work, invariant=is_free, times=1).run()
    free[0] = True
    with pytest.raises(AssertionError) as failure:
        await CancelSweep(work, invariant=is_free, times=2).run()
    assert failure.value.__notes__[0].startswith("cancelled 2x while it waits")


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


@pytest.mark.usefixtures("on_asyncio")
async def test_what_breaks_as_a_result_arrives_is_found() -> None:
    lock = [False]

    async def acquire() -> None:
        ready = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(_settle, ready)
        ready.add_done_callback(lambda done: lock.__setitem__(0, not done.cancelled()))
        await ready

    async def work() -> None:
        await acquire()
        lock[0] = False

    async def is_free() -> None:
        assert not lock[0]

    with pytest.raises(AssertionError) as failure:
        await CancelSweep(work, invariant=is_free).run()
    assert "1x as what it waited for is done, at suspension 1" in failure.value.__notes__[0]


@pytest.mark.usefixtures("on_asyncio")
async def test_a_swallowed_cancellation_is_found() -> None:
    async def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await turns(1)

    with pytest.raises(SweepError, match="swallowed"):
        await CancelSweep(work).run()


async def test_another_error_in_place_of_the_cancellation_is_found() -> None:
    async def work() -> None:
        done = False
        try:
            await turns(3)
            done = True
        finally:
            if not done:
                raise ConnectionResetError

    with pytest.raises(ConnectionResetError) as failure:
        await CancelSweep(work).run()
    assert "at suspension 1" in failure.value.__notes__[0]


@pytest.mark.usefixtures("on_asyncio")
async def test_a_task_that_outlives_its_work_is_found() -> None:
    strays: list[asyncio.Task[object]] = []

    async def work() -> None:
        stray = asyncio.ensure_future(asyncio.sleep(600))
        strays.append(stray)
        await turns(2)
        stray.cancel()

    with pytest.raises(LeakError, match="task"):
        await CancelSweep(work, within_s=0.1).run()
    for stray in strays:
        stray.cancel()


@pytest.mark.usefixtures("on_asyncio")
async def test_a_clean_up_that_hangs_is_found() -> None:
    async def work() -> None:
        done = False
        try:
            await turns(2)
            done = True
        finally:
            if not done:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(600)

    with pytest.raises(SweepError, match="still running"):
        await CancelSweep(work, patience_s=0.05).run()


async def test_an_error_of_the_work_itself_is_no_finding() -> None:
    async def work() -> None:
        raise LookupError

    with pytest.raises(LookupError) as failure:
        await CancelSweep(work).run()
    assert not hasattr(failure.value, "__notes__")


async def one_text(tts: AsyncTTSService) -> None:
    await tts.synthesize(TEXT)


async def one_text_live(tts: AsyncTTSService) -> None:
    await tts.synthesize(TEXT, delivery="live")


async def markup(tts: AsyncTTSService) -> None:
    await tts.synthesize(ssml="<speak>One <break time='0.1s'/> two.</speak>")


async def a_whole_request(tts: AsyncTTSService) -> None:
    await tts.synthesize(SpeechRequest.build(text="One two.", format="mp3", timestamps="word"))


async def a_stream_read_to_its_end(tts: AsyncTTSService) -> None:
    async with tts.stream(TEXT) as speech:
        async for _ in speech:
            pass


async def a_live_stream(tts: AsyncTTSService) -> None:
    async with tts.stream(TEXT, delivery="live") as speech:
        async for _ in speech:
            pass


async def a_stream_left_early(tts: AsyncTTSService) -> None:
    async with tts.stream(TEXT) as speech:
        await anext(speech)


async def text_that_arrives(tts: AsyncTTSService) -> None:
    async def tokens() -> AsyncIterator[str]:
        for token in ("One ", "two. Th", "ree four."):
            await turns(1)
            yield token

    async with tts.stream(tokens()) as speech:
        async for _ in speech:
            pass


async def a_stream_collected(tts: AsyncTTSService) -> None:
    async with tts.stream(TEXT) as speech:
        await speech.collect()


async def a_list_of_voices(tts: AsyncTTSService) -> None:
    assert await tts.voices(provider="mock")


async def a_voice_by_name(tts: AsyncTTSService) -> None:
    await tts.synthesize("One.", voice="tenor", voice_policy="similar")


async def shut_down_in_a_stream(tts: AsyncTTSService) -> None:
    async with tts.stream(TEXT) as speech:
        await anext(speech)
        await tts.aclose()


PUBLIC: list[Call] = [
    one_text,
    one_text_live,
    markup,
    a_whole_request,
    a_stream_read_to_its_end,
    a_live_stream,
    a_stream_left_early,
    text_that_arrives,
    a_stream_collected,
    a_voice_by_name,
]


def overloaded(message: str) -> RateLimitedError:
    return RateLimitedError(message, retry_after=0.001)


def assert_well(tts: AsyncTTSService) -> None:
    """No provider was marked down, nor is any failure held against it."""
    assert {(one.state, one.error_rate or 0.0) for one in tts.health()} <= {("closed", 0.0)}


class TestSpeech:
    """ttskit's own coroutines, over a mock that speaks in several chunks."""

    @pytest.fixture
    def adapter(self) -> MockAdapter:
        return MockAdapter(chunk_s=0.3)

    @pytest.fixture
    async def tts(
        self, adapter: MockAdapter, anyio_backend_name: str
    ) -> AsyncIterator[AsyncTTSService]:
        del anyio_backend_name
        async with AsyncTTSService(providers=[adapter, MockAdapter(provider="spare")]) as service:
            yield service

    @pytest.fixture
    def invariant(self, adapter: MockAdapter, tts: AsyncTTSService) -> Work:
        async def nothing_runs_all_are_well_and_it_still_speaks() -> None:
            adapter.faults.heal()
            assert adapter.running == 0
            assert tts.stats().streams.open == 0
            assert_well(tts)
            with anyio.fail_after(30):
                audio = await tts.synthesize("Still.")
            assert transcribe(audio) == "Still."
            assert audio.origin.provider == "mock"

        return nothing_runs_all_are_well_and_it_still_speaks

    @pytest.mark.parametrize("work", PUBLIC)
    async def test_what_is_cancelled_leaves_nothing_and_marks_nobody(
        self, work: Call, tts: AsyncTTSService, invariant: Work
    ) -> None:
        report = await CancelSweep(lambda: work(tts), invariant=invariant, times=3).run()
        assert report.cases >= 3

    async def test_failover(
        self, adapter: MockAdapter, tts: AsyncTTSService, invariant: Work
    ) -> None:
        async def work() -> None:
            # An error that says nothing about health: each run finds the provider as it was.
            adapter.faults.heal().die_mid_stream(at=0.4, error=overloaded)
            assert (await tts.synthesize("One two three.")).origin.provider == "spare"

        await CancelSweep(work, invariant=invariant, times=3).run()

    @pytest.mark.parametrize("delivery", ["exact", "live"])
    async def test_a_retry_and_its_wait(self, adapter: MockAdapter, delivery: str) -> None:
        many = {"providers": {"mock": {"budget": {"ratio": 1, "reserve_per_s": 1_000}}}}
        async with AsyncTTSService(many, providers=[adapter]) as tts:

            async def work() -> None:
                adapter.faults.heal().fail_first(1, overloaded)
                await tts.synthesize("One two three.", delivery=delivery)
                assert len(adapter.requests) >= 2

            async def it_is_well() -> None:
                adapter.faults.heal()
                assert_well(tts)
                assert adapter.running == 0
                assert transcribe(await tts.synthesize("Still.")) == "Still."

            await CancelSweep(work, invariant=it_is_well, times=3).run()

    async def test_requests_that_wait_for_one_another(self, adapter: MockAdapter) -> None:
        limits = {"providers": {"mock": {"limits": {"concurrency": 1}}}}

        async with AsyncTTSService(limits, providers=[adapter]) as tts:

            async def work() -> None:
                async with anyio.create_task_group() as tasks:
                    for text in ("One.", "Two."):
                        tasks.start_soon(tts.synthesize, text)

            async def there_is_room() -> None:
                assert adapter.running == 0
                assert_well(tts)
                with anyio.fail_after(30):
                    assert transcribe(await tts.synthesize("Still.")) == "Still."

            await CancelSweep(work, invariant=there_is_room, times=3).run()

    @pytest.mark.parametrize("last", [one_text, shut_down_in_a_stream, a_list_of_voices])
    async def test_a_service_from_its_opening_to_its_end(
        self, adapter: MockAdapter, last: Call
    ) -> None:
        async def work() -> None:
            async with AsyncTTSService(providers=[adapter]) as tts:
                await last(tts)

        async def closed() -> None:
            assert adapter.running == 0
            assert not adapter.is_open

        await CancelSweep(work, invariant=closed, times=3).run()
