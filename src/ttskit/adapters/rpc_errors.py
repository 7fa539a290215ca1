"""Errors as all of Google's APIs put them in JSON.

Source: google.rpc ``status.proto``, ``code.proto`` and ``error_details.proto``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from ttskit.adapters.refusals import Document, Refusals
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    PermissionDeniedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TTSError,
    UnsupportedFeatureError,
)

_DELAY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s")
_DAILY = "PerDay"
"""In the name of a quota that lasts the day."""
_KINDS: Mapping[str, type[TTSError]] = MappingProxyType(
    {
        "API_KEY_INVALID": AuthenticationError,
        _DAILY: QuotaExceededError,
        "INVALID_ARGUMENT": InvalidParameterError,
        "UNAUTHENTICATED": AuthenticationError,
        "PERMISSION_DENIED": PermissionDeniedError,
        "RESOURCE_EXHAUSTED": RateLimitedError,
        "UNIMPLEMENTED": UnsupportedFeatureError,
        "INTERNAL": ProviderUnavailableError,
        "UNAVAILABLE": ProviderUnavailableError,
        "DEADLINE_EXCEEDED": ProviderTimeoutError,
    }
)


def rpc_refusals(
    kinds: Mapping[str, type[TTSError]], told: Mapping[str, type[TTSError]]
) -> Refusals:
    """Return what the errors of one API mean.

    Args:
        kinds: By reason or status, beyond what they mean everywhere.
        told: By words, in lower case, that only the message has.
    """
    by_words = {_code(words): kind for words, kind in told.items()}

    def codes(document: Document) -> Iterable[object]:
        """Yield what tells most first: reason, quota, message, status."""
        for detail in _details(document):
            yield detail.get("reason")
            yield _DAILY if _DAILY in str(detail.get("violations")) else None
        message = str(_error(document).get("message")).lower()
        yield next((_code(words) for words in told if words in message), None)
        yield _error(document).get("status")

    return Refusals({**_KINDS, **kinds, **by_words}, codes, pause=_pause)


def _code(words: str) -> str:
    return "-".join(re.findall("[a-z]+", words))


def _pause(document: Document) -> float | None:
    """Return the seconds of a RetryInfo, such as ``17s`` or ``0.5s``."""
    delays = (_DELAY.fullmatch(str(detail.get("retryDelay"))) for detail in _details(document))
    return next((float(delay[1]) for delay in delays if delay), None)


def _details(document: Document) -> Iterator[Document]:
    details = _error(document).get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping):
            yield detail


def _error(document: Document) -> Document:
    error = document.get("error")
    return error if isinstance(error, Mapping) else {}
