"""Where failures of the codec libraries become ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ttskit.errors import TTSError


def foreign_errors() -> tuple[type[Exception], ...]:
    """Return what the codec libraries raise; those not imported yet cannot have raised."""
    found: list[type[Exception]] = []
    if sys.modules.get("soundfile"):
        from soundfile import SoundFileError  # stays unloaded until it is used

        found.append(SoundFileError)
    if sys.modules.get("av"):
        from av.error import FFmpegError  # an optional package

        found.append(FFmpegError)
    return tuple(found)


@contextmanager
def translated(error: type[TTSError], message: str) -> Iterator[None]:
    """Raise ``error`` in place of whatever a codec library raises within the block."""
    try:
        yield
    except foreign_errors() as cause:
        raise error(message, cause=cause) from cause
