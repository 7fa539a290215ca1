"""What comes within JSON: objects of a known shape, audio in base64, errors in mid-stream."""

from __future__ import annotations

import base64
import binascii
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Generic, Self, TypeVar

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

from ttskit.errors import InvalidResponseError

ItemT = TypeVar("ItemT")
PIECE_BYTES = 64 * 1024
"""Of whole audio: what a decoder takes at a time."""


class Shape(BaseModel):
    """What is read of a provider's object; whatever else it holds is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    @classmethod
    def read(cls, data: bytes | str) -> Self:
        """Return the object in ``data``, which is JSON.

        Raises:
            InvalidResponseError: It has another shape. What it has is not told: it may quote.
        """
        try:
            return cls.model_validate_json(data)
        except pydantic.ValidationError as error:
            raise InvalidResponseError(_complaint(error)) from None

    @classmethod
    def take(cls, document: object) -> Self:
        """Return an object whose JSON was parsed already.

        Raises:
            InvalidResponseError: As ``read``.
        """
        try:
            return cls.model_validate(document)
        except pydantic.ValidationError as error:
            raise InvalidResponseError(_complaint(error)) from None

    @classmethod
    def read_all(cls, data: bytes | str) -> tuple[Self, ...]:
        """Return the objects of a JSON array.

        Raises:
            InvalidResponseError: As ``read``.
        """
        try:
            return TypeAdapter(tuple[cls, ...]).validate_json(data)  # type: ignore[valid-type]
        except pydantic.ValidationError as error:
            raise InvalidResponseError(_complaint(error)) from None


class Camel(Shape):
    """A shape whose members are in camel case on the wire."""

    model_config = ConfigDict(alias_generator=to_camel)


def _complaint(error: pydantic.ValidationError) -> str:
    place = ".".join(str(part)[:40] for part in error.errors(include_input=False)[0]["loc"])
    return f"the reply has another shape than it should{f', at {place}' if place else ''}"


def _decoded(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("no string")  # noqa: TRY004 - what pydantic turns into its own
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise ValueError("no base64") from None


Base64 = Annotated[bytes, BeforeValidator(_decoded)]
"""Bytes that stand in JSON as base64."""


EVENTS = "text/event-stream"
"""The media type of server-sent events."""


class Once(Generic[ItemT]):
    """What came all at once, as a stream.

    Not a generator: one that is left early would be closed some time later, in another task.
    """

    def __init__(self, *items: ItemT) -> None:
        self._items = iter(items)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ItemT:
        for item in self._items:
            return item
        raise StopAsyncIteration


def pieces(audio: bytes) -> Iterator[bytes]:
    """Yield whole audio in pieces that a decoder need not hold long."""
    for start in range(0, len(audio), PIECE_BYTES):
        yield audio[start : start + PIECE_BYTES]


class InlineAudio(ABC, Generic[ItemT]):
    """The audio within a stream's items, as they come.

    Not a generator: one that is left early would be closed some time later, in another task.
    """

    def __init__(self, items: AsyncIterator[ItemT]) -> None:
        self._items = items
        self._head = b""

    async def begin(self) -> None:
        """Read as far as the first audio, which is kept: what comes before it may matter."""
        self._head = await anext(self, b"")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        while True:
            item = await anext(self._items, None)
            if item is None:
                self.finish()
                raise StopAsyncIteration
            if data := await self.audio(item):
                return data

    @abstractmethod
    async def audio(self, item: ItemT) -> bytes:
        """Return the audio that an item brings; empty where it brings something else.

        Raises:
            TTSError: It is an error.
        """

    def finish(self) -> None:
        """Raise where the stream ended before it was over."""
