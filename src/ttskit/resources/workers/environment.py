"""The environment that a worker gets: no keys, its share of the processor, a folder of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import ttskit

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
"""Threads that wait for work must not take the processor from those that have some."""
_TEMPORARY = ("TMPDIR", "TEMP", "TMP")
_OWN = "TTSKIT_"
"""Settings of ttskit, which a worker does not read: a key may be among them."""


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What no worker may see. It is in no repr."""

    names: frozenset[str] = field(default_factory=frozenset)
    """Environment variables that hold keys."""
    values: frozenset[str] = field(default_factory=frozenset)
    """Keys, wherever they may stand."""

    def in_variable(self, name: str, value: str) -> bool:
        """Whether the variable gives a key away."""
        return name in self.names or any(secret in value for secret in self.values)


def share(workers: int) -> int:
    """Return the threads that each of so many workers may compute with."""
    return max(1, (os.cpu_count() or 1) // workers)


def environment(
    environ: Mapping[str, str], *, secrets: Secrets, threads: int, folder: Path, same_python: bool
) -> dict[str, str]:
    """Return the variables of a worker.

    Args:
        environ: The application's.
        secrets: Left out.
        threads: Of numerical libraries, unless the application's environment says how many.
        folder: For temporary files.
        same_python: The worker runs this interpreter, and finds modules where this process does.
    """
    chosen = {
        name: value
        for name, value in environ.items()
        if not name.startswith(_OWN) and not secrets.in_variable(name, value)
    }
    for name in _THREADS:
        chosen.setdefault(name, str(threads))
    for name, value in _QUIET.items():
        chosen.setdefault(name, value)
    chosen |= dict.fromkeys(_TEMPORARY, str(folder))
    if same_python:
        chosen["PYTHONPATH"] = os.pathsep.join(search_path())
    return chosen


def search_path() -> list[str]:
    """Return where this process finds modules, as absolute paths."""
    home = str(Path(ttskit.__file__).parent.parent)
    found: list[str] = []
    for entry in sys.path:
        with suppress(OSError):  # it is relative to a working directory that is gone
            found.append(str(Path(entry).absolute()))
    return list(dict.fromkeys([*found, home]))
