"""Events reach their listeners in order, and no listener harms anybody else."""

from __future__ import annotations

import contextvars
import dataclasses
import gc
import logging
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttskit.errors import InvalidParameterError, ResourceError, ServiceClosedError
from ttskit.telemetry.events import (
    AttemptEvent,
    BreakerEvent,
    DownloadEvent,
    Event,
    Events,
    FailoverEvent,
    HedgeEvent,
    MemoryEvent,
    ModelEvent,
    RetryEvent,
    StreamEvent,
    UtteranceEvent,
)

TIMEOUT_S = 10.0

ONE_OF_EACH: tuple[Event, ...] = (
    AttemptEvent(provider="acme"),
    RetryEvent(provider="acme", number=2, outcome="network", wait=0.1),
    FailoverEvent(provider="acme", to="local", outcome="network"),
    BreakerEvent(provider="acme", before="closed", after="open"),
    HedgeEvent(provider="acme", to="local", outcome="started"),
    UtteranceEvent(provider="local", utterance=0),
    StreamEvent(outcome="complete"),
    ModelEvent(provider="local", outcome="loaded", memory={"cpu": 10**9}),
    MemoryEvent(provider="local", step="clear"),
    DownloadEvent(provider="local", what="a model", received=10),
)


def attempt(number: int) -> AttemptEvent:
    return AttemptEvent(provider="acme", number=number)


def numbers(seen: list[AttemptEvent]) -> list[int]:
    return [event.number for event in seen]


def listening() -> set[threading.Thread]:
    """Return the threads of all listeners."""
    return {one for one in threading.enumerate() if one.name == "ttskit listener"}


class Hanging:
    """A listener that hangs in its first call until it is released."""

    def __init__(self) -> None:
        self.is_in = threading.Event()
        self.release = threading.Event()
        self.heard: list[AttemptEvent] = []

    def __call__(self, event: AttemptEvent) -> None:
        self.heard.append(event)
        self.is_in.set()
        self.release.wait()


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    listener = Hanging()
    yield listener
    listener.release.set()


@pytest.fixture
def events() -> Iterator[Events]:
    events = Events()
    yield events
    events.close(TIMEOUT_S)


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.name)
def test_a_listener_hears_of_its_kind_only(events: Events, event: Event) -> None:
    by_name, by_class = list[Event](), list[Event]()
    events.on(event.name, by_name.append)
    events.on(type(event), by_class.append)
    for one in ONE_OF_EACH:
        events.emit(one)
    assert events.close(TIMEOUT_S)
    assert by_name == by_class == [event]


@pytest.mark.parametrize("kind", ["*", Event], ids=["name", "class"])
def test_one_listener_can_hear_of_everything_in_order(
    events: Events, kind: str | type[Event]
) -> None:
    seen: list[Event] = []
    events.on(kind, seen.append)
    for one in ONE_OF_EACH:
        events.emit(one)
    assert events.close(TIMEOUT_S)
    assert seen == list(ONE_OF_EACH)


def test_a_callback_for_several_kinds_hears_them_in_order_and_one_at_a_time(events: Events) -> None:
    before, seen = listening(), list[Event]()
    events.on("retry", seen.append)
    events.on("attempt", seen.append)
    assert len(listening() - before) == 1
    retry = ONE_OF_EACH[1]
    for event in [attempt(1), retry, attempt(2), retry]:
        events.emit(event)
    assert events.close(TIMEOUT_S)
    assert seen == [attempt(1), retry, attempt(2), retry]


@settings(max_examples=50)
@given(counts=st.lists(st.integers(0, 40), min_size=1, max_size=4), listeners=st.integers(1, 3))
def test_each_emitters_events_arrive_whole_and_in_order(counts: list[int], listeners: int) -> None:
    events, heard = Events(), [list[AttemptEvent]() for _ in range(listeners)]
    for seen in heard:
        events.on("attempt", partial(list.append, seen))

    def emit_all(emitter: int) -> None:
        for number in range(counts[emitter]):
            events.emit(AttemptEvent(provider=str(emitter), number=number))

    emitters = [threading.Thread(target=emit_all, args=(one,)) for one in range(len(counts))]
    for thread in emitters:
        thread.start()
    for thread in emitters:
        thread.join()
    assert events.close(TIMEOUT_S)
    for emitter, count in enumerate(counts):
        for seen in heard:
            own = [event.number for event in seen if event.provider == str(emitter)]
            assert own == list(range(count))


@settings(max_examples=50)
@given(steps=st.lists(st.sampled_from(["a on", "a off", "b on", "b off", "emit"]), max_size=40))
def test_a_listener_hears_what_happens_while_it_is_subscribed(steps: list[str]) -> None:
    events, until_the_end = Events(), list[AttemptEvent]()
    heard: dict[str, list[AttemptEvent]] = {"a": [], "b": []}
    due: dict[str, list[int]] = {"a": [], "b": []}
    allowed: set[tuple[str, int]] = set()
    leave: dict[str, Callable[[], None]] = {}
    events.on("attempt", until_the_end.append)
    for number, step in enumerate(steps):
        who, _, action = step.partition(" ")
        if step == "emit":
            events.emit(attempt(number))
            for one in leave:
                due[one].append(number)
                allowed.add((one, number))
        elif action == "on" and who not in leave:
            due[who].clear()
            leave[who] = events.on("attempt", partial(list.append, heard[who]))
        elif action == "off" and who in leave:
            leave.pop(who)()
    assert events.close(TIMEOUT_S)
    assert numbers(until_the_end) == [n for n, step in enumerate(steps) if step == "emit"]
    for who, seen in heard.items():
        # What was still queued when it left may be missing, nothing else.
        heard_numbers = numbers(seen)
        assert heard_numbers == sorted(n for n in {*heard_numbers} if (who, n) in allowed)
        assert who not in leave or heard_numbers[len(heard_numbers) - len(due[who]) :] == due[who]


@pytest.mark.parametrize("failure", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_listener_that_raises_is_logged_once_and_goes_on(
    events: Events, caplog: pytest.LogCaptureFixture, failure: type[BaseException]
) -> None:
    calls, others = list[int](), list[AttemptEvent]()

    def fail(event: AttemptEvent) -> None:
        calls.append(event.number)
        raise failure

    events.on("attempt", fail)
    events.on("attempt", others.append)
    for number in range(5):
        events.emit(attempt(number))
    assert events.close(TIMEOUT_S)
    assert calls == numbers(others) == [0, 1, 2, 3, 4]
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_a_listener_that_hangs_holds_up_nobody_else(events: Events, hanging: Hanging) -> None:
    all_heard, others = threading.Event(), list[AttemptEvent]()

    def hear(event: AttemptEvent) -> None:
        others.append(event)
        if event.number == 99:
            all_heard.set()

    events.on("attempt", hanging)
    events.on("attempt", hear)
    for number in range(100):
        events.emit(attempt(number))
    assert all_heard.wait(TIMEOUT_S)
    assert numbers(others) == list(range(100))
    assert len(hanging.heard) <= 1


def test_what_a_slow_listener_leaves_behind_is_bounded_counted_and_logged_once(
    hanging: Hanging, caplog: pytest.LogCaptureFixture
) -> None:
    events = Events(queue_limit=3)
    events.on("attempt", hanging)
    events.emit(attempt(0))
    assert hanging.is_in.wait(TIMEOUT_S)
    for number in range(1, 10):
        events.emit(attempt(number))
    assert events.dropped == 6
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    hanging.release.set()
    assert events.close(TIMEOUT_S)
    assert numbers(hanging.heard) == [0, 1, 2, 3]


def test_closing_does_not_wait_for_a_listener_that_hangs_nor_call_it_again(
    hanging: Hanging,
) -> None:
    events, before, prompt = Events(), listening(), list[AttemptEvent]()
    events.on("attempt", hanging)
    events.on("attempt", prompt.append)
    for number in range(3):
        events.emit(attempt(number))
    assert hanging.is_in.wait(TIMEOUT_S)
    assert not events.close(timeout_s=0.05)
    hanging.release.set()
    for thread in listening() - before:
        thread.join(TIMEOUT_S)
    assert listening() <= before
    assert numbers(hanging.heard) == [0]


def test_a_listener_may_leave_within_its_call(events: Events) -> None:
    seen, left = list[AttemptEvent](), threading.Event()

    def once(event: AttemptEvent) -> None:
        seen.append(event)
        leave()
        left.set()

    leave = events.on("attempt", once)
    events.emit(attempt(0))
    assert left.wait(TIMEOUT_S)
    events.emit(attempt(1))
    assert events.close(TIMEOUT_S)
    assert numbers(seen) == [0]
    leave()


def test_a_listener_may_subscribe_and_emit_within_its_call(events: Events) -> None:
    late, echoed = list[AttemptEvent](), threading.Event()

    def echo(event: RetryEvent) -> None:
        events.on("attempt", late.append)
        events.emit(attempt(event.number))
        echoed.set()

    events.on("retry", echo)
    events.emit(ONE_OF_EACH[1])
    assert echoed.wait(TIMEOUT_S)
    assert events.close(TIMEOUT_S)
    assert numbers(late) == [2]


def test_a_listener_that_answers_each_event_with_another_does_not_outlive_closing() -> None:
    events, before, busy = Events(queue_limit=4), listening(), threading.Event()

    def echo(event: AttemptEvent) -> None:
        events.emit(event)
        events.emit(event)
        busy.set()

    events.on("attempt", echo)
    events.emit(attempt(0))
    assert busy.wait(TIMEOUT_S)
    assert events.close(TIMEOUT_S)
    assert listening() <= before


def test_a_listener_may_close_the_service() -> None:
    events, before, closed = Events(), listening(), threading.Event()

    def close(_: AttemptEvent) -> None:
        assert not events.close()
        closed.set()

    events.on("attempt", close)
    events.emit(attempt(0))
    assert closed.wait(TIMEOUT_S)
    for thread in listening() - before:
        thread.join(TIMEOUT_S)
    assert listening() <= before


def test_no_thread_is_started_until_somebody_listens() -> None:
    before, events = set(threading.enumerate()), Events()
    events.emit(attempt(0))
    assert not events.has_listener(AttemptEvent)
    assert set(threading.enumerate()) == before
    events.on("attempt", print)
    assert events.has_listener(AttemptEvent)
    assert all(thread.daemon for thread in listening() - before)
    assert events.close(TIMEOUT_S)


def test_a_subscription_that_gets_no_thread_is_a_typed_error_and_leaves_nothing() -> None:
    events, usual = Events(), threading.stack_size()
    threading.stack_size(1 << 46)  # more than any system gives
    try:
        with pytest.raises(ResourceError, match="no thread"):
            events.on("attempt", print)
    finally:
        threading.stack_size(usual)
    assert not events.has_listener(AttemptEvent)
    assert events.close()


def test_what_is_queued_is_not_delivered_to_a_listener_that_left(hanging: Hanging) -> None:
    events, before = Events(), listening()
    leave = events.on("attempt", hanging)
    events.emit(attempt(0))
    events.emit(attempt(1))
    assert hanging.is_in.wait(TIMEOUT_S)
    leave()
    hanging.release.set()
    for thread in listening() - before:
        thread.join(TIMEOUT_S)
    assert numbers(hanging.heard) == [0]


def test_nothing_of_an_event_is_kept_once_it_is_delivered(events: Events) -> None:
    buffer, audio, gone = contextvars.ContextVar[Hanging]("buffer"), Hanging(), threading.Event()
    weakref.finalize(audio, gone.set)
    events.on("attempt", id)
    context = contextvars.copy_context()
    context.run(buffer.set, audio)
    context.run(events.emit, attempt(0))
    del context, audio
    gc.collect()
    assert gone.wait(TIMEOUT_S)


def test_a_closed_service_keeps_no_listener_alive(events: Events) -> None:
    listener = Hanging()
    gone = weakref.ref(listener)
    events.on("attempt", listener)
    assert events.close(TIMEOUT_S)
    del listener
    gc.collect()
    assert gone() is None


def test_a_listeners_thread_ends_when_it_leaves_its_last_event() -> None:
    events, before, heard = Events(), listening(), threading.Semaphore(0)

    def hear(_: Event) -> None:
        heard.release()

    leave_retries, leave_attempts = events.on("retry", hear), events.on("attempt", hear)
    (thread,) = listening() - before
    leave_retries()
    for number in range(100):
        events.emit(attempt(number))
    assert all(heard.acquire(timeout=TIMEOUT_S) for _ in range(100))
    leave_attempts()
    thread.join(TIMEOUT_S)
    assert not thread.is_alive()
    assert not events.has_listener(AttemptEvent)


def test_listeners_threads_end_with_a_service_that_nobody_closed() -> None:
    events, before = Events(), listening()
    events.on("*", print)
    (thread,) = listening() - before
    del events
    gc.collect()
    thread.join(TIMEOUT_S)
    assert not thread.is_alive()


def test_after_closing_nothing_is_heard_and_nobody_can_subscribe(events: Events) -> None:
    seen: list[AttemptEvent] = []
    leave = events.on("attempt", seen.append)
    assert events.close(TIMEOUT_S)
    assert events.close(TIMEOUT_S)
    events.emit(attempt(0))
    leave()
    assert not events.has_listener(AttemptEvent)
    assert seen == []
    with pytest.raises(ServiceClosedError):
        events.on("attempt", seen.append)


def test_a_listener_sees_the_context_of_whoever_emitted(events: Events) -> None:
    request, seen = contextvars.ContextVar[str]("request"), list[str]()
    events.on("attempt", lambda _: seen.append(request.get("lost")))
    for name in ("first", "second"):
        contextvars.copy_context().run(emit_within, events, request, name)
    assert events.close(TIMEOUT_S)
    assert seen == ["first", "second"]


def emit_within(events: Events, request: contextvars.ContextVar[str], name: str) -> None:
    request.set(name)
    events.emit(attempt(0))


@pytest.mark.parametrize(
    ("name", "hint"), [("atempt", "did you mean 'attempt'"), ("???", "there are attempt, retry")]
)
def test_an_unknown_event_is_answered_with_those_there_are(
    events: Events, name: str, hint: str
) -> None:
    with pytest.raises(InvalidParameterError, match=hint):
        events.on(name, print)


def test_a_coroutine_function_is_refused_as_a_listener(events: Events) -> None:
    async def listener(event: AttemptEvent) -> None: ...

    with pytest.raises(InvalidParameterError, match="plain function"):
        events.on("attempt", listener)


@pytest.mark.parametrize(
    ("change", "level", "line"),
    [
        (
            BreakerEvent(
                provider="acme",
                model="m\n1",
                before="closed",
                after="open",
                reason="network",
                next_probe_in=2.54,
            ),
            logging.WARNING,
            "acme (model 'm\\n1'): circuit open, was closed (network), next probe in 2.5 s",
        ),
        (
            BreakerEvent(provider="acme", before="half-open", after="closed"),
            logging.INFO,
            "acme: circuit closed, was half-open",
        ),
    ],
    ids=["opened", "closed"],
)
def test_a_change_of_state_is_one_line_in_the_log(
    caplog: pytest.LogCaptureFixture, change: BreakerEvent, level: int, line: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="ttskit.telemetry")
    events = Events()
    for event in (attempt(0), change):
        events.emit(event)
    assert caplog.record_tuples == [("ttskit.telemetry", level, line)]


def test_an_event_is_plain_data_and_apart_from_the_request() -> None:
    tags = {"tenant": "a"}
    event = AttemptEvent(provider="acme", tags=tags, frames=12_000, sample_rate=24_000)
    tags["tenant"] = "b"
    data = dataclasses.asdict(event)
    assert (data["tags"], event.audio, attempt(0).audio) == ({"tenant": "a"}, 0.5, 0.0)
    assert isinstance(hash(event), int)


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.name)
def test_an_event_has_no_place_for_a_text_or_a_message(event: Event) -> None:
    fields = {field.name for field in dataclasses.fields(event)}
    assert not fields & {"text", "ssml", "message", "error", "cause", "headers", "options"}


def test_listening_loads_neither_numpy_nor_an_event_loop() -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; import ttskit.telemetry.health\n"
        "print(*sys.modules.keys() & {'numpy', 'anyio', 'asyncio', 'pydantic', 'httpx'})"
    )
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == ""


def test_a_process_ends_quietly_while_a_listener_hangs() -> None:
    code = (
        "import threading; from ttskit.telemetry.events import *\n"
        "events, is_in = Events(), threading.Event()\n"
        "events.on('attempt', lambda _: (is_in.set(), threading.Event().wait()))\n"
        "events.emit(AttemptEvent(provider='acme')); is_in.wait()"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, check=False, timeout=30, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
