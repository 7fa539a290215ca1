"""How soon a provider's work ends when its listener leaves, and what a chunk costs on its way.

    python benchmarks/bench_abandon.py [--rounds 50]

Needs no engine: the mock adapter speaks. The goal is 200 ms, however the stream is left.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ttskit import AsyncTTSService, TTSService
from ttskit.testing import MockAdapter

SENTENCE = "One two three four five six seven. "
TEXT = SENTENCE * 50
SOON = f"One. {TEXT}"
"""The first chunk is there soon, and then the mock has much to do."""
GOAL_S = 0.2
Leave = Callable[[AsyncTTSService, MockAdapter], Awaitable[None]]
SyncLeave = Callable[[TTSService, MockAdapter], None]


async def at_work(adapter: MockAdapter) -> None:
    """Wait until the mock speaks."""
    while not adapter.running:  # noqa: ASYNC110 - the mock only counts
        await asyncio.sleep(0)


def at_work_sync(adapter: MockAdapter) -> None:
    """Wait until the mock speaks."""
    while not adapter.running:
        time.sleep(0.0002)


async def leave_block(tts: AsyncTTSService, adapter: MockAdapter) -> None:
    """Leave a block after the first chunk."""
    async with tts.stream(SOON) as speech:
        await anext(speech)
        await at_work(adapter)


async def by_break(tts: AsyncTTSService, adapter: MockAdapter) -> None:
    """Break out of a loop without a block."""
    async for _ in tts.stream(SOON):
        await at_work(adapter)
        break


async def by_drop(tts: AsyncTTSService, adapter: MockAdapter) -> None:
    """Let go of the only reference."""
    speech = tts.stream(SOON)
    await anext(speech)
    await at_work(adapter)


async def by_exception(tts: AsyncTTSService, adapter: MockAdapter) -> None:
    """Raise in a loop without a block."""
    with suppress(LookupError):
        async for _ in tts.stream(SOON):
            await at_work(adapter)
            raise LookupError


async def by_cancellation(tts: AsyncTTSService, adapter: MockAdapter) -> None:
    """Be cancelled in a loop without a block."""

    async def listen() -> None:
        async for _ in tts.stream(SOON):
            pass

    task = asyncio.create_task(listen())
    await at_work(adapter)
    task.cancel()
    await asyncio.wait({task})


def leave_block_sync(tts: TTSService, adapter: MockAdapter) -> None:
    """Leave a block after the first chunk."""
    with tts.stream(SOON) as speech:
        next(speech)
        at_work_sync(adapter)


def by_break_sync(tts: TTSService, adapter: MockAdapter) -> None:
    """Break out of a loop without a block."""
    for _ in tts.stream(SOON):
        at_work_sync(adapter)
        break


def by_drop_sync(tts: TTSService, adapter: MockAdapter) -> None:
    """Let go of the only reference."""
    speech = tts.stream(SOON)
    next(speech)
    at_work_sync(adapter)


def by_exception_sync(tts: TTSService, adapter: MockAdapter) -> None:
    """Raise in a loop without a block."""
    with suppress(LookupError):
        for _ in tts.stream(SOON):
            at_work_sync(adapter)
            raise LookupError


async def time_async(leave: Leave, rounds: int) -> list[float]:
    """Return the seconds from leaving until the mock does nothing any more."""
    adapter = MockAdapter(chunk_latency_s=0.01)
    seconds = []
    async with AsyncTTSService(providers=[adapter]) as tts:
        for _ in range(rounds):
            await leave(tts, adapter)
            start = time.perf_counter()
            while adapter.running:  # noqa: ASYNC110 - the mock only counts
                await asyncio.sleep(0)
            seconds.append(time.perf_counter() - start)
    return seconds


def time_sync(leave: SyncLeave, rounds: int) -> list[float]:
    """Return the same for blocking code."""
    adapter = MockAdapter(chunk_latency_s=0.01)
    seconds = []
    with TTSService(providers=[adapter]) as tts:
        for _ in range(rounds):
            leave(tts, adapter)
            start = time.perf_counter()
            while adapter.running:
                time.sleep(0.0002)
            seconds.append(time.perf_counter() - start)
    return seconds


async def time_chunks(rounds: int) -> tuple[float, float, float]:
    """Return the seconds of a chunk, to the first chunk, and of a whole short stream."""
    chunks, first, short = [], [], []
    async with AsyncTTSService(providers=[MockAdapter()]) as tts:
        for _ in range(rounds):
            start, count = time.perf_counter(), 0
            async with tts.stream(TEXT) as speech:
                async for _ in speech:
                    if not count:
                        first.append(time.perf_counter() - start)
                    count += 1
            chunks.append((time.perf_counter() - start) / count)
            start = time.perf_counter()
            async with tts.stream("One.") as speech:
                async for _ in speech:
                    pass
            short.append(time.perf_counter() - start)
    return statistics.median(chunks), statistics.median(first), statistics.median(short)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore", ResourceWarning)
    for leave in (leave_block, by_break, by_drop, by_exception, by_cancellation):
        report(f"async, {leave.__name__}", asyncio.run(time_async(leave, rounds)))
    for leave_sync in (leave_block_sync, by_break_sync, by_drop_sync, by_exception_sync):
        report(f"blocking, {leave_sync.__name__}", time_sync(leave_sync, rounds))
    chunk, first, short = asyncio.run(time_chunks(rounds))
    print(f"a chunk of a long stream {1e6 * chunk:8.1f} us")
    print(f"first chunk              {1e6 * first:8.1f} us")
    print(f"a stream of one word     {1e6 * short:8.1f} us")


def report(name: str, seconds: list[float]) -> None:
    """Print one line: median and maximum."""
    worst = max(seconds)
    verdict = "" if worst <= GOAL_S else "  above the goal"
    median = statistics.median(seconds)
    print(f"{name:28} median {1e3 * median:7.3f} ms, max {1e3 * worst:7.3f} ms{verdict}")


if __name__ == "__main__":
    main()
