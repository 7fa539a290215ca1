"""How far the download of a model is, told from within an engine to whoever hosts it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple, Self, TypeAlias

_LOGGER = logging.getLogger(__name__)
PROGRESS_S = 0.5
"""Seconds between two times that a download's listener hears of it."""
QUIET_TIMES = 10
"""As often it hears of it before there is a line in the log."""
_MB = 1_000_000


class Download(NamedTuple):
    """Something that an engine fetches from the network."""

    name: str
    """As its source calls it, never a path."""
    received: int
    """Bytes."""
    total: int | None = None
    """Bytes; None: not known."""
    is_over: bool = False
    """All of it is there."""


Hear: TypeAlias = Callable[[Download], object]
"""Never waits, and may be called by any thread."""

listener: ContextVar[Hear] = ContextVar("listener", default=tuple)
"""Whom an engine tells; set where it is loaded."""


class Progress:
    """How much of a download has come, told the engine's listener, and now and then the log.

    A context manager; leaving it by an exception says nothing, nor does one for which nothing came.

    Args:
        name: Of what is downloaded.
        size: Bytes that are there, where nobody calls ``add``; asked from a thread.
    """

    def __init__(self, name: str, size: Callable[[], int] | None = None) -> None:
        self._name = name
        self._size = size
        self._before = size() if size else 0
        self._count = self._total = 0
        self._hear = listener.get()
        self._began = time.monotonic()
        self._is_over = threading.Event()
        self._watch = threading.Thread(target=self._tell, name="ttskit download", daemon=True)

    def expect(self, size: int) -> None:
        """There are so many bytes more to come; 0: the server does not say."""
        self._total += size

    def add(self, size: int) -> None:
        """So many bytes more have come."""
        self._count += size

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._is_over.set()
        self._watch.join()
        if kind is None and (count := self._received()):
            self._hear(Download(self._name, count, count, is_over=True))
            seconds = time.monotonic() - self._began
            _LOGGER.info("downloaded %s: %s in %.0f s", self._name, self._so_far(), seconds)

    def _tell(self) -> None:
        times = 0
        while not self._is_over.wait(PROGRESS_S):
            times += 1
            self._hear(Download(self._name, self._received(), self._total or None))
            if times % QUIET_TIMES == 0:
                _LOGGER.info("downloading %s: %s", self._name, self._so_far())

    def _received(self) -> int:
        return self._size() - self._before if self._size else self._count

    def _so_far(self) -> str:
        count = self._received()
        of = f" of {self._total / _MB:.1f}" if self._total > count else ""
        return f"{count / _MB:.1f}{of} MB"


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder that somebody may be writing to."""
    total = 0
    for place, _, names in os.walk(folder):  # which passes over what is gone meanwhile
        for name in names:
            with suppress(OSError):
                total += Path(place, name).stat().st_size
    return total
