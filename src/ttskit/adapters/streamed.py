"""What clouds share that read a stream as one text, over a WebSocket that stays open."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from pydantic import Field
from typing_extensions import override

from ttskit.adapters.base import NATIVE, Utterance
from ttskit.adapters.cloud import CloudAdapter, CloudOptions

if TYPE_CHECKING:
    from ttskit.resources.host import Resources
    from ttskit.resources.http.lines import Lines


class StreamedOptions(CloudOptions):
    """What their sections share."""

    websocket: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="`auto`: streams go over a socket that stays open, and all else over HTTP.",
    )


StreamedOptionsT = TypeVar("StreamedOptionsT", bound=StreamedOptions)
TalkT = TypeVar("TalkT")
"""What an adapter remembers of a socket; new with each."""


class StreamedAdapter(CloudAdapter[StreamedOptionsT], Generic[StreamedOptionsT, TalkT]):
    """An adapter whose provider takes both: requests, and sockets that go on with a reading."""

    _kept: Lines[TalkT] | None = None

    @abstractmethod
    def _sockets(self) -> Lines[TalkT]:
        """Return the keeper of the adapter's sockets; called once, when ``_http`` is there."""

    @property
    def _lines(self) -> Lines[TalkT]:
        """The sockets, once the adapter is open."""
        if self._kept is None:
            raise AssertionError("an adapter is opened before it speaks")
        return self._kept

    def _read_as_one(self, *, is_possible: bool = True) -> None:
        """Have routing speak streams in turn, where the section lets them go over a socket."""
        if is_possible and self.options.websocket != "never":
            self.capabilities = replace(self.capabilities, text_streaming=NATIVE)

    def _by_socket(self, utterance: Utterance) -> bool:
        """Whether an utterance is said over a socket, as far as that is for the section to say."""
        wanted = self.options.websocket
        return wanted == "always" or (wanted == "auto" and utterance.lane is not None)

    @override
    async def open(self, resources: Resources) -> None:
        await super().open(resources)
        self._kept = self._sockets()

    @override
    def release(self, lane: str) -> None:
        if self._kept is not None:
            self._kept.release(lane)

    @override
    async def close(self) -> None:
        await self._lines.aclose()
