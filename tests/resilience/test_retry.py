from __future__ import annotations

import gc
import math
import random
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import examples
from ttskit.errors import (
    AuthenticationError,
    ContentRejectedError,
    InvalidParameterError,
    NetworkError,
    PermissionDeniedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TextTooLongError,
    TTSError,
    VoiceNotFoundError,
)
from ttskit.resilience.budget import RetryBudget
from ttskit.resilience.retry import wait_before, with_retries
from ttskit.resilience.settings import BudgetSettings, RetrySettings
from ttskit.testing.clock import virtual_time
from ttskit.testing.sweep import CancelSweep

DEFAULTS = RetrySettings()
PLENTY = BudgetSettings(reserve_per_s=1_000)
TRANSIENT = NetworkError("reset")


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@dataclass
class Provider:
    """Fails with each of the errors in turn, then speaks."""

    errors: list[TTSError]
    times: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    told: list[tuple[int, TTSError, float]] = field(default_factory=list)

    @property
    def waits(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.times, self.times[1:], strict=False)]

    async def call(self, number: int) -> str:
        self.times.append(anyio.current_time())
        self.numbers.append(number)
        await anyio.lowlevel.checkpoint()
        if number <= len(self.errors):
            raise self.errors[number - 1]
        return "speech"

    async def ask(
        self,
        retry: RetrySettings = DEFAULTS,
        *,
        budget: BudgetSettings = PLENTY,
        allowed_s: float | None = None,
        seed: int = 1,
        has_alternative: bool = False,
        is_committed: Callable[[], bool] | None = None,
    ) -> str:
        return await with_retries(
            self.call,
            retry,
            budget=RetryBudget(budget, clock=anyio.current_time),
            deadline=None if allowed_s is None else anyio.current_time() + allowed_s,
            clock=anyio.current_time,
            random=random.Random(seed),
            on_retry=lambda *told: self.told.append(told),
            has_alternative=has_alternative,
            is_committed=is_committed,
        )


def fails(provider: Provider, backend: str) -> TTSError:
    """Return what the provider's last attempt failed with."""
    with pytest.raises(TTSError) as caught:
        virtual_time(provider.ask, backend=backend)
    return caught.value


def test_a_call_that_succeeds_is_made_once(backend: str) -> None:
    provider = Provider([])
    assert virtual_time(provider.ask, backend=backend) == "speech"
    assert provider.numbers == [1]


def test_a_failure_that_may_pass_is_tried_again(backend: str) -> None:
    provider = Provider([NetworkError("reset"), ProviderTimeoutError("slow")])
    assert virtual_time(provider.ask, backend=backend) == "speech"
    assert provider.numbers == [1, 2, 3]


def test_attempts_end_with_the_last_error_itself(backend: str) -> None:
    errors: list[TTSError] = [NetworkError(f"reset {number}") for number in range(5)]
    provider = Provider(errors)
    assert fails(provider, backend) is errors[2]
    assert provider.numbers == [1, 2, 3]


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("401"),
        QuotaExceededError("402"),
        PermissionDeniedError("403"),
        VoiceNotFoundError("404"),
        TextTooLongError("413"),
        ContentRejectedError("422"),
        InvalidParameterError("400"),
        NetworkError("said not to", retryable=False),
    ],
    ids=str,
)
def test_what_will_not_pass_is_asked_once(error: TTSError, backend: str) -> None:
    provider = Provider([error])
    assert fails(provider, backend) is error
    assert provider.numbers == [1]


def test_a_bug_is_no_failure_to_try_again() -> None:
    async def main() -> None:
        provider = Provider([ZeroDivisionError()])  # type: ignore[list-item]
        with pytest.raises(ZeroDivisionError):
            await provider.ask()
        assert provider.numbers == [1]

    virtual_time(main)


def test_without_budget_there_is_no_second_attempt(backend: str) -> None:
    provider = Provider([TRANSIENT])
    nothing = BudgetSettings(ratio=0, reserve_per_s=0)
    with pytest.raises(NetworkError):
        virtual_time(partial(provider.ask, budget=nothing), backend=backend)
    assert provider.numbers == [1]


def test_the_listener_hears_of_each_attempt_to_come(backend: str) -> None:
    provider = Provider([TRANSIENT, TRANSIENT])
    virtual_time(provider.ask, backend=backend)
    assert [(number, error) for number, error, _ in provider.told] == [
        (2, TRANSIENT),
        (3, TRANSIENT),
    ]
    assert [wait for *_, wait in provider.told] == pytest.approx(provider.waits)


@pytest.mark.parametrize("asked", [0, 0.5, 1, 1.5, 59.9, 120])
def test_a_provider_s_own_wait_is_kept_to(asked: float, backend: str) -> None:
    for seed in range(10):
        provider = Provider([RateLimitedError("slow down", retry_after=asked)])
        virtual_time(partial(provider.ask, seed=seed), backend=backend)
        assert asked - 1e-9 <= provider.waits[0] <= asked * 1.1 + 1e-9


@pytest.mark.parametrize("asked", [120.1, 600, 1e308, math.inf, math.nan, -1], ids=str)
def test_a_wait_that_is_too_long_or_nonsense_is_not_waited_for(asked: float, backend: str) -> None:
    provider = Provider([RateLimitedError("slow down", retry_after=asked)])
    error = fails(provider, backend)
    assert error is provider.errors[0]
    assert len(provider.times) == 1
    assert not provider.told


def test_a_wait_beyond_the_deadline_is_not_begun(backend: str) -> None:
    async def main() -> None:
        provider = Provider([RateLimitedError("slow down", retry_after=30)])
        began = anyio.current_time()
        with pytest.raises(RateLimitedError):
            await provider.ask(allowed_s=30)
        assert anyio.current_time() == began
        assert await Provider(provider.errors).ask(allowed_s=30.1) == "speech"
        assert anyio.current_time() <= began + 30.1

    virtual_time(main, backend=backend)


@given(
    retry_after=st.one_of(st.none(), st.floats(0, 40), st.floats()),
    allowed=st.floats(0.001, 50),
    seed=st.integers(),
)
@settings(max_examples=examples(ci=100, nightly=2_000))
def test_no_attempt_begins_after_the_deadline(
    retry_after: float | None, allowed: float, seed: int
) -> None:
    provider = Provider([ProviderUnavailableError("busy", retry_after=retry_after)] * 9)
    patient = RetrySettings(attempts=10)
    with suppress(ProviderUnavailableError):
        virtual_time(partial(provider.ask, patient, allowed_s=allowed, seed=seed))
    assert all(0 <= at <= allowed + 1e-9 for at in provider.times)


@pytest.mark.parametrize(
    "error",
    [
        RateLimitedError("429"),
        ProviderUnavailableError("503"),
        NetworkError("come later", retry_after=60),
    ],
    ids=str,
)
def test_where_another_can_speak_nobody_waits_for_the_overloaded(
    error: TTSError, backend: str
) -> None:
    provider = Provider([error])
    with pytest.raises(type(error)):
        virtual_time(partial(provider.ask, has_alternative=True), backend=backend)
    assert len(provider.times) == 1


def test_a_wait_as_long_as_one_s_patience_is_not_felt(backend: str) -> None:
    provider = Provider([NetworkError("come again", retry_after=0.1)])
    exact = RetrySettings(patience_s=0.1, pushback_jitter=0)
    ask = partial(provider.ask, exact, has_alternative=True)
    assert virtual_time(ask, backend=backend) == "speech"


def test_where_another_can_speak_a_broken_connection_is_tried_once_more_at_once(
    backend: str,
) -> None:
    provider = Provider([TRANSIENT])
    assert virtual_time(partial(provider.ask, has_alternative=True), backend=backend) == "speech"
    assert provider.waits == [0]


def test_where_another_can_speak_nobody_is_asked_a_third_time(backend: str) -> None:
    provider = Provider([TRANSIENT, TRANSIENT])
    with pytest.raises(NetworkError):
        virtual_time(partial(provider.ask, has_alternative=True), backend=backend)
    assert provider.waits == [0]


def test_where_another_can_speak_who_took_too_long_is_left(backend: str) -> None:
    provider = Provider([ProviderTimeoutError("no audio came")])
    with pytest.raises(ProviderTimeoutError):
        virtual_time(partial(provider.ask, has_alternative=True), backend=backend)
    assert provider.numbers == [1]


def test_the_only_provider_is_asked_again_after_a_time_out(backend: str) -> None:
    provider = Provider([ProviderTimeoutError("no audio came")])
    assert virtual_time(provider.ask, backend=backend) == "speech"


def test_where_time_is_up_nobody_is_tried_again_even_at_once(backend: str) -> None:
    provider = Provider([TRANSIENT])
    with pytest.raises(NetworkError):
        virtual_time(partial(provider.ask, has_alternative=True, allowed_s=0), backend=backend)
    assert provider.numbers == [1]


def test_as_long_as_there_is_time_a_broken_connection_is_tried_once_more(backend: str) -> None:
    provider = Provider([TRANSIENT])
    ask = partial(provider.ask, has_alternative=True, allowed_s=0.01)
    assert virtual_time(ask, backend=backend) == "speech"


@pytest.mark.parametrize("heard_in", [1, 2, 3])
def test_what_was_heard_in_part_is_not_said_again(heard_in: int, backend: str) -> None:
    errors: list[TTSError] = [NetworkError(f"reset {number}") for number in range(3)]
    provider = Provider(errors)
    ask = partial(provider.ask, is_committed=lambda: len(provider.times) == heard_in)
    with pytest.raises(NetworkError) as caught:
        virtual_time(ask, backend=backend)
    assert caught.value is errors[heard_in - 1]
    assert provider.numbers == list(range(1, heard_in + 1))


def test_what_was_heard_in_part_costs_the_budget_nothing() -> None:
    async def main() -> None:
        budget = RetryBudget(PLENTY, clock=anyio.current_time)
        before = budget.balance
        with pytest.raises(NetworkError):
            await with_retries(
                Provider([TRANSIENT]).call,
                DEFAULTS,
                budget=budget,
                deadline=None,
                clock=anyio.current_time,
                random=random.Random(1),
                is_committed=lambda: True,
            )
        assert budget.balance == before

    virtual_time(main)


def distance_from_uniform(draws: list[float], top: float) -> float:
    """Return Kolmogorov's and Smirnov's D."""
    steps = enumerate(sorted(draws))
    return max(abs(draw / top - (step + 0.5) / len(draws)) for step, draw in steps)


@pytest.mark.parametrize(("failed", "top"), [(1, 0.05), (2, 0.1), (5, 0.8), (8, 5.0), (30, 5.0)])
def test_waits_are_spread_evenly_up_to_the_doubled_and_capped_one(failed: int, top: float) -> None:
    dice = random.Random(failed)
    count = 100_000
    draws = [wait_before(failed, TRANSIENT, DEFAULTS, math.inf, dice) for _ in range(count)]
    assert distance_from_uniform(draws, top) < 1.95 / math.sqrt(count)  # p = 0.001
    assert len(set(draws)) > 0.99 * count


@pytest.mark.parametrize(
    ("error", "top"),
    [(TRANSIENT, 0.05), (RateLimitedError("429"), 1.0), (ProviderUnavailableError("503"), 1.0)],
    ids=["transient", "429", "503"],
)
def test_an_overloaded_provider_is_left_alone_for_longer(error: TTSError, top: float) -> None:
    dice = random.Random(1)
    draws = [wait_before(1, error, DEFAULTS, math.inf, dice) for _ in range(2_000)]
    assert 0.99 * top < max(draws) <= top


def test_many_attempts_overflow_nothing() -> None:
    assert 0 <= wait_before(1_000_000, TRANSIENT, DEFAULTS, math.inf, random.Random(1)) <= 5


def test_no_wait_is_drawn_beyond_the_time_that_is_left() -> None:
    dice = random.Random(1)
    assert all(wait_before(9, TRANSIENT, DEFAULTS, 0.01, dice) <= 0.01 for _ in range(1_000))
    assert wait_before(9, TRANSIENT, DEFAULTS, 0.0, dice) == math.inf


def test_a_total_outage_is_not_multiplied(backend: str) -> None:
    calls = 0

    async def down(_: int) -> str:
        nonlocal calls
        calls += 1
        raise TRANSIENT

    async def main() -> None:
        budget = RetryBudget(BudgetSettings(), clock=anyio.current_time)
        dice = random.Random(1)

        async def request() -> None:
            budget.deposit()
            with suppress(NetworkError):
                await with_retries(
                    down,
                    DEFAULTS,
                    budget=budget,
                    deadline=None,
                    clock=anyio.current_time,
                    random=dice,
                )

        async with anyio.create_task_group() as tasks:
            for _ in range(10_000):
                tasks.start_soon(request)
                await anyio.sleep(0.01)

    virtual_time(main, backend=backend)
    assert calls <= 1.12 * 10_000


@pytest.mark.parametrize("after_s", [0.0, 5.0, 9.9], ids=["in the call", "in the wait", "late"])
def test_a_cancelled_call_is_not_made_again(after_s: float, backend: str) -> None:
    async def main() -> None:
        provider = Provider([RateLimitedError("slow down", retry_after=10)])
        with anyio.move_on_after(after_s) as scope:
            await provider.ask()
        assert scope.cancelled_caught
        await anyio.sleep(100)
        assert provider.numbers == [1]

    virtual_time(main, backend=backend)


def test_cancelling_anywhere_ends_it(backend: str) -> None:
    async def main() -> None:
        provider = Provider([TRANSIENT, TRANSIENT])

        async def nothing_goes_on() -> None:
            ended = len(provider.times)
            await anyio.sleep(10)
            assert len(provider.times) == ended

        report = await CancelSweep(provider.ask, invariant=nothing_goes_on).run()
        assert report.points >= 5

    virtual_time(main, backend=backend)


class Buffer:
    """Stands for the audio that a failed call has collected."""


@pytest.mark.usefixtures("no_collector")
def test_a_failure_keeps_no_buffer_alive(backend: str) -> None:
    buffers: list[Callable[[], Buffer | None]] = []

    async def call(number: int) -> str:
        buffer = Buffer()
        buffers.append(weakref.ref(buffer))
        raise NetworkError(f"attempt {number} broke with {buffer.__class__.__name__}")

    async def main() -> None:
        with suppress(NetworkError):
            await with_retries(
                call,
                DEFAULTS,
                budget=RetryBudget(PLENTY, clock=anyio.current_time),
                deadline=None,
                clock=anyio.current_time,
                random=random.Random(1),
            )
        assert [buffer() for buffer in buffers] == [None, None, None]

    virtual_time(main, backend=backend)
