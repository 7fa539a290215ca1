"""Calls of several threads made as one, where a network does many for little more than one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

WINDOW_S = 0.004
"""Seconds that a call waits for others; a network's own call takes several times that."""
SPREAD = 2.0
"""How much longer than the shortest the longest of a batch may be: all take the longest's time."""


@dataclass(eq=False, slots=True)
class _Ticket(Generic[ItemT, ResultT]):
    item: ItemT
    kind: Hashable
    size: int
    came_at: float
    is_done: bool = False
    results: list[ResultT] = field(default_factory=list)
    error: BaseException | None = None


class Batcher(Generic[ItemT, ResultT]):
    """Makes one call of those that several threads want at about the same time.

    The call that waits longest always goes next, and takes with it what is like it and of about its
    size: so no call is kept waiting for others that came later, and a short one never takes as
    long as the longest of all.

    Args:
        run: Makes the calls together; returns their results in the same order. It is called by one
            thread at a time.
        most: Calls at a time.
        size: Tells how long a call's input is, from 1.
        kind: Calls of different kinds never go together.
        window_s: Seconds that a call waits for others; it waits for none where nobody else has
            joined.
    """

    def __init__(
        self,
        run: Callable[[Sequence[ItemT]], Sequence[ResultT]],
        *,
        most: int,
        size: Callable[[ItemT], int],
        kind: Callable[[ItemT], Hashable] = lambda _: None,
        window_s: float = WINDOW_S,
    ) -> None:
        self._run = run
        self._most = most
        self._size = size
        self._kind = kind
        self._window_s = window_s
        self._changed = threading.Condition()
        self._waiting: deque[_Ticket[ItemT, ResultT]] = deque()
        self._joined = 0
        self._is_busy = False

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Say that calls of this thread may come for as long as the block lasts."""
        with self._changed:
            self._joined += 1
        try:
            yield
        finally:
            with self._changed:
                self._joined -= 1
                self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return len(self._waiting)

    def call(self, item: ItemT) -> ResultT:
        """Return the result for the item, once it was its turn.

        Raises:
            Exception: What ``run`` raised for this item alone; a batch that fails is made again
                one by one.
        """
        ticket = _Ticket[ItemT, ResultT](item, self._kind(item), self._size(item), time.monotonic())
        with self._changed:
            self._waiting.append(ticket)
            self._changed.notify_all()
            # Whoever waits longest sees to the batch that it is in.
            self._changed.wait_for(
                lambda: ticket.is_done or (not self._is_busy and self._waiting[0] is ticket)
            )
            if not ticket.is_done:
                self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error
        return ticket.results[0]

    def _lead(self, ticket: _Ticket[ItemT, ResultT]) -> None:
        """Gather the batch of the oldest call and make it, without the lock."""
        self._is_busy = True
        left = ticket.came_at + self._window_s - time.monotonic()
        self._changed.wait_for(lambda: self._is_complete(ticket), max(left, 0.0))
        batch = self._batch(ticket)
        for one in batch:
            self._waiting.remove(one)
        self._changed.release()
        try:
            self._make(batch)
        finally:
            self._changed.acquire()
            self._is_busy = False
            for one in batch:
                one.is_done = True
            self._changed.notify_all()

    def _is_complete(self, ticket: _Ticket[ItemT, ResultT]) -> bool:
        """Whether nobody is left to wait for."""
        return len(self._waiting) >= self._joined or len(self._batch(ticket)) >= self._most

    def _batch(self, oldest: _Ticket[ItemT, ResultT]) -> list[_Ticket[ItemT, ResultT]]:
        batch: list[_Ticket[ItemT, ResultT]] = []
        shortest = longest = oldest.size
        for one in self._waiting:
            shorter, longer = min(shortest, one.size), max(longest, one.size)
            if len(batch) < self._most and one.kind == oldest.kind and longer <= SPREAD * shorter:
                batch.append(one)
                shortest, longest = shorter, longer
        return batch

    def _make(self, batch: Sequence[_Ticket[ItemT, ResultT]]) -> None:
        try:
            results = self._run([one.item for one in batch])
        except BaseException as error:  # noqa: BLE001 - raised where the call came from
            failure = error
        else:
            for one, result in zip(batch, results, strict=True):
                one.results.append(result)
            return
        if len(batch) == 1:
            batch[0].error = failure
            return
        for one in batch:
            self._make([one])
