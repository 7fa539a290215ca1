from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import examples
from ttskit.errors import DeadlineExceededError, InvalidParameterError, QueueFullError
from ttskit.resilience.bulkhead import Bulkhead
from ttskit.testing.clock import virtual_time
from ttskit.testing.sweep import CancelSweep


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass
class Caller:
    """One call: when it comes, how long it holds its slot, when it is cancelled."""

    comes: float = 0.0
    holds: float = 1.0
    tenant: str = ""
    cancelled: float | None = None
    deadline: float | None = None


@dataclass
class Record:
    """What happened to the calls, by their numbers."""

    came: list[int] = field(default_factory=list)
    entered: list[int] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    refused: dict[int, Exception] = field(default_factory=dict)
    entered_at: dict[int, float] = field(default_factory=dict)
    busiest: int = 0
    idle_while_waiting: int = 0


async def play(limit: int, queue: int, callers: list[Caller]) -> Record:
    """Let all calls come and go, and check that every slot is free in the end."""
    bulkhead = Bulkhead(limit, queue, clock=anyio.current_time)
    record = Record()
    start = anyio.current_time()

    def look() -> None:
        record.busiest = max(record.busiest, bulkhead.running)
        record.idle_while_waiting += bulkhead.waiting > 0 and bulkhead.running < limit

    async def hold(number: int, caller: Caller) -> None:
        deadline = None if caller.deadline is None else start + caller.deadline
        async with bulkhead.slot(tenant=caller.tenant, deadline=deadline):
            record.entered.append(number)
            record.entered_at[number] = anyio.current_time() - start
            look()
            await anyio.sleep(caller.holds)
            record.finished.append(number)
        look()

    async def call(number: int, caller: Caller) -> None:
        await anyio.sleep(caller.comes)
        record.came.append(number)
        with anyio.move_on_after(caller.cancelled):
            try:
                await hold(number, caller)
            except (QueueFullError, DeadlineExceededError) as error:
                record.refused[number] = error
        look()

    with anyio.fail_after(100_000):  # a wake-up that is lost ends the test, not the day
        async with anyio.create_task_group() as tasks:
            for number, caller in enumerate(callers):
                tasks.start_soon(call, number, caller)
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)
    return record


def test_calls_beyond_the_limit_wait_for_a_slot(backend: str) -> None:
    callers = [Caller(comes=0.1 * number) for number in range(4)]
    record = virtual_time(play, 2, 8, callers, backend=backend)
    assert list(record.entered_at.values()) == pytest.approx([0, 0.1, 1.0, 1.1])
    assert record.busiest == 2


def test_a_call_beyond_the_queue_is_refused_at_once(backend: str) -> None:
    callers = [Caller(comes=0.1 * number) for number in range(4)]
    record = virtual_time(play, 1, 2, callers, backend=backend)
    assert isinstance(record.refused[3], QueueFullError)
    assert record.finished == [0, 1, 2]


def test_a_refusal_says_when_a_slot_may_be_had(backend: str) -> None:
    callers = [Caller(), *[Caller(comes=2 + 0.1 * number) for number in range(3)]]
    error = virtual_time(play, 1, 1, callers, backend=backend).refused[3]
    assert isinstance(error, QueueFullError)
    assert error.retry_after == pytest.approx(2)


def test_a_refusal_counts_one_s_own_calls_that_wait(backend: str) -> None:
    callers = [Caller(), *[Caller(comes=2 + 0.1 * number) for number in range(4)]]
    error = virtual_time(play, 1, 2, callers, backend=backend).refused[4]
    assert isinstance(error, QueueFullError)
    assert error.retry_after == pytest.approx(3)


def test_no_queue_means_now_or_never(backend: str) -> None:
    record = virtual_time(play, 1, 0, [Caller(), Caller(comes=0.5)], backend=backend)
    assert list(record.refused) == [1]


def test_a_queue_longer_than_the_deadline_is_not_joined(backend: str) -> None:
    late = [Caller(comes=10.1 + 0.1 * number) for number in range(3)]
    hasty = Caller(comes=10.5, deadline=12.0)
    record = virtual_time(play, 1, 8, [Caller(), *late, hasty], backend=backend)
    error = record.refused[4]
    assert isinstance(error, QueueFullError)
    assert error.retry_after == pytest.approx(3)
    assert record.finished == [0, 1, 2, 3]


def test_a_slot_that_comes_with_the_deadline_comes_too_late(backend: str) -> None:
    late = [Caller(comes=10.1 + 0.1 * number) for number in range(3)]
    hasty = Caller(comes=10.5, deadline=13.5)
    record = virtual_time(play, 1, 8, [Caller(), *late, hasty], backend=backend)
    assert list(record.refused) == [4]


def test_a_deadline_that_passes_in_the_queue_ends_the_wait(backend: str) -> None:
    callers = [Caller(holds=60), Caller(comes=1, deadline=5), Caller(comes=2)]
    record = virtual_time(play, 1, 8, callers, backend=backend)
    assert isinstance(record.refused[1], DeadlineExceededError)
    assert record.refused[1].message == "the time was up before a slot was free"
    assert record.finished == [0, 2]


def test_tenants_take_turns_however_much_one_of_them_asks(backend: str) -> None:
    noisy = [Caller(tenant="noisy") for _ in range(200)]
    quiet = [Caller(comes=0.5, tenant=name) for name in "abcd" for _ in range(20)]
    callers = noisy + quiet
    record = virtual_time(play, 1, 1_000, callers, backend=backend)
    shares = Counter(callers[number].tenant for number in record.entered[1:101]).values()
    jain = sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
    assert jain >= 0.95


def test_no_tenant_waits_much_longer_than_another(backend: str) -> None:
    callers = [Caller(comes=0.1, holds=0.5, tenant=name) for name in "abcdefgh" for _ in range(10)]
    record = virtual_time(play, 4, 1_000, callers, backend=backend)
    waits = {
        name: statistics.mean(
            record.entered_at[number] for number, one in enumerate(callers) if one.tenant == name
        )
        for name in "abcdefgh"
    }
    assert max(waits.values()) <= 2 * statistics.median(waits.values())


def test_a_full_queue_takes_a_newcomer_in_place_of_the_greediest(backend: str) -> None:
    noisy = [Caller(comes=0.1 * number, tenant="noisy") for number in range(5)]
    record = virtual_time(play, 1, 4, [*noisy, Caller(0.9, tenant="quiet")], backend=backend)
    assert list(record.refused) == [4]
    assert record.finished == [0, 1, 5, 2, 3]
    error = record.refused[4]
    assert isinstance(error, QueueFullError)
    assert error.retry_after is None  # its turn is as far away as that of anybody new


def test_the_greediest_is_whoever_has_most_calls_waiting(backend: str) -> None:
    tenants = ["noisy", "noisy", "noisy", "noisy", "zealous"]
    callers = [Caller(0.1 * number, tenant=name) for number, name in enumerate(tenants)]
    record = virtual_time(play, 1, 4, [*callers, Caller(0.9, tenant="quiet")], backend=backend)
    assert list(record.refused) == [3]


def test_a_full_queue_does_not_take_turns_in_displacing(backend: str) -> None:
    callers = [Caller(tenant="a"), *[Caller(0.1, tenant=name) for name in "aabb"], Caller(0.2)]
    record = virtual_time(play, 1, 4, [*callers, Caller(0.3, tenant="a")], backend=backend)
    assert len(record.refused) == 2
    assert 6 in record.refused


def test_a_higher_limit_lets_those_who_wait_in_at_once(backend: str) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, 8, clock=anyio.current_time)
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(hold_for_a_second, bulkhead)
            await anyio.sleep(0.5)
            bulkhead.resize(3)
            assert (bulkhead.limit, bulkhead.running, bulkhead.waiting) == (3, 3, 1)
            bulkhead.resize(1)
            await anyio.sleep(0.6)
            assert (bulkhead.running, bulkhead.waiting) == (2, 1)

    virtual_time(main, backend=backend)


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidParameterError):
        Bulkhead(1, 0, clock=lambda: 0.0).resize(0)


async def hold_for_a_second(bulkhead: Bulkhead, tenant: str = "") -> None:
    async with bulkhead.slot(tenant=tenant):
        await anyio.sleep(1)


def test_a_failing_call_gives_its_slot_back(backend: str) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, 0, clock=anyio.current_time)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with bulkhead.slot():
                    raise ZeroDivisionError
        assert bulkhead.running == 0

    virtual_time(main, backend=backend)


def test_a_slot_that_comes_together_with_a_cancellation_is_passed_on(backend: str) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, 8, clock=anyio.current_time)
        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as doomed:
                async with bulkhead.slot():
                    doomed.start_soon(hold_for_a_second, bulkhead)
                    await anyio.sleep(1)
                    tasks.start_soon(hold_for_a_second, bulkhead)
                    await anyio.sleep(1)
                doomed.cancel_scope.cancel()
            assert (bulkhead.running, bulkhead.waiting) == (1, 0)
        assert bulkhead.running == 0

    virtual_time(main, backend=backend)


MOMENTS = st.integers(0, 12).map(lambda tenths: tenths / 4)
CALLERS = st.lists(
    st.builds(
        Caller,
        comes=MOMENTS,
        holds=MOMENTS,
        tenant=st.sampled_from("abc"),
        cancelled=st.one_of(st.none(), MOMENTS),
        deadline=st.one_of(st.none(), st.none(), MOMENTS),
    ),
    max_size=20,
)


def check(record: Record, callers: list[Caller], limit: int) -> None:
    assert record.busiest <= limit
    assert record.idle_while_waiting == 0
    ended = set(record.finished) | set(record.refused)
    assert all(one.cancelled is not None or number in ended for number, one in enumerate(callers))
    for tenant in "abc":
        # By the clock: which of two tasks that wake at one moment runs first is the loop's affair.
        came = [number for number in record.came if callers[number].tenant == tenant]
        entered = [record.entered_at[number] for number in came if number in record.entered_at]
        assert entered == sorted(entered)


@given(
    limit=st.integers(1, 4),
    queue=st.integers(0, 20),
    callers=CALLERS,
    seed=st.integers(0, 10**6),
)
@settings(max_examples=examples(ci=500, nightly=20_000))
def test_any_schedule_keeps_limit_order_and_slots(
    limit: int, queue: int, callers: list[Caller], seed: int
) -> None:
    check(virtual_time(play, limit, queue, callers, seed=seed), callers, limit)


@given(limit=st.integers(1, 4), queue=st.integers(0, 20), callers=CALLERS)
@settings(max_examples=examples(ci=200, nightly=2_000))
def test_any_schedule_keeps_limit_order_and_slots_on_trio(
    limit: int, queue: int, callers: list[Caller]
) -> None:
    check(virtual_time(play, limit, queue, callers, backend="trio"), callers, limit)


def test_two_thousand_calls_with_a_third_cancelled_leave_nothing_behind(backend: str) -> None:
    callers = [
        Caller(number / 500, 0.01 + number % 7 / 100, f"{number % 5}", 0.02 if number % 3 else None)
        for number in range(2_000)
    ]
    record = virtual_time(play, 8, 10_000, callers, backend=backend)
    assert record.busiest == 8
    assert record.idle_while_waiting == 0
    assert not record.refused


def test_cancelling_anywhere_leaks_no_slot(backend: str) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, 8, clock=anyio.current_time)

        async def work() -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(hold_for_a_second, bulkhead)

        async def all_is_free() -> None:
            assert (bulkhead.running, bulkhead.waiting) == (0, 0)

        await CancelSweep(work, invariant=all_is_free, patience_s=100).run()

    virtual_time(main, backend=backend)


def test_one_tenant_s_calls_come_in_their_order(backend: str) -> None:
    callers = [Caller(comes=number / 1_000) for number in range(50)]
    entered = virtual_time(play, 3, 100, callers, backend=backend).entered
    assert all(earlier < later for earlier, later in pairwise(entered))


def test_the_expected_wait_is_that_of_one_s_own_turn(backend: str) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, 100, clock=anyio.current_time)
        await hold_for_a_second(bulkhead)
        assert bulkhead.expected_wait("quiet") == 0
        async with anyio.create_task_group() as tasks:
            for _ in range(11):
                tasks.start_soon(hold_for_a_second, bulkhead, "noisy")
            await anyio.sleep(0.5)
            assert bulkhead.expected_wait("noisy") == pytest.approx(11)
            assert bulkhead.expected_wait("quiet") == pytest.approx(2)

    virtual_time(main, backend=backend)


def test_the_expected_wait_follows_how_long_calls_take(backend: str) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(2, 8, clock=anyio.current_time)
        await anyio.sleep(100)
        for seconds in (1.0, 2.0):
            async with bulkhead.slot():
                await anyio.sleep(seconds)
        async with bulkhead.slot(), bulkhead.slot():
            assert bulkhead.expected_wait() == pytest.approx(1.2 / 2)

    virtual_time(main, backend=backend)


def test_who_names_no_tenant_waits_behind_all_who_name_none(backend: str) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, 8, clock=anyio.current_time)
        async with bulkhead.slot():
            await anyio.sleep(1)
        async with anyio.create_task_group() as tasks:

            async def hold() -> None:
                async with bulkhead.slot():
                    await anyio.sleep(1)

            for _ in range(4):
                tasks.start_soon(hold)
            await anyio.sleep(0.5)
            assert bulkhead.expected_wait() == pytest.approx(4)
            assert bulkhead.expected_wait("") == pytest.approx(4)

    virtual_time(main, backend=backend)


def test_no_wait_is_expected_as_long_as_no_call_has_ended(backend: str) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, 8, clock=anyio.current_time)
        async with bulkhead.slot():
            assert bulkhead.expected_wait() == 0

    virtual_time(main, backend=backend)
