from __future__ import annotations

import math
from asyncio import TimerHandle, get_running_loop
from collections.abc import Callable

import anyio
import pytest
from anyio import to_thread
from hypothesis import given
from hypothesis import strategies as st

from ttskit.resilience.alarm import Alarm
from ttskit.resilience.now import now
from ttskit.testing.clock import virtual_time

SECONDS = st.integers(1, 50) | st.just(math.inf)


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Scopes:
    """Blocks that would last 100 s, and after how many seconds each of them ended."""

    def __init__(self) -> None:
        self.alarm = Alarm()
        self.ended: dict[int, float] = {}

    async def wait(self, number: int, first: float, *later: float) -> None:
        """Wait in a scope of so many seconds, which are moved after 1 s, 2 s, …"""
        began = now()
        with self.alarm.scope(began + first) as scope:
            for seconds in later:
                await anyio.sleep(1)
                scope.deadline = began + seconds
            await anyio.sleep_until(began + 100)
        self.ended[number] = now() - began
        assert scope.cancelled_caught == (self.ended[number] < 100)

    async def wait_for_all(self, *deadlines: tuple[float, ...]) -> None:
        async with anyio.create_task_group() as tasks:
            for number, each in enumerate(deadlines):
                tasks.start_soon(self.wait, number, *each)


@pytest.mark.parametrize("backend_name", ["asyncio", "trio"])
@given(deadlines=st.lists(SECONDS, min_size=1, max_size=6))
def test_each_scope_ends_at_its_own_deadline(backend_name: str, deadlines: list[float]) -> None:
    scopes = Scopes()
    virtual_time(scopes.wait_for_all, *((one,) for one in deadlines), backend=backend_name)
    expected = {number: min(seconds, 100) for number, seconds in enumerate(deadlines)}
    assert scopes.ended == pytest.approx(expected)


@pytest.mark.parametrize(
    ("deadlines", "ended"),
    [
        pytest.param((10, 20), 20, id="later"),
        pytest.param((20, 10), 10, id="earlier"),
        pytest.param((10, math.inf), 100, id="never"),
        pytest.param((math.inf, 10), 10, id="after all"),
        pytest.param((10, math.inf, 30, 20), 20, id="several times"),
        pytest.param((10, 0.5), 1, id="into the past"),
    ],
)
def test_a_deadline_moves(backend: str, deadlines: tuple[float, ...], ended: float) -> None:
    scopes = Scopes()
    virtual_time(scopes.wait_for_all, deadlines, (15,), backend=backend)
    assert scopes.ended == pytest.approx({0: ended, 1: 15})


def test_a_scope_is_cancelled_before_its_deadline(backend: str) -> None:
    async def main() -> None:
        began = now()
        with Alarm().scope(began + 10) as scope:
            scope.cancel()
            await anyio.sleep(1)
        assert scope.cancelled_caught
        assert now() - began == pytest.approx(0)

    virtual_time(main, backend=backend)


class Timers:
    """Those of an alarm, in the running event loop."""

    def __init__(self, alarm: Alarm, monkeypatch: pytest.MonkeyPatch) -> None:
        self.set: list[TimerHandle] = []
        loop = get_running_loop()
        call_at = loop.call_at

        def recorded(
            when: float, callback: Callable[..., object], *args: object, **options: object
        ) -> TimerHandle:
            handle = call_at(when, callback, *args, **options)  # type: ignore[arg-type]
            if getattr(callback, "__self__", None) is alarm:
                self.set.append(handle)
            return handle

        monkeypatch.setattr(loop, "call_at", recorded)

    @property
    def times(self) -> list[float]:
        return [handle.when() for handle in self.set]


def test_a_deadline_that_moves_later_sets_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        alarm = Alarm()
        timers = Timers(alarm, monkeypatch)
        with alarm.scope(10) as scope, alarm.scope(10):
            for seconds in range(11, 20):
                scope.deadline = seconds
        assert timers.times == [10]

    virtual_time(main, backend="asyncio")


def test_who_is_never_due_needs_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        alarm = Alarm()
        timers = Timers(alarm, monkeypatch)
        with alarm.scope(math.inf):
            assert not timers.set
            with alarm.scope(10) as scope:
                scope.deadline = math.inf
                await anyio.sleep(20)
        assert timers.times == [10]

    virtual_time(main, backend="asyncio")


def test_who_is_due_is_called_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        alarm = Alarm()
        timers = Timers(alarm, monkeypatch)
        with alarm.scope(10):
            await anyio.sleep(20)
        assert timers.times == [10]

    virtual_time(main, backend="asyncio")


def test_a_timer_is_given_back_once_no_scope_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        alarm = Alarm()
        timers = Timers(alarm, monkeypatch)
        with alarm.scope(10):
            alarm.close()
            assert not timers.set[0].cancelled()
        alarm.close()
        assert timers.set[0].cancelled()

    virtual_time(main, backend="asyncio")


def test_an_alarm_rings_without_an_error() -> None:
    failed: list[object] = []

    async def main() -> None:
        get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
        alarm = Alarm()
        with alarm.scope(10):
            with alarm.scope(5):
                await anyio.sleep(20)
            await anyio.sleep(20)
        assert now() == pytest.approx(10)
        assert not failed

    virtual_time(main, backend="asyncio")


def test_a_scope_that_ended_is_forgotten() -> None:
    async def main() -> None:
        alarm = Alarm()
        with alarm.scope(10) as scope:
            await anyio.sleep(1)
        assert not alarm.scopes
        await anyio.sleep(20)
        assert not scope.cancelled_caught

    virtual_time(main, backend="asyncio")


def test_an_alarm_that_is_closed_lets_the_event_loop_rest() -> None:
    async def main() -> None:
        alarm = Alarm()
        with alarm.scope(now() + 10):
            alarm.close()  # too early: a scope is open
            await anyio.sleep(1)
        alarm.close()
        with alarm.scope(now() + 10) as scope:
            await anyio.sleep(20)
        assert scope.cancelled_caught

    virtual_time(main, backend="asyncio")


def test_an_alarm_serves_one_event_loop_after_the_other() -> None:
    scopes = Scopes()
    for _ in range(2):
        virtual_time(scopes.wait_for_all, (10,), backend="asyncio")
        assert scopes.ended == pytest.approx({0: 10})


def test_what_one_event_loop_planned_does_not_matter_in_the_next() -> None:
    scopes = Scopes()

    async def leave_early() -> None:
        with scopes.alarm.scope(now() + 5):
            await anyio.sleep(1)

    virtual_time(leave_early, backend="asyncio")
    virtual_time(scopes.wait_for_all, (10,), backend="asyncio")
    assert scopes.ended == pytest.approx({0: 10})


def test_a_second_event_loop_at_the_same_time_is_served_too() -> None:
    scopes = Scopes()

    async def main() -> None:
        with scopes.alarm.scope(now() + 1000):
            await to_thread.run_sync(
                lambda: virtual_time(scopes.wait_for_all, (10,), backend="asyncio")
            )

    anyio.run(main)
    assert scopes.ended == pytest.approx({0: 10})
