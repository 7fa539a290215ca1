"""Streaming through ttskit against the engine called directly: ratios of one run.

    python benchmarks/bench_streaming.py [--rounds 9]

Needs ``pip install "ttskit[local]"``. Every figure is a median over rounds in which ttskit and the
engine take turns, so a machine whose speed drifts does not favour either.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable

from hibari import Hibari
from paragraph import PARAGRAPH, SENTENCES, timed

from ttskit import TTSService

CLAUSE = SENTENCES[0].partition(",")[0] + ","


def first_audio(tts: TTSService, text: str) -> float:
    """Return the seconds until the first chunk of a stream."""
    start = time.perf_counter()
    with tts.stream(text, seed=0) as speech:
        next(speech)
        return time.perf_counter() - start


def play_all(tts: TTSService) -> None:
    """Stream the whole paragraph."""
    with tts.stream(PARAGRAPH, seed=0) as speech:
        for _ in speech:
            pass


def play_two(tts: TTSService) -> None:
    """Stream the paragraph twice at the same time."""
    threads = [threading.Thread(target=play_all, args=(tts,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    engine = Hibari()
    whole = TTSService({"providers": {"hibari": {}}, "text": {"fast_start": False}})
    eager = TTSService({"providers": {"hibari": {}}, "text": {"fast_start": True}})
    with whole, eager:
        cases: dict[str, Callable[[], float]] = {
            "engine: first sentence": lambda: timed(lambda: engine(SENTENCES[0], seed=0)),
            "ttskit: first audio": lambda: first_audio(whole, PARAGRAPH),
            "ttskit: first audio, clause first": lambda: first_audio(eager, PARAGRAPH),
            "engine: first clause": lambda: timed(lambda: engine(CLAUSE, seed=0)),
            "engine: ten sentences": lambda: timed(lambda: [engine(s, seed=0) for s in SENTENCES]),
            "ttskit: ten sentences": lambda: timed(lambda: play_all(whole)),
            "ttskit: synthesize": lambda: timed(lambda: whole.synthesize(PARAGRAPH, seed=0)),
            "ttskit: two streams": lambda: timed(lambda: play_two(whole)),
        }
        for run in cases.values():
            run()
        seconds = {name: [run()] for name, run in cases.items()}
        for _ in range(rounds - 1):
            for name, run in cases.items():
                seconds[name].append(run())
    report(seconds)


def report(seconds: dict[str, list[float]]) -> None:
    """Print the medians and the ratios that are promised."""
    for name, values in seconds.items():
        print(f"{name:36} {1000 * statistics.median(values):8.1f} ms")

    def ratio(upper: str, lower: str) -> float:
        pairs = zip(seconds[upper], seconds[lower], strict=True)
        return statistics.median(a / b for a, b in pairs)

    print()
    rows = (
        (
            "first audio / first sentence",
            1.1,
            "<=",
            "ttskit: first audio",
            "engine: first sentence",
        ),
        (
            "clause-sized start / first sentence",
            0.6,
            "<=",
            "ttskit: first audio, clause first",
            "engine: first sentence",
        ),
        (
            "whole text / sentence by sentence",
            1.05,
            "<=",
            "ttskit: ten sentences",
            "engine: ten sentences",
        ),
        (
            "synthesize / sentence by sentence",
            1.05,
            "<=",
            "ttskit: synthesize",
            "engine: ten sentences",
        ),
    )
    for name, goal, sign, upper, lower in rows:
        print(f"{name:40} {ratio(upper, lower):5.2f}  (goal {sign} {goal})")
    two = 2 / ratio("ttskit: two streams", "ttskit: ten sentences")
    print(f"{'two streams at once / one':40} {two:5.2f}  (goal >= 1.7)")


if __name__ == "__main__":
    main()
