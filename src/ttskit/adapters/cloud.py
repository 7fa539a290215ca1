"""What adapters over a network share: keys, addresses and a client."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Self, TypeVar

from pydantic import AfterValidator, Field, SecretStr, model_validator
from typing_extensions import override

from ttskit.adapters.base import Adapter, AdapterOptions, Utterance
from ttskit.adapters.models import price
from ttskit.adapters.options import given
from ttskit.adapters.refusals import Refusals
from ttskit.codecs.sniff import HEAD_BYTES, sniff
from ttskit.errors import InvalidResponseError
from ttskit.resources.http.address import Address
from ttskit.voices import Voice

if TYPE_CHECKING:
    from ttskit.resources.host import Resources
    from ttskit.resources.http.client import HTTPClient, Reply

LONGEST_KEY = 4_096
_HEADLESS = frozenset({"pcm", "mulaw", "alaw"})
_MAGIC = frozenset({b"RIFF", b"OggS", b"fLaC"})


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


def revealed(key: SecretStr | None, form: str = "{}") -> str | None:
    """Return a key as it goes into a header, such as ``Bearer {}``; None where there is none."""
    return None if key is None else form.format(key.get_secret_value())


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


CloudOptionsT = TypeVar("CloudOptionsT", bound=CloudOptions)


class CloudAdapter(Adapter[CloudOptionsT]):
    """An adapter over a server: it says what is sent and what comes back, the rest is here."""

    refusals: ClassVar[Refusals]
    default_model: ClassVar[str | None] = None
    """What the provider takes where no model is named."""
    _http: HTTPClient

    @abstractmethod
    def headers(self) -> Mapping[str, str]:
        """Return what is sent with every request: the key, above all."""

    @property
    @override
    def list_price(self) -> float | None:
        return price(self.name, self.billed_as)

    @property
    def billed_as(self) -> str | None:
        """What speech is billed as where a request names neither model nor voice; None: unknown."""
        return self.options.model or self.default_model

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

    def _settings(self, utterance: Utterance) -> CloudOptionsT:
        """Return the section's options, with what the request sets in their place."""
        if not utterance.options:
            return self.options
        own = self._own(self.call_model, utterance)
        set_here = given({name: getattr(own, name) for name in own.model_fields_set})
        known = set_here.keys() & type(self.options).model_fields.keys()
        if not known:
            return self.options
        return self.options.model_copy(update={name: set_here[name] for name in known})


def first_of_all(form: str, formats: Iterable[str]) -> tuple[str, ...]:
    """Return the formats, of which the one that is asked for comes first."""
    return tuple(dict.fromkeys((form, *formats)))


def default_first(default: Voice, listed: Iterable[Voice]) -> list[Voice]:
    """Return the voices, the default one first: as it is listed, or else as it is given."""
    return list({default.id: default, **{voice.id: voice for voice in listed}}.values())


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
