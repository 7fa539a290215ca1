"""A worker process: ``python -m ttskit.resources.workers``. Started by ttskit only."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Move the pipes out of the way of whatever an engine may print, and serve."""
    requests, replies = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    from ttskit.resources.workers.child import serve  # only now: its imports may print

    sys.exit(serve(requests, replies))


if __name__ == "__main__":
    main()
