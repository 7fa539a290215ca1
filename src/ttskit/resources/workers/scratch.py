"""Folders for workers' temporary files, removed with the worker however that ends.

An engine that is killed cannot remove what it wrote. A folder is held by a lock, which the kernel
lets go with the application; so the next one can tell the folders of the dead.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

_PREFIX = "ttskit-worker-"
_LOCK = ".lock"


class Scratch:
    """A new folder that nobody else may read."""

    def __init__(self) -> None:
        sweep()
        while not self._make():
            pass

    def _make(self) -> bool:
        """Make the folder; return False where another process swept it before it was held."""
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        if _hold(self._lock) and (self.path / _LOCK).exists():
            return True
        self.remove()
        return False

    def remove(self) -> None:
        """Remove the folder and all in it."""
        os.close(self._lock)
        shutil.rmtree(self.path, ignore_errors=True)


def sweep() -> None:
    """Remove the folders of this user that no living process holds."""
    if sys.platform == "win32":  # there a folder with an open file cannot be removed, nor locked
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                if os.fstat(lock).st_uid == os.getuid() and _hold(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _hold(descriptor: int) -> bool:
    """Lock the open file; return False where another process has."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
