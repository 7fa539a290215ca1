"""What a dead provider costs the first call, on the wire: the time above the healthy one's alone.

    python benchmarks/bench_failover.py [--rounds 15]

Each call is the first of a new service whose first provider fails in one way and whose second is
well; both are HTTP servers on this machine. Printed: the median call in milliseconds, the median of
what it takes above a call in which the healthy provider is the only one, measured in turns, and how
many requests the dead one saw for each call.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import anyio
import numpy as np

from ttskit import AsyncTTSService
from ttskit.testing import FaultyServer

TEXT = "The train to Oxford leaves at half past nine."
RATE = 24_000
PCM = (9_000 * np.sin(np.arange(3 * RATE) / 15)).astype("<i2").tobytes()
FIRST_AUDIO_S = 1.0
Fault = Callable[[FaultyServer], object]
FAULTS: dict[str, Fault] = {
    "refused": lambda server: server.refuse(),
    "500": lambda server: server.fail(500),
    "429": lambda server: server.fail(429, retry_after=2),
    "cut body": lambda server: server.reset(at=len(PCM) // 2),
    "hang": lambda server: server.stall(),
}


def settings(*urls: str) -> dict[str, object]:
    """Return a service's settings with a provider for each URL, in order."""
    each = {
        f"p{number}": {
            "adapter": "openai",
            "base_url": f"{url}/v1",
            "api_key": "sk-bench",
            "timeouts": {"first_audio_s": FIRST_AUDIO_S},
        }
        for number, url in enumerate(urls)
    }
    return {"providers": each}


async def call(*urls: str, spoken_by: str) -> float:
    """Return the milliseconds of a new service's first call."""
    async with AsyncTTSService(settings(*urls)) as tts:
        start = time.perf_counter()
        audio = await tts.synthesize(TEXT)
        took = time.perf_counter() - start
    assert audio.origin.provider == spoken_by, audio.origin.provider
    return took * 1e3


async def measure(rounds: int) -> None:
    """Measure and print."""
    with FaultyServer(PCM, content_type="audio/pcm") as healthy:
        await call(healthy.url, spoken_by="p0")
        for name, fault in FAULTS.items():
            with FaultyServer(PCM, content_type="audio/pcm") as dead:
                fault(dead)
                alone, both = [], []
                for _ in range(rounds if name != "hang" else 5):
                    alone.append(await call(healthy.url, spoken_by="p0"))
                    both.append(await call(dead.url, healthy.url, spoken_by="p1"))
                hits = len(dead.requests) / len(both)
            more = statistics.median(b - a for a, b in zip(alone, both, strict=True))
            print(
                f"{name:9} {statistics.median(both):8.1f} ms, healthy alone "
                f"{statistics.median(alone):6.1f} ms: {more:8.1f} ms more; {hits:.1f} requests"
            )


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    anyio.run(measure, parser.parse_args().rounds)


if __name__ == "__main__":
    main()
