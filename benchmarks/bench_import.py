"""What ttskit costs before the first word, as ratios to what its user imports anyway.

Run it as ``python benchmarks/bench_import.py [rounds]``. Each measurement is a fresh process; the
cases take turns, so that a busy machine slows all of them alike; medians are compared. A first
round that does not count leaves the compiled modules behind, as an installation does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

_ASYNCIO = "import asyncio"
_IMPORT = "import ttskit"
_LIBRARIES = "import httpx, pydantic"
_SERVICE = "import ttskit; ttskit.TTSService()"

_TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
_UNWANTED = {"PYTHONDONTWRITEBYTECODE"}
_END = "; import os; sys.stdout.flush(); os._exit(0)"


def seconds(statement: str) -> float:
    """Return how long the statement takes in a process of its own."""
    code = f"import sys; {_TIMED.format(statement)}{_END}"
    environ = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    done = subprocess.run(  # noqa: S603 - our own statements
        [sys.executable, "-c", code], env=environ, capture_output=True, check=True, text=True
    )
    return float(done.stdout)


def main(rounds: int) -> None:
    """Print both ratios and their limits."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        for statement in (_ASYNCIO, _IMPORT, _LIBRARIES, _SERVICE):
            times.setdefault(statement, []).append(seconds(statement))
    medians = {statement: statistics.median(taken[1:]) for statement, taken in times.items()}
    for statement, base, limit in ((_IMPORT, _ASYNCIO, 0.5), (_SERVICE, _LIBRARIES, 1.5)):
        ratio = medians[statement] / medians[base]
        print(
            f"{statement!r}: {ratio:.2f} x {base!r} (at most {limit});"
            f" {1000 * medians[statement]:.1f} ms to {1000 * medians[base]:.1f} ms"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
