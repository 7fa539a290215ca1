"""Drives passages through a speaker: some ahead of the listener, delivered in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ttskit.errors import DeadlineExceededError
from ttskit.routing.attempt import Take
from ttskit.routing.script import Cue, Script
from ttskit.routing.speaker import Speaker
from ttskit.text.plan import Passage

HANDOVER_S = 0.05
"""How long the second utterance waits for a listener to take the first chunk of the first."""

T = TypeVar("T")
Deliver = Callable[[Cue, Take], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pace:
    """How far synthesis may run ahead."""

    calls: int
    """Calls of providers at a time."""
    in_flight: int
    """Utterances being prepared, made or looked over at a time."""
    ahead: int
    """Utterances made or being made, but not delivered yet."""
    first_alone: bool
    """The first utterance has the machine to itself, so that it is heard soonest."""


@dataclass(slots=True)
class _Slot:
    cue: Cue | None
    made: anyio.Event = field(default_factory=anyio.Event)
    take: Take | None = None
    failure: Exception | None = None


class Performance:
    """One request's speech, from its text to the listener.

    Args:
        script: What to speak; an error it raises ends the performance with that error.
        speaker: Makes the audio of each passage.
        pace: How far ahead.
        deadline: Seconds for the whole of it; None: no limit.
    """

    def __init__(
        self, script: Script, speaker: Speaker, pace: Pace, *, deadline: float | None = None
    ) -> None:
        self._script = script
        self._speaker = speaker
        self._pace = pace
        self._deadline = deadline
        self._scope: anyio.CancelScope | None = None
        self._abort_error: Exception | None = None
        self._heard = anyio.Event()
        self._room = anyio.Semaphore(pace.ahead)
        self._flights = anyio.Semaphore(pace.in_flight)

    def heard(self) -> None:
        """The listener has the first chunk."""
        self._heard.set()

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
        with anyio.CancelScope() as self._scope, anyio.move_on_after(self._deadline) as clock:
            if self._abort_error is None:
                failure = await self._run(deliver)
                if failure is not None:
                    raise failure
        if self._abort_error is not None:
            raise self._abort_error
        if clock.cancelled_caught:
            raise DeadlineExceededError(f"not done within {self._deadline:g} s")

    async def _run(self, deliver: Deliver) -> Exception | None:
        send, receive = anyio.create_memory_object_stream[_Slot](self._pace.ahead)
        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(self._read, tasks, send)
            failure = await self._deliver_in_order(receive, deliver)
            if failure is not None:
                tasks.cancel_scope.cancel()
        return failure

    async def _deliver_in_order(
        self, slots: MemoryObjectReceiveStream[_Slot], deliver: Deliver
    ) -> Exception | None:
        async for slot in slots:
            await slot.made.wait()
            if slot.cue is not None and slot.take is not None:
                await self._refresh(slot, slot.cue.passage, slot.take)
            if slot.cue is None or slot.take is None:
                return slot.failure
            _, failure = await _outcome(deliver(slot.cue, slot.take))
            if failure is not None:
                return failure
            slot.take = None
            self._room.release()
        return None

    async def _refresh(self, slot: _Slot, passage: Passage, take: Take) -> None:
        if self._speaker.is_stale(passage, take):
            slot.take, slot.failure = await _outcome(self._speaker.speak(passage))

    async def _read(self, tasks: TaskGroup, send: MemoryObjectSendStream[_Slot]) -> None:
        async with send:
            _, failure = await _outcome(self._start_all(tasks, send))
            if failure is not None:
                await send.send(_failed(failure))

    async def _start_all(self, tasks: TaskGroup, send: MemoryObjectSendStream[_Slot]) -> None:
        async with aclosing(self._script) as cues:
            async for cue in cues:
                await self._start(cue, tasks, send)

    async def _start(self, cue: Cue, tasks: TaskGroup, send: MemoryObjectSendStream[_Slot]) -> None:
        slot = _Slot(cue)
        await self._room.acquire()
        # Taken here and not in the task: trio starts tasks in any order.
        await self._flights.acquire()
        await send.send(slot)
        tasks.start_soon(self._make, slot, cue.passage)
        if self._pace.first_alone and cue.passage.index == 0:
            await slot.made.wait()
            # The next one would take the processor just when the listener's first chunk needs it.
            with anyio.move_on_after(HANDOVER_S):
                await self._heard.wait()

    async def _make(self, slot: _Slot, passage: Passage) -> None:
        slot.take, slot.failure = await _outcome(self._speaker.speak(passage))
        self._flights.release()
        slot.made.set()


async def _outcome(work: Awaitable[T]) -> tuple[T | None, Exception | None]:
    """Return what ``work`` gives or fails with, to be handed to the reader in its turn."""
    try:
        return await work, None
    except Exception as error:  # noqa: BLE001 - re-raised by ``run``; a task group would wrap it
        return None, error


def _failed(error: Exception) -> _Slot:
    slot = _Slot(None, failure=error)
    slot.made.set()
    return slot
