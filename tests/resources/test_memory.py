from __future__ import annotations

import psutil
from hypothesis import given
from hypothesis import strategies as st

from ttskit.resources.memory import MAIN, MemoryAccount, machine_memory

footprints = st.dictionaries(st.sampled_from([MAIN, "cuda:0"]), st.integers(0, 1_000))


@given(st.lists(st.tuples(st.integers(0, 4), footprints | st.none())), footprints)
def test_an_account_knows_what_each_device_lacks(
    entries: list[tuple[int, dict[str, int] | None]], wanted: dict[str, int]
) -> None:
    account, held = MemoryAccount({MAIN: 900}), dict[int, dict[str, int]]()
    for holder, footprint in entries:
        if footprint is None:
            account.let_go(holder)
            held.pop(holder, None)
        else:
            account.hold(holder, footprint)
            held[holder] = footprint
    total = sum(footprint.get(MAIN, 0) for footprint in held.values())
    assert account.held(MAIN) == total
    over = total + wanted[MAIN] - 900 if MAIN in wanted else 0
    assert account.lacking(wanted) == ({MAIN: over} if over > 0 else {})


def test_a_device_may_get_its_limit_when_it_is_known() -> None:
    account = MemoryAccount({})
    account.hold("a", {"cuda:0": 600})
    assert not account.lacking({"cuda:0": 10**12})
    account.bound("cuda:0", 1_000)
    assert account.lacking({"cuda:0": 500}) == {"cuda:0": 100}


def test_no_more_memory_is_counted_on_than_the_machine_has() -> None:
    assert 0 < machine_memory() <= psutil.virtual_memory().total
