"""Where the text comes from: an argument, a file or stdin; read as UTF-8, a piece at a time."""

from __future__ import annotations

import codecs
import os
import queue
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TextIO

from ttskit.errors import InvalidParameterError

_PIECE = 65_536
"""Bytes read at a time."""
_TEXT_SUFFIXES = frozenset({".txt", ".md", ".ssml", ".xml"})
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Source:
    """A text that may be longer than memory.

    Args:
        pieces: The text.
        is_ssml: It is a markup document.
        characters: How many there are, where that is known.
        is_live: It may still be being written, so that waiting for its end would take time.
    """

    def __init__(
        self,
        pieces: Iterable[str],
        *,
        is_ssml: bool = False,
        characters: int | None = None,
        is_live: bool = False,
    ) -> None:
        self._rest = iter(pieces)
        self._ahead: list[str] = []
        self.is_ssml = is_ssml
        self.characters = characters
        self.is_live = is_live

    def read_ahead(self, limit: int) -> str:
        """Return the text's start: all of it, or more than ``limit`` characters.

        ``pieces`` still gives the whole.

        Raises:
            InvalidParameterError: It cannot be read or is no UTF-8.
        """
        size = 0
        while size <= limit and (piece := next(self._rest, None)) is not None:
            self._ahead.append(piece)
            size += len(piece)
        return "".join(self._ahead)

    def pieces(self) -> Iterator[str]:
        """Yield the text in pieces of any size, once.

        Raises:
            InvalidParameterError: It cannot be read or is no UTF-8.
        """
        ahead, self._ahead = self._ahead, []
        return chain(ahead, self._rest)


@contextmanager
def opened(
    words: list[str], *, text: str | None, file: str | None, is_ssml: bool, stdin: TextIO | None
) -> Iterator[Source]:
    """Give the text that the command line means.

    Args:
        words: The plain arguments: a text, or one ``-`` or one text file's name.
        text: A text that is surely a text.
        file: A file that is surely a file.
        is_ssml: The text is markup, whatever its file is called.
        stdin: What ``-`` and no argument at all stand for; None: it is closed.

    Raises:
        InvalidParameterError: Several texts are named or none; the file cannot be read or is no
            UTF-8.
    """
    if sum((bool(words), text is not None, file is not None)) > 1:
        raise InvalidParameterError("give one of TEXT, --text and --file")
    if text is None and file is None:
        text, file = _meant(words, has_input=stdin is not None and not stdin.isatty())
    if text is not None:
        yield Source([text], is_ssml=is_ssml, characters=len(text))
    elif file is not None and file != "-":
        yield _file(Path(file), is_ssml=is_ssml)
    elif stdin is None:
        raise InvalidParameterError("cannot read stdin: it is closed")
    else:
        with _Arriving(stdin.fileno()) as arriving:
            yield Source(decoded(arriving, "stdin"), is_ssml=is_ssml, is_live=True)


def decoded(chunks: Iterable[bytes], name: str) -> Iterator[str]:
    """Yield UTF-8 as text, a byte order mark at its start left out, however the bytes are cut.

    Raises:
        InvalidParameterError: It is no UTF-8; the message has ``name`` and the bad byte's place.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    done, first = 0, True
    for chunk in chain(chunks, [b""]):
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            raise _no_utf8(error, done - pending, name) from None
        done += len(chunk)
        if text:
            yield text.removeprefix("\ufeff") if first else text
            first = False


def _meant(words: list[str], *, has_input: bool) -> tuple[str | None, str | None]:
    """Return the text or the file that plain arguments mean."""
    if not words and not has_input:
        raise InvalidParameterError("nothing to say: give TEXT, a FILE, or - for stdin")
    if not words or words == ["-"]:
        return None, "-"
    if len(words) == 1 and _looks_like_file(words[0]):
        if not Path(words[0]).exists():
            raise InvalidParameterError(
                f"there is no file {words[0][-200:]!r}; to speak these very words, use --text"
            )
        return None, words[0]
    return " ".join(words), None


def _looks_like_file(word: str) -> bool:
    """Whether the argument is one word, or an existing path, with the suffix of a text file."""
    if Path(word).suffix.lower() not in _TEXT_SUFFIXES:
        return False
    with suppress(OSError, ValueError):  # too long, or with a NUL: no file has such a name
        return len(word.split()) == 1 or Path(word).is_file()
    return False


def _file(path: Path, *, is_ssml: bool) -> Source:
    """Open a text file; an ordinary one is read once before, to find mistakes and its length."""
    is_ordinary = _is_ordinary(path)
    count = sum(map(len, _read(path))) if is_ordinary else None
    return Source(
        _read(path),
        is_ssml=is_ssml or path.suffix.lower() == ".ssml",
        characters=count,
        is_live=not is_ordinary,
    )


def _is_ordinary(path: Path) -> bool:
    with _readable(path):
        return stat.S_ISREG(path.stat().st_mode)


def _read(path: Path) -> Iterator[str]:
    with _readable(path), path.open("rb") as file:
        yield from decoded(iter(lambda: file.read(_PIECE), b""), path.name)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidParameterError(f"cannot read {str(path)[-200:]!r}: {reason}") from error


def _no_utf8(error: UnicodeDecodeError, start: int, name: str) -> InvalidParameterError:
    place = start + error.start
    looks_like_utf_16 = place == 0 and error.object[:2] in _UTF_16_MARKS
    guess = " and looks like UTF-16" if looks_like_utf_16 else ""
    return InvalidParameterError(
        f"{name} is not UTF-8 (byte 0x{error.object[error.start]:02x} at offset {place}){guess}; "
        "convert it, for instance with iconv"
    )


class _Arriving:
    """The bytes of a pipe or terminal as they come.

    They are read in a daemon thread of their own: whoever waits for them can be told to stop, and
    a writer who never ends does not hold up the command's end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue: queue.Queue[bytes | OSError] = queue.Queue(8)
        self._thread = threading.Thread(target=self._read, name="ttskit stdin", daemon=True)

    def __enter__(self) -> Iterator[bytes]:
        self._thread.start()
        return iter(self._next, b"")

    def __exit__(self, *_: object) -> None:
        with suppress(queue.Full):  # then nobody waits
            self._queue.put_nowait(b"")

    def _next(self) -> bytes:
        item = self._queue.get()
        if isinstance(item, OSError):
            raise InvalidParameterError(f"cannot read stdin: {item.strerror}") from item
        return item

    def _read(self) -> None:
        chunk = b"?"
        while chunk:
            try:
                chunk = os.read(self._descriptor, _PIECE)
            except OSError as error:
                self._queue.put(error)
                return
            self._queue.put(chunk)
