"""Cancels a coroutine at every point at which it, or a task it started, is suspended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import count
from types import CoroutineType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any, cast

import anyio
from anyio.lowlevel import current_token
from typing_extensions import override

from ttskit.testing.census import Census

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.abc import Instrument

    _Inner = CoroutineType[object, object, object]
    _Main = Coroutine[object, object, None]

Work = Callable[[], Awaitable[object]]


class Manner(StrEnum):
    """How a cancellation reaches the work."""

    EARLY = "while it waits"
    """``task.cancel()`` during any suspension, of a task the work started as well; asyncio."""
    LATE = "as what it waited for is done"
    """``task.cancel()`` between the result and the task that waits for it; asyncio."""
    SCOPE = "by a scope around it"
    """AnyIO's and trio's: every later wait is cancelled, too, unless it is shielded."""


class SweepError(AssertionError):
    """A cancelled run went wrong; the message says at which point and how."""


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep went through."""

    points: int
    """Suspensions of a run that is left alone."""
    cases: int
    """Runs that were cancelled."""


@dataclass(slots=True)
class _Plan:
    """One run: where it is cancelled, how often, and how far that came."""

    manner: Manner
    at: int | None = None
    times: int = 1
    points: int = 0
    cancels: int = 0
    cancel: Callable[[], object] = lambda: None

    @override
    def __str__(self) -> str:
        return f"cancelled {self.times}x {self.manner}, at suspension {self.at}"

    def suspended(self, waits_for: object = None, *, is_main: bool = True) -> None:
        """Note a suspension, and cancel where it is due: at the point, and then at each next."""
        if self.manner is Manner.LATE and not is_main:
            return
        self.points += 1
        again = is_main and 0 < self.cancels < self.times
        if not again and self.points != self.at:
            return
        self.cancels += 1
        if self.manner is Manner.LATE and isinstance(waits_for, asyncio.Future):
            # Called before the task's own callback, which is added when this returns.
            waits_for.add_done_callback(lambda _: self.cancel())
        else:
            self.cancel()


class CancelSweep:
    """Runs the work again and again, each time cancelled at another suspension.

    The work is cancelled once, twice, and so on at each point: the second time during its
    clean-up. Each run must end as cancelled (and as nothing else), leave nothing behind that a
    ``Census`` finds, and keep the invariant. It runs in asyncio and trio; virtual time is welcome.

    Args:
        work: Makes a new awaitable for each run.
        invariant: Called after each run; raises when something is wrong.
        times: Cancellations in one run, 1 to this number.
        patience_s: Seconds, on the loop's clock, after which a cancelled run counts as hung.
        within_s: Real seconds after which what is left behind counts as a leak.
    """

    def __init__(
        self,
        work: Work,
        *,
        invariant: Work | None = None,
        times: int = 3,
        patience_s: float = 10.0,
        within_s: float = 5.0,
    ) -> None:
        self._work = work
        self._invariant = invariant
        self._times = times
        self._patience_s = patience_s
        self._within_s = within_s

    async def run(self) -> SweepReport:
        """Go through all points.

        Raises:
            SweepError: A run ended in another way than cancelled, or did not end.
            LeakError: Something was left behind; a note on the error says after which run.
            Exception: What the invariant or the work itself raised, with such a note.
        """
        # The first run fills caches and starts worker threads, the second one is counted.
        await self._outcome(_Plan(Manner.SCOPE))
        await self._invariantly()
        undisturbed = _Plan(Manner.SCOPE)
        await self._outcome(undisturbed)
        census = Census.take()
        cases = 0
        for manner, times in self._manners():
            for at in count(1):
                plan = _Plan(manner, at, times)
                await self._case(plan, census)
                if not plan.cancels and at > undisturbed.points:
                    break
                cases += bool(plan.cancels)
        return SweepReport(undisturbed.points, cases)

    def _manners(self) -> Iterator[tuple[Manner, int]]:
        yield Manner.SCOPE, 1
        for times in range(1, self._times + 1) if _is_asyncio() else ():
            yield Manner.EARLY, times
            yield Manner.LATE, times

    async def _case(self, plan: _Plan, census: Census) -> None:
        try:
            await self._outcome(plan)
            await self._invariantly()
            await census.check(within_s=self._within_s)
        except Exception as error:
            error.add_note(str(plan))
            raise

    async def _invariantly(self) -> None:
        if self._invariant is not None:
            await self._invariant()

    async def _outcome(self, plan: _Plan) -> None:
        if _is_asyncio():
            await self._on_asyncio(plan)
        else:
            await self._on_trio(plan)

    async def _on_asyncio(self, plan: _Plan) -> None:
        with _watched_tasks(plan) as start:
            main = start(_scoped(self._work, plan))
            done, _ = await asyncio.wait({main}, timeout=self._patience_s)
        if not done:
            main.cancel()
            raise SweepError("still running when the time was up")
        if main.cancelled():
            return
        main.result()
        if plan.cancels and plan.manner is not Manner.SCOPE:
            raise SweepError("the cancellation was swallowed: the work ended as if nothing were")

    async def _on_trio(self, plan: _Plan) -> None:
        with anyio.move_on_after(self._patience_s) as clock, _watched_steps(plan):
            await _scoped(self._work, plan)
        if clock.cancelled_caught:
            raise SweepError("still running when the time was up")


async def _scoped(work: Work, plan: _Plan) -> None:
    if plan.manner is not Manner.SCOPE:
        await work()
        return
    with anyio.CancelScope() as scope:
        plan.cancel = scope.cancel
        await work()


def _is_asyncio() -> bool:
    return isinstance(current_token().native_token, asyncio.AbstractEventLoop)


@contextmanager
def _watched_steps(plan: _Plan) -> Iterator[None]:
    """Note the end of every step that a trio task makes."""
    import trio  # only where it is running anyway

    class Steps(trio.abc.Instrument):
        """Told by trio after every step of a task."""

        @override
        def after_task_step(self, task: trio.lowlevel.Task) -> None:
            plan.suspended()

    instrument: Instrument = Steps()
    trio.lowlevel.add_instrument(instrument)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(instrument)


@contextmanager
def _watched_tasks(plan: _Plan) -> Iterator[Callable[[_Main], asyncio.Task[None]]]:
    """Note the suspensions of the task that is started, and of those it starts."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()

    def start(coroutine: _Main) -> asyncio.Task[None]:
        note = partial(plan.suspended, is_main=True)
        main = asyncio.Task(_Watched(cast("_Inner", coroutine), note), loop=loop)
        if plan.manner is not Manner.SCOPE:
            plan.cancel = main.cancel
        return cast("asyncio.Task[None]", main)

    def factory(
        _: asyncio.AbstractEventLoop,
        coroutine: object,
        **options: Any,  # noqa: ANN401 - grow with Python
    ) -> asyncio.Task[object]:
        if not isinstance(coroutine, CoroutineType):  # such as the end of a lost generator
            return asyncio.Task(cast("_Main", coroutine), loop=loop, **options)
        note = partial(plan.suspended, is_main=False)
        return asyncio.Task(_Watched(coroutine, note), loop=loop, **options)

    loop.set_task_factory(cast("Any", factory))
    try:
        yield start
    finally:
        loop.set_task_factory(before)


class _Watched(Coroutine[object, object, object]):
    """A coroutine that tells of its suspensions before the event loop sees them."""

    def __init__(self, inner: _Inner, note: Callable[[object], None]) -> None:
        self._inner = inner
        self._note = note
        self.__name__ = inner.__name__
        self.__qualname__ = inner.__qualname__

    @override
    def send(self, value: object, /) -> object:
        waits_for = self._inner.send(value)
        self._note(waits_for)
        return waits_for

    @override
    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: object = None,
        traceback: TracebackType | None = None,
        /,
    ) -> object:
        error = value if isinstance(value, BaseException) else kind
        waits_for = self._inner.throw(cast("BaseException", error))
        self._note(waits_for)
        return waits_for

    @override
    def close(self) -> None:
        self._inner.close()

    @override
    def __await__(self) -> Generator[Any, None, object]:
        return self._inner.__await__()

    @property
    def cr_running(self) -> bool:
        """What AnyIO asks to find out whether a task has begun; the next two as well."""
        return self._inner.cr_running

    @property
    def cr_suspended(self) -> bool:
        """Whether it waits."""
        return self._inner.cr_suspended

    @property
    def cr_frame(self) -> FrameType | None:
        """None once it has ended."""
        return self._inner.cr_frame
