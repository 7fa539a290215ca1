"""A limit on what one worker may take."""

from __future__ import annotations

import logging
import sys


def cap_memory(size: int | None) -> None:
    """Let allocations beyond ``size`` bytes fail in this process, where the system can do that.

    On Linux what counts is memory of its own that it can write to (RLIMIT_DATA, getrlimit(2)).
    Address space (RLIMIT_AS) would count reservations, too, and a process with CUDA reserves more
    than any machine has. Other systems of Unix know address space only; Windows neither.
    """
    if size is None or sys.platform == "win32":
        return
    import resource

    limit = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    hard = resource.getrlimit(limit)[1]
    most = size if hard == resource.RLIM_INFINITY else min(size, hard)
    try:
        resource.setrlimit(limit, (most, hard))
    except (OSError, ValueError):  # macOS knows the limit by name only
        logging.getLogger("ttskit.engine").warning("this system sets no limit on memory")
