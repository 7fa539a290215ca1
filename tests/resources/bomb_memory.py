"""Has a bomb of a sample refused, and prints the most bytes that a process took for it.

Run as a program by a test. Its argument: a folder for samples.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import anyio

from tests.resources import samples
from ttskit.errors import InvalidVoiceReferenceError
from ttskit.resources.references import ReferenceOptions, References


async def main() -> None:
    bomb = samples.with_flac_total(samples.silent(600, "FLAC"), 0)
    try:
        await References(ReferenceOptions(folder=Path(sys.argv[1]))).read(bomb)
    except InvalidVoiceReferenceError:
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        sys.stdout.write(str(most * (1 if sys.platform == "darwin" else 1_024)))


if __name__ == "__main__":
    anyio.run(main)
