"""The sweep finds what cancellation breaks; and it finds nothing in ttskit's own coroutines."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from ttskit import AsyncTTSService
from ttskit.testing import MockAdapter, transcribe
from ttskit.testing.census import LeakError
from ttskit.testing.sweep import CancelSweep, SweepError

pytestmark = pytest.mark.anyio
TEXT = "One two. Three four."
Work = Callable[[], Awaitable[object]]


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
        async def nothing_runs_and_it_still_speaks() -> None:
            assert adapter.running == 0
            assert transcribe(await tts.synthesize("Still.")) == "Still."

        return nothing_runs_and_it_still_speaks

    async def test_synthesize(self, tts: AsyncTTSService, invariant: Work) -> None:
        report = await CancelSweep(lambda: tts.synthesize(TEXT), invariant=invariant).run()
        assert report.points > 10

    async def test_a_stream_that_is_read_to_its_end(
        self, tts: AsyncTTSService, invariant: Work
    ) -> None:
        async def work() -> None:
            async with tts.stream(TEXT) as speech:
                async for _ in speech:
                    pass

        report = await CancelSweep(work, invariant=invariant).run()
        assert report.points > 20

    async def test_a_stream_that_is_left_early(self, tts: AsyncTTSService, invariant: Work) -> None:
        async def work() -> None:
            async with tts.stream(TEXT) as speech:
                await anext(speech)

        await CancelSweep(work, invariant=invariant).run()

    async def test_failover(
        self, adapter: MockAdapter, tts: AsyncTTSService, invariant: Work
    ) -> None:
        async def work() -> None:
            adapter.faults.heal().die_mid_stream(at=0.4, times=1)
            await tts.synthesize("One two three.")
            adapter.faults.heal()

        async def healed() -> None:
            adapter.faults.heal()
            await invariant()

        await CancelSweep(work, invariant=healed, times=2).run()

    async def test_requests_that_wait_for_one_another(self, adapter: MockAdapter) -> None:
        limits = {"providers": {"mock": {"limits": {"concurrency": 1}}}}

        async with AsyncTTSService(limits, providers=[adapter]) as tts:

            async def work() -> None:
                async with anyio.create_task_group() as tasks:
                    for text in ("One.", "Two."):
                        tasks.start_soon(tts.synthesize, text)

            async def there_is_room() -> None:
                assert adapter.running == 0
                with anyio.fail_after(30):
                    assert transcribe(await tts.synthesize("Still.")) == "Still."

            await CancelSweep(work, invariant=there_is_room).run()

    async def test_a_service_from_its_opening_to_its_end(self, adapter: MockAdapter) -> None:
        async def work() -> None:
            async with AsyncTTSService(providers=[adapter]) as tts:
                await tts.synthesize("One two.")

        async def closed() -> None:
            assert adapter.running == 0
            assert not adapter.is_open

        await CancelSweep(work, invariant=closed).run()
