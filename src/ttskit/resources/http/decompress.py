"""Bodies that come compressed, inflated in pieces of bounded size."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from ttskit.errors import InvalidResponseError

PIECE = 64 * 1024
"""Bytes that are inflated at a time, whatever they came from."""
_PLAIN = frozenset({"", "identity"})
_KNOWN = frozenset({"gzip", "x-gzip", "deflate"})


class Inflater:
    """Inflates gzip and zlib, without ever holding more than a piece of the result."""

    def __init__(self) -> None:
        self._inflating = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes inflate to.

        Raises:
            InvalidResponseError: They are not what the header said.
        """
        try:
            while data and not self._inflating.eof:
                if piece := self._inflating.decompress(data, PIECE):
                    yield piece
                data = self._inflating.unconsumed_tail
        except zlib.error as error:
            raise InvalidResponseError("the reply's compression is broken") from error

    def finish(self) -> None:
        """Raise ``InvalidResponseError`` where the data ended before its end."""
        if not self._inflating.eof:
            raise InvalidResponseError("the reply ended within its compression")


def inflater(encoding: str) -> Inflater | None:
    """Return what undoes a Content-Encoding; None where there is nothing to undo.

    Raises:
        InvalidResponseError: Nobody asked for this encoding.
    """
    name = encoding.strip().lower()
    if name in _PLAIN:
        return None
    if name not in _KNOWN:
        raise InvalidResponseError(f"the reply's encoding {name[:40]!r} was not asked for")
    return Inflater()
