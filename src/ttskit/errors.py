"""The exception family: every failure ttskit reports, and what may be done about each.

Three questions are answered apart from each other, by attributes of the class:

* ``retryable``: may the same call be tried again on the same provider?
* ``failover``: may another provider do better?
* ``counts``: does it speak against the provider's health?

No message carries a secret or a caller's whole text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

from typing_extensions import override

if TYPE_CHECKING:
    from ttskit.audio import Attempt, Audio, Spoken


class TTSError(Exception):
    """Base of every error raised by ttskit.

    Args:
        message: One line: what happened, to whom, what to do.
        provider: The configured name of the provider concerned.
        category: Overrides the class's coarse group, which callers may switch on.
        retryable: Overrides the class where a reply said otherwise.
        http_status: Overrides the status that a service built on ttskit should answer with.
        retry_after: Seconds to wait before the next try, where the provider said so.
        request_id: The provider's own id of the call, for its support desk.
        cause: The exception behind this one.
    """

    code: ClassVar[str] = "tts_error"
    category: str = "internal"
    http_status: int = 500
    retryable: bool = False
    failover: bool = False
    counts: bool = False

    def __init__(  # noqa: PLR0913 - keyword-only facts of one failure
        self,
        message: str,
        *,
        provider: str | None = None,
        category: str | None = None,
        retryable: bool | None = None,
        http_status: int | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
        cause: BaseException | None = None,
    ) -> None:
        super().__init__(_one_line(message))
        self.provider = provider
        self.retry_after = retry_after
        self.request_id = request_id
        if category is not None:
            self.category = category
        if retryable is not None:
            self.retryable = retryable
        if http_status is not None:
            self.http_status = http_status
        if cause is not None:
            self.__cause__ = cause

    @property
    def message(self) -> str:
        """What happened, without the provider's name."""
        return str(self.args[0])

    @override
    def __str__(self) -> str:
        return f"{self.provider}: {self.message}" if self.provider else self.message

    def to_dict(self) -> dict[str, object]:
        """Return the error as plain data for an API reply: code, category, message and facts."""
        facts: dict[str, object] = {
            "code": self.code,
            "category": self.category,
            "message": str(self),
            "provider": self.provider,
            "retryable": self.retryable,
            "http_status": self.http_status,
            "retry_after": self.retry_after,
            "request_id": self.request_id,
        }
        return {name: fact for name, fact in facts.items() if fact is not None}


class ConfigurationError(TTSError):
    """Settings that cannot work; the message names the file, the line and the nearest right key."""

    code = "configuration"
    category = "configuration"


class DependencyMissingError(ConfigurationError):
    """A package that the provider needs is not installed; the message gives the line to run."""

    code = "dependency_missing"
    failover = True


class AdapterNotFoundError(ConfigurationError):
    """No adapter has this name; the message gives the nearest names."""

    code = "adapter_not_found"


class ValidationError(TTSError):
    """The request itself is wrong; no provider was asked."""

    code = "validation"
    category = "validation"
    http_status = 400


class EmptyTextError(ValidationError):
    """Nothing in the text can be spoken."""

    code = "empty_text"


class TextTooLongError(ValidationError):
    """The text is over a limit. Another provider may have a wider one."""

    code = "text_too_long"
    http_status = 413
    failover = True


class UnsafeTextError(ValidationError):
    """The text or markup would do harm: an entity bomb, nesting without end, a foreign DTD."""

    code = "unsafe_text"


class UnsupportedFormatError(ValidationError):
    """The audio format is unknown, or needs a package that is not installed."""

    code = "unsupported_format"
    http_status = 415


class UnsupportedLanguageError(ValidationError):
    """The language is not BCP 47, or no voice of the provider speaks it."""

    code = "unsupported_language"
    failover = True


class UnsupportedFeatureError(ValidationError):
    """``strict`` was asked for and a setting or markup cannot be honoured here."""

    code = "unsupported_feature"
    failover = True


class VoiceNotFoundError(ValidationError):
    """No such voice; the message gives the nearest names."""

    code = "voice_not_found"
    http_status = 404
    failover = True


class InvalidParameterError(ValidationError):
    """A setting is unknown, of the wrong type or out of range."""

    code = "invalid_parameter"


class InvalidVoiceReferenceError(ValidationError):
    """The sample of a voice to clone, or the recording to convert, cannot be used."""

    code = "invalid_voice_reference"


class UnsafePathError(ValidationError):
    """A path leaves the directories that files are allowed in, or is no ordinary file."""

    code = "unsafe_path"


class ProviderError(TTSError):
    """A provider failed; another one may do better."""

    code = "provider_error"
    category = "provider"
    http_status = 502
    failover = True
    counts = True


class AuthenticationError(ProviderError):
    """The provider does not accept the key."""

    code = "authentication"
    http_status = 401


class PermissionDeniedError(ProviderError):
    """The key is good, but not for this voice, model or feature."""

    code = "permission_denied"
    http_status = 403
    counts = False


class QuotaExceededError(ProviderError):
    """The account has no characters or money left."""

    code = "quota_exceeded"
    http_status = 402


class RateLimitedError(ProviderError):
    """The provider asked us to slow down; ``retry_after`` says for how long, in seconds."""

    code = "rate_limited"
    category = "load"
    http_status = 429
    retryable = True
    counts = False


class ContentRejectedError(ProviderError):
    """The provider's policy refuses the text. It is not offered elsewhere unless allowed."""

    code = "content_rejected"
    category = "content"
    http_status = 422
    failover = False
    counts = False


class ProviderUnavailableError(ProviderError):
    """The provider is down or overloaded."""

    code = "provider_unavailable"
    http_status = 503
    retryable = True


class ProviderTimeoutError(ProviderError):
    """No answer, or no further audio, within the time allowed."""

    code = "provider_timeout"
    http_status = 504
    retryable = True


class NetworkError(ProviderError):
    """The connection could not be made, or broke."""

    code = "network"
    retryable = True


class InvalidResponseError(ProviderError):
    """The reply is not the speech that was due: silence, cut short, no audio, another format."""

    code = "invalid_response"
    retryable = True


class GenerationError(ProviderError):
    """The engine ran and failed."""

    code = "generation"
    retryable = True


class ResourceError(TTSError):
    """Something this machine or process provides ran out."""

    code = "resource"
    category = "resource"
    http_status = 503


class QueueFullError(ResourceError):
    """Too many requests are waiting already."""

    code = "queue_full"
    category = "load"
    retryable = True
    failover = True


class OutOfMemoryError(ResourceError):
    """The engine found no memory."""

    code = "out_of_memory"
    failover = True
    counts = True


class GPUOutOfMemoryError(OutOfMemoryError):
    """The engine found no GPU memory."""

    code = "gpu_out_of_memory"


class WorkerCrashedError(ResourceError):
    """The process that ran the engine died."""

    code = "worker_crashed"
    retryable = True
    failover = True
    counts = True


class StorageFullError(ResourceError):
    """The disk has no room; nothing half-written was left."""

    code = "storage_full"
    http_status = 507


class ModelLoadError(ResourceError):
    """The engine's model could not be loaded."""

    code = "model_load"
    failover = True
    counts = True


class ServiceClosedError(ResourceError):
    """The service was shut down before or during the call."""

    code = "service_closed"


class CircuitOpenError(TTSError):
    """The provider failed too often of late and is not asked; ``retry_after`` says when it is."""

    code = "circuit_open"
    category = "load"
    http_status = 503
    failover = True


class DeadlineExceededError(TTSError):
    """The whole request's time is up."""

    code = "deadline_exceeded"
    category = "timeout"
    http_status = 504


class StreamInterruptedError(TTSError):
    """Speech ended early. What was heard is on it.

    Args:
        message: What happened.
        ledger: What was spoken by whom, up to the break.
        spoken_text: The caller's text up to the break.
        provider: Who spoke last.
        cause: Why it ended.
    """

    code = "stream_interrupted"
    category = "provider"
    http_status = 502

    def __init__(
        self,
        message: str,
        *,
        ledger: Sequence[Spoken] = (),
        spoken_text: str = "",
        provider: str | None = None,
        cause: BaseException | None = None,
    ) -> None:
        super().__init__(message, provider=provider, cause=cause)
        self.ledger = tuple(ledger)
        self.spoken_text = spoken_text
        self.audio: Audio | None = None
        """What was heard, where it was collected."""


class AllProvidersFailedError(TTSError, ExceptionGroup[TTSError]):
    """Every candidate failed. ``attempts`` lists each call; the group holds each one's error."""

    code = "all_providers_failed"
    category = "provider"
    http_status = 502

    def __new__(
        cls, message: str, errors: Sequence[TTSError], *, attempts: Sequence[Attempt] = ()
    ) -> Self:
        """Make the group; ``errors`` must not be empty."""
        del attempts
        return super().__new__(cls, _one_line(message), errors)

    def __init__(
        self, message: str, errors: Sequence[TTSError], *, attempts: Sequence[Attempt] = ()
    ) -> None:
        waits = [error.retry_after for error in errors if error.retry_after is not None]
        TTSError.__init__(
            self,
            message,
            retryable=any(error.retryable for error in errors),
            retry_after=min(waits, default=None),
        )
        self.args = (self.message, tuple(errors))  # what pickle and copy call the class with
        self.attempts = tuple(attempts)

    @override
    def to_dict(self) -> dict[str, object]:
        errors = [error.to_dict() for error in self.exceptions if isinstance(error, TTSError)]
        return super().to_dict() | {"errors": errors}


def _one_line(message: str) -> str:
    """Return the message without line breaks and without a provider's terminal escape codes."""
    return "".join(character if character.isprintable() else " " for character in message)


def error_classes(top: type[TTSError] = TTSError) -> Iterator[type[TTSError]]:
    """Yield the family, each class before its subclasses, in the order of this module."""
    yield top
    for child in top.__subclasses__():
        yield from error_classes(child)
