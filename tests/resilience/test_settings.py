from __future__ import annotations

import pydantic
import pytest

from ttskit.resilience.settings import (
    BreakerSettings,
    BudgetSettings,
    HedgeSettings,
    LimitSettings,
    RetrySettings,
    TimeoutSettings,
)

Sections = type[
    BreakerSettings
    | BudgetSettings
    | HedgeSettings
    | LimitSettings
    | RetrySettings
    | TimeoutSettings
]
SECTIONS: list[Sections] = [
    BreakerSettings,
    BudgetSettings,
    HedgeSettings,
    LimitSettings,
    RetrySettings,
    TimeoutSettings,
]

DEFAULTS: list[tuple[Sections, dict[str, object]]] = [
    (
        BreakerSettings,
        {
            "window_s": 30.0,
            "buckets": 10,
            "failure_ratio": 0.5,
            "minimum_calls": 10,
            "consecutive_failures": 5,
            "slow_after_s": 2.0,
            "slow_ratio": 0.8,
            "first_wait_s": 5.0,
            "wait_factor": 2.0,
            "longest_wait_s": 20.0,
            "probe_successes": 2,
            "probe_deadline_s": 5.0,
        },
    ),
    (
        RetrySettings,
        {
            "attempts": 3,
            "base_wait_s": 0.05,
            "throttled_base_wait_s": 1.0,
            "longest_wait_s": 5.0,
            "patience_s": 0.1,
            "longest_pushback_s": 120.0,
            "pushback_jitter": 0.1,
        },
    ),
    (BudgetSettings, {"ratio": 0.1, "window_s": 10.0, "reserve_per_s": 1.0}),
    (
        HedgeSettings,
        {
            "enabled": False,
            "quantile": 0.95,
            "ratio": 0.05,
            "window_s": 10.0,
            "minimum_calls": 20,
            "calls_kept": 1_000,
            "shortest_wait_s": 0.001,
        },
    ),
    (
        TimeoutSettings,
        {"first_audio_s": 10.0, "stall_s": 10.0, "total_s": 60.0, "total_per_character_s": 0.01},
    ),
    (
        LimitSettings,
        {
            "concurrency": None,
            "queue": None,
            "requests_per_minute": None,
            "characters_per_minute": None,
        },
    ),
]

WRONG: list[tuple[Sections, dict[str, object]]] = [
    (BreakerSettings, {"window_s": 0}),
    (BreakerSettings, {"window_s": float("inf")}),
    (BreakerSettings, {"buckets": 0}),
    (BreakerSettings, {"failure_ratio": 0}),
    (BreakerSettings, {"failure_ratio": 1.01}),
    (BreakerSettings, {"slow_after_s": float("nan")}),
    (BreakerSettings, {"wait_factor": 0.5}),
    (BreakerSettings, {"longest_wait_s": 4}),
    (BreakerSettings, {"first_wait_s": 21}),
    (RetrySettings, {"attempts": 0}),
    (RetrySettings, {"pushback_jitter": -0.1}),
    (BudgetSettings, {"ratio": 1.5}),
    (BudgetSettings, {"reserve_per_s": -1}),
    (HedgeSettings, {"quantile": 0.4}),
    (HedgeSettings, {"quantile": 1}),
    (HedgeSettings, {"ratio": 0}),
    (TimeoutSettings, {"stall_s": 0}),
    (LimitSettings, {"concurrency": 0}),
    (LimitSettings, {"queue": -1}),
]


def name(value: object) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


@pytest.mark.parametrize(("section", "expected"), DEFAULTS, ids=name)
def test_the_defaults_are_the_researched_ones(
    section: Sections, expected: dict[str, object]
) -> None:
    assert section().model_dump() == expected


@pytest.mark.parametrize(("section", "values"), WRONG, ids=name)
def test_a_value_that_cannot_work_is_refused(section: Sections, values: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        section.model_validate(values)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (BreakerSettings, {"slow_after_s": None}),
        (BreakerSettings, {"failure_ratio": 1, "wait_factor": 1}),
        (BreakerSettings, {"first_wait_s": 20}),
        (BudgetSettings, {"ratio": 0, "reserve_per_s": 0}),
        (LimitSettings, {"queue": 0}),
        (TimeoutSettings, {"total_per_character_s": 0}),
    ],
    ids=name,
)
def test_what_switches_a_protection_off_is_allowed(
    section: Sections, values: dict[str, object]
) -> None:
    settings = section.model_validate(values).model_dump()
    assert {key: settings[key] for key in values} == values


@pytest.mark.parametrize("section", SECTIONS, ids=name)
def test_an_unknown_key_is_refused(section: Sections) -> None:
    with pytest.raises(pydantic.ValidationError, match="Extra inputs"):
        section.model_validate({"patience": 3})


@pytest.mark.parametrize("section", SECTIONS, ids=name)
def test_a_section_with_nothing_under_it_keeps_its_defaults(section: Sections) -> None:
    assert section.model_validate(None) == section()


@pytest.mark.parametrize("section", SECTIONS, ids=name)
def test_settings_do_not_change_under_their_users(section: Sections) -> None:
    field = next(iter(section.model_fields))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        setattr(section(), field, 1)


@pytest.mark.parametrize("section", SECTIONS, ids=name)
def test_every_key_says_what_it_is_for(section: Sections) -> None:
    assert all(field.description for field in section.model_fields.values())
