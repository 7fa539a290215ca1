"""What a worker process costs against a thread, and what a second one gives.

    python benchmarks/bench_workers.py [--rounds 5] [--engines hibari,piper]

The hosts take turns at the same sentences, and the best round of each is compared: other load
on the machine makes rounds slower, and none faster.
The goals are 1.1 times a thread's time at most, and 1.7 times one worker's speed with two.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from ttskit.adapters.hibari import HibariEngine
from ttskit.adapters.piper import PiperEngine
from ttskit.resources.engine import EngineJob, Recipe
from ttskit.resources.host import EngineHost, Host
from ttskit.resources.workers.host import Settings, WorkerHost

ENGINES = {"hibari": HibariEngine, "piper": PiperEngine}
SENTENCES = (
    "The train to Oxford leaves at half past nine.",
    "Nobody had told the gardener that the roses were to be white.",
    "Rain fell on the harbour all night, and in the morning the boats were gone.",
    "She read the letter twice.",
)
COST_GOAL, SPEED_GOAL = 1.1, 1.7


def in_thread(engine: str) -> Host:
    """Return a host that makes one utterance at a time here."""
    return EngineHost(ENGINES[engine](), provider=engine, concurrency=1)


def in_workers(engine: str, workers: int) -> Host:
    """Return a host that makes one utterance at a time in each of some processes."""
    return WorkerHost(
        Recipe(ENGINES[engine]), provider=engine, settings=Settings(workers=workers, threads=1)
    )


async def speak(host: Host, text: str, seed: int) -> int:
    """Return how many frames the sentence has."""
    frames = 0
    async with host.stream(EngineJob(text, seed=seed)) as chunks:
        async for chunk in chunks:
            frames += len(chunk.samples)
    return frames


async def one_by_one(host: Host, seed: int) -> float:
    """Return the seconds that the sentences take one after the other."""
    start = time.perf_counter()
    for text in SENTENCES:
        assert await speak(host, text, seed)
    return time.perf_counter() - start


async def at_once(host: Host, seed: int) -> float:
    """Return the seconds that many sentences take when they are asked for together."""
    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for text in SENTENCES * 4:
            tasks.create_task(speak(host, text, seed))
    return time.perf_counter() - start


async def start_of(host: Host) -> float:
    """Return the seconds until the host is ready."""
    start = time.perf_counter()
    await host.start()
    return time.perf_counter() - start


async def ready(host: Host, workers: int) -> None:
    """Wait until all workers are loaded: the second is started after the first."""
    for seed in range(3 * workers):
        await at_once(host, seed)


async def compare(engine: str, rounds: int) -> None:
    """Print what the engine costs in a worker, and gains by a second."""
    thread, one, two = in_thread(engine), in_workers(engine, 1), in_workers(engine, 2)
    starts = [await start_of(host) for host in (thread, one, two)]
    await ready(two, 2)
    for host in (thread, one):
        await one_by_one(host, 0)
    here, there, alone, together = [], [], [], []
    for _ in range(rounds):
        here += [await one_by_one(thread, seed) for seed in range(3)]
        there += [await one_by_one(one, seed) for seed in range(3)]
        alone += [await at_once(one, seed) for seed in range(2)]
        together += [await at_once(two, seed) for seed in range(2)]
    for host in (thread, one, two):
        await host.aclose()
    cost, gain = min(there) / min(here), min(alone) / min(together)
    print(f"{engine:8} a worker takes {cost:5.3f} x a thread's time{verdict(cost <= COST_GOAL)}")
    print(f"{engine:8} two workers are {gain:5.2f} x as fast as one{verdict(gain >= SPEED_GOAL)}")
    print(f"{engine:8} ready after {starts[0]:.2f} s in a thread, {starts[1]:.2f} s in a worker")


def verdict(is_reached: bool) -> str:  # noqa: FBT001 - one thing to say
    """Return what to print behind a figure."""
    return "" if is_reached else "  misses the goal"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", default=",".join(ENGINES))
    chosen = parser.parse_args()
    for engine in chosen.engines.split(","):
        asyncio.run(compare(engine, chosen.rounds))


if __name__ == "__main__":
    main()
