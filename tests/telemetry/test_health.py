"""What is known of providers is true, recent and bounded."""

from __future__ import annotations

import gc
import math
import statistics
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.telemetry.events import (
    AttemptEvent,
    BreakerEvent,
    Event,
    FailoverEvent,
    HedgeEvent,
    RetryEvent,
    StreamEvent,
    UtteranceEvent,
)
from ttskit.telemetry.health import (
    CALLS_KEPT,
    MODELS_KEPT,
    HealthBook,
    Percentiles,
    ProviderHealth,
    ProviderStats,
    Stats,
)

OK = AttemptEvent(provider="acme", characters=10, time_to_first_audio=0.2)
FAILED = AttemptEvent(provider="acme", characters=10, outcome="network", counts=True, at=1e9)
REJECTED = AttemptEvent(provider="acme", outcome="voice_not_found", counts=False, at=2e9)
CANCELLED = AttemptEvent(provider="acme", outcome="cancelled")
OPENED = BreakerEvent(provider="acme", before="closed", after="open", next_probe_in=5.0)

latencies = st.lists(st.floats(0, 60), min_size=1, max_size=300)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> HealthBook:
    return HealthBook(clock)


def record(book: HealthBook, *events: Event) -> None:
    for event in events:
        book.record(event)


@given(values=latencies, part=st.sampled_from([50, 95, 99]))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(
    values: list[float], part: int
) -> None:
    found = Percentiles.of(values)
    assert found is not None
    value = {50: found.p50, 95: found.p95, 99: found.p99}[part]
    reaching = [
        v for v in sorted(values) if 100 * sum(w <= v for w in values) >= part * len(values)
    ]
    assert value == reaching[0]


@given(values=latencies)
def test_percentiles_are_values_that_were_measured_in_rising_order(values: list[float]) -> None:
    found = Percentiles.of(values)
    assert found is not None
    assert min(values) <= found.p50 <= found.p95 <= found.p99 <= max(values)
    assert {found.p50, found.p95, found.p99} <= set(values)
    assert found.p50 == statistics.median_low(values)


def test_a_hundred_values_have_the_percentiles_one_expects() -> None:
    assert Percentiles.of(range(100, 0, -1)) == Percentiles(50, 95, 99)
    assert Percentiles.of([]) is None


@given(
    calls=st.lists(st.tuples(st.floats(0, 200), st.floats(0, 60)), max_size=60),
    window_s=st.floats(1, 400),
)
def test_the_time_to_first_audio_is_that_of_the_calls_within_the_window(
    calls: list[tuple[float, float]], window_s: float
) -> None:
    clock = Clock()
    book = HealthBook(clock, window_s=window_s)
    ended = list[tuple[float, float]]()
    for pause, latency in calls:
        clock.now += pause
        book.record(replace(OK, time_to_first_audio=latency))
        ended.append((clock.now, latency))
    recent = sorted(latency for at, latency in ended if clock.now - at <= window_s)
    health = book.of("acme")
    assert health.calls == len(recent)
    p95 = health.time_to_first_audio.p95 if health.time_to_first_audio else None
    assert p95 == (recent[math.ceil(0.95 * len(recent)) - 1] if recent else None)


@pytest.mark.parametrize(
    ("events", "rate"),
    [
        ([], None),
        ([OK, OK], 0.0),
        ([OK, FAILED, OK, FAILED], 0.5),
        ([FAILED, CANCELLED, REJECTED], 1.0),
        ([CANCELLED] * 5, None),
        ([REJECTED] * 5, None),
    ],
    ids=["no calls", "good", "half", "bad", "listeners who left", "callers' own mistakes"],
)
def test_only_failures_of_the_provider_make_its_error_rate(
    book: HealthBook, events: list[AttemptEvent], rate: float | None
) -> None:
    record(book, *events)
    assert book.of("acme").error_rate == rate
    assert book.of("acme").calls == len(events)


def test_an_old_failure_is_forgotten_in_the_rate_but_told_as_the_last_error(
    book: HealthBook, clock: Clock
) -> None:
    record(book, FAILED)
    clock.now += 300
    assert book.of("acme").error_rate == 1.0
    clock.now += 1
    record(book, OK, CANCELLED)
    health = book.of("acme")
    assert (health.error_rate, health.calls) == (0.0, 2)
    assert (health.last_error, health.last_error_at) == ("network", 1e9)


def test_the_last_error_is_the_latest_whoever_is_to_blame(book: HealthBook) -> None:
    record(book, FAILED, REJECTED)
    assert (book.of("acme").last_error, book.of("acme").last_error_at) == ("voice_not_found", 2e9)


def test_the_time_until_the_next_probe_runs_down_to_nothing(book: HealthBook, clock: Clock) -> None:
    record(book, OPENED)
    clock.now += 2
    assert (book.of("acme").state, book.of("acme").next_probe_in) == ("open", 3.0)
    clock.now += 20
    assert book.of("acme").next_probe_in == 0.0
    record(book, BreakerEvent(provider="acme", before="open", after="half-open"))
    assert (book.of("acme").state, book.of("acme").next_probe_in) == ("half-open", None)


def test_models_of_a_provider_are_apart(book: HealthBook) -> None:
    record(book, replace(OK, model="big"), replace(FAILED, model="small"), OK)
    rates = [(health.model, health.error_rate) for health in book.health()]
    assert rates == [(None, 0.0), ("big", 0.0), ("small", 1.0)]


def test_a_provider_that_was_never_asked_is_in_good_health(book: HealthBook) -> None:
    assert book.of("acme", "big") == ProviderHealth("acme", "big", state="closed")
    assert book.health() == []


def test_any_number_of_models_and_calls_takes_bounded_memory(book: HealthBook) -> None:
    for number in range(MODELS_KEPT + 50):
        book.record(replace(OK, model=str(number)))
    for _ in range(CALLS_KEPT + 50):
        book.record(FAILED)
    assert len(book.health()) == MODELS_KEPT
    assert book.of("acme").calls == CALLS_KEPT
    assert book.of("acme", str(MODELS_KEPT + 49)).calls == 1
    assert book.of("acme", "0").calls == 0


def test_a_flood_of_models_does_not_hide_an_open_breaker(book: HealthBook) -> None:
    record(book, OPENED)
    for number in range(2 * MODELS_KEPT):
        book.record(replace(OK, model=str(number)))
    assert book.of("acme").state == "open"


def test_a_flood_of_open_breakers_is_bounded_too(book: HealthBook) -> None:
    for number in range(2 * MODELS_KEPT):
        book.record(replace(OPENED, model=str(number)))
    assert len(book.health()) == MODELS_KEPT
    assert book.of("acme", str(2 * MODELS_KEPT - 1)).state == "open"


def test_stats_tell_what_each_provider_did_and_all_together(book: HealthBook) -> None:
    record(
        book,
        FAILED,
        RetryEvent(provider="acme", number=2, outcome="network", wait=0.1),
        FAILED,
        FailoverEvent(provider="acme", to="local", outcome="network"),
        HedgeEvent(provider="local", to="spare", outcome="started"),
        HedgeEvent(provider="local", to="spare", outcome="lost"),
        replace(OK, provider="local"),
        replace(CANCELLED, provider="spare", characters=4),
        UtteranceEvent(
            provider="local", utterance=0, characters=10, frames=48_000, sample_rate=24_000
        ),
    )
    acme = ProviderStats(attempts=2, failures=2, retries=1, failovers=1, characters_sent=20)
    local = ProviderStats(attempts=1, characters_sent=10, characters=10, audio=2.0)
    spare = ProviderStats(attempts=1, hedges=1, characters_sent=4)
    stats = book.stats()
    assert dict(stats.providers) == {"acme": acme, "local": local, "spare": spare}
    assert stats.total == acme + local + spare


def test_stats_tell_how_requests_ended(book: HealthBook) -> None:
    ends = ["complete", "resumed", "cancelled", "all_providers_failed"]
    record(book, *(StreamEvent(outcome="opened") for _ in range(5)))
    record(book, *(StreamEvent(outcome=end) for end in ends))
    assert book.stats() == Stats(requests=4, failed_requests=1, open_requests=1)


def test_what_was_handed_out_does_not_change_afterwards(book: HealthBook) -> None:
    record(book, OK)
    stats, health = book.stats(), book.of("acme")
    record(book, OK, FAILED)
    assert (stats.total.attempts, health.calls) == (1, 1)


def test_nothing_is_lost_when_many_threads_record_and_read(book: HealthBook) -> None:
    def work() -> None:
        for _ in range(500):
            book.record(OK)
            book.stats()
            book.health()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert book.stats().total.attempts == 2000


class Dropped:
    """In a reference cycle; tells the book when the garbage collector finds it."""

    def __init__(self, book: HealthBook) -> None:
        self.book = book
        self.itself = self

    def __del__(self) -> None:
        self.book.record(OK)


def test_a_stream_that_the_garbage_collector_ends_is_counted_at_any_moment(
    book: HealthBook,
) -> None:
    before = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for _ in range(300):
            Dropped(book)
            book.record(OK)
            book.health()
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert book.stats().total.attempts == 600
