"""The mock provider: what it says, what it sends, and what it remembers of having been asked."""

from __future__ import annotations

import anyio
import numpy as np
import pytest
from anyio.lowlevel import checkpoint

from ttskit.adapters.base import EMULATED, NATIVE, UNSUPPORTED, AudioSource, Capabilities, Utterance
from ttskit.codecs.decode import decode
from ttskit.codecs.pcm import from_pcm
from ttskit.errors import (
    ConfigurationError,
    InvalidParameterError,
    ProviderUnavailableError,
    ServiceClosedError,
    TextTooLongError,
    UnsupportedLanguageError,
    VoiceNotFoundError,
)
from ttskit.registry import Registry
from ttskit.resources.host import Resources
from ttskit.testing import MockAdapter, MockOptions, listen, transcribe

pytestmark = pytest.mark.anyio


async def opened(adapter: MockAdapter) -> MockAdapter:
    await adapter.open(Resources())
    return adapter


async def read(source: AudioSource) -> bytes:
    return b"".join([chunk async for chunk in source.chunks if isinstance(chunk, bytes)])


async def said(adapter: MockAdapter, utterance: Utterance) -> str:
    async with adapter.synthesize(utterance) as source:
        return transcribe((from_pcm(await read(source)), source.sample_rate))


async def test_it_says_what_it_was_asked_to_say() -> None:
    adapter = await opened(MockAdapter())
    assert await said(adapter, Utterance("One two three.")) == "One two three."


async def test_who_spoke_is_heard() -> None:
    adapter = await opened(MockAdapter(provider="first"))
    async with adapter.synthesize(Utterance("One.", voice="tenor")) as source:
        (heard,) = listen((from_pcm(await read(source)), source.sample_rate))
    assert heard.voice == "first:tenor"


@pytest.mark.parametrize("audio_format", ["wav", "flac", "ogg", "opus", "mp3"])
async def test_it_sends_the_format_it_was_told_to(audio_format: str) -> None:
    adapter = await opened(MockAdapter(format=audio_format))
    async with adapter.synthesize(Utterance("One two three.")) as source:
        data = await read(source)
    assert source.format == audio_format
    assert decode(data).sample_rate in {source.sample_rate, 48_000}
    assert transcribe(data) == "One two three."


async def test_float_samples_come_as_arrays() -> None:
    adapter = await opened(MockAdapter(format="f32"))
    async with adapter.synthesize(Utterance("One.")) as source:
        chunks = [chunk async for chunk in source.chunks]
    assert all(isinstance(chunk, np.ndarray) and chunk.dtype == np.float32 for chunk in chunks)


async def test_chunks_have_the_length_that_was_asked_for() -> None:
    adapter = await opened(MockAdapter(chunk_s=0.05, sample_rate=16_000))
    async with adapter.synthesize(Utterance("One two three four.")) as source:
        lengths = [len(chunk) async for chunk in source.chunks if isinstance(chunk, bytes)]
    assert set(lengths[:-1]) == {2 * 800}
    assert 0 < lengths[-1] <= 2 * 800


async def test_words_are_known_before_their_chunk_is_over() -> None:
    adapter = await opened(MockAdapter(chunk_s=0.05))
    text, received = "One two, three.", 0
    async with adapter.synthesize(Utterance(text)) as source:
        async for chunk in source.chunks:
            assert isinstance(chunk, bytes)
            received += len(chunk) // 2
            assert all(word.start < received / 24_000 + 0.3 for word in source.words)
    assert [text[slice(*word.span)] for word in source.words] == ["One", "two,", "three."]
    assert source.words[-1].end < received / 24_000


async def test_it_remembers_what_it_was_asked() -> None:
    adapter = await opened(MockAdapter())
    adapter.faults.fail_first(1)
    with pytest.raises(ProviderUnavailableError):
        await said(adapter, Utterance("One."))
    await said(adapter, Utterance("Two."))
    assert adapter.texts == ["One.", "Two."]
    assert adapter.billed == len("Two.")


async def test_it_counts_what_is_running() -> None:
    adapter = await opened(MockAdapter())
    async with adapter.synthesize(Utterance("One.")), adapter.synthesize(Utterance("Two.")):
        assert adapter.running == 2
    assert (adapter.running, adapter.most_running) == (0, 2)


@pytest.mark.parametrize(
    ("utterance", "error"),
    [
        pytest.param(Utterance("One.", voice="alt"), VoiceNotFoundError, id="voice"),
        pytest.param(Utterance("One.", language="fr"), UnsupportedLanguageError, id="language"),
        pytest.param(Utterance("One two three."), TextTooLongError, id="length"),
        pytest.param(Utterance("One.", speed=3), InvalidParameterError, id="speed"),
    ],
)
async def test_what_it_cannot_do_is_refused(utterance: Utterance, error: type[Exception]) -> None:
    adapter = await opened(MockAdapter(max_characters=8, languages=["en-GB"]))
    with pytest.raises(error):
        await said(adapter, utterance)
    assert adapter.billed == 0


async def test_the_nearest_voice_is_named() -> None:
    adapter = await opened(MockAdapter())
    with pytest.raises(VoiceNotFoundError, match="alto"):
        await said(adapter, Utterance("One.", voice="altto"))


async def test_a_mock_that_is_not_open_says_so() -> None:
    with pytest.raises(ServiceClosedError):
        await said(MockAdapter(), Utterance("One."))


def test_capabilities_follow_the_options() -> None:
    able = MockAdapter(format="mp3", speed="unsupported", max_characters=90).capabilities
    assert (able.formats, able.speed, able.max_characters) == (("mp3",), UNSUPPORTED, 90)
    assert MockAdapter.capabilities.speed is NATIVE


def test_capabilities_can_be_claimed() -> None:
    claimed = Capabilities(formats=("pcm",), word_timestamps=EMULATED)
    assert MockAdapter(capabilities=claimed).capabilities is claimed


def test_languages_are_those_of_its_voices() -> None:
    voices = [{"id": "a", "languages": ["de"]}, "b"]
    assert MockAdapter(voices=voices, languages=["fr"]).capabilities.languages == {"de", "fr"}
    assert MockAdapter(voices=voices).capabilities.languages == frozenset()


@pytest.mark.parametrize(
    "settings",
    [{"sample_rate": 100}, {"colour": "red"}, {"voices": []}, {"format": "doc"}],
    ids=["sample rate", "unknown", "no voice", "format"],
)
def test_wrong_settings_are_an_error(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        MockAdapter(None, provider=None, faults=None, capabilities=None, **settings)


def test_the_registry_finds_it_by_name() -> None:
    assert Registry().find("mock") is MockAdapter
    assert MockAdapter(MockOptions(), provider="mine").provider == "mine"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<speak>One &amp; two.</speak>", "One & two."),
        ("<speak>One<break time='200ms'/> two.</speak>", "One two."),
        ('<speak><sub alias="World Wide Web">WWW</sub> is old.</speak>', "World Wide Web is old."),
        ("<speak><p>One <emphasis>two</emphasis></p></speak>", "One two"),
        ("<speak>a &lt; b &gt; c</speak>", "a < b > c"),
    ],
)
async def test_markup_is_obeyed_not_read_aloud(markup: str, text: str) -> None:
    adapter = await opened(MockAdapter(ssml=["break", "sub"]))
    assert await said(adapter, Utterance(markup, is_ssml=True)) == text


async def test_words_of_markup_point_into_the_document() -> None:
    document = "<speak>A &amp; b<break/> <sub alias='see dee'>CD</sub></speak>"
    adapter = await opened(MockAdapter(ssml=["break", "sub"]))
    async with adapter.synthesize(Utterance(document, is_ssml=True)) as source:
        await read(source)
    spoken = [document[slice(*word.span)] for word in source.words]
    assert spoken == ["A", "&amp;", "b", "CD", "CD"]


async def test_a_very_long_text_starts_at_once() -> None:
    adapter = await opened(MockAdapter())
    async with adapter.synthesize(Utterance("word " * 100_000)) as source:
        first = await anext(source.chunks)
    assert isinstance(first, bytes)
    assert len(first) == 2 * 2_400


async def test_waiting_follows_the_clock_of_the_event_loop() -> None:
    adapter = await opened(MockAdapter(latency_s=3_600))
    with anyio.move_on_after(0) as scope:
        await said(adapter, Utterance("One."))
    assert scope.cancelled_caught
    await checkpoint()
    assert adapter.running == 0
