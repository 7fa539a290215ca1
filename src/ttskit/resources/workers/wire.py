"""Frames between the application and a worker: a header, a head in JSON, raw bytes.

Nothing here touches a pipe. Whatever a broken process may have written, the decoder either gives
whole frames or raises ``FrameError``, and holds no more than a frame may have.
"""

from __future__ import annotations

import json
import mmap
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import cast

from ttskit.resources.engine import JsonValue

HEADER = struct.Struct("<4sB3xII")
"""Magic, kind, bytes of the head, bytes of the payload."""
MAGIC = b"\x93TW1"
HEAD_LIMIT = 16 * 2**20
PAYLOAD_LIMIT = 16 * 2**20
"""Bytes; a minute and a half of audio at 48 kHz."""
LARGE_PAYLOAD = 16 * 1024
"""Bytes from which a payload is kept in a map of its own, which goes back to the system as soon as
nobody needs it. In the C library's heaps it would leave holes, in a heap for each worker's thread.
"""
START = b"\n\x93ttskit worker speaks\n"
"""What a worker writes first: an interpreter may print before any of our code runs."""
NOISE_LIMIT = 2**20
"""Bytes before ``START``."""


class FrameError(Exception):
    """What was read is no frame."""


class Kind(IntEnum):
    """What a frame is about. The first ones go to the worker, the others come from it."""

    RECIPE = 1
    """Which engine, made how; the first frame of all."""
    LOAD = 2
    VOICES = 3
    JOB = 4
    CREDIT = 5
    """So many bytes of a job's audio were taken."""
    CANCEL = 6
    STOP = 7
    """Close the engine and exit."""

    MADE = 33
    """The engine is there, and these are its properties."""
    DONE = 34
    """A load, a question or a job ended well; the answer is with it."""
    FAILED = 35
    BEGUN = 36
    """A job left the worker's queue."""
    AUDIO = 37
    BEAT = 38
    """The worker lives."""
    LOG = 39
    RELIEF = 40
    """A job found no memory; this was done before it was tried again."""
    DOWNLOAD = 41
    """How far a download is."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    kind: Kind
    head: Mapping[str, JsonValue] = field(default_factory=dict)
    payload: bytes | bytearray | memoryview = b""

    def number(self, name: str) -> int:
        """Return a whole number of the head.

        Raises:
            FrameError: It is not there, or is none.
        """
        value = self.head.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise FrameError(f"{self.kind.name} without {name}")
        return value

    def mapping(self, name: str) -> Mapping[str, JsonValue]:
        """Return a mapping of the head.

        Raises:
            FrameError: It is not there, or is none.
        """
        value = self.head.get(name)
        if not isinstance(value, dict):
            raise FrameError(f"{self.kind.name} without {name}")
        return value


def encode(kind: Kind, head: Mapping[str, JsonValue], payload_size: int = 0) -> bytes:
    """Return a frame's bytes up to its payload, which follows as it is.

    Raises:
        FrameError: The head is no JSON, or is too large, as the payload may be.
    """
    try:
        text = json.dumps(head, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise FrameError("the head is not plain data") from error
    # Any text can be said, even one with half a surrogate pair in it.
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > HEAD_LIMIT or payload_size > PAYLOAD_LIMIT:
        raise FrameError("the frame is too large")
    return HEADER.pack(MAGIC, kind, len(data), payload_size) + data


class Decoder:
    """Puts frames together from bytes that arrive in any pieces.

    Args:
        start: Bytes before the first frame; all before them is passed over.
    """

    def __init__(self, start: bytes = b"") -> None:
        self._start = start
        self._held = bytearray()
        self._wanted = HEADER.size
        """How many bytes are held when something can be made of them."""
        self._large: _Large | None = None
        """The frame that has begun, where its payload is large."""
        self._noise = 0

    @property
    def is_amid(self) -> bool:
        """Whether a frame has begun and is not whole."""
        return self._large is not None or (bool(self._held) and not self._start)

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Frame]:
        """Yield the frames that are whole now.

        Raises:
            FrameError: What follows is none; the decoder is of no further use.
        """
        rest = memoryview(data)
        if self._start:
            self._held += rest
            if not self._find_start():
                return
            rest = memoryview(bytes(self._held))
            self._held.clear()
        while rest:
            rest = rest[self._take(rest) :]
            if (frame := self._next()) is not None:
                yield frame

    def _take(self, data: memoryview) -> int:
        """Keep what the next step needs and no more; return how many bytes that was."""
        if self._large is not None:
            return self._large.take(data)
        size = min(len(data), self._wanted - len(self._held))
        self._held += data[:size]
        return size

    def _find_start(self) -> bool:
        place = self._held.find(self._start)
        if place >= 0:
            del self._held[: place + len(self._start)]
            self._start = b""
            return True
        spare = len(self._held) - len(self._start) + 1
        if spare > 0:
            del self._held[:spare]
            self._noise += spare
        if self._noise > NOISE_LIMIT:
            raise FrameError("no frame begins")
        return False

    def _next(self) -> Frame | None:
        """Return the frame that is whole now; None: it is known how many bytes are wanted first."""
        if self._large is not None:
            return self._whole(self._large.frame) if self._large.is_whole else None
        held = self._held
        if not held.startswith(MAGIC[: len(held)]):
            raise FrameError("no frame")
        if len(held) < HEADER.size:
            return None
        _, kind, head_size, payload_size = HEADER.unpack_from(held)
        if head_size > HEAD_LIMIT or payload_size > PAYLOAD_LIMIT:
            raise FrameError("a frame that is too large")
        end = HEADER.size + head_size
        is_large = payload_size >= LARGE_PAYLOAD
        self._wanted = end if is_large else end + payload_size
        if len(held) < self._wanted:
            return None
        head = _head(bytes(held[HEADER.size : end]))
        if is_large:
            self._large = _Large(_kind(kind), head, payload_size)
            return None
        return self._whole(Frame(_kind(kind), head, held[end:]))

    def _whole(self, frame: Frame) -> Frame:
        self._held.clear()
        self._large, self._wanted = None, HEADER.size
        return frame


def room(size: int) -> memoryview:
    """Return so many bytes of memory that go back to the system when nobody needs them.

    A forked child has its own copy of them, as it has of all other memory.
    """
    if sys.platform == "win32":
        return memoryview(mmap.mmap(-1, size))
    return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


class _Large:
    """A frame whose payload is filled in as it comes."""

    def __init__(self, kind: Kind, head: Mapping[str, JsonValue], size: int) -> None:
        self._room = room(size)
        self._filled = 0
        self.frame = Frame(kind, head, self._room)

    @property
    def is_whole(self) -> bool:
        return self._filled == len(self._room)

    def take(self, data: bytes | bytearray | memoryview) -> int:
        """Keep what belongs to the payload; return how many bytes that was."""
        size = min(len(data), len(self._room) - self._filled)
        self._room[self._filled : self._filled + size] = data[:size]
        self._filled += size
        return size


def _kind(number: int) -> Kind:
    try:
        return Kind(number)
    except ValueError:
        raise FrameError("a frame of an unknown kind") from None


def _head(data: bytes) -> Mapping[str, JsonValue]:
    try:
        head = json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):  # its own words may quote the text
        raise FrameError("a head that is no JSON") from None
    if not isinstance(head, dict):
        raise FrameError("a head that is no mapping")
    return cast("Mapping[str, JsonValue]", head)
