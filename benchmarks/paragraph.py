"""What benchmarks have spoken, and the clock they take to it.

They are run as scripts, so their own folder is where Python looks for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SENTENCES = (
    "In the grey morning light, the lighthouse keeper climbed the stairs with a lamp in his hand.",
    "Far below him the sea was breaking over the rocks.",
    "He had lived alone on the island for nearly twenty years.",
    "Every evening he wrote a few lines in a heavy leather book.",
    "Ships passed in the distance, but none of them ever stopped.",
    "In winter the storms were so loud that he could not sleep.",
    "Then he would sit by the fire and think of his brother.",
    "His brother had gone to sea when they were both very young.",
    "Nobody had heard from him since the spring of that year.",
    "One morning a letter arrived with a stamp he did not know.",
)
PARAGRAPH = " ".join(SENTENCES)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
