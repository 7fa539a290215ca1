"""One model among those that share a budget: whether it is in memory, and who uses it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from ttskit.resources.memory import Footprint


class Model(Protocol):
    """Weights and the process or the threads that they run on."""

    @property
    def name(self) -> str:
        """Whose they are, for messages."""

    def load(self, *, fresh: bool) -> Footprint:
        """Load them, and return what they take.

        Args:
            fresh: They are there already, and are given back first.

        Raises:
            TTSError: They cannot be had.
        """

    def unload(self) -> None:
        """Give their memory back; nobody uses them."""


class State(Enum):
    """How far its load is."""

    COLD = auto()
    LOADING = auto()
    WARM = auto()
    LEAVING = auto()


@dataclass(eq=False)
class Place:
    """One model's place among all of them; made by ``Models.place``."""

    model: Model
    footprint: Footprint
    """As measured when it was loaded last; before that, an estimate."""
    is_pinned: bool
    state: State = State.COLD
    users: int = 0
    used_at: float = 0.0
    loaded_at: float = 0.0
    load_s: float = 0.0
    is_closed: bool = False
    """Nobody gets it any more."""
    must_leave: bool = False
    """Somebody waits for its memory: who comes now waits behind them."""
    failure: Exception | None = None
    """Why the last load failed, for those who waited for it."""
    loads: int = 0
    is_stale: bool = False
    """It is there, and is to go: nobody gets it before it was loaded anew."""
    departures: int = 0
    """Uses that have ended."""

    @property
    def is_idle(self) -> bool:
        """It is there, and nobody uses it."""
        return self.state is State.WARM and not self.users

    @property
    def is_to_be_loaded(self) -> bool:
        """It is not there, or not as it should be."""
        return self.state is State.COLD or (self.state is State.WARM and self.is_stale)
