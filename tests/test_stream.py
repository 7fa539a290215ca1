from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from itertools import pairwise

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttskit import AsyncTTSService
from ttskit.audio import AudioChunk, Outcome
from ttskit.errors import (
    InvalidParameterError,
    ProviderUnavailableError,
    ServiceClosedError,
    StreamInterruptedError,
)
from ttskit.testing import MockAdapter, transcribe

pytestmark = pytest.mark.anyio
TEXT = "One two three. Four five six. Seven eight nine."


async def pieces(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


async def heard(tts: AsyncTTSService, text: object, **options: object) -> list[AudioChunk]:
    async with tts.stream(text, **options) as speech:  # type: ignore[arg-type] # any of its kinds
        return [chunk async for chunk in speech]


async def test_chunks_come_in_order_without_gaps_and_the_last_says_so() -> None:
    async with AsyncTTSService(providers=[MockAdapter()]) as tts:
        chunks = await heard(tts, TEXT)
    ends = [chunk.offset + len(chunk.samples) for chunk in chunks]
    assert [chunk.offset for chunk in chunks] == [0, *ends[:-1]]
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert transcribe(chunks) == TEXT
    assert all(chunk.pcm == chunk.data for chunk in chunks)


@settings(deadline=None, max_examples=12)
@given(cuts=st.lists(st.integers(0, len(TEXT)), max_size=6))
def test_text_in_any_pieces_is_the_same_speech(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TEXT)]
    parts = [TEXT[a:b] for a, b in pairwise(edges)]

    async def main() -> list[AudioChunk]:
        async with AsyncTTSService(providers=[MockAdapter()]) as tts:
            return await heard(tts, pieces(*parts))

    assert transcribe(anyio.run(main)) == TEXT


async def test_a_sentence_is_heard_before_the_rest_of_the_text_is_there() -> None:
    first_heard = anyio.Event()

    async def tokens() -> AsyncIterator[str]:
        yield "One two three. Four"
        await first_heard.wait()
        yield " five six."

    async with AsyncTTSService(providers=[MockAdapter()]) as tts, tts.stream(tokens()) as speech:
        await anext(speech)
        first_heard.set()
        rest = [chunk async for chunk in speech]
        assert rest[-1].last
        assert speech.spoken_text(10**9) == "One two three. Four five six."


async def test_text_of_no_words_is_no_speech_and_no_error() -> None:
    adapter = MockAdapter()
    async with AsyncTTSService(providers=[adapter]) as tts:
        assert await heard(tts, pieces("", " ", "\n")) == []
    assert adapter.requests == []


async def test_an_error_of_the_text_itself_reaches_the_listener_after_what_was_said() -> None:
    async def tokens() -> AsyncIterator[str]:
        yield "One two three. Four"
        raise ConnectionResetError("the model is gone")

    async with AsyncTTSService(providers=[MockAdapter()]) as tts, tts.stream(tokens()) as speech:
        with pytest.raises(ConnectionResetError):
            async for _ in speech:
                pass
        assert speech.spoken_text(10**9).strip() == "One two three."


async def test_failing_after_the_first_sentence_says_what_was_heard() -> None:
    adapter = MockAdapter()
    async with AsyncTTSService(providers=[adapter]) as tts, tts.stream(TEXT) as speech:
        await anext(speech)
        adapter.faults.fail_first(99)
        with pytest.raises(StreamInterruptedError) as failure:
            async for _ in speech:
                pass
    assert TEXT.startswith(failure.value.spoken_text.strip())
    assert isinstance(failure.value.__cause__, ProviderUnavailableError)
    assert speech.origin.outcome is Outcome.TRUNCATED


async def test_failing_before_anything_was_heard_is_the_providers_own_error() -> None:
    adapter = MockAdapter()
    adapter.faults.fail_first(99)
    async with AsyncTTSService(providers=[adapter]) as tts, tts.stream(TEXT) as speech:
        with pytest.raises(ProviderUnavailableError):
            await anext(speech)


@pytest.mark.parametrize("way", ["break", "exception", "cancel", "never iterated"])
async def test_leaving_the_block_in_any_way_ends_the_providers_work(way: str) -> None:
    adapter = MockAdapter(chunk_latency_s=0.001)
    async with AsyncTTSService(providers=[adapter]) as tts:
        with anyio.CancelScope() as scope, contextlib.suppress(LookupError):
            async with tts.stream(TEXT * 20) as speech:
                if way != "never iterated":
                    await anext(speech)
                if way == "exception":
                    raise LookupError
                if way == "cancel":
                    scope.cancel()
                    await anyio.sleep_forever()
        assert adapter.running == 0
        assert len(adapter.requests) < 20


async def test_a_slow_listener_is_waited_for() -> None:
    adapter = MockAdapter()
    async with AsyncTTSService(providers=[adapter]) as tts, tts.stream(TEXT * 30) as speech:
        await anext(speech)
        with anyio.move_on_after(0.2):
            await anyio.sleep_forever()
        assert len(adapter.requests) < 15


async def test_closing_the_service_ends_its_streams() -> None:
    async with AsyncTTSService(providers=[MockAdapter()]) as tts, tts.stream(TEXT * 20) as speech:
        await anext(speech)
        await tts.aclose()
        with pytest.raises(ServiceClosedError):
            async for _ in speech:
                pass


async def test_collecting_takes_the_whole_stream_or_nothing() -> None:
    async with AsyncTTSService(providers=[MockAdapter()]) as tts:
        async with tts.stream(TEXT) as speech:
            audio = await speech.collect()
        async with tts.stream(TEXT) as speech:
            await anext(speech)
            with pytest.raises(InvalidParameterError):
                await speech.collect()
    assert transcribe(audio) == TEXT
    assert audio.origin.time_to_first_audio is not None


@pytest.mark.parametrize("audio_format", ["wav", "ogg", "mp3", "opus", "flac", "mulaw", "alaw"])
async def test_an_encoded_stream_is_one_valid_file(audio_format: str) -> None:
    async with AsyncTTSService(providers=[MockAdapter(sample_rate=16_000)]) as tts:
        chunks = await heard(tts, TEXT, format=audio_format)
    data = b"".join(chunk.data for chunk in chunks)
    if audio_format not in ("mulaw", "alaw"):
        assert transcribe(data) == TEXT
    assert len(data) > 1_000


async def test_the_text_heard_so_far_follows_the_frames_played() -> None:
    async with AsyncTTSService(providers=[MockAdapter()]) as tts:
        async with tts.stream(TEXT, timestamps="word") as speech:
            chunks = [chunk async for chunk in speech]
        frames = chunks[-1].offset + len(chunks[-1].samples)
        grown = [speech.spoken_text(at) for at in range(0, frames + 1, frames // 20)]
    assert grown[0] == ""
    assert grown[-1].rstrip() == TEXT
    assert all(later.startswith(earlier) for earlier, later in pairwise(grown))


async def test_two_readers_of_one_stream_are_told_so() -> None:
    adapter = MockAdapter()
    adapter.faults.hang()
    async with (
        AsyncTTSService(providers=[adapter]) as tts,
        tts.stream(TEXT) as speech,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(anext, speech)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(InvalidParameterError):
            await anext(speech)
        tasks.cancel_scope.cancel()
