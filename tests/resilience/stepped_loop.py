"""An event loop on virtual time that runs a step at a time, for state machines."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from ttskit.testing.clock import VirtualLoop

_TURNS = 8
"""Of the loop, in which whatever can happen now has happened."""


class SteppedLoop:
    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.tasks: dict[int, asyncio.Task[None]] = {}

    @property
    def now(self) -> float:
        return self.loop.time()

    def start(self, number: int, work: Coroutine[object, object, None]) -> None:
        self.tasks[number] = self.loop.create_task(work)
        self.settle()

    def settle(self, seconds: float = 0.0) -> None:
        """Let time pass, and all that is due then happen."""
        self.loop.run_until_complete(self._settle(seconds))

    async def _settle(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def cancel(self, number: int) -> None:
        self.tasks[number].cancel()
        self.settle()

    def close(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        self.settle()
        assert all(task.done() for task in self.tasks.values())
        self.loop.close()
