"""What a worker says is what the engine says: audio, words and errors come through the pipe."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import anyio
import numpy as np
import pytest

from tests.resources.workers.conftest import (
    chunks_of,
    job,
    said,
    until,
    workers,
)
from tests.resources.workers.fake_engine import RATE, FakeEngine
from ttskit.errors import (
    GenerationError,
    GPUOutOfMemoryError,
    OutOfMemoryError,
    TTSError,
    VoiceNotFoundError,
)
from ttskit.resources.engine import EngineChunk, EngineJob, EngineWord, Recipe
from ttskit.resources.workers.call import Delivery
from ttskit.resources.workers.child import WINDOW
from ttskit.resources.workers.host import Settings, WorkerHost
from ttskit.testing import transcribe

pytestmark = pytest.mark.anyio
TEXT = "One two three four."


@pytest.fixture(scope="module")
def calm() -> Iterator[WorkerHost]:
    """A host for tests that do it no harm: a start takes longer than most of them."""
    host = WorkerHost(Recipe(FakeEngine), provider="fake", settings=Settings())
    yield host
    anyio.run(host.aclose)


async def test_audio_comes_whole_from_another_process(calm: WorkerHost) -> None:
    assert await said(calm, TEXT) == TEXT
    (worker,) = workers()
    assert worker.pid != os.getpid()


async def test_words_come_with_the_audio(calm: WorkerHost) -> None:
    chunks = await chunks_of(calm, job("One two.", want_words=True))
    words = [word for chunk in chunks for word in chunk.words]
    assert [type(word) for word in words] == [EngineWord] * 2
    assert [TEXT[slice(*word.span)] for word in words] == ["One", "two "]
    assert 0 < words[0].start < words[0].end <= words[1].start


async def test_samples_are_float32_that_may_be_written_to(calm: WorkerHost) -> None:
    chunk, *_ = await chunks_of(calm, job("One."))
    assert (chunk.samples.dtype, chunk.sample_rate) == (np.float32, RATE)
    chunk.samples[:] = 0.5


async def test_any_text_survives_the_trip(calm: WorkerHost) -> None:
    text = 'Tab\t, "quotes", 你好, \U0001f600, half a pair \ud800, and a null \0.'
    assert await said(calm, text) == text


async def test_a_slow_reader_holds_the_engine(calm: WorkerHost) -> None:
    text = "One two three four five. " * 200
    async with calm.stream(EngineJob(text)) as chunks:
        first = await anext(chunks)
        assert isinstance(chunks, Delivery)
        waiting = chunks._items
        await until(lambda: _bytes(waiting) > WINDOW - 2 * first.samples.nbytes)
        await anyio.sleep(0.1)  # long enough for the engine to say it all, if it could
        assert _bytes(waiting) < WINDOW + 2 * first.samples.nbytes
        rest = [chunk async for chunk in chunks]
    heard = np.concatenate([chunk.samples for chunk in (first, *rest)])
    assert transcribe((heard, RATE)) == text


def _bytes(waiting: Iterable[object]) -> int:
    return sum(chunk.samples.nbytes for chunk in waiting if isinstance(chunk, EngineChunk))


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        pytest.param(EngineJob("x", voice="two"), VoiceNotFoundError, "nearest: one", id="ours"),
        pytest.param(job("secret", "value"), GenerationError, "failed (ValueError)", id="theirs"),
        pytest.param(job("x", "no memory"), OutOfMemoryError, "no memory", id="memory"),
        pytest.param(job("x", "no gpu memory"), GPUOutOfMemoryError, "GPU", id="GPU memory"),
    ],
)
async def test_errors_cross_the_pipe_as_what_they_are(
    calm: WorkerHost, asked: EngineJob, error: type[TTSError], message: str
) -> None:
    with pytest.raises(error) as caught:
        await chunks_of(calm, asked)
    assert type(caught.value) is error
    assert caught.value.provider == "fake"
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
    assert await said(calm, TEXT) == TEXT
