"""The attribute values of SSML as numbers: seconds, factors, semitones and dB.

Source: W3C SSML 1.1, sections 3.2.3 (break) and 3.2.4 (prosody). Where W3C leaves the size of a
step to the processor, the steps are ours; the lengths of breaks are those of Azure Speech.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

MAX_BREAK_S = 60.0
"""The longest single pause; a longer one is a slip, or an attack on the caller's memory."""

SILENT_DB = -96.0
"""``volume="silent"``: below the smallest step of 16-bit audio."""

BREAK_S: Mapping[str, float] = MappingProxyType(
    {"none": 0.0, "x-weak": 0.25, "weak": 0.5, "medium": 0.75, "strong": 1.0, "x-strong": 1.25}
)
_RATES: Mapping[str, float] = MappingProxyType(
    {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "fast": 1.5, "x-fast": 2.0, "default": 1.0}
)
_PITCHES: Mapping[str, float] = MappingProxyType(
    {"x-low": -6.0, "low": -3.0, "medium": 0.0, "high": 3.0, "x-high": 6.0, "default": 0.0}
)
_VOLUMES: Mapping[str, float] = MappingProxyType(
    {
        "silent": SILENT_DB,
        "x-soft": -12.0,
        "soft": -6.0,
        "medium": 0.0,
        "loud": 6.0,
        "x-loud": 12.0,
        "default": 0.0,
    }
)

# The geometric mean of usual speaking pitches of men (120 Hz) and women (210 Hz).
_SPEAKING_PITCH_HZ = 160.0

# At most 9 digits: no number is so long that reading it costs anything.
_QUANTITY = re.compile(r"([+-]?)([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(%|[A-Za-z]{0,2})")


def pause(time: str | None, strength: str | None) -> float:
    """Return the length of a break in seconds; its time goes before its strength.

    Raises:
        ValueError: Neither ``250ms``, ``1.5s`` nor a known strength, or over a minute.
    """
    if time is None:
        return _label(BREAK_S, "medium" if strength is None else strength)
    sign, number, unit = _quantity(time)
    if sign or unit not in {"s", "ms"}:
        raise ValueError("a time such as 250ms or 1.5s")
    seconds = number / 1000 if unit == "ms" else number
    if seconds > MAX_BREAK_S:
        raise ValueError(f"a time of at most {MAX_BREAK_S:g}s")
    return seconds


def rate(value: str) -> float:
    """Return the speed as a factor: ``fast``, ``80%``, ``+10%`` (1.1) or ``1.2``.

    Raises:
        ValueError: It is none of these, or not above 0.
    """
    if value in _RATES:
        return _RATES[value]
    sign, number, unit = _quantity(value)
    if unit not in {"%", ""} or (sign and not unit):
        raise ValueError("a rate such as slow, 80%, +10% or 1.2")
    factor = number / 100 if unit else number
    return _positive(1 + factor if sign == "+" else 1 - factor if sign else factor)


def pitch(value: str) -> float:
    """Return the shift in semitones: ``high``, ``+2st``, ``-10%`` or ``+20Hz``.

    Hz depend on who speaks; they are taken from a pitch between those of men and women.

    Raises:
        ValueError: It is none of these. An absolute pitch in Hz is none: its shift is unknown.
    """
    if value in _PITCHES:
        return _PITCHES[value]
    sign, number, unit = _quantity(value)
    change = -number if sign == "-" else number
    if unit == "st":
        return change
    if sign and unit in {"%", "Hz"}:
        return 12 * math.log2(_positive(1 + change / (100 if unit == "%" else _SPEAKING_PITCH_HZ)))
    raise ValueError("a pitch such as high, +2st, -10% or +20Hz")


def volume(value: str) -> float:
    """Return the change in dB: ``soft``, ``silent`` or ``-6dB``.

    Raises:
        ValueError: It is neither a label nor in dB.
    """
    if value in _VOLUMES:
        return _VOLUMES[value]
    sign, number, unit = _quantity(value)
    if unit != "dB":
        raise ValueError("a volume such as soft, loud or -6dB")
    return -number if sign == "-" else number


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a reader that takes only these words."""

    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return value

    return read


def _quantity(value: str) -> tuple[str, float, str]:
    match = _QUANTITY.fullmatch(value.strip())
    if match is None:
        raise ValueError("a number with its unit, or a label of SSML 1.1")
    return match[1], float(match[2]), match[3]


def _label(labels: Mapping[str, float], value: str) -> float:
    if value not in labels:
        raise ValueError(f"one of {', '.join(labels)}")
    return labels[value]


def _positive(factor: float) -> float:
    if factor <= 0:
        raise ValueError("a value that leaves more than nothing")
    return factor
