"""Streams with and without a block, and all the ways in which they end."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from anyio.lowlevel import checkpoint
from typing_extensions import override

from ttskit import AsyncTTSService, SpeechStream, TTSService
from ttskit.adapters.base import AudioSource, Utterance
from ttskit.errors import InvalidParameterError, ServiceClosedError, StreamInterruptedError
from ttskit.testing import MockAdapter, transcribe, virtual_time
from ttskit.testing.sweep import CancelSweep

pytestmark = pytest.mark.anyio
TEXT = "One two three. Four five six. Seven eight nine."
LONG = " ".join([TEXT] * 30)
SLOW = f"One. {LONG}"
DROPPED = "dropped without being closed"
on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@pytest.fixture
def adapter() -> MockAdapter:
    return MockAdapter(chunk_latency_s=0.001)


@pytest.fixture
async def tts(adapter: MockAdapter, anyio_backend_name: str) -> AsyncIterator[AsyncTTSService]:
    del anyio_backend_name
    async with AsyncTTSService(providers=[adapter]) as service:
        yield service


async def ended(adapter: MockAdapter) -> bool:
    with anyio.move_on_after(5.0):
        while adapter.running:
            await checkpoint()
    return adapter.running == 0


async def test_a_stream_needs_no_block(tts: AsyncTTSService) -> None:
    chunks = [chunk async for chunk in tts.stream(TEXT)]
    assert transcribe(chunks) == TEXT
    assert tts.stats().streams.ended == {"exhausted": 1}


async def test_collecting_needs_no_block(tts: AsyncTTSService) -> None:
    assert transcribe(await tts.stream(TEXT).collect()) == TEXT


async def test_a_block_without_a_variable_is_enough_to_be_closed(tts: AsyncTTSService) -> None:
    async with tts.stream(LONG):
        pass
    assert tts.stats().streams.ended == {"closed": 1}


async def test_a_stream_that_nobody_read_began_nothing_and_warns_of_nothing(
    tts: AsyncTTSService, adapter: MockAdapter
) -> None:
    tts.stream(LONG)
    await anyio.wait_all_tasks_blocked()
    assert (adapter.requests, tts.stats().streams.opened) == ([], 0)


async def at_work(adapter: MockAdapter) -> None:
    """Wait until the provider speaks, with much of its sentence still to come."""
    while not adapter.running:
        await checkpoint()


async def leave_by_break(tts: AsyncTTSService, adapter: MockAdapter) -> None:
    async for _ in tts.stream(SLOW):
        await at_work(adapter)
        break


async def leave_by_exception(tts: AsyncTTSService, adapter: MockAdapter) -> None:
    with suppress(LookupError):
        async for _ in tts.stream(SLOW):
            await at_work(adapter)
            raise LookupError


async def leave_by_cancellation(tts: AsyncTTSService, adapter: MockAdapter) -> None:
    with anyio.CancelScope() as scope:
        async for _ in tts.stream(SLOW):
            await at_work(adapter)
            scope.cancel()


async def leave_by_return(tts: AsyncTTSService, adapter: MockAdapter) -> int | None:
    async for chunk in tts.stream(SLOW):
        await at_work(adapter)
        return chunk.offset
    return None


async def leave_by_forgetting(tts: AsyncTTSService, adapter: MockAdapter) -> None:
    speech = tts.stream(SLOW)
    await anext(speech)
    await at_work(adapter)


async def leave_in_another_thread(tts: AsyncTTSService, adapter: MockAdapter) -> None:
    kept = [tts.stream(SLOW)]
    await anext(kept[0])
    await at_work(adapter)
    await anyio.to_thread.run_sync(kept.clear)


async def leave_in_a_cycle(tts: AsyncTTSService, adapter: MockAdapter) -> None:
    speech = tts.stream(SLOW)
    await anext(speech)
    await at_work(adapter)
    cycle: list[object] = [speech]
    cycle.append(cycle)
    del speech, cycle
    gc.collect()


@pytest.mark.parametrize(
    "leave",
    [
        leave_by_break,
        leave_by_exception,
        leave_by_cancellation,
        leave_by_return,
        leave_by_forgetting,
        leave_in_another_thread,
        leave_in_a_cycle,
    ],
)
async def test_an_abandoned_stream_ends_the_providers_work_with_one_warning(
    leave: Callable[[AsyncTTSService, MockAdapter], Awaitable[None]],
) -> None:
    adapter = MockAdapter(chunk_latency_s=0.02)
    tts = AsyncTTSService(providers=[adapter])
    with pytest.warns(ResourceWarning, match=DROPPED) as warned:
        await leave(tts, adapter)
    assert await ended(adapter)
    assert len(warned) == 1
    await anyio.wait_all_tasks_blocked()
    assert tts.stats().streams.ended == {"dropped": 1}
    await tts.aclose()


async def test_a_single_chunk_may_be_taken_of_a_stream_that_nothing_holds(
    tts: AsyncTTSService, adapter: MockAdapter
) -> None:
    with suppress(ResourceWarning):
        chunk = await anext(tts.stream(LONG))
    assert chunk.offset == 0
    assert await ended(adapter)


def test_a_stream_dropped_after_its_loop_is_gone_is_no_ones_business() -> None:
    kept: list[SpeechStream] = []

    async def main() -> None:
        tts = AsyncTTSService(providers=[MockAdapter()])
        kept.append(tts.stream(LONG))
        await anext(kept[0])

    anyio.run(main)
    kept.clear()
    gc.collect()


async def test_a_stream_may_be_entered_in_one_task_and_closed_in_another(
    tts: AsyncTTSService, adapter: MockAdapter
) -> None:
    speech = tts.stream(LONG)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(speech.__aenter__)
    await anext(speech)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(speech.aclose)
    assert adapter.running == 0


async def test_streams_may_be_left_in_any_order(tts: AsyncTTSService, adapter: MockAdapter) -> None:
    first, second = tts.stream(LONG), tts.stream(LONG)
    await first.__aenter__()
    await second.__aenter__()
    await anext(second)
    await first.aclose()
    await anext(second)
    await second.aclose()
    assert adapter.running == 0


async def test_a_stream_can_be_entered_once_only(tts: AsyncTTSService) -> None:
    speech = tts.stream(TEXT)
    async with speech:
        with pytest.raises(InvalidParameterError):
            await speech.__aenter__()
    with pytest.raises(InvalidParameterError):
        await speech.__aenter__()


async def test_closing_twice_does_no_harm_and_there_is_nothing_more_to_read(
    tts: AsyncTTSService,
) -> None:
    speech = tts.stream(LONG)
    await anext(speech)
    await speech.aclose()
    await speech.aclose()
    assert [chunk async for chunk in speech] == []


async def test_a_reader_that_waits_gets_the_end_when_the_stream_is_closed(
    tts: AsyncTTSService, adapter: MockAdapter
) -> None:
    adapter.faults.hang()
    speech, got = tts.stream(TEXT), []

    async def read() -> None:
        got.append(await speech.next_chunk())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await speech.aclose()
    assert (got, adapter.running) == ([None], 0)


async def test_a_timeout_on_one_chunk_leaves_the_stream_as_it_was(
    tts: AsyncTTSService, adapter: MockAdapter
) -> None:
    adapter.faults.slow(first=0.05)
    async with tts.stream(TEXT) as speech:
        with anyio.move_on_after(0.001):
            await anext(speech)
        assert transcribe([chunk async for chunk in speech]) == TEXT


async def test_closing_the_service_ends_a_stream_without_a_block(adapter: MockAdapter) -> None:
    tts = AsyncTTSService(providers=[adapter])
    speech = tts.stream(LONG)
    await anext(speech)
    await tts.aclose()
    assert adapter.running == 0
    with pytest.raises(ServiceClosedError):
        async for _ in speech:
            pass
    with pytest.raises(ServiceClosedError):
        await anext(speech)
    assert tts.stats().streams.ended == {"shutdown": 1}


async def test_what_is_ready_counts_and_stays_below_two_seconds(tts: AsyncTTSService) -> None:
    async with tts.stream(LONG) as speech:
        await anext(speech)
        await anyio.sleep(0.1)
        streams = tts.stats().streams
    assert streams.open == 1
    assert 0.5 < streams.buffered <= 2.0
    assert streams.longest_wait > 0.0


class _Untidy(MockAdapter):
    """Its clean-up is what ``cleanup`` does."""

    async def cleanup(self) -> None:
        raise ConnectionResetError

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        async with super().synthesize(utterance) as source:
            try:
                yield source
            finally:
                await self.cleanup()


class _Endless(_Untidy):
    @override
    async def cleanup(self) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(60)


async def leave_the_block_by(kind: type[BaseException], tts: AsyncTTSService) -> None:
    async with tts.stream(LONG):
        await anyio.wait_all_tasks_blocked()
        raise kind


@pytest.mark.parametrize("kind", [LookupError, TimeoutError, KeyboardInterrupt])
async def test_an_exception_is_never_masked_by_a_clean_up_that_fails(
    kind: type[BaseException],
) -> None:
    adapter = _Untidy(chunk_latency_s=0.001)
    adapter.faults.hang()
    async with AsyncTTSService(providers=[adapter]) as tts:
        with pytest.raises(kind):
            await leave_the_block_by(kind, tts)
        assert adapter.running == 0


@on_both
def test_a_clean_up_that_hangs_is_waited_for_two_seconds(backend: str) -> None:
    async def main() -> float:
        adapter = _Endless()
        adapter.faults.hang()
        async with AsyncTTSService(providers=[adapter]) as tts:
            with suppress(LookupError):
                async with tts.stream(LONG):
                    await anyio.sleep(1)
                    start = anyio.current_time()
                    raise LookupError
            return anyio.current_time() - start

    assert virtual_time(main, backend=backend) == pytest.approx(2.0, abs=0.1)


@on_both
def test_a_slow_listener_is_no_timeout_of_the_provider(backend: str) -> None:
    async def main() -> str:
        adapter = MockAdapter(chunk_latency_s=0.01)
        timeouts = {"first_audio_s": 5, "stall_s": 5}
        config = {"providers": {"mock": {"timeouts": timeouts}}}
        chunks = []
        async with AsyncTTSService(config, providers=[adapter]) as tts, tts.stream(LONG) as speech:
            async for chunk in speech:
                chunks.append(chunk)
                await anyio.sleep(15)
            assert {attempt.outcome for attempt in speech.origin.attempts} == {"ok"}
        return transcribe(chunks)

    assert virtual_time(main, backend=backend) == LONG


@on_both
@pytest.mark.parametrize("text", [TEXT, LONG], ids=["all made", "more to come"])
def test_a_stream_that_nobody_reads_is_ended_and_says_what_was_heard(
    backend: str, text: str
) -> None:
    async def main() -> None:
        adapter = MockAdapter()
        resources = {"resources": {"stream_idle": "60 s"}}
        async with AsyncTTSService(resources, providers=[adapter]) as tts:
            speech = tts.stream(text)
            await anext(speech)
            await anyio.sleep(59)
            await anext(speech)
            await anyio.sleep(59)
            assert tts.stats().streams.open == 1
            await anyio.sleep(2)
            assert (adapter.running, tts.stats().streams.ended) == (0, {"idle": 1})
            with pytest.raises(StreamInterruptedError) as failure:
                await anext(speech)
            assert text.startswith(failure.value.spoken_text.strip())
            assert failure.value.ledger

    virtual_time(main, backend=backend)


@on_both
@pytest.mark.parametrize("idle", [60, None])
def test_a_listener_that_waits_for_text_is_not_idle(backend: str, idle: float | None) -> None:
    async def tokens() -> AsyncIterator[str]:
        yield "One two three. Four"
        await anyio.sleep(3600)
        yield " five six."

    async def main() -> str:
        resources = {"resources": {"stream_idle": idle}}
        async with AsyncTTSService(resources, providers=[MockAdapter()]) as tts:
            chunks = [chunk async for chunk in tts.stream(tokens())]
            assert tts.stats().streams.ended == {"exhausted": 1}
            return transcribe(chunks)

    assert virtual_time(main, backend=backend) == "One two three. Four five six."


@on_both
def test_a_stream_waits_for_ever_where_that_is_wanted(backend: str) -> None:
    async def main() -> str:
        resources = {"resources": {"stream_idle": None}}
        async with AsyncTTSService(resources, providers=[MockAdapter()]) as tts:
            speech = tts.stream(TEXT)
            first = await anext(speech)
            await anyio.sleep(80_000)
            return transcribe([first, *[chunk async for chunk in speech]])

    assert virtual_time(main, backend=backend) == TEXT


class TestSweep:
    """Cancelled at any point, a stream leaves nothing behind."""

    @pytest.fixture
    def adapter(self) -> MockAdapter:
        return MockAdapter(chunk_s=0.3)

    @pytest.fixture
    def invariant(
        self, adapter: MockAdapter, tts: AsyncTTSService
    ) -> Callable[[], Awaitable[None]]:
        async def nothing_runs_and_it_still_speaks() -> None:
            assert await ended(adapter)
            assert transcribe(await tts.synthesize("Still.")) == "Still."
            with anyio.fail_after(10):
                # The loop is told of a dropped stream, and ends it in its next turns.
                while tts.stats().streams.open:
                    await checkpoint()

        return nothing_runs_and_it_still_speaks

    @pytest.mark.filterwarnings(f"ignore:.*{DROPPED}:ResourceWarning")
    async def test_iterating_without_a_block(
        self, tts: AsyncTTSService, invariant: Callable[[], Awaitable[None]]
    ) -> None:
        async def work() -> None:
            async for _ in tts.stream("One two. Three four."):
                pass

        report = await CancelSweep(work, invariant=invariant).run()
        assert report.points > 20

    @pytest.mark.filterwarnings(f"ignore:.*{DROPPED}:ResourceWarning")
    async def test_collecting(
        self, tts: AsyncTTSService, invariant: Callable[[], Awaitable[None]]
    ) -> None:
        await CancelSweep(
            lambda: tts.stream("One two. Three four.").collect(), invariant=invariant
        ).run()

    async def test_closing(
        self,
        tts: AsyncTTSService,
        adapter: MockAdapter,
        invariant: Callable[[], Awaitable[None]],
    ) -> None:
        async def work() -> None:
            speech = tts.stream("One two. Three four.")
            try:
                await anext(speech)
            finally:
                await speech.aclose()
                assert adapter.running == 0

        await CancelSweep(work, invariant=invariant).run()


class TestBlocking:
    """The same for blocking code."""

    def test_a_stream_needs_no_block(self) -> None:
        with TTSService(providers=[MockAdapter()]) as tts:
            assert transcribe(list(tts.stream(TEXT))) == TEXT
            assert tts.stats().streams.ended == {"exhausted": 1}

    @staticmethod
    def leave_by_break(tts: TTSService) -> None:
        for _ in tts.stream(LONG):
            break

    @staticmethod
    def leave_by_exception(tts: TTSService) -> None:
        with suppress(LookupError):
            for _ in tts.stream(LONG):
                raise LookupError

    @pytest.mark.parametrize("leave", [leave_by_break, leave_by_exception])
    def test_an_abandoned_stream_ends_the_providers_work(
        self, adapter: MockAdapter, leave: Callable[[TTSService], None]
    ) -> None:
        with TTSService(providers=[adapter]) as tts:
            with pytest.warns(ResourceWarning, match=DROPPED):
                leave(tts)
            tts.synthesize("The loop has turned.")
            assert adapter.running == 0

    def test_close_ends_the_providers_work_and_a_reader_in_another_thread(
        self, adapter: MockAdapter
    ) -> None:
        adapter.faults.hang()
        with TTSService(providers=[adapter]) as tts:
            speech, got = tts.stream(TEXT), []
            reader = threading.Thread(target=lambda: got.append(list(speech)))
            with speech:
                reader.start()
            speech.close()
            reader.join(10)
            assert (got, adapter.running) == ([[]], 0)

    def test_a_stream_may_be_closed_after_its_service(self, adapter: MockAdapter) -> None:
        tts = TTSService(providers=[adapter])
        speech = tts.stream(LONG)
        next(speech)
        tts.close()
        speech.close()
        assert list(speech) == []


def test_asyncio_run_with_one_service_over_and_over() -> None:
    adapter = MockAdapter()
    tts = AsyncTTSService(providers=[adapter])

    async def main() -> None:
        async for _ in tts.stream(TEXT):
            pass

    for _ in range(3):
        asyncio.run(main())
    assert tts.stats().streams.ended == {"exhausted": 3}
