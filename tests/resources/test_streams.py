"""Sessions and their buffer, over plain numbers: they know nothing of audio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from ttskit.errors import ServiceClosedError
from ttskit.resources.streams import Buffer, StreamRegistry, StreamSession, Weight

MOST = Weight(2.0, 100)
WEIGHTS = st.builds(Weight, st.floats(0, 1.0), st.integers(0, 120))


class BufferMachine(RuleBasedStateMachine):
    """A buffer against a list."""

    @initialize()
    def begin(self) -> None:
        self.buffer: Buffer[int] = Buffer(*MOST)
        self.model: list[tuple[int, Weight]] = []
        self.lent: list[Weight] = []
        self.next = 0

    @rule(weight=WEIGHTS)
    def put(self, weight: Weight) -> None:
        held = [*(weight for _, weight in self.model), *self.lent, weight]
        seconds = sum(one.seconds for one in held)
        fits = len(held) == 1 or (
            seconds <= MOST.seconds + 1e-6 and sum(one.size for one in held) <= MOST.size
        )
        if abs(seconds - MOST.seconds) > 1e-6:
            assert self.buffer.fits(weight) == fits
        if self.buffer.fits(weight):
            self.buffer.append(self.next, weight)
            self.model.append((self.next, weight))
            self.next += 1

    @precondition(lambda self: self.model)
    @rule()
    def take(self) -> None:
        assert self.buffer.popleft() == self.model.pop(0)[0]

    @rule()
    def lend(self) -> None:
        assert self.buffer.lend() == [number for number, _ in self.model]
        self.lent += [weight for _, weight in self.model]
        self.model.clear()

    @rule()
    def settle(self) -> None:
        self.buffer.settle()
        self.lent.clear()

    @rule()
    def clear(self) -> None:
        self.buffer.clear()
        self.model.clear()
        self.lent.clear()

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        assert len(self.buffer) == len(self.model)
        held = [*(weight for _, weight in self.model), *self.lent]
        assert self.buffer.size == sum(weight.size for weight in held)
        expected = sum(weight.seconds for weight in held)
        assert self.buffer.seconds == pytest.approx(expected, abs=1e-6)

    @invariant()
    def it_never_holds_more_than_it_may(self) -> None:
        if len(self.model) + len(self.lent) > 1:
            assert self.buffer.size <= MOST.size
            assert self.buffer.seconds <= MOST.seconds


class TestBuffer(BufferMachine.TestCase):
    settings = settings(max_examples=500, stateful_step_count=40)


class Numbers:
    """Counts from 0, each number as heavy as it is told to be."""

    def __init__(self, count: int, *, seconds: float = 0.5, size: int = 1) -> None:
        self.count = count
        self.weight = Weight(seconds, size)
        self.put = 0
        self.overs = 0
        self.failure: Exception | None = None
        self.stop = anyio.Event()

    async def run(self, put: Callable[[int], Awaitable[None]]) -> None:
        for number in range(self.count):
            await put(number)
            self.put += 1
        if self.failure is not None:
            raise self.failure

    def abort(self, error: Exception) -> Exception:
        self.count, self.failure = 0, error
        self.stop.set()
        return error

    def weigh(self, item: int) -> Weight:
        del item
        return self.weight

    def over(self) -> None:
        self.overs += 1


class Stuck(Numbers):
    """Begins and goes no further."""

    @override
    async def run(self, put: Callable[[int], Awaitable[None]]) -> None:
        await anyio.sleep_forever()


async def rest(session: StreamSession[int]) -> None:
    while await session.take() is not None:
        pass


@pytest.mark.anyio
class TestSession:
    async def test_items_come_in_order_and_then_there_is_none(self) -> None:
        source, streams = Numbers(100), StreamRegistry()
        session = streams.open(source)
        got = [await session.take() for _ in range(101)]
        assert got == [*range(100), None]
        assert (source.overs, streams.stats().ended) == (1, {"exhausted": 1})

    @pytest.mark.parametrize(
        ("seconds", "size", "held"), [(0.5, 1, 4), (0.001, 100_000, 2), (9.0, 10**9, 1)]
    )
    async def test_a_reader_that_pauses_holds_the_source_up(
        self, seconds: float, size: int, held: int
    ) -> None:
        source = Numbers(100, seconds=seconds, size=size)
        session = StreamRegistry().open(source)
        await anyio.wait_all_tasks_blocked()
        assert source.put == held
        await session.take()
        await anyio.wait_all_tasks_blocked()
        assert source.put == held + 1
        await session.aclose()

    async def test_what_a_reader_takes_at_once_holds_the_source_up_until_it_asks_for_more(
        self,
    ) -> None:
        source = Numbers(100)
        session = StreamRegistry().open(source)
        await anyio.wait_all_tasks_blocked()
        assert session.ready() == [0, 1, 2, 3]
        await anyio.wait_all_tasks_blocked()
        assert source.put == 4
        assert await session.take() == 4
        await session.aclose()

    async def test_a_failure_comes_after_all_that_was_made_and_again_when_asked_again(self) -> None:
        source, streams = Numbers(3), StreamRegistry()
        source.failure = LookupError()
        session = streams.open(source)
        assert [await session.take() for _ in range(3)] == [0, 1, 2]
        depths = []
        for _ in range(3):
            with pytest.raises(LookupError) as failure:
                await session.take()
            depths.append(len(failure.traceback))
        assert depths[1] == depths[2]
        assert streams.stats().ended == {"failed": 1}

    async def test_even_an_exit_in_the_source_reaches_the_reader(self) -> None:
        source = Numbers(0)
        source.failure = SystemExit()  # type: ignore[assignment] # that is the point
        with pytest.raises(SystemExit):
            await StreamRegistry().open(source).take()

    async def test_one_closed_before_its_source_began_never_runs_it(self) -> None:
        source = Numbers(3)
        session = StreamRegistry().open(source)
        await session.aclose()
        assert (source.put, source.overs, await session.take()) == (0, 1, None)

    async def test_closing_the_registry_gives_readers_what_is_ready_and_then_the_reason(
        self,
    ) -> None:
        source, streams = Numbers(100), StreamRegistry()
        session = streams.open(source)
        assert await session.take() == 0
        source.failure = ServiceClosedError("closed")
        await streams.aclose()
        with pytest.raises(ServiceClosedError):
            await rest(session)
        with pytest.raises(ServiceClosedError):
            streams.open(Numbers(1))

    async def test_a_source_that_heeds_no_abort_is_cancelled(self) -> None:
        source, streams = Stuck(1), StreamRegistry()
        streams.open(source)
        await anyio.wait_all_tasks_blocked()
        await streams.aclose()
        await anyio.wait_all_tasks_blocked()
        assert (source.overs, streams.stats().open) == (1, 0)
