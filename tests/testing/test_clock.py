"""Virtual time passes at once, in order, and a seed repeats a schedule."""

from __future__ import annotations

import asyncio
import threading
import time

import anyio
import httpx
import pytest
from anyio import to_thread
from hypothesis import given, settings
from hypothesis import strategies as st

from ttskit import AsyncTTSService
from ttskit.errors import DeadlineExceededError, InvalidParameterError, ProviderTimeoutError
from ttskit.testing import MockAdapter, transcribe
from ttskit.testing.clock import virtual_backend, virtual_time
from ttskit.testing.server import FaultyServer

BACKENDS = ("asyncio", "trio")
HOUR = 3_600.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_year_passes_at_once_and_to_the_second(backend: str) -> None:
    async def main(seconds: float) -> float:
        start = anyio.current_time()
        await anyio.sleep(seconds)
        return anyio.current_time() - start

    began = time.monotonic()
    assert virtual_time(main, 365 * 24 * HOUR, backend=backend) == pytest.approx(365 * 24 * HOUR)
    assert time.monotonic() - began < HOUR


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=20)
@given(delays=st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_sleepers_wake_in_the_order_of_their_times(backend: str, delays: list[int]) -> None:
    woken: list[tuple[float, int]] = []

    async def sleeper(delay: int) -> None:
        await anyio.sleep(delay)
        woken.append((anyio.current_time(), delay))

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for delay in delays:
                tasks.start_soon(sleeper, delay)

    virtual_time(main, backend=backend)
    assert [delay for _, delay in woken] == sorted(delays)
    assert woken[-1][0] - woken[0][0] == pytest.approx(max(delays) - min(delays))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_provider_that_hangs_costs_no_real_time(backend: str) -> None:
    adapter = MockAdapter()
    adapter.faults.hang()

    async def main() -> None:
        async with AsyncTTSService(providers=[adapter]) as tts:
            await tts.synthesize("One two three.", deadline=HOUR)

    with pytest.raises((DeadlineExceededError, ProviderTimeoutError)):
        virtual_time(main, backend=backend, grace_s=0.02)


@pytest.mark.parametrize("backend", BACKENDS)
def test_grace_lets_a_thread_finish_before_the_clock_jumps(backend: str) -> None:
    async def main() -> bool:
        with anyio.fail_after(HOUR):
            return await to_thread.run_sync(threading.Event().wait, 0.02)

    assert virtual_time(main, backend=backend, grace_s=5.0) is False


@pytest.mark.parametrize("backend", BACKENDS)
def test_grace_lets_a_real_server_answer(backend: str) -> None:
    async def main(url: str) -> bytes:
        async with httpx.AsyncClient(timeout=HOUR, trust_env=False) as client:
            return (await client.get(url)).content

    with FaultyServer(b"audio") as server:
        assert virtual_time(main, server.url, backend=backend, grace_s=5.0) == b"audio"
        server.stall()
        with pytest.raises(httpx.ReadTimeout):
            virtual_time(main, server.url, backend=backend, grace_s=0.05)


async def _arrivals() -> list[int]:
    order: list[int] = []

    async def arrive(number: int) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
            order.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(arrive, number)
    return order


def test_a_seed_repeats_a_schedule_and_another_one_differs() -> None:
    schedules = [virtual_time(_arrivals, seed=seed) for seed in range(8)]
    assert schedules == [virtual_time(_arrivals, seed=seed) for seed in range(8)]
    assert len({tuple(schedule) for schedule in schedules}) > 4
    assert all(sorted(schedule) == sorted([*range(6)] * 3) for schedule in schedules)


def test_without_a_seed_the_first_comes_first() -> None:
    assert virtual_time(_arrivals) == [*range(6)] * 3


def test_an_error_names_the_seed_of_its_schedule() -> None:
    async def main() -> None:
        await anyio.sleep(1)
        raise LookupError

    with pytest.raises(LookupError) as failure:
        virtual_time(main, seed=7)
    assert failure.value.__notes__ == ["schedule: seed=7"]


@settings(max_examples=15)
@given(seed=st.integers(0, 10**9))
def test_speech_is_the_same_in_any_order_of_tasks(seed: int) -> None:
    text = "One two. Three four. Five six."

    async def main() -> list[str]:
        async with AsyncTTSService(providers=[MockAdapter(latency_s=1)]) as tts:
            async with tts.stream(text) as speech:
                chunks = [chunk async for chunk in speech]
            return [transcribe(chunks), transcribe(await tts.synthesize(text))]

    assert virtual_time(main, seed=seed) == [text, text]


@pytest.mark.parametrize(("name", "seed"), [("curio", None), ("trio", 1)])
def test_what_there_is_not_is_said(name: str, seed: int | None) -> None:
    with pytest.raises(InvalidParameterError, match="asyncio"):
        virtual_backend(name, seed=seed)


class TestAsFixture:
    """The fixture of AnyIO's own plugin, as a module of tests would override it."""

    @pytest.fixture(params=BACKENDS)
    def anyio_backend(self, request: pytest.FixtureRequest) -> object:
        return virtual_backend(request.param)

    @pytest.mark.anyio
    async def test_tests_and_fixtures_run_on_virtual_time(self) -> None:
        before = anyio.current_time()
        await anyio.sleep(HOUR)
        assert anyio.current_time() - before == pytest.approx(HOUR)


def test_the_loop_does_what_every_loop_does() -> None:
    async def main() -> tuple[bytes, int]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello\n")
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
        return line, await asyncio.to_thread(sum, [1, 2])

    assert virtual_time(main, seed=3, grace_s=5.0) == (b"hello\n", 3)
