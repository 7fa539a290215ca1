"""A sentence as a Coqui model reads it."""

from __future__ import annotations

from dataclasses import dataclass

BLANK, END = "_", "$"
"""What the blank between sounds is called here, and what padding, beginning and end are."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A sentence as the model reads it."""

    ids: list[int]
    symbols: list[str]
    """For each id."""

    @property
    def is_silent(self) -> bool:
        """Whether nothing in it can be spoken."""
        return not any(_is_sound(symbol) for symbol in self.symbols)


def _is_sound(symbol: str) -> bool:
    return any(character.isalnum() for character in symbol)
