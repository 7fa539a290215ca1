"""Daemon threads and the handover: order, limits, and leaving on either side."""

from __future__ import annotations

import contextvars
import threading
from functools import partial

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttskit.errors import ResourceError, ServiceClosedError
from ttskit.resources.threads import DaemonThreads, Handover, ask

TIMEOUT_S = 10.0


def test_tasks_run_in_the_order_they_came() -> None:
    threads, done, seen = DaemonThreads(1, name="test"), threading.Event(), list[int]()
    for number in range(50):
        threads.submit(lambda number=number: seen.append(number))
    threads.submit(done.set)
    assert done.wait(TIMEOUT_S)
    assert seen == list(range(50))


@settings(max_examples=30)
@given(lanes=st.lists(st.sampled_from("abc"), max_size=30), limit=st.integers(1, 4))
def test_a_lanes_tasks_run_in_order_and_never_together(lanes: list[str], limit: int) -> None:
    threads, left = DaemonThreads(limit, name="test"), threading.Semaphore(0)
    running, ran = list[str](), list[tuple[str, int]]()

    def task(lane: str, number: int) -> None:
        assert lane not in running
        running.append(lane)
        ran.append((lane, number))
        running.remove(lane)
        left.release()

    for number, lane in enumerate(lanes):
        threads.submit(partial(task, lane, number), lane=lane)
    assert all(left.acquire(timeout=TIMEOUT_S) for _ in lanes)
    for lane in set(lanes):
        expected = [number for number, own in enumerate(lanes) if own == lane]
        assert [number for own, number in ran if own == lane] == expected


def test_a_long_lane_does_not_hold_up_other_work() -> None:
    threads, seen, done = DaemonThreads(1, name="test"), list[str](), threading.Event()
    gate = threading.Event()
    threads.submit(lambda: gate.wait(TIMEOUT_S), lane="long")
    for _ in range(5):
        threads.submit(lambda: seen.append("long"), lane="long")
    threads.submit(lambda: seen.append("short"))
    threads.submit(done.set, lane="long")
    gate.set()
    assert done.wait(TIMEOUT_S)
    assert seen.index("short") == 0


@pytest.mark.anyio
async def test_a_blocking_question_is_answered_without_blocking_the_loop() -> None:
    threads = DaemonThreads(1, name="test")
    assert await ask(threads, lambda: 42) == 42
    with pytest.raises(LookupError):
        await ask(threads, lambda: {}["missing"])


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_as_many_tasks_run_together_as_allowed(limit: int) -> None:
    threads, barrier = DaemonThreads(limit, name="test"), threading.Barrier(limit + 1)
    for _ in range(limit):
        threads.submit(lambda: barrier.wait(TIMEOUT_S))
    barrier.wait(TIMEOUT_S)


def test_no_more_threads_are_started_than_allowed() -> None:
    threads, used, done = DaemonThreads(2, name="test"), set[int](), threading.Semaphore(0)

    def task() -> None:
        used.add(threading.get_ident())
        done.release()

    for _ in range(20):
        threads.submit(task)
    assert all(done.acquire(timeout=TIMEOUT_S) for _ in range(20))
    assert len(used) <= 2


def test_a_task_that_raises_takes_no_thread_and_no_lane_along(
    caplog: pytest.LogCaptureFixture,
) -> None:
    threads, done = DaemonThreads(1, name="test"), threading.Event()

    def broken() -> None:
        raise LookupError("a secret text")

    threads.submit(broken, lane="a")
    threads.submit(done.set, lane="a")
    assert done.wait(TIMEOUT_S)
    assert threads.wait_until_idle(TIMEOUT_S)
    assert caplog.messages == ["ttskit test: a task raised LookupError"]
    assert "secret" not in caplog.text


def test_a_lane_that_found_no_thread_takes_the_next_task(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, done = DaemonThreads(1, name="test"), threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _no_thread)  # as the system says it at its limit
        with pytest.raises(ResourceError):
            threads.submit(done.set, lane="a")
    threads.submit(done.set, lane="a")
    assert done.wait(TIMEOUT_S)


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError(f"can't start new thread for {thread.name}")


def test_threads_never_keep_the_process_alive() -> None:
    threads, seen, done = DaemonThreads(1, name="test"), list[bool](), threading.Event()
    threads.submit(lambda: seen.append(threading.current_thread().daemon))
    threads.submit(done.set)
    assert done.wait(TIMEOUT_S)
    assert seen == [True]


def test_tasks_see_the_context_of_whoever_submitted_them() -> None:
    request = contextvars.ContextVar[str]("request")
    threads, seen, done = DaemonThreads(1, name="test"), list[str](), threading.Event()
    request.set("42")
    threads.submit(lambda: seen.append(request.get("lost")))
    threads.submit(done.set)
    assert done.wait(TIMEOUT_S)
    assert seen == ["42"]


def test_what_is_queued_is_dropped_on_closing() -> None:
    threads, release, ended = DaemonThreads(1, name="test"), threading.Event(), threading.Event()
    dropped: list[str] = []
    threads.submit(lambda: release.wait(TIMEOUT_S))
    threads.submit(lambda: dropped.append("ran"))
    threads.close(ended.set)
    assert not ended.is_set()
    release.set()
    assert ended.wait(TIMEOUT_S)
    assert dropped == []


def test_closed_threads_take_no_more_work() -> None:
    threads = DaemonThreads(1, name="test")
    threads.close()
    with pytest.raises(ServiceClosedError):
        threads.submit(lambda: None)


def test_waiting_for_a_stuck_task_ends() -> None:
    threads, running, release = DaemonThreads(1, name="test"), threading.Event(), threading.Event()
    threads.submit(lambda: (running.set(), release.wait(TIMEOUT_S)))
    assert running.wait(TIMEOUT_S)
    assert not threads.wait_until_idle(0.01)
    release.set()
    assert threads.wait_until_idle(TIMEOUT_S)


@pytest.mark.anyio
async def test_items_are_handed_over_in_order() -> None:
    handover: Handover[int] = Handover()
    DaemonThreads(1, name="test").submit(lambda: _put_all(handover, 100))
    assert [item async for item in handover] == list(range(100))


@pytest.mark.anyio
async def test_the_thread_is_one_item_ahead_of_its_reader_at_most() -> None:
    handover: Handover[int] = Handover()
    put: list[int] = []
    DaemonThreads(1, name="test").submit(lambda: _put_all(handover, 10, put))
    async for item in handover:
        assert len(put) <= item + 2
        await anyio.lowlevel.checkpoint()


@pytest.mark.anyio
async def test_a_thread_that_waits_goes_on_when_the_reader_leaves() -> None:
    handover: Handover[int] = Handover()
    threads, ended = DaemonThreads(1, name="test"), threading.Event()
    threads.submit(lambda: _put_all(handover, 10))
    threads.submit(ended.set)
    assert await anext(handover) == 0
    handover.close()
    assert ended.wait(TIMEOUT_S)


@pytest.mark.anyio
async def test_the_threads_error_reaches_the_reader_once() -> None:
    handover: Handover[int] = Handover()
    DaemonThreads(1, name="test").submit(lambda: handover.end(LookupError("gone")))
    with pytest.raises(LookupError):
        await anext(handover)
    assert [item async for item in handover] == []


def test_a_reader_whose_loop_is_gone_troubles_no_thread() -> None:
    async def open_and_leave() -> Handover[int]:
        return Handover()

    handover = anyio.run(open_and_leave)
    assert handover.put(1)
    handover.end()


def _put_all(handover: Handover[int], count: int, put: list[int] | None = None) -> None:
    for number in range(count):
        if not handover.put(number):
            return
        if put is not None:
            put.append(number)
    handover.end()


@pytest.mark.anyio
async def test_who_is_aborted_learns_why_however_soon_the_thread_ends() -> None:
    class Alert(threading.Event):
        """Has the thread end in the very moment in which it is stopped."""

        def set(self) -> None:
            super().set()
            handover.end()

    handover: Handover[int] = Handover()
    handover.stop = Alert()
    handover.abort(ServiceClosedError("shut down"))
    with pytest.raises(ServiceClosedError), anyio.fail_after(TIMEOUT_S):
        await anext(handover)
