"""How far the download of a model is, told from within an engine to whoever hosts it."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import NamedTuple, TypeAlias


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
