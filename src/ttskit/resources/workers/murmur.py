"""What a worker says beside its speech, brought to the application's logging.

Three things are kept from it: the caller's text, floods, and control characters.
"""

from __future__ import annotations

import logging
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from urllib.parse import unquote

from ttskit.resources.failures import tells_of_no_memory

LOGGER = logging.getLogger("ttskit.worker")
LONGEST = 500
"""Characters of a line; the rest is left out."""
BURST, PER_S = 50.0, 10.0
"""Lines at once, and lines a second after that."""
_HELD = 4_096
"""Bytes of a line that is not whole yet."""
_SHORTEST_QUOTE = 8
"""Letters and digits that a line and the text must have in common to be taken for a quote."""
_ESCAPE = re.compile(
    r"((?:\\x[0-9a-fA-F]{2})+)|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\(.)", re.DOTALL
)
"""Of Python and JSON: octets or small code points in a row, code points, single characters."""
_SPACES = "abfnrtv"
"""What stands for white space after a backslash."""
_TIMES_ESCAPED = 2
"""An error's repr may hold the repr of the text."""
_LINE_END = re.compile(rb"[\r\n]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
LEFT_OUT = "(a line that quotes the text)"


class _Allowance:
    """So many at once, and so many a second after that."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left, self._since = BURST, clock()
        self._refused = 0

    @property
    def is_spent(self) -> bool:
        now = self._clock()
        self._left = min(BURST, self._left + (now - self._since) * PER_S)
        self._since = now
        return self._left < 1

    def take(self) -> bool:
        """Return whether one more may pass."""
        if self.is_spent:
            self._refused += 1
            return False
        self._left -= 1
        return True

    def refuse(self, count: int) -> None:
        """Count what was turned away unseen."""
        self._refused += count

    def refused(self) -> int:
        """Return how many were turned away since this was last asked."""
        count, self._refused = self._refused, 0
        return count


class Murmur:
    """Logs a worker's lines and records.

    Args:
        provider: The configured name.
        texts: Returns what the worker was asked to say of late.
        request: Returns the id of the only request at work; empty where it cannot be told.
        clock: Seconds.
    """

    def __init__(
        self,
        provider: str,
        *,
        texts: Callable[[], Iterable[str]],
        request: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = provider
        self._texts = texts
        self._request = request
        self._lines, self._records = _Allowance(clock), _Allowance(clock)
        self._rest = b""
        self._letters: dict[str, str] = {}
        """Letters of each of the texts."""
        self.found_no_memory = False
        """A native library said so; the process is likely to die of it, unless it does something
        well afterwards."""

    def write(self, data: bytes) -> None:
        """Take what the worker wrote to stderr, in any pieces."""
        if self._lines.is_spent:
            self._lines.refuse(data.count(b"\n"))
            self._note_memory(_decoded(data[-_HELD:]))  # the last words tell what it died of
            self._rest = b""
            return
        *lines, rest = _LINE_END.split(self._rest + data)
        self._rest = rest[:_HELD]
        for line in lines:
            self._say_line(line)

    def close(self) -> None:
        """Log what is left; nothing more comes."""
        self._say_line(self._rest)
        self._rest = b""
        self._tell_refused()

    def record(self, level: int, name: str, message: str, request: str) -> None:
        """Take a log record of the worker's."""
        if self._records.take():
            self._log(level, f"{name}: {self._harmless(message)}", request)

    def _say_line(self, line: bytes) -> None:
        text = _decoded(line)
        if not text:
            return
        self._note_memory(text)
        if self._lines.take():
            self._tell_refused()
            self._log(logging.INFO, self._harmless(text), self._request())

    def _tell_refused(self) -> None:
        if count := self._lines.refused() + self._records.refused():
            self._log(logging.INFO, f"{count} lines were left out", "")

    def _note_memory(self, words: str) -> None:
        """Take note of a library's words about memory; the text's own say nothing."""
        if not self.found_no_memory and tells_of_no_memory(words):
            self.found_no_memory = any(
                tells_of_no_memory(line) and not self._quotes(line) for line in words.splitlines()
            )

    def _harmless(self, line: str) -> str:
        line = line[: 2 * LONGEST]
        return LEFT_OUT if self._quotes(line) else _CONTROL.sub(" ", line)[:LONGEST]

    def _quotes(self, line: str) -> bool:
        known = self._letters
        self._letters = {text: known.get(text) or _letters(text) for text in self._texts()}
        said = _said(line)
        return any(_repeats(said, wanted) for wanted in self._letters.values())

    def _log(self, level: int, message: str, request: str) -> None:
        whose = f"{self._provider} {request}" if request else self._provider
        extra = {"provider": self._provider, "request_id": request}
        with suppress(Exception):  # a filter of the application's own
            LOGGER.log(level, "%s: %s", whose, message, extra=extra)


def quotes(line: str, text: str) -> bool:
    """Whether the line repeats a part of the text, however spaced, cased, composed or escaped.

    A part is eight letters and digits in a row, or the whole of a shorter text.
    """
    return _repeats(_said(line), _letters(text))


def _repeats(said: Iterable[str], wanted: str) -> bool:
    if len(wanted) <= _SHORTEST_QUOTE:
        return bool(wanted) and any(wanted in letters for letters in said)
    return any(part in wanted for letters in said for part in _parts(letters))


def _parts(letters: str) -> Iterator[str]:
    for start in range(len(letters) - _SHORTEST_QUOTE + 1):
        yield letters[start : start + _SHORTEST_QUOTE]


def _letters(text: str) -> str:
    """Return letters and digits alone, without case, accents and other marks.

    Surrogates, as JSON escapes them in pairs, become the characters that they stand for.
    """
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", joined).casefold()))


def _said(line: str) -> set[str]:
    """Return the letters of everything that the line may stand for."""
    readings = {line}
    for _ in range(_TIMES_ESCAPED):
        for reading in tuple(readings):
            readings |= {unquote(reading), _unescaped(reading, "utf-8")}
            readings.add(_unescaped(reading, "latin-1"))  # \xe9 is a character where it is no octet
    return {_letters(reading) for reading in readings}


def _unescaped(line: str, encoding: str) -> str:
    return _ESCAPE.sub(partial(_characters, encoding=encoding), line)


def _characters(match: re.Match[str], *, encoding: str) -> str:
    octets, short, long, other = match.groups()
    if octets:
        return bytes.fromhex(octets.replace("\\x", "")).decode(encoding, "replace")
    if other:
        return " " if other in _SPACES else str(other)
    number = int(short or long, 16)
    return chr(number) if number < 0x110000 else ""  # noqa: PLR2004 - the end of Unicode


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace").strip()
