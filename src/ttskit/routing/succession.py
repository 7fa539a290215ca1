"""A stream's utterances one after the other, for providers that read all of them as one text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio

from ttskit.adapters.base import Support
from ttskit.routing.provider import Provider


class Succession:
    """Who may speak next in a stream, and who was asked.

    Args:
        lane: Of the stream.
    """

    def __init__(self, lane: str) -> None:
        self._lane = lane
        self._said: set[int] = set()
        self._all_before = 0
        """Passages from the first one on that are all over."""
        self._changed: anyio.Event | None = None
        self._turns: dict[str, anyio.Lock] = {}
        self._asked: dict[str, Provider] = {}

    @contextmanager
    def passage(self, index: int) -> Iterator[None]:
        """Say a passage within the block, for the first time or anew."""
        self._said.discard(index)
        self._all_before = min(self._all_before, index)
        try:
            yield
        finally:
            self._said.add(index)
            while self._all_before in self._said:
                self._all_before += 1
            if self._changed is not None:
                self._changed.set()
                self._changed = None

    async def come_to(self, index: int) -> None:
        """Wait until all that comes before a passage was said, or nobody goes on with it."""
        while self._all_before < index:
            self._changed = self._changed or anyio.Event()
            await self._changed.wait()

    @asynccontextmanager
    async def turn(self, provider: Provider) -> AsyncIterator[None]:
        """Ask a provider within the block: nobody else of the stream does, where it needs that.

        It stands around limits and clocks, which do not run for who waits here.
        """
        self._asked[provider.name] = provider
        if not self.reads_as_one(provider):
            yield
            return
        async with self._turns.setdefault(provider.name, anyio.Lock()):
            yield

    def close(self) -> None:
        """The stream is over: tell everybody who was asked."""
        for provider in self._asked.values():
            provider.adapter.release(self._lane)

    @staticmethod
    def reads_as_one(provider: Provider) -> bool:
        """Whether the provider goes on with the same reading as text arrives."""
        return provider.capabilities.text_streaming is Support.NATIVE
