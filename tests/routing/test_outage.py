"""Total outages and what comes after them, on virtual time."""

from __future__ import annotations

import gc
import random
import statistics
import traceback
import weakref

import anyio
import numpy as np
import psutil
import pytest

from ttskit import AsyncTTSService
from ttskit.errors import CircuitOpenError, NetworkError, TTSError
from ttskit.testing import MockAdapter, virtual_time
from ttskit.testing.faults import ErrorFactory

OUTAGES = 200


@pytest.mark.parametrize("error", [NetworkError, TTSError])
@pytest.mark.parametrize("providers", [1, 3])
def test_an_outage_is_not_made_worse(providers: int, error: ErrorFactory) -> None:
    adapters = [MockAdapter(provider=f"p{n}", sample_rate=8_000) for n in range(providers)]
    for adapter in adapters:
        adapter.faults.outage(error)
    requests = 0

    async def ask(tts: AsyncTTSService) -> None:
        with pytest.raises(TTSError):
            await tts.synthesize("Hello there.", deadline=30)

    async def main() -> None:
        nonlocal requests
        async with AsyncTTSService(providers=adapters) as tts, anyio.create_task_group() as tasks:
            for _ in range(10_000):
                requests += 1
                tasks.start_soon(ask, tts)
                await anyio.sleep(0.01)

    virtual_time(main)
    worst = max(len(adapter.requests) for adapter in adapters) / requests
    print(f"{providers} providers: {worst:.3f} attempts a request")  # noqa: T201 - for the log
    assert worst <= 1.12


def test_traffic_returns_within_twenty_seconds_of_the_recovery() -> None:
    draw = random.Random(11)
    lags: list[float] = []

    async def outage(seconds: float) -> float:
        first = MockAdapter(provider="first", sample_rate=8_000)
        async with AsyncTTSService(
            providers=[first, MockAdapter(provider="second", sample_rate=8_000)]
        ) as tts:
            await tts.synthesize("Hello.")
            first.faults.outage()
            began = anyio.current_time()
            while anyio.current_time() < began + seconds:
                await tts.synthesize("Hello.")
                await anyio.sleep(1)
            first.faults.heal()
            healed = anyio.current_time()
            while (await tts.synthesize("Hello.")).origin.provider != "first":
                await second_passes()
            return anyio.current_time() - healed

    async def second_passes() -> None:
        await anyio.sleep(1)

    for number in range(OUTAGES):
        seconds = draw.choice([1, 5, 20, 60, 600]) * draw.uniform(0.5, 1)
        backend = "trio" if number % 20 == 0 else "asyncio"
        lags.append(virtual_time(outage, seconds, backend=backend))
    p95 = statistics.quantiles(lags, n=20)[-1]
    print(f"recovery: p95 {p95:.1f} s, longest {max(lags):.1f} s")  # noqa: T201 - for the log
    assert p95 <= 20


class Buffer(np.ndarray):
    """Audio that can be referred to weakly."""


def test_refusals_keep_nothing_alive_and_do_not_grow() -> None:
    held: list[weakref.ref[Buffer]] = []

    class Heavy(MockAdapter):
        """Fails with a large buffer in a local variable."""

        async def check(self) -> None:
            raise NetworkError("still down")

    def heavy(message: str) -> TTSError:
        return NetworkError(message, cause=cause())

    def cause() -> Exception:
        buffer = np.zeros(5_000_000, np.uint8).view(Buffer)
        held.append(weakref.ref(buffer))
        try:
            int(str(buffer.shape))
        except ValueError as error:
            return error
        raise AssertionError

    first = Heavy(provider="first")
    first.faults.outage(heavy)
    depths: set[int] = set()

    async def main() -> None:
        settings = {
            "providers": {"first": {"breaker": {"first_wait_s": 1e6, "longest_wait_s": 1e6}}}
        }
        async with AsyncTTSService(settings, providers=[first]) as tts:
            for _ in range(6):
                with pytest.raises(TTSError):
                    await tts.synthesize("Hello.")
            before = psutil.Process().memory_info().rss
            for _ in range(5_000):
                try:
                    await tts.synthesize("Hello.")
                except CircuitOpenError as error:
                    depths.add(len(traceback.extract_tb(error.__traceback__)))
            gc.collect()
            assert psutil.Process().memory_info().rss - before < 20_000_000
            assert [one for one in held if one() is not None] == []

    virtual_time(main)
    assert len(depths) == 1
