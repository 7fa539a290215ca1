from __future__ import annotations

import math
from collections.abc import AsyncIterator

import anyio
import pytest

from ttskit.resilience.clocks import Watched
from ttskit.resilience.now import now
from ttskit.testing.clock import virtual_time


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def source(*waits: float) -> AsyncIterator[int]:
    """Yield a number after each of so many seconds."""
    for number, seconds in enumerate(waits):
        await anyio.sleep(seconds)
        yield number


class Listened:
    """Chunks that were heard in a scope with 3 s for the first, and 5 s for each of the others."""

    def __init__(self) -> None:
        self.chunks: list[int] = []
        self.signs: list[float] = []

    async def hear(self, *waits: float, pause_s: float = 0.0) -> None:
        self.began = anyio.current_time()
        with anyio.CancelScope(deadline=self.began + 3) as self.scope:
            self.watched = Watched(source(*waits), self.scope, stall_s=5, alive=self.is_alive)
            assert aiter(self.watched) is self.watched
            async for chunk in self.watched:
                assert self.scope.deadline == math.inf
                self.chunks.append(chunk)
                await anyio.sleep(pause_s)
        self.ended = anyio.current_time() - self.began

    def is_alive(self) -> None:
        self.signs.append(anyio.current_time() - self.began)


def test_chunks_in_time_are_heard(backend: str) -> None:
    one = Listened()
    virtual_time(one.hear, 2.9, 4.9, 4.9, backend=backend)
    assert one.chunks == [0, 1, 2]
    assert not one.scope.cancelled_caught


def test_each_chunk_is_a_sign_of_life(backend: str) -> None:
    one = Listened()
    virtual_time(one.hear, 1.0, 2.0, 3.0, backend=backend)
    assert one.signs == pytest.approx([1, 3, 6])


def test_the_first_audio_is_remembered(backend: str) -> None:
    one = Listened()
    virtual_time(one.hear, 1.0, 2.0, backend=backend)
    assert one.watched.first_at is not None
    assert one.watched.first_at - one.began == pytest.approx(1)


def test_nothing_was_heard_of_a_source_that_only_hangs(backend: str) -> None:
    one = Listened()
    virtual_time(one.hear, 3.1, backend=backend)
    assert one.watched.first_at is None
    assert one.ended == pytest.approx(3)


def test_a_source_that_stalls_is_given_up(backend: str) -> None:
    one = Listened()
    virtual_time(one.hear, 1.0, 1.0, 5.1, backend=backend)
    assert one.chunks == [0, 1]
    assert one.ended == pytest.approx(7)


def test_a_slow_listener_is_no_provider_s_fault(backend: str) -> None:
    one = Listened()

    async def main() -> None:
        await one.hear(1.0, 4.9, 4.9, pause_s=60)

    virtual_time(main, backend=backend)
    assert one.chunks == [0, 1, 2]


def test_the_time_is_the_event_loop_s(backend: str) -> None:
    async def main() -> None:
        began = now()
        await anyio.sleep(3_600)
        assert now() - began == pytest.approx(3_600)
        assert now() == pytest.approx(anyio.current_time())

    virtual_time(main, backend=backend)
