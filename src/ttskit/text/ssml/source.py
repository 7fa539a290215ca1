"""The caller's SSML as the XML parser may read it, and the way back to the caller's characters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ttskit.errors import InvalidParameterError, UnsafeTextError
from ttskit.text.sanitise import Change, ChangeKind
from ttskit.text.spans import Offsets, Span

MAX_BYTES = 256 * 1024
"""Of UTF-8, markup included."""

# What XML 1.0 (section 2.2) lets into no document, not even as a reference.
ILLEGAL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")

# All that may stand before the first element. Possessive, so linear whatever the text holds.
_DOCTYPE = re.compile(r"\ufeff?(?:\s|<!--.*?-->|<\?.*?\?>)*+<!D", re.DOTALL | re.IGNORECASE)


class Source:
    """SSML without the characters that XML forbids and without white space before its start.

    Positions here are characters of ``text``; ``offsets`` maps them to the caller's own string.

    Raises:
        UnsafeTextError: It is too long, or brings a DTD, the door to entities.
    """

    def __init__(self, ssml: str) -> None:
        if len(ssml) > MAX_BYTES:
            raise _too_long()
        self._ssml = ssml
        self.text, self.offsets = _legal(ssml)
        self.changes = tuple(_removed(ssml))
        self.data = self.text.encode()
        if len(self.data) > MAX_BYTES:
            raise _too_long()
        # Refused before expat sees it: expat would go on expanding entities to the end of the
        # bytes it was fed, even after a handler has raised.
        if _DOCTYPE.match(self.text):
            raise UnsafeTextError(
                "SSML with a DTD (<!DOCTYPE>) is refused, and so are its entities"
            )
        self._byte = self._character = 0

    def character(self, byte: int) -> int:
        """Return the character that starts at this byte; asked in ascending order."""
        self._character += len(self.data[self._byte : byte].decode(errors="ignore"))
        self._byte = byte
        return self._character

    def malformed(self, position: int, reason: str) -> InvalidParameterError:
        """Return the error that names line and column, both from 1, of the caller's own string."""
        before = self._ssml[: self.offsets.source(position)]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return InvalidParameterError(f"SSML line {line}, column {column}: {reason}")


def _too_long() -> UnsafeTextError:
    return UnsafeTextError(f"SSML may have {MAX_BYTES // 1024} kB of UTF-8; cut it in documents")


def _legal(ssml: str) -> tuple[str, Offsets]:
    kept: list[Span] = []
    start = len(ssml) - len(ssml.lstrip())
    for match in ILLEGAL.finditer(ssml, start):
        kept.append((start, match.start()))
        start = match.end()
    kept.append((start, len(ssml)))
    return "".join(ssml[a:b] for a, b in kept), Offsets.of((b - a, a, b) for a, b in kept)


def _removed(ssml: str) -> Iterator[Change]:
    for match in ILLEGAL.finditer(ssml):
        is_surrogate = "\ud800" <= match[0][0] <= "\udfff"
        kind = ChangeKind.SURROGATE if is_surrogate else ChangeKind.CONTROL
        yield Change(match.span(), kind, len(match[0]))
