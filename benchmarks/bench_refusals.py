"""How long bad input takes to be refused: each a typed error, before any engine is touched.

    python benchmarks/bench_refusals.py [--rounds 20]

The goal is 5 ms for each. Prints the median and the slowest of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ttskit import TTSService
from ttskit.audio import Audio
from ttskit.config import load_settings
from ttskit.errors import TTSError
from ttskit.testing import MockAdapter

DEEP = "<speak>" + "<p>" * 10_000 + "x" + "</p>" * 10_000 + "</speak>"
BOMB = (
    '<!DOCTYPE s [<!ENTITY a "hahahaha">'
    + "".join(f'<!ENTITY a{n} "{"&a;" * 10}">' for n in range(9))
    + "]><speak>&a8;</speak>"
)


def refusals(tts: TTSService, audio: Audio, folder: Path) -> dict[str, Callable[[], object]]:
    """Return each kind of bad input as a call that must raise a TTSError."""
    (folder / "out").mkdir()
    (folder / "out" / "link").symlink_to("/tmp")  # noqa: S108 - only a place outside the folder
    broken = folder / "tts.yaml"
    broken.write_text("providers:\n  mock: {sample_rat: 1}\nrouting: [\n")
    return {
        "empty": lambda: tts.synthesize(""),
        "blank": lambda: tts.synthesize(" \n\t "),
        "control characters only": lambda: tts.synthesize("\x00\x07\u200b\u2060"),
        "1 MB over the limit": lambda: tts.synthesize("a" * 1_100_000),
        "unknown voice": lambda: tts.synthesize("Hello.", voice="altoo"),
        "unsupported format": lambda: tts.synthesize("Hello.", format="doc"),
        "unsupported language": lambda: tts.synthesize("Hello.", language="xx-bad-tag-!"),
        "speed 0": lambda: tts.synthesize("Hello.", speed=0),
        "speed -1": lambda: tts.synthesize("Hello.", speed=-1),
        "speed NaN": lambda: tts.synthesize("Hello.", speed=float("nan")),
        "path through ..": lambda: audio.save(folder / "out" / ".." / "x.wav"),
        "path through a symlink": lambda: audio.save(folder / "out" / "link" / "x.wav"),
        "entity bomb": lambda: tts.synthesize(ssml=BOMB),
        "depth bomb": lambda: tts.synthesize(ssml=DEEP),
        "broken tts.yaml": lambda: load_settings(broken),
    }


def milliseconds(call: Callable[[], object]) -> float:
    """Return how long the refusal takes."""
    start = time.perf_counter()
    try:
        call()
    except TTSError:
        return 1000 * (time.perf_counter() - start)
    raise AssertionError("it was not refused")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    adapter = MockAdapter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {"output": {"directory": str(folder / "out")}}
        with TTSService(settings, providers=[adapter]) as tts:
            audio = tts.synthesize("Hello.")
            spoken = len(adapter.requests)
            for kind, call in refusals(tts, audio, folder).items():
                times = [milliseconds(call) for _ in range(rounds)]
                print(f"{kind:26} {statistics.median(times):6.2f} ms, at most {max(times):6.2f} ms")
            assert len(adapter.requests) == spoken, "an engine was asked"
            assert not list((folder / "out").glob("*.*")), "something was written"


if __name__ == "__main__":
    main()
