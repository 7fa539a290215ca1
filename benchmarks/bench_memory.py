"""Whether memory stays flat: many utterances by each bundled engine, and the slope of what is held.

    python benchmarks/bench_memory.py [--utterances 20000] [--longest 24] [--engines hibari,piper]

After as many utterances have warmed everything up, the resident memory of this process and of its
worker processes is read a hundred times. A worker is replaced after a thousand utterances, and the
C library keeps a heap for each thread there ever was at the same time: it takes some ten workers
until no further heap is made. Printed is the Theil-Sen slope in KiB a thousand utterances with
its 95 % interval (P. K. Sen, J. Am. Stat. Assoc. 63, 1968), and what it amounts to over the whole
run. Memory moves in steps, so neighbouring samples tell much the same: the interval is as wide as
that makes it (K. H. Hamed and A. R. Rao, J. Hydrol. 204, 1998). An engine is flat where the
interval holds zero, or where the whole run adds less than the samples scatter.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import psutil

from ttskit import TTSService

ENGINES = ("hibari", "espeak", "piper")
SENTENCE = (
    "the river runs past seven old mills before it meets another one under stone bridges where "
    "children count boats and nobody remembers who built them or why they still stand today"
)
WORDS = SENTENCE.split()
TEXTS = 500
SAMPLES = 100
MOST_WITHIN_95 = 1.96
"""Standard deviations within which 95 % of a normal distribution lie."""


@dataclass(frozen=True)
class Trend:
    """A slope and what is known of it, in bytes an utterance."""

    slope: float
    low: float
    high: float
    scatter: float
    """Bytes; half of the samples are nearer to the line."""

    def is_flat(self, utterances: int) -> bool:
        """Whether nothing grows, as far as the samples tell."""
        return self.low <= 0 <= self.high or abs(self.slope) * utterances < self.scatter


def trend(at: np.ndarray, held: np.ndarray) -> Trend:
    """Return the Theil-Sen slope of the samples with its 95 % interval."""
    first, second = np.triu_indices(len(at), 1)
    slopes = np.sort((held[second] - held[first]) / (at[second] - at[first]))
    count = len(at)
    rest = held - float(np.median(slopes)) * at
    variance = count * (count - 1) * (2 * count + 5) / 18 * _dependence(rest)
    spread = MOST_WITHIN_95 * np.sqrt(variance)
    low = max(round((len(slopes) - spread) / 2), 0)
    high = min(round((len(slopes) + spread) / 2), len(slopes) - 1)
    slope = float(np.median(slopes))
    scatter = float(np.median(np.abs(rest - np.median(rest))))
    return Trend(slope, float(slopes[low]), float(slopes[high]), scatter)


def _dependence(rest: np.ndarray) -> float:
    """Return how much wider the variance is because samples depend on those before; 1: not."""
    count = len(rest)
    ranks = rest.argsort(kind="stable").argsort() - (count - 1) / 2
    lags = np.arange(1, count - 2)
    alike = np.array([ranks[lag:] @ ranks[:-lag] for lag in lags]) / (ranks @ ranks)
    # As in the paper, only what is no accident: beyond 95 % of what independent samples show.
    alike[np.abs(alike) < MOST_WITHIN_95 / np.sqrt(count)] = 0
    weights = (count - lags) * (count - lags - 1) * (count - lags - 2)
    return max(1.0, 1 + 2 * float(weights @ alike) / (count * (count - 1) * (count - 2)))


def texts(seed: int, longest: int) -> Iterator[str]:
    """Yield utterances of any length: an allocator's caches depend on it.

    They are drawn from a few, so that the longest of them is said while everything warms up.
    """
    draw = random.Random(seed)  # noqa: S311 - no secret
    known = [draw.choices(WORDS, k=draw.randint(1, longest)) for _ in range(TEXTS)]
    while True:
        yield " ".join(draw.choice(known)).capitalize() + "."


def held_now() -> tuple[int, int]:
    """Return the resident bytes of this process and of all below it."""
    here = psutil.Process()
    workers = sum(child.memory_info().rss for child in here.children(recursive=True))
    return here.memory_info().rss, workers


def run(engine: str, utterances: int, *, longest: int, warm: int) -> tuple[np.ndarray, np.ndarray]:
    """Return after how many utterances what was held, here and in workers."""
    each = max(utterances // SAMPLES, 1)
    at = np.arange(1, utterances // each + 1, dtype=float) * each + warm
    # Filled in, and so in memory, before anything is measured: lists would be seen to grow.
    held = np.full((len(at), 2), -1.0)
    with TTSService({"providers": {engine: {}}}) as tts:
        for number, text in enumerate(islice(texts(1, longest), warm + utterances), 1):
            tts.synthesize(text)
            if number > warm and (number - warm) % each == 0:
                held[(number - warm) // each - 1] = held_now()
    return at, held


def main() -> None:
    """Print a line for each engine and process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utterances", type=int, default=20_000)
    parser.add_argument("--longest", type=int, default=24, help="words of an utterance")
    parser.add_argument("--warm", type=int, default=20_000, help="utterances before")
    parser.add_argument("--engines", default=",".join(ENGINES))
    asked = parser.parse_args()
    print(f"{'':22}   MiB   KiB/1000   95 % interval      whole run   scatter")
    for engine in asked.engines.split(","):
        at, held = run(engine, asked.utterances, longest=asked.longest, warm=asked.warm)
        for where, column in (("application", 0), ("workers", 1)):
            if not held[:, column].any():
                continue
            found = trend(at, held[:, column])
            kib = [value * 1000 / 1024 for value in (found.slope, found.low, found.high)]
            print(
                f"{engine:10} {where:11} {held[-1, column] / 2**20:5.0f} {kib[0]:10.1f}   "
                f"{kib[1]:7.1f} … {kib[2]:6.1f} {found.slope * asked.utterances / 2**20:8.2f} MiB "
                f"{found.scatter / 2**20:5.2f} MiB  "
                f"{'flat' if found.is_flat(asked.utterances) else 'GROWS'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
