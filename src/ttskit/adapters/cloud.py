"""What adapters over a network share: keys, addresses, a client, and what a refusal means."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar, Self, TypeVar

import anyio
import pydantic
from pydantic import AfterValidator, Field, SecretStr, model_validator
from typing_extensions import override

from ttskit.adapters.base import Adapter, AdapterOptions, Utterance
from ttskit.adapters.models import price
from ttskit.adapters.options import CallOptions, CallOptionsT, checked_options
from ttskit.codecs.sniff import HEAD_BYTES, sniff
from ttskit.errors import (
    AuthenticationError,
    ContentRejectedError,
    InvalidParameterError,
    InvalidResponseError,
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
from ttskit.resources.http.address import Address

if TYPE_CHECKING:
    from ttskit.resources.host import Resources
    from ttskit.resources.http.client import HTTPClient, Reply

LONGEST_KEY = 4_096
_HEADLESS = frozenset({"pcm", "mulaw"})
_MAGIC = frozenset({b"RIFF", b"OggS", b"fLaC"})
REFUSAL_BYTES = 64 * 1024
"""Of the body of an error; the rest is not read."""
REFUSAL_S = 2.0
"""How long such a body is waited for: what it says is worth no more."""


def _key(secret: SecretStr) -> SecretStr:
    """Return the key without the white space that copying adds.

    A transport quotes a header that cannot be sent, so what is wrong with a key is found here.
    """
    key = secret.get_secret_value().strip()
    if not key or len(key) > LONGEST_KEY or not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError("must be the key alone: printable ASCII without spaces")
    return SecretStr(key)


ApiKey = Annotated[SecretStr, AfterValidator(_key)]
"""A key as it goes into a header."""


def _base_url(url: str) -> str:
    Address.of(url)
    return url.strip()


BaseURL = Annotated[str, AfterValidator(_base_url)]
"""``https://host``, perhaps with a port and a path."""


class CloudOptions(AdapterOptions):
    """What the sections of all cloud providers share."""

    base_url: BaseURL = Field(description="The server's address.")
    allow_http: bool = Field(
        default=False, description="Keys and texts may go over a wire that others can read."
    )
    model: str | None = Field(
        default=None, min_length=1, description="The model where none is asked for."
    )
    voice: str | None = Field(
        default=None, min_length=1, description="The voice where none is asked for."
    )

    @model_validator(mode="after")
    def _keep_secrets(self) -> Self:
        if not self.allow_http and not self.address.is_private_wire:
            raise ValueError("base_url must begin with https://, or set allow_http: true")
        return self

    @property
    def address(self) -> Address:
        """The base URL in parts."""
        return Address.of(self.base_url)


def _no_codes(document: Mapping[str, object]) -> Iterable[object]:
    del document
    return ()


def _no_pause(document: Mapping[str, object]) -> float | None:
    del document
    return None


CloudOptionsT = TypeVar("CloudOptionsT", bound=CloudOptions)


@dataclass(frozen=True, slots=True)
class Refusals:
    """What a provider's errors mean."""

    kinds: Mapping[str, type[TTSError]] = field(default_factory=dict)
    """By the provider's own code."""
    codes: Callable[[Mapping[str, object]], Iterable[object]] = _no_codes
    """The codes in the body of an error, most telling first."""
    statuses: Mapping[int, type[TTSError]] = field(default_factory=dict)
    """By status, where it means something else than usual."""
    request_id: str = "x-request-id"
    """The header that identifies the call to the provider's support."""
    pause: Callable[[Mapping[str, object]], float | None] = _no_pause
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
        document: Mapping[str, object],
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
        codes = [code for code in map(_code, self.codes(document)) if code]
        known = next((code for code in codes if code in self.kinds), None)
        kind = self.kinds[known] if known else self._kind(status)
        code = known or next(iter(codes), "")
        told = ", ".join(part for part in (f"HTTP {status}" if status else "", code) if part)
        wait = self.pause(document)
        return kind(
            f"{_MEANINGS.get(kind, 'the request was refused')}{told and f' ({told})'}",
            retry_after=retry_after(headers, wall=time.time()) if wait is None else wait,
            request_id=headers.get(self.request_id),
        )

    def _kind(self, status: int | None) -> type[TTSError]:
        if status is None:
            return ProviderUnavailableError
        kind = self.statuses.get(status) or _STATUSES.get(status)
        if kind is not None:
            return kind
        return InvalidParameterError if 400 <= status < 500 else ProviderUnavailableError  # noqa: PLR2004


class CloudAdapter(Adapter[CloudOptionsT]):
    """An adapter over a server: it says what is sent and what comes back, the rest is here."""

    refusals: ClassVar[Refusals]
    call_model: ClassVar[type[CallOptions]] = CallOptions
    default_model: ClassVar[str | None] = None
    """What the provider takes where no model is named."""
    _http: HTTPClient

    @abstractmethod
    def headers(self) -> Mapping[str, str]:
        """Return what is sent with every request: the key, above all."""

    @property
    @override
    def list_price(self) -> float | None:
        return price(self.name, self.options.model or self.default_model)

    @override
    async def open(self, resources: Resources) -> None:
        self._http = resources.http(
            self.options.address,
            provider=self.provider,
            headers=self.headers(),
            judge=self._judge,
        )

    async def _judge(self, reply: Reply) -> None:
        """Raise what an unsuccessful reply means; one that leads elsewhere is not followed."""
        if 200 <= reply.status < 300:  # noqa: PLR2004
            return
        if 300 <= reply.status < 400:  # noqa: PLR2004 - our key must not travel to another host
            raise InvalidResponseError(f"the server leads elsewhere (HTTP {reply.status})")
        raise await self.refusals.error(reply)

    async def _expect_audio(self, reply: Reply) -> None:
        """Raise where a successful reply is no audio: an error as JSON, or a web page."""
        kind = reply.content_type
        if kind.endswith("json"):
            raise await self.refusals.error(reply)
        if kind.startswith("text/"):
            raise InvalidResponseError(f"the server sent {kind[:40]} in place of audio")

    def _own(self, model: type[CallOptionsT], utterance: Utterance) -> CallOptionsT:
        """Return the request's own options, checked; all unset where there are none."""
        return checked_options(model, utterance.options, provider=self.provider) or model()


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


def _document(body: bytes) -> Mapping[str, object]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _code(value: object) -> str:
    """Return a provider's code as it may appear in a message; empty where it is none."""
    code = str(value) if isinstance(value, str | int) else ""
    plain = code.replace("_", "").replace("-", "").replace(".", "")
    return code if 0 < len(code) <= 60 and plain.isalnum() and plain.isascii() else ""  # noqa: PLR2004


@contextlib.contextmanager
def as_documented() -> Iterator[None]:
    """Turn pydantic's complaint about a reply into ours, without what the reply held.

    Raises:
        InvalidResponseError: The reply is not as the provider documents it.
    """
    try:
        yield
    except pydantic.ValidationError as error:
        place = ".".join(map(str, error.errors(include_input=False)[0]["loc"]))
        raise InvalidResponseError(f"the reply is not as documented: {place[:60]}") from None


def unpacked(text: object) -> bytes:
    """Return audio that came as base64.

    Raises:
        InvalidResponseError: It is none.
    """
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        raise InvalidResponseError("the reply holds audio that is no base64") from None


async def sniffed(body: AsyncIterator[bytes], asked: str) -> tuple[str, AsyncIterator[bytes]]:
    """Return the format that a body really has, and the body.

    For servers that send what they have whatever was asked for. Raw PCM can look like anything,
    so where it was asked for only what begins as no PCM does is believed.
    """
    head = b""
    async for data in body:
        head += data
        if len(head) >= HEAD_BYTES:
            break
    found = sniff(head)
    if found is None or (asked in _HEADLESS and head[:4] not in _MAGIC):
        return asked, _Begun(head, body)
    return found.value, _Begun(head, body)


class _Begun:
    """A body whose first bytes were read already."""

    def __init__(self, head: bytes, rest: AsyncIterator[bytes]) -> None:
        self._head = head
        self._rest = rest

    def __aiter__(self) -> _Begun:
        return self

    async def __anext__(self) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        return await anext(self._rest)
