"""What a provider's errors mean: by its own code, or else by the status."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import anyio

from ttskit.errors import (
    AuthenticationError,
    ContentRejectedError,
    InvalidParameterError,
    PermissionDeniedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TextTooLongError,
    TTSError,
    UnsupportedFeatureError,
    UnsupportedFormatError,
    UnsupportedLanguageError,
    VoiceNotFoundError,
)
from ttskit.resilience.pushback import retry_after

if TYPE_CHECKING:
    from ttskit.resources.http.client import Reply

REFUSAL_BYTES = 64 * 1024
"""Of the body of an error; the rest is not read."""
REFUSAL_S = 2.0
"""How long such a body is waited for: what it says is worth no more."""

Document = Mapping[str, object]
"""The body of an error, parsed."""

_STATUSES: Mapping[int, type[TTSError]] = MappingProxyType(
    {
        401: AuthenticationError,
        402: QuotaExceededError,
        403: PermissionDeniedError,
        404: ProviderUnavailableError,  # no code of the provider's: this is another server
        408: ProviderTimeoutError,
        409: ProviderUnavailableError,
        413: TextTooLongError,
        415: UnsupportedFormatError,
        425: ProviderUnavailableError,
        429: RateLimitedError,
        504: ProviderTimeoutError,
    }
)
_MEANINGS: Mapping[type[TTSError], str] = MappingProxyType(
    {
        AuthenticationError: "the key is not accepted",
        ContentRejectedError: "the provider's policy refuses the text",
        InvalidParameterError: "the provider does not take the request as it is",
        PermissionDeniedError: "the key does not allow this voice, model or feature",
        ProviderTimeoutError: "the provider took too long",
        ProviderUnavailableError: "the provider is down, overloaded or not at this address",
        QuotaExceededError: "the account has nothing left",
        RateLimitedError: "the provider asks us to slow down",
        TextTooLongError: "the text is too long for the provider",
        UnsupportedFeatureError: "the provider does not have this model or setting",
        UnsupportedFormatError: "the provider does not send this format",
        UnsupportedLanguageError: "the provider does not speak this language",
        VoiceNotFoundError: "the provider does not have this voice",
    }
)


def _no_codes(document: Document) -> Iterable[object]:
    del document
    return ()


def _no_pause(document: Document) -> float | None:
    del document
    return None


@dataclass(frozen=True, slots=True)
class Refusals:
    """What a provider's errors mean."""

    kinds: Mapping[str, type[TTSError]] = field(default_factory=dict)
    """By the provider's own code."""
    codes: Callable[[Document], Iterable[object]] = _no_codes
    """The codes in the body of an error, most telling first."""
    statuses: Mapping[int, type[TTSError]] = field(default_factory=dict)
    """By status, where it means something else than usual."""
    request_id: str = "x-request-id"
    """The header that identifies the call to the provider's support; else the body's member
    ``request_id`` does."""
    code_header: str = ""
    """A header that tells of the error; ``codes`` finds it among the members of the body."""
    pause: Callable[[Document], float | None] = _no_pause
    """Seconds to wait, where the body says so."""

    async def error(self, reply: Reply) -> TTSError:
        """Return the error that a reply means. The provider's words are left out: they may quote.

        The code decides, then the status: money that ran out may be a 401, a bad key a 400.
        """
        body = b""
        with anyio.move_on_after(REFUSAL_S), contextlib.suppress(TTSError):
            body = await reply.head(REFUSAL_BYTES)
        return self.of(_document(body), status=reply.status, headers=reply.headers)

    def of(
        self,
        document: Document,
        *,
        status: int | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> TTSError:
        """Return what an error document means, such as one in the middle of the audio.

        Args:
            document: The provider's error.
            status: The reply's; None: it was a good one until then.
            headers: The reply's.
        """
        if self.code_header in headers:
            document = {**document, self.code_header: headers[self.code_header]}
        codes = [code for code in map(_plain, self.codes(document)) if code]
        known = next((code for code in codes if code in self.kinds), None)
        kind = self.kinds[known] if known else self._kind(status)
        wait = self.pause(document)
        return kind(
            _message(kind, status, known or next(iter(codes), "")),
            retry_after=retry_after(headers, wall=time.time()) if wait is None else wait,
            request_id=headers.get(self.request_id) or _plain(document.get("request_id")) or None,
        )

    def _kind(self, status: int | None) -> type[TTSError]:
        if status is None:
            return ProviderUnavailableError
        kind = self.statuses.get(status) or _STATUSES.get(status)
        if kind is not None:
            return kind
        return InvalidParameterError if 400 <= status < 500 else ProviderUnavailableError  # noqa: PLR2004


def _message(kind: type[TTSError], status: int | None, code: str) -> str:
    told = ", ".join(part for part in (f"HTTP {status}" if status else "", code) if part)
    return f"{_MEANINGS.get(kind, 'the request was refused')}{told and f' ({told})'}"


def _document(body: bytes) -> Document:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _plain(value: object) -> str:
    """Return a provider's code or id as it may appear in a message; empty where it is none."""
    code = str(value) if isinstance(value, str | int) else ""
    letters = code.replace("_", "").replace("-", "").replace(".", "")
    return code if 0 < len(code) <= 60 and letters.isalnum() and letters.isascii() else ""  # noqa: PLR2004
