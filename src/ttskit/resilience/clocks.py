"""Two of the three clocks: until the first audio, and between chunks. The third is the deadline."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from ttskit.resilience.alarm import Scope
from ttskit.resilience.now import now

ChunkT = TypeVar("ChunkT")


class Watched(Generic[ChunkT]):
    """Chunks whose source is waited for only so long.

    The scope encloses the whole call and its deadline moves: a scope around each wait would close
    while scopes that the source has opened within it are still open. It stands still while nobody
    waits, so that a slow consumer is no provider's fault.

    Args:
        chunks: From the provider.
        scope: Around the whole call; its deadline is that of the first audio.
        stall_s: Seconds between chunks.
        alive: Told of every chunk: a sign of life.
    """

    def __init__(
        self,
        chunks: AsyncIterator[ChunkT],
        scope: Scope,
        *,
        stall_s: float,
        alive: Callable[[], None],
    ) -> None:
        self._chunks = chunks
        self._scope = scope
        self._stall_s = stall_s
        self._alive = alive
        self.first_at: float | None = None
        """When the first chunk came, on the event loop's clock."""

    def __aiter__(self) -> Watched[ChunkT]:
        return self

    async def __anext__(self) -> ChunkT:
        if self.first_at is not None:
            self._scope.deadline = now() + self._stall_s
        chunk = await anext(self._chunks)
        self._scope.deadline = math.inf
        self._alive()
        if self.first_at is None:
            self.first_at = now()
        return chunk
