from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.resilience.pushback import retry_after
from ttskit.testing.pushback import RetryAfter, http_date, retry_after_headers

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110
DATES = [RetryAfter.DATE, RetryAfter.DATE_RFC850, RetryAfter.DATE_ASCTIME]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("1", 1.0), ("1.5", 1.5), ("2 ", 2.0), ("120", 120.0), ("3.", 3.0), ("007", 7.0)],
)
def test_seconds_are_read(value: str, seconds: float) -> None:
    assert retry_after({"Retry-After": value}, wall=NOW) == seconds


@pytest.mark.parametrize("name", ["retry-after-ms", "Retry-After-Ms", "x-amz-retry-after"])
def test_milliseconds_are_read(name: str) -> None:
    assert retry_after({name: "1500"}, wall=NOW) == 1.5


def test_milliseconds_say_it_more_exactly_than_seconds() -> None:
    assert retry_after({"retry-after": "2", "retry-after-ms": "1250"}, wall=NOW) == 1.25


def test_unreadable_milliseconds_leave_the_word_to_the_seconds() -> None:
    assert retry_after({"retry-after": "2", "retry-after-ms": "soon"}, wall=NOW) == 2


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 06 Nov 1994 08:49:47 GMT",
        "Sunday, 06-Nov-94 08:49:47 GMT",
        "Sun Nov  6 08:49:47 1994",
    ],
    ids=["usual", "rfc850", "asctime"],
)
def test_each_legal_form_of_a_date_is_read(value: str) -> None:
    assert retry_after({"Retry-After": value}, wall=NOW) == 10


@pytest.mark.parametrize("form", DATES)
@pytest.mark.parametrize("skew", [-3_600, 0, 3_600])
def test_a_wrong_clock_changes_nothing_where_the_reply_is_dated(
    form: RetryAfter, skew: int
) -> None:
    headers = {"Date": http_date(NOW + skew), "Retry-After": http_date(NOW + skew + 30, form)}
    assert retry_after(headers, wall=NOW) == 30


@pytest.mark.parametrize("form", list(RetryAfter))
def test_every_form_of_the_misbehaving_server_is_read(form: RetryAfter) -> None:
    headers = dict(retry_after_headers(7, form, skew_s=-900))
    assert retry_after(headers, wall=0) == pytest.approx(7)


@given(
    wall=st.integers(0, 4_000_000_000), wait=st.integers(0, 10_000_000), form=st.sampled_from(DATES)
)
def test_a_date_round_trips(wall: int, wait: int, form: RetryAfter) -> None:
    headers = {"Retry-After": http_date(wall + wait, form)}
    assert retry_after(headers, wall=wall) == wait


def test_a_date_that_has_passed_means_now() -> None:
    assert retry_after({"Retry-After": http_date(NOW - 3_600)}, wall=NOW) == 0


@pytest.mark.parametrize(("year", "is_ahead"), [("43", True), ("44", False)])
def test_a_year_of_two_digits_is_within_fifty_years(year: str, *, is_ahead: bool) -> None:
    wait = retry_after({"Retry-After": f"Sunday, 06-Nov-{year} 08:49:37 GMT"}, wall=NOW)
    assert (wait != 0) == is_ahead


def test_a_leap_second_is_a_second() -> None:
    headers = {
        "Date": "Sat, 31 Dec 2016 23:59:59 GMT",
        "Retry-After": "Sat, 31 Dec 2016 23:59:60 GMT",
    }
    assert retry_after(headers, wall=NOW) == 1


def test_the_longest_of_several_headers_counts() -> None:
    assert retry_after({"Retry-After": "5, 30, 10"}, wall=NOW) == 30


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "-1",
        "nan",
        "inf",
        "Infinity",
        "1e308",
        "1_000",
        "٣",
        "0x10",
        "5, soon",
        "tomorrow",
        "9" * 10_000,
        "A" * 10_000,
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 CET",
    ],
    ids=lambda value: repr(value[:30]),
)
def test_nonsense_says_nothing(value: str) -> None:
    assert retry_after({"Retry-After": value}, wall=NOW) is None


def test_no_header_says_nothing() -> None:
    assert retry_after({"Content-Type": "audio/wav"}, wall=NOW) is None


def test_the_last_year_there_is_does_no_harm() -> None:
    wait = retry_after({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, wall=NOW)
    assert wait is not None
    assert math.isfinite(wait)


@given(value=st.text(), date=st.text(), milliseconds=st.text())
def test_whatever_comes_the_wait_is_a_number_of_seconds(
    value: str, date: str, milliseconds: str
) -> None:
    headers = {"Retry-After": value, "Date": date, "retry-after-ms": milliseconds}
    wait = retry_after(headers, wall=NOW)
    assert wait is None or 0 <= wait < math.inf
