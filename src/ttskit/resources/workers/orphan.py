"""How a worker makes sure that it does not outlive the application."""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""Source: Linux prctl(2)."""


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, where the kernel can (Linux).

    It works even while an engine holds the GIL. Elsewhere, and in any case, the pipe's end tells.

    Args:
        parent: Process id of the application.
    """
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was asked
        os._exit(1)
