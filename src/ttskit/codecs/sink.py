"""The file in memory that codec libraries write to, and bytes are taken from as they come."""

from __future__ import annotations

import io


class Sink:
    """A seekable binary file whose written bytes can be taken away.

    Libraries go back at the end to put sizes into headers. With ``hold`` nothing can be taken
    before ``rest``, so that those corrections land; without it, a correction to bytes that are
    gone already is dropped.
    """

    def __init__(self, *, hold: bool) -> None:
        self._hold = hold
        self._pending = bytearray()
        self._taken = 0
        self._position = 0

    def write(self, data: bytes) -> int:
        """Write at the current position, as a file does."""
        view = memoryview(data).cast("B")
        gone = min(len(view), max(0, self._taken - self._position))
        at = self._position + gone - self._taken
        self._pending[at : at + len(view) - gone] = view[gone:]
        self._position += len(view)
        return len(view)

    def read(self, size: int = -1) -> bytes:
        """Return nothing: what was written is not read back."""
        del size
        return b""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position, as a file does."""
        ends = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}
        self._position = ends.get(whence, self._taken + len(self._pending)) + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def take(self) -> bytes:
        """Return what may leave by now."""
        return b"" if self._hold else self.rest()

    def rest(self) -> bytes:
        """Return all that is left."""
        data = bytes(self._pending)
        self._taken += len(data)
        self._pending.clear()
        return data
