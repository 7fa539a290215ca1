"""Every form in which a server says when to come again, for tests of those who read it."""

from __future__ import annotations

import time
from email.utils import formatdate
from enum import StrEnum
from typing import TypeAlias

Headers: TypeAlias = tuple[tuple[str, str], ...]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
"""The calendar's own names follow the locale; those of HTTP never do."""


class RetryAfter(StrEnum):
    """The forms. A date is legal in three ways: RFC 9110, section 5.6.7."""

    SECONDS = "seconds"
    """Whole ones, rounded up."""
    FRACTION = "fraction"
    MILLISECONDS = "retry-after-ms"
    AMAZON = "x-amz-retry-after"
    """Milliseconds."""
    DATE = "date"
    DATE_RFC850 = "date-rfc850"
    DATE_ASCTIME = "date-asctime"


def retry_after_headers(
    seconds: float, form: RetryAfter = RetryAfter.SECONDS, *, skew_s: float = 0.0
) -> Headers:
    """Return the headers that say it.

    Args:
        seconds: From now. Dates know whole seconds only.
        form: How.
        skew_s: How far the server's clock is ahead; with a date, its own Date comes along.
    """
    milliseconds = str(round(seconds * 1_000))
    if form is RetryAfter.MILLISECONDS:
        return (("retry-after-ms", milliseconds),)
    if form is RetryAfter.AMAZON:
        return (("x-amz-retry-after", milliseconds),)
    if form is RetryAfter.FRACTION:
        return (("Retry-After", f"{seconds:.3f}"),)
    if form is RetryAfter.SECONDS:
        return (("Retry-After", str(-int(-seconds // 1))),)
    now = int(time.time() + skew_s)
    return (("Date", http_date(now)), ("Retry-After", http_date(now + seconds, form)))


def http_date(moment: float, form: RetryAfter = RetryAfter.DATE) -> str:
    """Return Unix seconds as HTTP writes a date, in one of its three forms."""
    usual = formatdate(moment, usegmt=True)
    if form is RetryAfter.DATE_ASCTIME:
        return time.asctime(time.gmtime(moment))
    if form is RetryAfter.DATE_RFC850:
        _, day, month, year, clock, zone = usual.split()
        weekday = WEEKDAYS[time.gmtime(moment).tm_wday]
        return f"{weekday}, {day}-{month}-{year[-2:]} {clock} {zone}"
    return usual
