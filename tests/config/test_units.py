from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.config.units import (
    MemoryLimit,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)

SIZES = {"B": 1, "kB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}
SECONDS = {"ms": 0.001, "s": 1, "sec": 1, "min": 60, "minutes": 60, "h": 3600, "d": 86_400}


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("64 MiB", 67_108_864),
        ("1 GB", 1_000_000_000),
        ("1.5kb", 1_500),
        (".5 gib", 536_870_912),
        ("0", 0),
        (4096, 4096),
    ],
    ids=str,
)
def test_a_size_is_read_in_any_unit(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("10 min", 600), ("300 s", 300), ("1.5h", 5400), ("250ms", 0.25), ("2 Days", 172_800), (7, 7)],
    ids=str,
)
def test_a_time_is_read_in_any_unit(written: object, seconds: float) -> None:
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    ["", "lots", "-1", "-1 MiB", "1 XB", "1 GB and more", "1e9", "٣ MB", "9" * 40, None, True, []],
    ids=repr,
)
def test_what_is_no_quantity_is_refused(written: object) -> None:
    for parse in (parse_size, parse_duration, MemoryLimit.parse):
        with pytest.raises(ValueError, match="should be"):
            parse(written)


@pytest.mark.parametrize("written", [float("nan"), float("inf"), -1, -0.5], ids=repr)
def test_numbers_below_zero_or_beyond_all_are_refused(written: float) -> None:
    for parse in (parse_size, parse_duration):
        with pytest.raises(ValueError, match="should be"):
            parse(written)


@pytest.mark.parametrize("written", ["1.5 B", "0.0001 kB", "8388608.1 TiB"])
def test_a_size_is_a_whole_number_of_bytes_that_a_machine_can_have(written: str) -> None:
    with pytest.raises(ValueError, match="whole number of bytes"):
        parse_size(written)


def test_a_time_of_more_than_a_year_is_refused() -> None:
    with pytest.raises(ValueError, match="366 d"):
        parse_duration("367 d")


@pytest.mark.parametrize("written", ["0%", "100.1%", "150 %"])
def test_a_share_is_above_nothing_and_at_most_all(written: str) -> None:
    with pytest.raises(ValueError, match="at most 100%"):
        MemoryLimit.parse(written)


@given(
    number=st.integers(0, 9_000),
    unit=st.sampled_from(sorted(SIZES)),
    gap=st.sampled_from(["", " "]),
)
def test_every_size_unit_counts_as_many_bytes_as_it_says(number: int, unit: str, gap: str) -> None:
    written = f"{number}{gap}{unit}"
    assert parse_size(written) == parse_size(written.upper()) == number * SIZES[unit]


@given(number=st.decimals(0, 366, places=3), unit=st.sampled_from(sorted(SECONDS)))
def test_every_time_unit_counts_as_many_seconds_as_it_says(number: object, unit: str) -> None:
    assert parse_duration(f"{number} {unit}") == pytest.approx(float(str(number)) * SECONDS[unit])


@given(size=st.integers(0, 2**63 - 1))
def test_a_written_size_is_read_back_exactly(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(seconds=st.floats(1e-9, 366 * 86_400) | st.integers(0, 10**6).map(float))
def test_a_written_time_is_read_back_exactly(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(per_mille=st.integers(1, 1000))
def test_a_written_share_is_read_back_exactly(per_mille: int) -> None:
    limit = MemoryLimit.parse(f"{per_mille / 10}%")
    assert MemoryLimit.parse(str(limit)) == limit


def test_a_memory_limit_is_a_share_of_the_machine_or_a_size_within_it() -> None:
    assert MemoryLimit.parse("80%").of(1000) == 800
    assert MemoryLimit.parse("4 kB").of(10_000) == 4000
    assert MemoryLimit.parse("4 GiB").of(1000) == 1000


@pytest.mark.parametrize(
    ("size", "written"), [(67_108_864, "64 MiB"), (10**9, "1 GB"), (1023, "1023 B"), (0, "0 B")]
)
def test_a_size_is_written_in_its_largest_whole_unit(size: int, written: str) -> None:
    assert format_size(size) == written
