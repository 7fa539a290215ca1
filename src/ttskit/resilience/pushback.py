"""When a provider wants to be asked again: ``Retry-After`` in every form that servers send."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime

_MILLISECONDS = ("retry-after-ms", "x-amz-retry-after")
"""Sent by OpenAI and Azure; by AWS."""

_LONGEST = 200
"""Characters; a header beyond it is junk and not read."""

_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{0,18})?")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_DAY = r"(?P<day>[0-9]{2})"
_YEAR = r"(?P<year>[0-9]{4})"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-5][0-9]|60)"
_DATES = (
    re.compile(rf"[A-Z][a-z]{{2}}, {_DAY} {_MONTH} {_YEAR} {_TIME} GMT"),
    re.compile(rf"[A-Z][a-z]{{5,8}}, {_DAY}-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    re.compile(rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} {_YEAR}"),
)


def retry_after(headers: Mapping[str, str], *, wall: float) -> float | None:
    """Return how many seconds the reply asks us to wait, or None where it says nothing usable.

    A date is compared with the reply's own ``Date``, so that a wrong clock on either side does no
    harm; one that has passed means 0. Of several numbers in one header the longest wait counts.

    Args:
        headers: Of the reply, names in any case.
        wall: Unix seconds, for a reply without ``Date``.

    Source: RFC 9110, sections 5.6.7 and 10.2.3.
    """
    known = {name.lower(): value.strip() for name, value in headers.items()}
    for name in _MILLISECONDS:
        if (milliseconds := _number(known.get(name, ""))) is not None:
            return milliseconds / 1_000
    value = known.get("retry-after", "")
    seconds = _number(value)
    if seconds is not None:
        return seconds
    sent = _date(known.get("date", ""), wall)
    now = wall if sent is None else sent
    again = _date(value, now)
    return None if again is None else max(again - now, 0.0)


def _number(value: str) -> float | None:
    """Return the longest of the numbers; None where anything else is among them."""
    parts = [part.strip() for part in value[: _LONGEST + 1].split(",")]
    if len(value) > _LONGEST or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    return max(float(part) for part in parts)


def _date(value: str, wall: float) -> float | None:
    """Return Unix seconds; None where this is no date of HTTP."""
    if len(value) > _LONGEST:
        return None
    found = next((match for form in _DATES if (match := form.fullmatch(value))), None)
    if found is None:
        return None
    part = found.groupdict()
    month = _MONTHS.index(part["month"]) + 1
    try:
        minute = datetime(
            _year(part["year"], wall),
            month,
            int(part["day"]),
            int(part["hour"]),
            int(part["minute"]),
            tzinfo=UTC,
        )
    except ValueError:  # such as the 31st of February
        return None
    return minute.timestamp() + int(part["second"])  # 60 is a leap second


def _year(digits: str, wall: float) -> int:
    """Return the year; one of two digits is the one nearest to now."""
    year = int(digits)
    if len(digits) > 2:  # noqa: PLR2004 - the old form has two
        return year
    now = time.gmtime(wall).tm_year
    return now + (year - now + 50) % 100 - 50
