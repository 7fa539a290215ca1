"""How patient each protection is: breaker, retries, their budget, clocks and limits.

It stands on pydantic alone, so that the schema of tts.yaml can hold these models.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Factor = Annotated[float, Field(ge=1, allow_inf_nan=False)]
_Share = Annotated[float, Field(gt=0, le=1)]


class _Section(BaseModel):
    """Unknown keys are errors; a section with nothing under it keeps its defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_means_defaults(cls, value: object) -> object:
        return {} if value is None else value


class BreakerSettings(_Section):
    """When a provider that fails is left alone, and how it comes back.

    Sources: the window as in Polly v8; ratio and calls between resilience4j, Hystrix and interlock,
    as a hundred calls never come together at the rates of speech; failures in a row and the growing
    wait as in Finagle and Envoy; one probe at a time as in Polly and Hystrix.
    """

    window_s: _Positive = Field(
        default=30.0, description="Seconds of the past that the ratios look at."
    )
    buckets: PositiveInt = Field(
        default=10, description="Parts of the window; the past leaves it a part at a time."
    )
    failure_ratio: _Share = Field(
        default=0.5, description="Share of failed calls in the window that opens the breaker."
    )
    minimum_calls: PositiveInt = Field(
        default=10, description="Calls in the window below which no share counts."
    )
    consecutive_failures: PositiveInt = Field(
        default=5, description="Failures in a row that open it, however far apart."
    )
    slow_after_s: _Positive | None = Field(
        default=2.0, description="Seconds to first audio above which a call is slow. None: never."
    )
    slow_ratio: _Share = Field(
        default=0.8, description="Share of slow calls in the window that opens the breaker."
    )
    first_wait_s: _Positive = Field(
        default=5.0, description="Seconds until the first probe, at most; at least half of it."
    )
    wait_factor: _Factor = Field(
        default=2.0, description="By how much the wait grows with each probe that fails."
    )
    longest_wait_s: _Positive = Field(
        default=20.0, description="Seconds beyond which no wait grows."
    )
    probe_successes: PositiveInt = Field(
        default=2, description="Probes that must succeed, one after the other, to close it."
    )
    probe_deadline_s: _Positive = Field(
        default=5.0, description="Seconds without a sign of life until a probe is given up."
    )

    @model_validator(mode="after")
    def _the_wait_may_grow(self) -> Self:
        if self.longest_wait_s < self.first_wait_s:
            raise ValueError("longest_wait_s should be at least first_wait_s")
        return self


class RetrySettings(_Section):
    """How often a call is tried again on the same provider, and how long it waits before.

    Sources: attempts and base waits as in botocore's retry mode of 2026; the longest pushback as in
    OpenAI's Python SDK; the cap from our own simulation of a herd.
    """

    attempts: PositiveInt = Field(
        default=3, description="Calls of one utterance on one provider, the first one included."
    )
    base_wait_s: _Positive = Field(
        default=0.05, description="Seconds before the second call, at most; doubled for each next."
    )
    throttled_base_wait_s: _Positive = Field(
        default=1.0, description="The same where the provider said that it is overloaded."
    )
    longest_wait_s: _Positive = Field(
        default=5.0, description="Seconds beyond which no wait grows, before a share is drawn."
    )
    patience_s: _Amount = Field(
        default=0.1,
        description="Seconds that a retry may wait while another provider could speak instead.",
    )
    longest_pushback_s: _Positive = Field(
        default=120.0, description="Seconds of a provider's Retry-After above which we fail over."
    )
    pushback_jitter: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1, description="Share by which a Retry-After may be exceeded, never undercut."
    )


class BudgetSettings(_Section):
    """How many extra calls, retries and hedges together, a provider may be sent.

    Sources: the share as in Google's SRE book; window and reserve as in Finagle, with a smaller
    reserve.
    """

    ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1, description="Extra calls as a share of the requests in the window."
    )
    window_s: _Positive = Field(
        default=10.0, description="Seconds of the past whose requests count."
    )
    reserve_per_s: _Amount = Field(
        default=1.0, description="Extra calls a second that are always allowed."
    )


class HedgeSettings(_Section):
    """When a second provider is asked because the first one is slower than usual.

    Sources: the quantile of the time to first audio as in Dean and Barroso, "The Tail at Scale";
    share and missing reserve as in Finagle's backup requests. Most providers bill both.
    """

    enabled: bool = Field(default=False, description="Whether a second provider may be asked.")
    quantile: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        default=0.95, description="Share of calls that are heard sooner than the wait."
    )
    ratio: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.05, description="Second calls as a share of the requests in the window."
    )
    window_s: _Positive = Field(
        default=10.0, description="Seconds of the past whose requests count."
    )
    minimum_calls: PositiveInt = Field(
        default=20, description="Calls of a provider before anything is known of it."
    )
    calls_kept: PositiveInt = Field(
        default=1_000, description="Latest calls of a provider that the quantile looks at."
    )
    shortest_wait_s: _Positive = Field(
        default=0.001, description="Seconds that the first one is always given."
    )


class TimeoutSettings(_Section):
    """The three clocks of a call.

    Source: clients' usual flat 5 s break long texts, so the whole grows with the text.
    """

    first_audio_s: _Positive = Field(
        default=10.0, description="Seconds from the call to its first audio."
    )
    stall_s: _Positive = Field(
        default=10.0, description="Seconds between two pieces of audio that the provider owes."
    )
    total_s: _Positive = Field(
        default=60.0, description="Seconds for the whole request, where it has no deadline."
    )
    total_per_character_s: _Amount = Field(
        default=0.01, description="Seconds added to that for each character of its text."
    )


class LimitSettings(_Section):
    """What may be asked of one provider at a time. None: no limit but the adapter's own.

    Source: a queue of four times what runs, as in Netflix's concurrency-limits.
    """

    concurrency: PositiveInt | None = Field(
        default=None, description="Calls in flight at the same time."
    )
    queue: NonNegativeInt | None = Field(
        default=None, description="Calls that may wait for their turn. None: 4 x concurrency."
    )
    requests_per_minute: PositiveInt | None = Field(default=None, description="Calls a minute.")
    characters_per_minute: PositiveInt | None = Field(
        default=None, description="Characters sent a minute."
    )
