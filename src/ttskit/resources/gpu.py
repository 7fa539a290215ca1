"""What torch holds of GPUs in this process; nothing here imports it, or touches a GPU first."""

from __future__ import annotations

import sys

from ttskit.resources.engine import JsonValue


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


def empty_caches() -> None:
    """Give back what torch keeps of GPUs for later. Source: torch.cuda.empty_cache, torch 2.13."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
