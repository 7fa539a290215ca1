"""Live delivery: speech is heard while it is made, and still each word once."""

from __future__ import annotations

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttskit import AsyncTTSService
from ttskit.adapters.base import EMULATED, TimedText
from ttskit.audio import AudioChunk, Outcome
from ttskit.errors import NetworkError, StreamInterruptedError
from ttskit.routing.live import Release
from ttskit.speech import SpeechStream
from ttskit.testing import MockAdapter, listen, transcribe, virtual_time

TEXT = "One two three four five six. Seven eight nine ten. Eleven twelve."


def pair(**settings: object) -> tuple[MockAdapter, MockAdapter]:
    first = MockAdapter(provider="first", chunk_s=0.05, **settings)
    return first, MockAdapter(provider="second", sample_rate=16_000)


async def live(
    *providers: MockAdapter, text: str | None = TEXT, **options: object
) -> tuple[list[AudioChunk], SpeechStream]:
    async with AsyncTTSService({"text": {"fast_start": False}}, providers=list(providers)) as tts:
        stream = tts.stream(text, delivery="live", **options)
        async with stream as speech:
            return [chunk async for chunk in speech], stream


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_speech_is_heard_before_the_sentence_is_whole(backend: str) -> None:
    adapter = MockAdapter(chunk_latency_s=1.0)

    async def main() -> None:
        async with (
            AsyncTTSService(providers=[adapter]) as tts,
            tts.stream("One two three four five six.", delivery="live") as speech,
        ):
            await anext(speech)
            assert adapter.running == 1
            assert not speech.warnings

    virtual_time(main, backend=backend)


@settings(max_examples=60)
@given(at=st.floats(0, 1), backend=st.sampled_from(["asyncio", "trio"]))
def test_wherever_a_provider_dies_each_word_is_heard_once(at: float, backend: str) -> None:
    first, second = pair()
    first.faults.die_mid_stream(at=at)
    chunks, speech = virtual_time(lambda: live(first, second), backend=backend)
    assert transcribe(chunks) == TEXT
    assert {chunk.sample_rate for chunk in chunks} == {speech.sample_rate}
    spans = [entry.text for entry in speech.ledger]
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert "".join(TEXT[slice(*span)] for span in spans) == TEXT


def test_the_place_where_speech_was_resumed_is_marked() -> None:
    first, second = pair()
    first.faults.die_mid_stream(at=0.7)
    chunks, speech = virtual_time(lambda: live(first, second))
    marked = [chunk.discontinuity for chunk in chunks]
    assert marked.count(True) == 1
    assert chunks[marked.index(True)].provider == "second"
    assert speech.origin.outcome is Outcome.RESUMED
    begun, resumed, *_ = speech.ledger
    assert (begun.utterance, begun.provider, resumed.utterance) == (0, "first", 0)
    assert begun.frames[1] == resumed.frames[0] == chunks[marked.index(True)].offset


def test_the_listener_is_told_no_word_twice_by_word_times() -> None:
    first, second = pair()
    first.faults.die_mid_stream(at=0.6)
    chunks, speech = virtual_time(lambda: live(first, second, timestamps="word"))
    words = [word for chunk in chunks for word in chunk.words]
    assert [word.word for word in words] == TEXT.split()
    assert [TEXT[slice(*word.span)] for word in words] == TEXT.split()
    starts = [word.start for word in words]
    assert starts == sorted(starts)
    assert [word for entry in speech.ledger for word in entry.words] == words


def test_what_was_heard_is_known_while_a_sentence_is_under_way() -> None:
    adapter = MockAdapter(chunk_s=0.05, chunk_latency_s=0.1)

    async def main() -> None:
        async with (
            AsyncTTSService({"text": {"fast_start": False}}, providers=[adapter]) as tts,
            tts.stream(TEXT, delivery="live") as speech,
        ):
            chunk = await anext(speech)
            heard = speech.spoken_text(chunk.offset + len(chunk.samples))
            assert adapter.running
            assert heard
            assert TEXT.startswith(heard)
            assert len(heard) < len("One two three four five six.")

    virtual_time(main)


@pytest.mark.parametrize("rate", [None, 8_000])
def test_who_fails_behind_the_last_word_has_said_all(rate: int | None) -> None:
    adapter = MockAdapter(chunk_s=0.05)
    adapter.faults.die_mid_stream(at=1.0)
    chunks, speech = virtual_time(lambda: live(adapter, sample_rate=rate))
    assert transcribe(chunks) == TEXT
    assert speech.origin.outcome is Outcome.COMPLETE


def test_the_only_provider_says_the_rest_after_it_broke_off() -> None:
    adapter = MockAdapter(chunk_s=0.05)
    adapter.faults.die_mid_stream(at=0.7, times=1)
    chunks, _ = virtual_time(lambda: live(adapter))
    assert transcribe(chunks) == TEXT
    assert TEXT.startswith(adapter.texts[0])
    assert len(adapter.texts[1]) < len(adapter.texts[0])


def test_who_goes_on_after_a_failure_is_asked_once_for_what_follows() -> None:
    only = MockAdapter(chunk_s=0.05)
    only.faults.die_mid_stream(at=0.9, times=1)

    async def main() -> list[AudioChunk]:
        async with (
            AsyncTTSService({"text": {"fast_start": False}}, providers=[only]) as tts,
            tts.stream("One two three. Four five six. Seven eight.", delivery="live") as speech,
        ):
            return [chunk async for chunk in speech]

    assert transcribe(virtual_time(main)) == "One two three. Four five six. Seven eight."
    assert only.texts.count("Four five six.") == only.texts.count("Seven eight.") == 1


def test_what_a_failed_provider_had_begun_is_said_by_the_one_who_took_over() -> None:
    first = MockAdapter(provider="first", chunk_s=0.05, chunk_latency_s=0.1)
    second = MockAdapter(provider="second", chunk_latency_s=1)
    text = "One two three. Four five six seven. Eight nine ten eleven twelve thirteen."

    async def main() -> tuple[list[AudioChunk], list[str]]:
        async with (
            AsyncTTSService({"text": {"fast_start": False}}, providers=[first, second]) as tts,
            tts.stream(text, delivery="live") as speech,
        ):
            chunks = [await anext(speech)]
            first.faults.die_mid_stream(at=0.7)
            chunks += [chunk async for chunk in speech]
            return chunks, [entry.provider for entry in speech.ledger]

    chunks, speakers = virtual_time(main)
    assert transcribe(chunks) == text
    assert len(first.texts) == 3
    assert speakers == ["first", "first", "second", "second"]


def test_nobody_left_to_speak_ends_with_what_was_heard() -> None:
    adapter = MockAdapter(chunk_s=0.05)
    adapter.faults.die_mid_stream(at=0.7, error=NetworkError)

    async def main() -> StreamInterruptedError:
        with pytest.raises(StreamInterruptedError) as failure:
            await live(adapter)
        return failure.value

    error = virtual_time(main)
    assert error.spoken_text
    assert TEXT.startswith(error.spoken_text)
    assert error.ledger[-1].text[1] == len(error.spoken_text)


@pytest.mark.parametrize("fault", ["silence", "empty", "html"])
def test_what_is_no_speech_is_never_heard(fault: str) -> None:
    first, second = pair()
    getattr(first.faults, fault)()
    chunks, _ = virtual_time(lambda: live(first, second))
    assert transcribe(chunks) == TEXT
    assert {heard.voice for heard in listen(chunks)} == {"second:alto"}


@settings(max_examples=25)
@given(at=st.floats(0.5, 0.95))
def test_a_body_that_ends_early_is_no_end(at: float) -> None:
    first, second = pair()
    first.faults.truncate(at=at)
    chunks, _ = virtual_time(lambda: live(first, second))
    assert transcribe(chunks) == TEXT


@settings(max_examples=40)
@given(at=st.floats(0.05, 0.95))
def test_without_word_times_at_most_a_word_or_two_is_said_again_or_lost(at: float) -> None:
    first, second = pair(word_timestamps=EMULATED)
    text = "One two three four five six seven eight. Nine ten eleven twelve thirteen fourteen."

    async def main() -> list[AudioChunk]:
        async with (
            AsyncTTSService({"text": {"fast_start": False}}, providers=[first, second]) as tts,
            tts.stream(text, delivery="live") as speech,
        ):
            chunks = []
            async for chunk in speech:
                chunks.append(chunk)
                if chunk.utterance.index == 0:
                    first.faults.heal().die_mid_stream(at=at)
            return chunks

    chunks = virtual_time(main)
    heard = transcribe(chunks).replace("\ufffd", "").split()
    assert heard[:8] == text.split()[:8]
    assert abs(len(heard) - len(text.split())) <= 2
    assert heard[-1] == "fourteen."


@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=12))
def test_untimed_audio_is_let_go_at_once_and_never_more_than_came(cuts: list[int]) -> None:
    release = Release("one two three four", 1_000, pace_s=0.065)
    heard, came = 0, 0
    for frames in cuts:
        came += frames
        heard += len(release.feed(np.full(frames, 0.5, np.float32)))
        assert came - heard <= min(300, 0.2 * came + 1)
        assert heard > 0 or came < 5
    assert heard + len(release.finish()) == came


def test_what_was_changed_in_the_text_is_reported_once() -> None:
    first, second = pair()
    first.faults.die_mid_stream(at=0.7)
    text = "One\u200b two three four five six."
    _, speech = virtual_time(lambda: live(first, second, text=text))
    assert [notice.code for notice in speech.warnings].count("text_changed") == 1


def test_a_guessed_place_is_reported() -> None:
    first, second = pair(word_timestamps=EMULATED)
    first.faults.die_mid_stream(at=0.7)
    _, speech = virtual_time(lambda: live(first, second))
    assert "estimated" in {notice.code for notice in speech.warnings}


def test_the_splice_does_not_click() -> None:
    first, second = pair()
    first.faults.die_mid_stream(at=0.7)
    chunks, speech = virtual_time(lambda: live(first, second))
    samples = np.concatenate([chunk.samples for chunk in chunks])
    splice = speech.ledger[0].frames[1]
    assert np.abs(np.diff(samples[splice - 2 : splice + 2])).max() < 0.01


def test_marked_up_speech_goes_on_at_the_word_where_it_broke_off() -> None:
    first, second = pair()
    first.faults.die_mid_stream(at=0.6)
    ssml = "<speak>One two <emphasis>three four</emphasis> five six.</speak>"
    chunks, _ = virtual_time(lambda: live(first, second, text=None, ssml=ssml))
    assert transcribe(chunks) == "One two three four five six."


def test_a_whole_result_may_be_asked_for_live() -> None:
    first, second = pair()
    first.faults.die_mid_stream(at=0.5)

    async def main() -> str:
        async with AsyncTTSService(providers=[first, second]) as tts:
            return transcribe(await tts.synthesize(TEXT, delivery="live"))

    assert virtual_time(main) == TEXT


def test_a_slow_listener_keeps_no_provider_waiting() -> None:
    adapter = MockAdapter(chunk_s=0.05)

    async def main() -> None:
        async with (
            AsyncTTSService(providers=[adapter]) as tts,
            tts.stream(TEXT, delivery="live") as speech,
        ):
            heard = []
            async for chunk in speech:
                heard.append(chunk)
                await anyio.sleep(45)
                assert adapter.running == 0
        assert transcribe(heard) == TEXT

    virtual_time(main)


@given(
    cuts=st.lists(st.integers(1, 900), max_size=20),
    words=st.lists(st.integers(1, 20), min_size=1, max_size=8),
)
def test_audio_is_let_go_in_order_and_up_to_whole_words(cuts: list[int], words: list[int]) -> None:
    ends = np.cumsum(words) * 100
    text = " ".join("w" * size for size in words)
    spans, at = [], 0
    for size in words:
        spans.append((at, at + size))
        at += size + 1
    timed = [
        TimedText((end - 100 * size) / 1_000, end / 1_000, span)
        for end, size, span in zip(ends, words, spans, strict=True)
    ]
    samples = np.linspace(0.5, 0.9, int(ends[-1]), dtype=np.float32)
    release = Release(text, 1_000, pace_s=None)
    given_out, at = [], 0
    for size in cuts:
        piece = samples[at : at + size]
        at += len(piece)
        given_out.append(release.feed(piece, timed))
        released = sum(map(len, given_out))
        assert released == release.released <= at
        assert released + 5 in {5, *ends}
        assert release.upto == max(
            (s[1] for s, e in zip(spans, ends, strict=True) if e <= released + 5 and released),
            default=0,
        )
    assert np.array_equal(np.concatenate([*given_out, samples[:0]]), samples[: release.released])
