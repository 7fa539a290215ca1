from __future__ import annotations

import math

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


def test_a_second_event_loop_at_the_same_time_is_served_too() -> None:
    scopes = Scopes()

    async def main() -> None:
        with scopes.alarm.scope(now() + 1000):
            await to_thread.run_sync(
                lambda: virtual_time(scopes.wait_for_all, (10,), backend="asyncio")
            )

    anyio.run(main)
    assert scopes.ended == pytest.approx({0: 10})
