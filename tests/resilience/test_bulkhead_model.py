"""The bulkhead beside the smallest thing that behaves like one."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.effort import examples
from tests.resilience.stepped_loop import SteppedLoop
from ttskit.errors import QueueFullError
from ttskit.resilience.bulkhead import Bulkhead


class Model:
    def __init__(self, limit: int, queue: int) -> None:
        self.limit = limit
        self.queue = queue
        self.running: set[int] = set()
        self.refused: set[int] = set()
        self.lines: dict[str, list[int]] = {}
        """Tenants with calls waiting, the one whose turn is next first."""

    @property
    def waiting(self) -> list[int]:
        return [number for line in self.lines.values() for number in line]

    def come(self, number: int, tenant: str) -> None:
        if len(self.running) < self.limit:
            self.running.add(number)
        elif len(self.waiting) < self.queue or self.displace(tenant):
            self.lines.setdefault(tenant, []).append(number)
        else:
            self.refused.add(number)

    def displace(self, tenant: str) -> bool:
        own = len(self.lines.get(tenant, []))
        longest = max(self.lines.values(), key=len, default=[])
        if len(longest) <= own + 1:
            return False
        self.refused.add(longest[-1])
        self.leave(longest[-1])
        return True

    def leave(self, number: int) -> None:
        self.running.discard(number)
        lines = {name: [one for one in line if one != number] for name, line in self.lines.items()}
        self.lines = {name: line for name, line in lines.items() if line}
        self.admit()

    def admit(self) -> None:
        while self.lines and len(self.running) < self.limit:
            tenant = next(iter(self.lines))
            first, *rest = self.lines.pop(tenant)
            self.running.add(first)
            if rest:
                self.lines[tenant] = rest


class BulkheadMachine(RuleBasedStateMachine):
    """Any history of calls that come, end, fail and are cancelled."""

    @initialize(limit=st.integers(1, 3), queue=st.integers(0, 6))
    def open(self, limit: int, queue: int) -> None:
        self.steps = SteppedLoop()
        self.bulkhead = Bulkhead(limit, queue, clock=self.steps.loop.time)
        self.model = Model(limit, queue)
        self.numbers = itertools.count()
        self.ends: dict[int, asyncio.Event] = {}
        self.fails: set[int] = set()
        self.running: set[int] = set()
        self.refused: set[int] = set()

    async def call(self, number: int, tenant: str) -> None:
        try:
            async with self.bulkhead.slot(tenant=tenant):
                self.running.add(number)
                try:
                    await self.ends[number].wait()
                    if number in self.fails:
                        raise ZeroDivisionError
                finally:
                    self.running.remove(number)
        except QueueFullError:
            self.refused.add(number)
        except ZeroDivisionError:
            self.fails.remove(number)

    @rule(tenant=st.sampled_from("abc"), count=st.integers(1, 3))
    def calls_come(self, tenant: str, count: int) -> None:
        for _ in range(count):
            number = next(self.numbers)
            self.ends[number] = asyncio.Event()
            self.model.come(number, tenant)
            self.steps.start(number, self.call(number, tenant))

    @precondition(lambda self: self.model.running)
    @rule(data=st.data(), fails=st.booleans())
    def a_call_ends(self, data: st.DataObject, fails: bool) -> None:  # noqa: FBT001
        number = data.draw(st.sampled_from(sorted(self.model.running)))
        self.fails |= {number} if fails else set()
        self.model.leave(number)
        self.ends[number].set()
        self.steps.settle()
        assert not self.fails

    @precondition(lambda self: self.model.running or self.model.lines)
    @rule(data=st.data())
    def a_call_is_cancelled(self, data: st.DataObject) -> None:
        present = sorted([*self.model.running, *self.model.waiting])
        number = data.draw(st.sampled_from(present))
        self.model.leave(number)
        self.steps.cancel(number)

    @precondition(lambda self: self.model.running and self.model.lines)
    @rule()
    def one_ends_as_the_next_is_cancelled(self) -> None:
        ended, following = min(self.model.running), next(iter(self.model.lines.values()))[0]
        self.model.leave(ended)
        self.model.leave(following)
        self.ends[ended].set()
        self.steps.loop.run_until_complete(asyncio.sleep(0))
        self.steps.cancel(following)

    @rule(limit=st.integers(1, 4))
    def the_limit_changes(self, limit: int) -> None:
        self.bulkhead.resize(limit)
        self.model.limit = limit
        self.model.admit()
        self.steps.settle()

    @invariant()
    def they_agree(self) -> None:
        assert self.running == self.model.running
        assert self.refused == self.model.refused
        assert self.bulkhead.running == len(self.model.running)
        assert self.bulkhead.waiting == len(self.model.waiting)

    def teardown(self) -> None:
        if hasattr(self, "steps"):
            self.steps.close()
            assert (self.bulkhead.running, self.bulkhead.waiting) == (0, 0)


TestBulkheadMachine = BulkheadMachine.TestCase
TestBulkheadMachine.settings = settings(
    max_examples=examples(ci=500, nightly=20_000), stateful_step_count=30
)
