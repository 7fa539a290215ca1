from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit import errors
from ttskit.errors import (
    AllProvidersFailedError,
    AuthenticationError,
    NetworkError,
    ProviderError,
    RateLimitedError,
    StreamInterruptedError,
    TTSError,
    error_classes,
)

FAMILY = """
TTSError
 ConfigurationError
  DependencyMissingError AdapterNotFoundError
 ValidationError
  EmptyTextError TextTooLongError UnsafeTextError UnsupportedFormatError UnsupportedLanguageError
  UnsupportedFeatureError VoiceNotFoundError InvalidParameterError InvalidVoiceReferenceError
  UnsafePathError
 ProviderError
  AuthenticationError PermissionDeniedError QuotaExceededError RateLimitedError
  ContentRejectedError ProviderUnavailableError ProviderTimeoutError NetworkError
  InvalidResponseError GenerationError
 ResourceError
  QueueFullError OutOfMemoryError GPUOutOfMemoryError WorkerCrashedError StorageFullError
  ModelLoadError ServiceClosedError
 CircuitOpenError DeadlineExceededError StreamInterruptedError AllProvidersFailedError
"""
"""As the design names them: each family's head, with its members indented below."""

CLASSES = [one for one in error_classes() if one.__module__ == errors.__name__]
COPIES: dict[str, Callable[[TTSError], TTSError]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),  # noqa: S301 - our own
}


def made(kind: type[TTSError]) -> TTSError:
    """Return an error of the class with a message."""
    if issubclass(kind, AllProvidersFailedError):
        return kind("all failed", [RateLimitedError("slow", retry_after=2.0), NetworkError("gone")])
    return kind("it failed", provider="acme")


def parents() -> list[tuple[str, str]]:
    """Return each class of the design with its family's head."""
    heads: dict[int, str] = {}
    pairs = []
    for line in FAMILY.strip().splitlines():
        depth = len(line) - len(line.lstrip())
        for name in line.split():
            pairs.append((name, heads.get(depth - 1, "Exception")))
            heads[depth] = name
    return pairs


@pytest.mark.parametrize(("name", "parent"), parents())
def test_every_error_of_the_design_is_there_under_its_head(name: str, parent: str) -> None:
    kind = vars(errors)[name]
    assert issubclass(kind, Exception if parent == "Exception" else vars(errors)[parent])


def test_the_listing_holds_the_whole_family_and_nothing_else() -> None:
    assert sorted(kind.__name__ for kind in CLASSES) == sorted(name for name, _ in parents())


def test_every_code_is_unique_stable_and_its_own() -> None:
    codes = [kind.code for kind in CLASSES]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)
    assert all("code" in vars(kind) for kind in CLASSES)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_answers_what_may_be_done(kind: type[TTSError]) -> None:
    error = made(kind)
    assert 400 <= error.http_status <= 599
    assert {type(error.retryable), type(error.failover), type(error.counts)} == {bool}
    assert error.category
    assert kind.__doc__


@pytest.mark.parametrize(
    ("name", "retryable", "failover", "counts"),
    [
        ("AuthenticationError", False, True, True),
        ("RateLimitedError", True, True, False),
        ("QuotaExceededError", False, True, True),
        ("InvalidParameterError", False, False, False),
        ("TextTooLongError", False, True, False),
        ("ContentRejectedError", False, False, False),
        ("InvalidResponseError", True, True, True),
        ("ServiceClosedError", False, False, False),
        ("DeadlineExceededError", False, False, False),
    ],
)
def test_retry_failover_and_health_are_apart(
    name: str, *, retryable: bool, failover: bool, counts: bool
) -> None:
    kind = vars(errors)[name]
    assert (kind.retryable, kind.failover, kind.counts) == (retryable, failover, counts)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_as_data_has_no_gaps_and_is_json(kind: type[TTSError]) -> None:
    facts = made(kind).to_dict()
    assert None not in facts.values()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["code"] == kind.code


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_survives_copies(kind: type[TTSError], way: str) -> None:
    error = made(kind)
    error.request_id = "r-1"
    twin = COPIES[way](error)
    assert type(twin) is kind
    assert twin.to_dict() == error.to_dict()
    assert str(twin) == str(error)


@given(message=st.text(), provider=st.none() | st.just("acme"))
def test_every_message_is_one_printable_line(message: str, provider: str | None) -> None:
    for kind in (TTSError, NetworkError, StreamInterruptedError):
        assert str(kind(message, provider=provider)).isprintable()
    assert str(AllProvidersFailedError(message, [NetworkError(message)])).isprintable()


def test_the_message_says_to_whom_it_happened() -> None:
    assert str(NetworkError("no route", provider="acme")) == "acme: no route"
    assert NetworkError("no route", provider="acme").message == "no route"


def test_an_instance_may_know_better_than_its_class() -> None:
    error = ProviderError("odd", http_status=418, retryable=True, category="tea", retry_after=3)
    assert (error.http_status, error.retryable, error.category) == (418, True, "tea")
    assert error.to_dict()["retry_after"] == 3
    assert (ProviderError.http_status, ProviderError.retryable) == (502, False)


def test_the_cause_is_kept() -> None:
    cause = OSError("cable")
    assert NetworkError("no route", cause=cause).__cause__ is cause


def test_what_was_heard_is_on_an_interrupted_stream() -> None:
    error = StreamInterruptedError("cut", spoken_text="One two", provider="acme")
    twin = copy.copy(error)
    assert (twin.spoken_text, twin.ledger, twin.provider) == ("One two", (), "acme")


def test_every_failure_is_in_the_group_that_reports_them_all() -> None:
    failures = [AuthenticationError("bad key"), RateLimitedError("slow", retry_after=2.0)]
    error = AllProvidersFailedError("2 providers failed", failures)
    assert list(error.exceptions) == failures
    assert (error.retryable, error.retry_after, error.attempts) == (True, 2.0, ())
    listed = error.to_dict()["errors"]
    assert isinstance(listed, list)
    assert [one["code"] for one in listed] == ["authentication", "rate_limited"]


def test_a_group_of_failures_can_be_sorted_with_except_star() -> None:
    error = AllProvidersFailedError("failed", [RateLimitedError("slow"), NetworkError("gone")])
    caught: list[str] = []
    try:
        raise error
    except* RateLimitedError as group:
        caught += [str(one) for one in group.exceptions]
    except* NetworkError as group:
        caught += [str(one) for one in group.exceptions]
    assert caught == ["slow", "gone"]


def test_a_group_of_failures_is_caught_as_one_error() -> None:
    with pytest.raises(TTSError, match="failed") as caught:
        raise AllProvidersFailedError("failed", [NetworkError("gone")])
    assert caught.value.code == "all_providers_failed"


def test_importing_the_family_loads_nothing_heavy() -> None:
    source = Path(errors.__file__).read_text(encoding="utf-8")
    imported = set(re.findall(r"^(?:from|import) ([\w.]+)", source, re.MULTILINE))
    assert imported == {"__future__", "collections.abc", "typing", "typing_extensions"}
