from __future__ import annotations

import math
from dataclasses import dataclass, field

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import examples
from ttskit.errors import RateLimitedError
from ttskit.resilience.rate import RateLimit
from ttskit.testing.clock import virtual_time
from ttskit.testing.sweep import CancelSweep


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass
class Caller:
    """One call: when it comes, how much it sends, when it gives up."""

    comes: float
    characters: int = 1
    gives_up: float | None = None


@dataclass
class Record:
    arrivals: list[int] = field(default_factory=list)
    passed: list[tuple[float, int]] = field(default_factory=list)
    order: list[int] = field(default_factory=list)


async def play(requests: int | None, characters: int | None, callers: list[Caller]) -> Record:
    limit = RateLimit(requests, characters, clock=anyio.current_time)
    record = Record()
    start = anyio.current_time()

    async def call(number: int, caller: Caller) -> None:
        await anyio.sleep(caller.comes)
        with anyio.move_on_after(caller.gives_up):
            record.arrivals.append(number)
            await limit.acquire(caller.characters)
            record.passed.append((anyio.current_time() - start, caller.characters))
            record.order.append(number)

    async with anyio.create_task_group() as tasks:
        for number, caller in enumerate(callers):
            tasks.start_soon(call, number, caller)
    return record


def busiest_minute(passed: list[tuple[float, int]]) -> tuple[int, int]:
    """Return the most calls and the most characters in any half-open minute."""
    minutes = [
        [size for then, size in passed if begin <= then < begin + 60 - 1e-6] for begin, _ in passed
    ]
    return max(map(len, minutes), default=0), max(map(sum, minutes), default=0)


def test_without_limits_nobody_waits(backend: str) -> None:
    record = virtual_time(play, None, None, [Caller(0, 10**6)] * 1_000, backend=backend)
    assert {at for at, _ in record.passed} == {0.0}


def test_a_call_beyond_the_limit_waits_for_the_minute_to_pass(backend: str) -> None:
    record = virtual_time(play, 2, None, [Caller(0), Caller(10), Caller(20)], backend=backend)
    assert [at for at, _ in record.passed] == pytest.approx([0, 10, 60])


def test_characters_are_limited_as_well(backend: str) -> None:
    callers = [Caller(0, 600), Caller(1, 300), Caller(2, 200), Caller(3, 100)]
    record = virtual_time(play, None, 1_000, callers, backend=backend)
    assert [at for at, _ in record.passed] == pytest.approx([0, 1, 60, 60])


def test_what_fits_exactly_goes_out_at_once(backend: str) -> None:
    callers = [Caller(0, 400), Caller(10, 600)]
    record = virtual_time(play, None, 1_000, callers, backend=backend)
    assert [at for at, _ in record.passed] == pytest.approx([0, 10])


def test_no_more_has_to_become_old_than_is_needed(backend: str) -> None:
    callers = [Caller(0, 400), Caller(10, 600), Caller(20, 400), Caller(61, 601)]
    record = virtual_time(play, None, 1_000, callers, backend=backend)
    assert [at for at, _ in record.passed] == pytest.approx([0, 10, 60, 120])


def test_a_call_that_need_not_wait_gives_nobody_else_its_turn() -> None:
    limit = RateLimit(2, None, clock=lambda: 0.0)
    with pytest.raises(StopIteration):
        limit.acquire(1).send(None)


def test_a_text_longer_than_a_whole_minute_has_one_for_itself(backend: str) -> None:
    callers = [Caller(0, 10), Caller(1, 5_000), Caller(2, 1)]
    record = virtual_time(play, None, 1_000, callers, backend=backend)
    assert [at for at, _ in record.passed] == pytest.approx([0, 60, 120])


def test_what_comes_too_late_for_the_deadline_is_refused_at_once(backend: str) -> None:
    async def main() -> None:
        limit = RateLimit(1, None, clock=anyio.current_time)
        await limit.acquire(1)
        asked = anyio.current_time()
        with pytest.raises(RateLimitedError) as caught:
            await limit.acquire(1, deadline=asked + 59)
        assert caught.value.retry_after == pytest.approx(60)
        assert anyio.current_time() == asked
        await limit.acquire(1, deadline=asked + 61)

    virtual_time(main, backend=backend)


@pytest.mark.anyio
async def test_a_deadline_at_the_very_moment_is_kept_however_it_is_rounded() -> None:
    rounded = math.nextafter(60.0, 0.0)
    times = [0.0]
    limit = RateLimit(1, None, clock=lambda: times[-1])
    await limit.acquire(1)
    times.append(rounded)
    await limit.acquire(1, deadline=rounded)


def test_those_who_wait_count_for_the_deadline(backend: str) -> None:
    async def main() -> None:
        limit = RateLimit(1, None, clock=anyio.current_time)
        await limit.acquire(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(limit.acquire, 1)
            await anyio.sleep(1)
            with pytest.raises(RateLimitedError) as caught:
                await limit.acquire(1, deadline=anyio.current_time() + 100)
            assert caught.value.retry_after == pytest.approx(119)

    virtual_time(main, backend=backend)


def test_who_gives_up_leaves_room_for_the_next(backend: str) -> None:
    callers = [Caller(0), Caller(1, gives_up=5), Caller(2)]
    record = virtual_time(play, 1, None, callers, backend=backend)
    assert record.order == [0, 2]
    assert record.passed[1][0] == pytest.approx(60)


CALLERS = st.lists(
    st.builds(
        Caller,
        comes=st.integers(0, 200).map(float),
        characters=st.integers(0, 120),
        gives_up=st.one_of(st.none(), st.integers(1, 90).map(float)),
    ),
    max_size=25,
)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@given(requests=st.integers(1, 6), characters=st.integers(1, 100), callers=CALLERS)
@settings(max_examples=examples(ci=150, nightly=2_000))
def test_no_minute_has_more_than_the_limits(
    loop: str, requests: int, characters: int, callers: list[Caller]
) -> None:
    record = virtual_time(play, requests, characters, callers, backend=loop)
    charged = [(at, min(size, characters)) for at, size in record.passed]
    calls, total = busiest_minute(charged)
    assert calls <= requests
    assert total <= characters


@given(requests=st.integers(1, 6), callers=CALLERS, seed=st.integers(0, 10**6))
@settings(max_examples=examples(ci=150, nightly=2_000))
def test_first_come_first_served_and_nobody_is_forgotten(
    requests: int, callers: list[Caller], seed: int
) -> None:
    record = virtual_time(play, requests, None, callers, seed=seed)
    passed = set(record.order)
    assert record.order == [number for number in record.arrivals if number in passed]
    assert all(caller.gives_up or number in passed for number, caller in enumerate(callers))


def test_cancelling_anywhere_leaves_nobody_in_the_line(backend: str) -> None:
    async def main() -> None:
        limit = RateLimit(1, None, clock=anyio.current_time)

        async def work() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(limit.acquire, 1)
                tasks.start_soon(limit.acquire, 1)

        async def nobody_waits() -> None:
            at = anyio.current_time() + 60
            await limit.acquire(1, deadline=at)

        await CancelSweep(work, invariant=nobody_waits, patience_s=1_000).run()

    virtual_time(main, backend=backend)
