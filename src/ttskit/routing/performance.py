"""Drives passages through a speaker: some ahead of the listener, delivered in order."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ttskit.errors import DeadlineExceededError
from ttskit.resilience.alarm import Alarm, Scope
from ttskit.routing.script import Cue, Script
from ttskit.routing.speaker import Speaker
from ttskit.routing.take import Take

HANDOVER_S = 0.05
"""How long the second utterance waits for a listener to take the first chunk of the first."""

Deliver = Callable[[Cue, Take], Awaitable[None]]


class Pace(NamedTuple):
    """How far synthesis may run ahead."""

    calls: int
    """Calls of providers at a time."""
    in_flight: int
    """Utterances being prepared, made or looked over at a time."""
    ahead: int
    """Utterances made or being made, but not delivered yet."""
    first_alone: bool
    """The first utterance has the machine to itself, so that it is heard soonest."""
    is_live: bool = False
    """What is made of an utterance is delivered before the whole of it is there."""


@dataclass(slots=True, eq=False)
class _Slot:
    """One passage and what was made of it so far."""

    cue: Cue | None
    takes: deque[Take] = field(default_factory=deque)
    failure: Exception | None = None
    is_over: bool = False
    changed: anyio.Event = field(default_factory=anyio.Event)
    made: anyio.Event = field(default_factory=anyio.Event)
    making: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def put(self, take: Take) -> None:
        self.takes.append(take)
        self.changed.set()

    def end(self, failure: Exception | None = None) -> None:
        self.failure, self.is_over = failure, True
        self.changed.set()
        self.made.set()

    async def take(self) -> Take | None:
        """Return the next take; None when there is no further one, because of ``failure`` if any.

        What came before a failure is returned first.
        """
        while not self.takes and not self.is_over:
            self.changed = anyio.Event()
            await self.changed.wait()
        return self.takes.popleft() if self.takes else None


class Performance:
    """One request's speech, from its text to the listener.

    Args:
        script: What to speak; an error it raises ends the performance with that error.
        speaker: Makes the audio of each passage.
        pace: How far ahead.
        alarm: Ends it at the deadline.
        deadline: Seconds for the whole of it; None: no limit.
    """

    def __init__(
        self,
        script: Script,
        speaker: Speaker,
        pace: Pace,
        *,
        alarm: Alarm,
        deadline: float | None = None,
    ) -> None:
        self._script = script
        self._speaker = speaker
        self._pace = pace
        self._alarm = alarm
        self._deadline = deadline
        self._scope: Scope | None = None
        self._abort_error: Exception | None = None
        self._ahead: _Ahead | None = None

    def heard(self) -> None:
        """The listener has the first chunk."""
        if self._ahead is not None:
            self._ahead.heard.set()

    def abort(self, error: Exception) -> None:
        """End the performance at once; ``run`` raises ``error``."""
        if self._abort_error is None:
            self._abort_error = error
            if self._scope is not None:
                self._scope.cancel()

    async def run(self, deliver: Deliver) -> None:
        """Speak everything, handing each passage to ``deliver`` in order.

        Raises:
            DeadlineExceededError: Time was up.
            Exception: What a passage, the script or ``deliver`` failed with; nothing later is
                delivered.
        """
        started = self._speaker.start()
        ends_at = math.inf if self._deadline is None else started + self._deadline
        with self._alarm.scope(ends_at) as self._scope:
            if self._abort_error is None:
                failure = await self._run(deliver)
                if failure is not None:
                    raise failure
        if self._abort_error is not None:
            raise self._abort_error
        if self._scope.cancelled_caught:
            raise DeadlineExceededError(f"not done within {self._deadline:g} s")

    async def _run(self, deliver: Deliver) -> Exception | None:
        try:
            first = await anext(self._script, None)
            if first is None:
                return None
            if first.is_last and not self._pace.is_live:
                # Right here: tasks would cost as much as all the rest.
                takes: list[Take] = []
                await self._speaker.speak(first.passage, takes.append, first.around)
                for take in takes:
                    await deliver(first, take)
                return None
            self._ahead = _Ahead(self._script, self._speaker, self._pace)
            return await self._ahead.run(first, deliver)
        finally:
            await self._script.aclose()


class _Ahead:
    """Has passages made ahead of the listener.

    Args:
        script: What follows the first one.
        speaker: Makes the audio.
        pace: How far ahead.
    """

    def __init__(self, script: Script, speaker: Speaker, pace: Pace) -> None:
        self._script = script
        self._speaker = speaker
        self._pace = pace
        self.heard = anyio.Event()
        """The listener has the first chunk."""
        self._room = anyio.Semaphore(pace.ahead, fast_acquire=True)
        self._flights = anyio.Semaphore(pace.in_flight, fast_acquire=True)
        speaker.share(pace.calls)

    async def run(self, first: Cue, deliver: Deliver) -> Exception | None:
        """Speak the first passage and all that follow; return what they failed with."""
        send, receive = anyio.create_memory_object_stream[_Slot](self._pace.ahead)
        async with anyio.create_task_group() as tasks, receive:
            # At once: by way of the reader it would begin some turns of the event loop later.
            slot = await self._start(first, tasks, send)
            tasks.start_soon(self._read, slot, tasks, send)
            failure = await self._deliver_in_order(tasks, receive, deliver)
            if failure is not None:
                tasks.cancel_scope.cancel()
        return failure

    async def _deliver_in_order(
        self, tasks: TaskGroup, slots: MemoryObjectReceiveStream[_Slot], deliver: Deliver
    ) -> Exception | None:
        async for slot in slots:
            failure = await self._play(tasks, slot, deliver)
            if failure is not None:
                return failure
            self._room.release()
        return None

    async def _play(self, tasks: TaskGroup, slot: _Slot, deliver: Deliver) -> Exception | None:
        take, cue = await slot.take(), slot.cue
        if cue is None:
            return slot.failure
        if take is not None and self._speaker.is_stale(cue.passage, take):
            slot.making.cancel()
            slot = _Slot(cue)
            tasks.start_soon(self._make, slot, cue)
            take = await slot.take()
        while take is not None:
            failure = await _failure(deliver(cue, take))
            if failure is not None:
                return failure
            take = await slot.take()
        return slot.failure

    async def _read(
        self, first: _Slot, tasks: TaskGroup, send: MemoryObjectSendStream[_Slot]
    ) -> None:
        async with send:
            failure = await _failure(self._start_others(first, tasks, send))
            if failure is not None:
                failed = _Slot(None)
                failed.end(failure)
                with suppress(anyio.BrokenResourceError):  # a passage failed: nobody waits for it
                    await send.send(failed)

    async def _start_others(
        self, first: _Slot, tasks: TaskGroup, send: MemoryObjectSendStream[_Slot]
    ) -> None:
        if self._pace.first_alone:
            await first.made.wait()
            # The next one would take the processor just when the listener's first chunk needs it.
            with anyio.move_on_after(HANDOVER_S):
                await self.heard.wait()
        async for cue in self._script:
            await self._start(cue, tasks, send)

    async def _start(
        self, cue: Cue, tasks: TaskGroup, send: MemoryObjectSendStream[_Slot]
    ) -> _Slot:
        slot = _Slot(cue)
        await self._room.acquire()
        # Taken here and not in the task: trio starts tasks in any order.
        await self._flights.acquire()
        send.send_nowait(slot)  # there is room for as many as may be ahead
        tasks.start_soon(self._make_in_flight, slot, cue)
        return slot

    async def _make_in_flight(self, slot: _Slot, cue: Cue) -> None:
        try:
            await self._make(slot, cue)
        finally:
            self._flights.release()

    async def _make(self, slot: _Slot, cue: Cue) -> None:
        with slot.making:
            slot.end(await _failure(self._speaker.speak(cue.passage, slot.put, cue.around)))


async def _failure(work: Awaitable[object]) -> Exception | None:
    """Return what ``work`` fails with, to be handed to the reader in its turn."""
    try:
        await work
    except Exception as error:  # noqa: BLE001 - re-raised by ``run``; a task group would wrap it
        return error
    return None
