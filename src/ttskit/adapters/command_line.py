"""Command lines with places in them for what an utterance asks for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

Argument = str | list[str]
"""One argument, or some that are left out together where nobody asks for what stands in them."""


class Place(StrEnum):
    """What can stand in a command line, as a whole argument: ``{voice}``."""

    VOICE = "voice"
    LANGUAGE = "language"
    SPEED = "speed"
    WORDS_PER_MINUTE = "words_per_minute"
    LENGTH_SCALE = "length_scale"
    SEED = "seed"
    REFERENCE = "reference"
    OUTPUT = "output"


OPTIONAL = frozenset({Place.LANGUAGE, Place.SEED, Place.REFERENCE})
"""What a request may leave open."""
OF_SPEED = frozenset({Place.SPEED, Place.WORDS_PER_MINUTE, Place.LENGTH_SCALE})
_PLACE = re.compile(r"\{([a-z_]+)\}")


class Template:
    """A checked command line.

    Args:
        arguments: The program first.

    Raises:
        ValueError: A place is unknown, is not a whole argument, stands where it cannot be left
            out, or there is no program.
    """

    def __init__(self, arguments: Sequence[Argument]) -> None:
        self._arguments = list(arguments)
        if not arguments or not isinstance(arguments[0], str) or not arguments[0]:
            raise ValueError("begins with the program")
        if _PLACE.search(arguments[0]):
            raise ValueError("the program itself is not for requests to choose")
        self.places = frozenset(self._found())

    @property
    def program(self) -> str:
        """What is run."""
        return str(self._arguments[0])

    def filled(self, values: Mapping[Place, str]) -> list[str]:
        """Return the command line for one utterance.

        Args:
            values: What is asked for; each is checked by who gives it.
        """
        line: list[str] = []
        for argument in self._arguments:
            parts = [argument] if isinstance(argument, str) else argument
            filled = [_value(part, values) for part in parts]
            line += [part for part in filled if part is not None] if None not in filled else []
        return line

    def _found(self) -> Iterator[Place]:
        for argument in self._arguments:
            for part in [argument] if isinstance(argument, str) else argument:
                place = _place(part)
                if place in OPTIONAL and isinstance(argument, str):
                    raise ValueError(
                        f"nobody may ask for {part}: write it and its option as a list of their "
                        f'own, such as ["--{place}", "{part}"]'
                    )
                if place is not None:
                    yield place


def _place(part: str) -> Place | None:
    if not part or "\0" in part:
        raise ValueError("no argument is empty or holds a NUL")
    named = _PLACE.findall(part)
    if not named:
        return None
    if part != f"{{{named[0]}}}":
        raise ValueError(f"{named[0]} must be an argument by itself, not a part of {part[:60]!r}")
    if named[0] not in set(Place):
        near = difflib.get_close_matches(named[0], list(Place), n=1) or list(Place)
        raise ValueError(f"nothing is known as {part}; there is {', '.join(near)}")
    return Place(named[0])


def _value(part: str, values: Mapping[Place, str]) -> str | None:
    place = _place(part)
    return part if place is None else values.get(place)


def without_words(complaint: str, text: str, *, longest: int) -> str:
    """Return the last line of what a program complained of, with every word of the text cut out.

    Args:
        complaint: What it wrote to its standard error.
        text: What it was to say, which is in no message.
        longest: Characters at most.
    """
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    said = {word.casefold() for word in re.findall(r"\w+", text)}
    last = lines[-1][-4 * longest :] if lines else ""
    told = re.sub(r"\w+", lambda word: "…" if word[0].casefold() in said else word[0], last)
    return told[:longest]
