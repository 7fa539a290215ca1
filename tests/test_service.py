from __future__ import annotations

import anyio
import pytest

from ttskit import AsyncTTSService, TTSService
from ttskit.errors import (
    ConfigurationError,
    DeadlineExceededError,
    EmptyTextError,
    InvalidParameterError,
    ServiceClosedError,
    TextTooLongError,
    TTSError,
    UnsafeTextError,
    UnsupportedFeatureError,
    UnsupportedFormatError,
    UnsupportedLanguageError,
)
from ttskit.request import SpeechRequest
from ttskit.testing import MockAdapter, transcribe

TEXT = "One two three. Four five six."
DEEP = "<speak>" + "<p>" * 40 + "x" + "</p>" * 40 + "</speak>"
BOMB = '<!DOCTYPE s [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><speak>&b;</speak>'


@pytest.mark.anyio
async def test_a_text_is_spoken_whole_and_in_order() -> None:
    async with AsyncTTSService(providers=[MockAdapter()]) as tts:
        audio = await tts.synthesize(TEXT)
    assert transcribe(audio) == TEXT
    assert [entry.utterance for entry in audio.ledger] == [0, 1]


@pytest.mark.anyio
@pytest.mark.parametrize("audio_format", ["wav", "flac", "ogg", "opus", "mp3", "pcm"])
async def test_any_format_carries_the_same_words(audio_format: str) -> None:
    async with AsyncTTSService(providers=[MockAdapter()]) as tts:
        audio = await tts.synthesize(TEXT, format=audio_format)
    assert audio.format == audio_format
    assert transcribe(audio) == TEXT


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "error"),
    [
        pytest.param({"text": ""}, EmptyTextError, id="empty"),
        pytest.param({"text": " \n\t "}, EmptyTextError, id="blank"),
        pytest.param({"text": "\x00\x07\u200b"}, EmptyTextError, id="control characters only"),
        pytest.param({"text": "a " * 500_000}, TextTooLongError, id="a megabyte too much"),
        pytest.param({"text": "x", "speed": 0}, InvalidParameterError, id="speed 0"),
        pytest.param({"text": "x", "speed": -1}, InvalidParameterError, id="speed -1"),
        pytest.param({"text": "x", "speed": float("nan")}, InvalidParameterError, id="speed NaN"),
        pytest.param({"text": "x", "format": "doc"}, UnsupportedFormatError, id="format"),
        pytest.param({"text": "x", "language": "e"}, UnsupportedLanguageError, id="language"),
        pytest.param({"text": "x", "sped": 1}, InvalidParameterError, id="unknown setting"),
        pytest.param({"text": "x", "reference": b"x"}, UnsupportedFeatureError, id="cloning"),
        pytest.param({"text": "x", "ssml": "<speak/>"}, InvalidParameterError, id="two sources"),
        pytest.param({"ssml": DEEP}, UnsafeTextError, id="depth bomb"),
        pytest.param({"ssml": BOMB}, UnsafeTextError, id="entity bomb"),
        pytest.param({"ssml": "<speak>x"}, InvalidParameterError, id="broken markup"),
        pytest.param({}, InvalidParameterError, id="nothing"),
    ],
)
async def test_bad_input_is_a_typed_error_and_no_engine_is_asked(
    options: dict[str, object], error: type[TTSError]
) -> None:
    adapter = MockAdapter()
    async with AsyncTTSService(providers=[adapter]) as tts:
        with pytest.raises(error):
            await tts.synthesize(**options)  # type: ignore[arg-type] # that is the point
    assert adapter.requests == []


@pytest.mark.anyio
async def test_strict_makes_an_ignored_setting_an_error() -> None:
    async with AsyncTTSService(providers=[MockAdapter()]) as tts:
        audio = await tts.synthesize(TEXT, pitch=3)
        with pytest.raises(UnsupportedFeatureError, match="pitch"):
            await tts.synthesize(TEXT, pitch=3, strict=True)
    assert [(notice.code, notice.feature) for notice in audio.warnings] == [("ignored", "pitch")]


@pytest.mark.anyio
async def test_utterances_are_made_ahead_in_parallel_and_delivered_in_order() -> None:
    adapter = MockAdapter(latency_s=0.01)
    text = " ".join(f"This is sentence {word}." for word in ("one", "two", "three", "four", "five"))
    async with AsyncTTSService(providers=[adapter]) as tts:
        audio = await tts.synthesize(text)
    assert adapter.most_running > 1
    assert transcribe(audio) == text


@pytest.mark.anyio
async def test_a_deadline_ends_the_request() -> None:
    adapter = MockAdapter()
    adapter.faults.hang()
    async with AsyncTTSService(providers=[adapter]) as tts:
        with pytest.raises(DeadlineExceededError):
            await tts.synthesize(TEXT, deadline=0.05)
    assert adapter.running == 0


@pytest.mark.anyio
async def test_closing_ends_what_is_under_way_with_one_clear_error() -> None:
    adapter = MockAdapter()
    adapter.faults.hang()
    tts = AsyncTTSService(providers=[adapter])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_close_once_running, tts, adapter)
        with pytest.raises(ServiceClosedError):
            await tts.synthesize(TEXT)
    assert adapter.running == 0


@pytest.mark.anyio
async def test_a_closed_service_takes_nothing_more() -> None:
    tts = AsyncTTSService(providers=[MockAdapter()])
    await tts.shutdown()
    await tts.shutdown()
    with pytest.raises(ServiceClosedError):
        tts.stream(TEXT)


async def _close_once_running(tts: AsyncTTSService, adapter: MockAdapter) -> None:
    while not adapter.running:
        await anyio.lowlevel.checkpoint()
    await tts.aclose()


@pytest.mark.anyio
async def test_word_times_point_into_the_callers_own_text() -> None:
    text = "Hello,  wide\u200b world. It\u2019s cafe\u0301 time."
    async with AsyncTTSService(providers=[MockAdapter()]) as tts:
        audio = await tts.synthesize(text, timestamps="word")
    assert [text[slice(*word.span)].strip(",.\u200b") for word in audio.words] == [
        "Hello",
        "wide",
        "world",
        "It\u2019s",
        "cafe\u0301",
        "time",
    ]
    starts = [word.start for word in audio.words]
    assert starts == sorted(starts)
    assert audio.words[-1].end <= audio.duration + 0.001


@pytest.mark.anyio
async def test_volume_is_heard_where_the_engine_has_none() -> None:
    async with AsyncTTSService(providers=[MockAdapter()]) as tts:
        plain = await tts.synthesize(TEXT)
        softer = await tts.synthesize(TEXT, volume=-12)
    assert abs(softer.samples).max() == pytest.approx(abs(plain.samples).max() / 4, rel=0.02)


@pytest.mark.anyio
async def test_ssml_without_an_engine_that_reads_it_has_the_same_effect() -> None:
    ssml = '<speak>One <sub alias="two">2</sub><break time="1s"/> three.</speak>'
    async with AsyncTTSService(providers=[MockAdapter()]) as tts:
        audio = await tts.synthesize(ssml=ssml)
        plain = await tts.synthesize("One two three.")
    assert transcribe(audio) == "One two three."
    assert audio.duration > plain.duration + 0.9


@pytest.mark.anyio
async def test_a_whole_request_can_be_passed() -> None:
    async with AsyncTTSService(providers=[MockAdapter()]) as tts:
        audio = await tts.synthesize(SpeechRequest(text=TEXT, speed=2.0, tags={"job": "7"}))
        with pytest.raises(InvalidParameterError):
            await tts.synthesize(SpeechRequest(text=TEXT), speed=2.0)
    assert audio.origin.tags == {"job": "7"}


@pytest.mark.anyio
async def test_voices_can_be_searched_across_providers() -> None:
    first = MockAdapter(provider="first", languages=("de",))
    async with AsyncTTSService(providers=[first, MockAdapter(provider="second")]) as tts:
        german = await tts.voices(language="de", provider="first", gender="male")
        everyone = await tts.voices()
    assert [voice.id for voice in german] == ["tenor"]
    assert {voice.provider for voice in everyone} == {"first", "second"}


def test_providers_can_be_read_without_opening_them() -> None:
    adapter = MockAdapter(provider="first")
    with TTSService(providers=[adapter]) as tts:
        (info,) = tts.providers()
    assert (info.name, info.adapter, info.missing) == ("first", "mock", ())
    assert not adapter.is_open


def test_an_unknown_setting_of_the_service_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="routing"):
        TTSService({"routng": {}})
