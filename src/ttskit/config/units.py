"""Sizes and times as people write them: ``64 MiB``, ``1 GB``, ``80%``, ``10 min``, ``1.5h``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema
from typing_extensions import override

_QUANTITY = re.compile(
    r"\s*([0-9]{1,19}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})\s*([A-Za-z]*|%)\s*", re.ASCII
)

_SIZES: Final = {
    "TiB": 2**40,
    "TB": 10**12,
    "GiB": 2**30,
    "GB": 10**9,
    "MiB": 2**20,
    "MB": 10**6,
    "KiB": 2**10,
    "kB": 10**3,
    "B": 1,
}
"""Bytes in each unit. Source: IEC 80000-13 for the binary prefixes."""

_DURATIONS: Final = {
    "d": Decimal(86_400),
    "h": Decimal(3_600),
    "min": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
"""Seconds in each unit."""

_DURATION_NAMES: Final = {
    "days": "d",
    "day": "d",
    "hours": "h",
    "hour": "h",
    "hr": "h",
    "minutes": "min",
    "minute": "min",
    "mins": "min",
    "m": "min",
    "seconds": "s",
    "second": "s",
    "secs": "s",
    "sec": "s",
}

_A_SIZE = "should be a size such as '64 MiB' or '1 GB'"
_A_TIME = "should be a time such as '10 min', '300 s' or '1.5 h'"
_A_SHARE = "should be a share such as '80%', above 0% and at most 100%"

_LARGEST_SIZE = 2**63 - 1
_LONGEST_S = 366 * 86_400


def parse_size(value: object) -> int:
    """Return the bytes meant by ``64 MiB``, ``1.5 GB`` or a plain number of bytes.

    Raises:
        ValueError: It is no size, is no whole number of bytes, or is beyond 8 EiB.
    """
    number, unit = _quantity(value, _A_SIZE)
    by_name = {name.casefold(): size for name, size in _SIZES.items()}
    factor = by_name.get(unit.casefold() or "b")
    if factor is None:
        raise ValueError(_A_SIZE)
    size = number * factor
    if size > _LARGEST_SIZE or size != int(size):
        raise ValueError("should be a whole number of bytes, at most 8 EiB")
    return int(size)


def format_size(size: int) -> str:
    """Return the size in the largest unit that leaves a whole number, such as ``64 MiB``."""
    unit = next((name for name, factor in _SIZES.items() if size and size % factor == 0), "B")
    return f"{size // _SIZES[unit]} {unit}"


def parse_duration(value: object) -> float:
    """Return the seconds meant by ``10 min``, ``300 s``, ``1.5h`` or a plain number of seconds.

    Raises:
        ValueError: It is no duration, or is longer than a year.
    """
    number, unit = _quantity(value, _A_TIME)
    name = unit.casefold() or "s"
    factor = _DURATIONS.get(_DURATION_NAMES.get(name, name))
    if factor is None:
        raise ValueError(_A_TIME)
    if number * factor > _LONGEST_S:
        raise ValueError("should be at most 366 d")
    return float(number * factor)


def format_duration(seconds: float) -> str:
    """Return the duration in the largest unit that leaves a whole number, such as ``10 min``."""
    exact = Decimal(repr(seconds))
    unit = next((name for name, s in _DURATIONS.items() if exact and exact % s == 0), "s")
    number = (exact / _DURATIONS[unit]).normalize()
    return f"{number:f} {unit}"


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """So many bytes, or a share of what the machine has; exactly one of both is set."""

    size: int | None = None
    """Bytes."""
    share: float | None = None
    """Above 0, at most 1."""

    @classmethod
    def parse(cls, value: object) -> Self:
        """Return the limit meant by ``80%`` or by a size.

        Raises:
            ValueError: It is neither, or the share is not within 0 to 100 %.
        """
        if isinstance(value, cls):
            return value
        if not (isinstance(value, str) and "%" in value):
            return cls(size=parse_size(value))
        number, unit = _quantity(value, _A_SHARE)
        if unit != "%" or not 0 < number <= 100:  # noqa: PLR2004 - per cent
            raise ValueError(_A_SHARE)
        return cls(share=float(number / 100))

    def of(self, total: int) -> int:
        """Return the limit in bytes on a machine that has ``total`` bytes."""
        return int(total * self.share) if self.share is not None else min(self.size or 0, total)

    @override
    def __str__(self) -> str:
        if self.share is None:
            return format_size(self.size or 0)
        return f"{(Decimal(repr(self.share)) * 100).normalize():f}%"


def _quantity(value: object, expected: str) -> tuple[Decimal, str]:
    """Return number and unit; a bare number has the unit ``""``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = f"{Decimal(repr(value)):f}"
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(expected)
    return Decimal(match[1]), match[2]


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, when_used="json"),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["64 MiB", "1 GB"]}),
]
"""Bytes, written in any unit."""

Seconds = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema({"type": ["string", "number"], "examples": ["10 min", "300 s"]}),
]
"""Seconds, written in any unit."""

Budget = Annotated[
    MemoryLimit,
    PlainValidator(MemoryLimit.parse),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["4 GiB", "80%"]}),
]
"""Bytes or a share of memory."""
