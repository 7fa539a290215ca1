"""What Polly's errors mean. Source: botocore 1.44.5, service model polly 2016-06-10."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ttskit.adapters.refusals import Document, Refusals
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    PermissionDeniedError,
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

_ERROR_TYPE = "x-amzn-errortype"
"""The header with an error's name."""
_MEMBER = re.compile(r" at '(\w+)' failed to satisfy")
"""How a ValidationException names what of the request is wrong."""


def _codes(document: Document) -> Iterable[object]:
    """Return the names of an error: ``Name:http://...`` in the header, ``ns#Name`` in the body.

    A ValidationException is told apart by its message, as users report it (aws-sdk-js #2845).
    """
    message = str(document.get("message", ""))
    for told in (document.get(_ERROR_TYPE), document.get("__type")):
        name = str(told or "").partition(":")[0].rpartition("#")[2]
        member = _MEMBER.search(message)
        if name == "ValidationException" and member:
            yield f"{name}.{member[1]}"
        if name == "ValidationException" and "does not support" in message:
            yield f"{name}.unsupported"
        yield name


_KINDS: Mapping[str, type[TTSError]] = MappingProxyType(
    {
        "TextLengthExceededException": TextTooLongError,
        "InvalidSsmlException": UnsupportedFeatureError,
        "InvalidSampleRateException": UnsupportedFormatError,
        "EngineNotSupportedException": UnsupportedFeatureError,
        "LanguageNotSupportedException": UnsupportedLanguageError,
        "MarksNotSupportedForFormatException": UnsupportedFeatureError,
        "SsmlMarksNotSupportedForTextTypeException": UnsupportedFeatureError,
        "LexiconNotFoundException": InvalidParameterError,
        "ValidationException.voiceId": VoiceNotFoundError,
        "ValidationException.engine": UnsupportedFeatureError,
        "ValidationException.languageCode": UnsupportedLanguageError,
        "ValidationException.unsupported": UnsupportedFeatureError,
        "ValidationException": InvalidParameterError,
        "ThrottlingException": RateLimitedError,
        "TooManyRequestsException": RateLimitedError,
        "ServiceQuotaExceededException": QuotaExceededError,
        "ServiceFailureException": ProviderUnavailableError,
        "UnrecognizedClientException": AuthenticationError,
        "InvalidSignatureException": AuthenticationError,
        "ExpiredTokenException": AuthenticationError,
        "AccessDeniedException": PermissionDeniedError,
    }
)

REFUSALS = Refusals(_KINDS, _codes, request_id="x-amzn-requestid", code_header=_ERROR_TYPE)
