"""What models may take of the memory of this machine and its GPUs, and what of it is taken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

MAIN = "cpu"
"""The device whose memory is the machine's own; GPUs are ``cuda:0`` and the like."""
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)

Footprint = Mapping[str, int]
"""Bytes by device."""


def machine_memory() -> int:
    """Return the bytes of main memory that this process may count on.

    That is the container's where it has a limit. Source: Linux, cgroup-v2.rst, ``memory.max``.
    """
    import psutil  # slow to import

    total = int(psutil.virtual_memory().total)
    for file in _CGROUP_LIMITS:
        try:
            told = file.read_text(encoding="ascii").strip()
        except OSError:
            continue
        if told.isdecimal():
            total = min(total, int(told))
    return total


class MemoryAccount:
    """Who holds how much of each device; pure bookkeeping, nothing is measured here.

    Args:
        limits: Bytes by device; a device that is not there has no limit.
    """

    def __init__(self, limits: Footprint) -> None:
        self._limits = dict(limits)
        self._held: dict[object, Footprint] = {}

    def limit(self, device: str) -> int | None:
        """Return the bytes that may be held on the device; None: any number."""
        return self._limits.get(device)

    def bound(self, device: str, limit: int) -> None:
        """Set a device's limit, as its size is known only once something runs there."""
        self._limits[device] = limit

    def hold(self, holder: object, footprint: Footprint) -> None:
        """Note what the holder takes, in place of what was noted before."""
        self._held[holder] = dict(footprint)

    def let_go(self, holder: object) -> None:
        """The holder takes nothing any more."""
        self._held.pop(holder, None)

    def held(self, device: str) -> int:
        """Return the bytes that are held on the device."""
        return sum(footprint.get(device, 0) for footprint in self._held.values())

    def held_by(self, holder: object) -> Footprint:
        """Return what the holder takes."""
        return self._held.get(holder, {})

    def lacking(self, footprint: Footprint) -> dict[str, int]:
        """Return the bytes by device that would have to be let go before so much more fits."""
        over = {
            device: self.held(device) + size - limit
            for device, size in footprint.items()
            if (limit := self._limits.get(device)) is not None
        }
        return {device: size for device, size in over.items() if size > 0}
