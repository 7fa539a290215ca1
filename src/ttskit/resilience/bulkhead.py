"""A bulkhead: so many calls at a time, a short and fair queue, and an early no beyond it."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum, auto

import anyio
from typing_extensions import override

from ttskit.errors import DeadlineExceededError, InvalidParameterError, QueueFullError

_WEIGHT = 0.2
"""Of the newest call in the running mean of how long a slot is held."""


class _Lot(Enum):
    WAITING = auto()
    ADMITTED = auto()
    DISPLACED = auto()


@dataclass(slots=True, eq=False)
class _Waiter:
    event: anyio.Event = field(default_factory=anyio.Event)
    lot: _Lot = _Lot.WAITING

    def tell(self, lot: _Lot) -> None:
        self.lot = lot
        self.event.set()


class _Slot(AbstractAsyncContextManager[None]):
    """A slot while it is open; a generator in its place would cost more than all the rest."""

    __slots__ = ("_began", "_bulkhead", "_deadline", "_tenant")

    def __init__(self, bulkhead: Bulkhead, tenant: str, deadline: float) -> None:
        self._bulkhead = bulkhead
        self._tenant = tenant
        self._deadline = deadline

    @override
    async def __aenter__(self) -> None:
        if not self._bulkhead.take_free():
            await self._bulkhead.wait(self._tenant, self._deadline)
        self._began = self._bulkhead.clock()

    @override
    async def __aexit__(self, *_: object) -> None:
        self._bulkhead.release(self._began)


class Bulkhead:
    """Slots for calls to one provider, for use from one event loop.

    A slot that gets free is handed to whoever waits: tenants take turns, and each tenant's calls
    come in their order. A full queue takes a newcomer only in place of the last call of a tenant
    that has more waiting than it.

    Args:
        limit: Calls at a time.
        queue: Calls that may wait.
        clock: Monotonic seconds.
    """

    def __init__(self, limit: int, queue: int, *, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._queue = queue
        self.clock = clock
        self._running = 0
        self._waiting = 0
        self._held_s = 0.0
        # Tenants with calls waiting, the one whose turn is next first.
        self._lines: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    @property
    def limit(self) -> int:
        """Calls at a time."""
        return self._limit

    @property
    def running(self) -> int:
        """Slots in use; above the limit only after it was lowered."""
        return self._running

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return self._waiting

    def resize(self, limit: int) -> None:
        """Set another limit. Calls that run go on; those that wait come up at once.

        Raises:
            InvalidParameterError: It is below 1, so that nobody would ever get a slot.
        """
        if limit < 1:
            raise InvalidParameterError(f"a bulkhead needs a limit of 1 or more, not {limit}")
        self._limit = limit
        self._admit()

    def slot(
        self, *, tenant: str = "", deadline: float | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Return what holds a slot while it is open, after waiting for it.

        Args:
            tenant: On whose behalf; each gets the same share.
            deadline: When waiting is of no use any more, by the clock.

        Raises:
            QueueFullError: The queue is full, or so long that the deadline would pass in it;
                ``retry_after`` is the expected wait in seconds, where it is known.
            DeadlineExceededError: The deadline passed in the queue all the same.
        """
        return _Slot(self, tenant, math.inf if deadline is None else deadline)

    def take_free(self) -> bool:
        """Take a slot if one is free, and return whether there was."""
        if self._running >= self._limit:
            return False
        self._running += 1
        return True

    def release(self, began: float) -> None:
        """Give back a slot that was had then."""
        held_s = self.clock() - began
        weight = _WEIGHT if self._held_s else 1.0
        self._held_s += weight * (held_s - self._held_s)
        self._release()

    def expected_wait(self, tenant: str = "") -> float:
        """Return the seconds a call of the tenant would wait now; 0 as long as none has ended."""
        if self._running < self._limit:
            return 0.0
        own = len(self._lines.get(tenant, ()))
        others = (len(line) for name, line in self._lines.items() if name != tenant)
        ahead = own + sum(min(length, own + 1) for length in others)
        return (ahead + 1) * self._held_s / self._limit

    async def wait(self, tenant: str, deadline: float) -> None:
        """Wait for a slot as ``slot`` does."""
        left = deadline - self.clock()
        self._check_room(tenant, left)
        waiter = _Waiter()
        self._lines.setdefault(tenant, deque()).append(waiter)
        self._waiting += 1
        try:
            with anyio.move_on_after(left):
                await waiter.event.wait()
        except BaseException:
            self._abandon(tenant, waiter)
            raise
        if waiter.lot is _Lot.DISPLACED:
            raise self._full()
        if waiter.lot is _Lot.WAITING:
            self._remove(tenant, waiter)
            raise DeadlineExceededError("the time was up before a slot was free")

    def _check_room(self, tenant: str, left_s: float) -> None:
        expected = self.expected_wait(tenant)
        if expected >= left_s:
            raise QueueFullError(
                f"a slot is expected in {expected:.1f} s, after the deadline", retry_after=expected
            )
        if self._waiting >= self._queue:
            self._displace_for(tenant)

    def _displace_for(self, tenant: str) -> None:
        """Make room at the cost of the longest line, if that leaves it no shorter than one's own.

        Raises:
            QueueFullError: No line is longer.
        """
        longest = max(self._lines, key=lambda name: len(self._lines[name]), default=tenant)
        own = len(self._lines.get(tenant, ()))
        if len(self._lines.get(longest, ())) <= own + 1:
            raise self._full(self.expected_wait(tenant))
        last = self._lines[longest][-1]
        self._remove(longest, last)
        last.tell(_Lot.DISPLACED)

    def _full(self, retry_after: float = 0.0) -> QueueFullError:
        message = f"{self._running} calls run and {self._waiting} wait already"
        return QueueFullError(message, retry_after=retry_after or None)

    def _abandon(self, tenant: str, waiter: _Waiter) -> None:
        """Leave the queue, or pass on the slot that came together with the cancellation."""
        if waiter.lot is _Lot.WAITING:
            self._remove(tenant, waiter)
        elif waiter.lot is _Lot.ADMITTED:
            self._release()

    def _remove(self, tenant: str, waiter: _Waiter) -> None:
        line = self._lines[tenant]
        line.remove(waiter)
        self._waiting -= 1
        if not line:
            del self._lines[tenant]

    def _release(self) -> None:
        self._running -= 1
        if self._lines:
            self._admit()

    def _admit(self) -> None:
        """Hand free slots to those whose turn it is."""
        while self._lines and self._running < self._limit:
            tenant, line = self._lines.popitem(last=False)
            waiter = line.popleft()
            self._waiting -= 1
            if line:
                self._lines[tenant] = line
            self._running += 1
            waiter.tell(_Lot.ADMITTED)
