"""What an error document means, whoever sent it."""

from __future__ import annotations

import pytest

from ttskit.adapters.refusals import Refusals
from ttskit.adapters.rpc_errors import rpc_refusals
from ttskit.errors import (
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TextTooLongError,
    TTSError,
    VoiceNotFoundError,
)

REFUSALS = Refusals(
    {"no_voice": VoiceNotFoundError},
    lambda document: (document.get("x-error"), document.get("code")),
    code_header="x-error",
)


@pytest.mark.parametrize(
    ("document", "headers"),
    [({"code": "no_voice"}, {}), ({"code": "other"}, {"x-error": "no_voice"})],
    ids=["in the body", "in a header"],
)
def test_the_code_decides_wherever_it_stands(
    document: dict[str, object], headers: dict[str, str]
) -> None:
    error = REFUSALS.of(document, status=500, headers=headers)
    assert type(error) is VoiceNotFoundError
    assert str(error).endswith("(HTTP 500, no_voice)")


def test_an_error_amid_the_audio_without_a_code_is_the_providers() -> None:
    assert type(REFUSALS.of({})) is ProviderUnavailableError


@pytest.mark.parametrize(
    ("document", "headers", "expected"),
    [
        ({"request_id": "b-1"}, {"x-request-id": "h-1"}, "h-1"),
        ({"request_id": "b-1"}, {}, "b-1"),
        ({"request_id": "<b>"}, {}, None),
        ({"request_id": ["b-1"]}, {}, None),
        ({}, {}, None),
    ],
    ids=["both", "body", "markup", "a list", "neither"],
)
def test_the_request_id_is_found_in_the_header_or_in_the_body(
    document: dict[str, object], headers: dict[str, str], expected: str | None
) -> None:
    assert REFUSALS.of(document, status=400, headers=headers).request_id == expected


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"status": "RESOURCE_EXHAUSTED", "details": 1}, RateLimitedError),
        (
            {"status": "RESOURCE_EXHAUSTED", "details": [{"violations": [{"quotaId": "APerDay"}]}]},
            QuotaExceededError,
        ),
        ({"status": "INVALID_ARGUMENT", "message": "It is Too Long."}, TextTooLongError),
        ("INVALID_ARGUMENT", ProviderUnavailableError),
    ],
    ids=["status", "daily quota", "message", "no object"],
)
def test_googles_errors_are_told_apart(error: object, kind: type[TTSError]) -> None:
    refusals = rpc_refusals({}, {"too long": TextTooLongError})
    assert type(refusals.of({"error": error})) is kind
