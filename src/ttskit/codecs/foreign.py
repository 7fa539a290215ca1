"""Where failures of the codec libraries become ours."""

from __future__ import annotations

import sys
from types import TracebackType

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


class translated:  # noqa: N801 - reads as what it does; a generator would cost ten times as much
    """A block in which ``error`` is raised in place of whatever a codec library raises.

    Args:
        error: Whose class.
        message: What it says.
    """

    __slots__ = ("_error", "_message")

    def __init__(self, error: type[TTSError], message: str) -> None:
        self._error = error
        self._message = message

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the block."""
        if error is not None and isinstance(error, foreign_errors()):
            raise self._error(self._message, cause=error) from error
