"""What one worker takes, and a limit on that."""

from __future__ import annotations

import logging
import sys

from ttskit.resources.engine import JsonValue


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


def gpu_memory() -> dict[str, JsonValue]:
    """Return ``[held, total]`` in bytes of each GPU that torch has memory of in this process.

    What is held includes what torch keeps for later, and not the context of some hundred MiB that
    CUDA itself needs. Source: torch.cuda.memory_reserved, torch 2.13.
    """
    torch = sys.modules.get("torch")  # nothing of a GPU is held where nobody imported it
    if torch is None or not torch.cuda.is_initialized():
        return {}
    held = {
        number: int(torch.cuda.memory_reserved(number))
        for number in range(torch.cuda.device_count())
    }
    return {
        f"cuda:{number}": [size, int(torch.cuda.get_device_properties(number).total_memory)]
        for number, size in held.items()
        if size
    }
