"""What all features cost together: a call through the facade against the adapter called directly.

    python benchmarks/bench_guard.py [--calls 400]

The adapter answers at once with a second of audio, so that everything measured is ttskit: request,
text, guard, verdict, ledger, events and the encoded result. Processor time, at 1 and 64 calls at a
time; ttskit and the adapter take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import anyio
import numpy as np
from typing_extensions import override

from ttskit import AsyncTTSService
from ttskit.adapters.base import Adapter, AdapterOptions, AudioSource, Capabilities, Utterance
from ttskit.codecs.encode import encode
from ttskit.errors import CircuitOpenError
from ttskit.resilience.breaker import BreakerState
from ttskit.resources.host import Resources
from ttskit.routing.guard import Ask, Guard, GuardSettings, Signs
from ttskit.voices import Voice

TEXT = "The train to Oxford leaves at half past nine."
RATE = 24_000
SOUND = np.sin(np.arange(RATE) / 20).astype(np.float32) / 3
ROUNDS = 9


class InstantAdapter(Adapter[AdapterOptions]):
    """Answers at once."""

    name = "instant"
    capabilities = Capabilities(formats=("f32",))

    @override
    async def open(self, resources: Resources) -> None:
        pass

    @override
    async def voices(self) -> list[Voice]:
        return [Voice("only", self.provider, "Only")]

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        async def chunks() -> AsyncIterator[object]:
            yield SOUND

        yield AudioSource(chunks(), format="f32", sample_rate=RATE)

    @override
    async def check(self) -> None:
        pass


async def direct(adapter: InstantAdapter) -> None:
    """Call the adapter and make a WAV of what it says."""
    async with adapter.synthesize(Utterance(TEXT)) as source:
        parts = [np.asarray(chunk) async for chunk in source.chunks]
    encode(np.concatenate(parts), "wav", sample_rate=RATE)


async def cost(call: Callable[[], Awaitable[object]], *, calls: int, at_a_time: int) -> float:
    """Return the processor time of one call, in microseconds."""

    async def caller() -> None:
        for _ in range(calls // at_a_time):
            await call()

    start = time.process_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(at_a_time):
            tasks.start_soon(caller)
    return (time.process_time() - start) / (calls // at_a_time * at_a_time) * 1e6


async def refusal(*, has_alternative: bool, calls: int) -> float:
    """Return the microseconds that a guard takes to refuse a call while its breaker is open."""
    guard = Guard(
        "down",
        GuardSettings(),
        concurrency=1,
        tell=lambda *_: None,
        random=Random(),  # noqa: S311 - jitter is no secret
        check=anyio.sleep_forever,
    )
    guard.force(BreakerState.OPEN)
    ask = Ask(characters=len(TEXT), utterance=0, has_alternative=has_alternative)

    async def work(_: Signs) -> None:
        raise AssertionError("not to be called")

    start = time.process_time()
    for _ in range(calls):
        with contextlib.suppress(CircuitOpenError):
            await guard.call(work, ask)
    return (time.process_time() - start) / calls * 1e6


async def measure(calls: int) -> None:
    """Measure and print."""
    adapter = InstantAdapter(AdapterOptions())
    async with AsyncTTSService(providers=[InstantAdapter(AdapterOptions())]) as tts:
        for at_a_time in (1, 64):
            bare, full = [], []
            for _ in range(ROUNDS):
                bare.append(await cost(lambda: direct(adapter), calls=calls, at_a_time=at_a_time))
                full.append(
                    await cost(lambda: tts.synthesize(TEXT), calls=calls, at_a_time=at_a_time)
                )
            ratio = statistics.median(f / b for f, b in zip(full, bare, strict=True))
            more = statistics.median(f - b for f, b in zip(full, bare, strict=True))
            print(
                f"{at_a_time:3} at a time: adapter {statistics.median(bare):6.0f} us, ttskit "
                f"{statistics.median(full):6.0f} us a call; {ratio:4.1f} x, {more:5.0f} us more"
            )


async def measure_refusals(calls: int) -> None:
    """Measure and print."""
    for has_alternative in (False, True):
        costs = [await refusal(has_alternative=has_alternative, calls=calls) for _ in range(ROUNDS)]
        who = "another provider waits" if has_alternative else "nobody else could speak"
        print(f"open breaker, {who}: {statistics.median(costs):5.1f} us a refusal")


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=400)
    calls = parser.parse_args().calls
    anyio.run(measure, calls)
    anyio.run(measure_refusals, calls)


if __name__ == "__main__":
    main()
