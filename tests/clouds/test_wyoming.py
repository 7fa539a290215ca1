"""A Wyoming server, spoken to over real connections."""

from __future__ import annotations

import os
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import cast

import anyio
import numpy as np
import pytest
from pydantic import ValidationError
from typing_extensions import override

from tests.clouds.wyoming_server import OWN_VOICE, PIPER, RATE, VOICES, WyomingServer, packed
from ttskit import AsyncTTSService, Audio
from ttskit.adapters.base import Adapter, AdapterOptions, AudioSource, Utterance
from ttskit.adapters.wyoming import WyomingAdapter, WyomingOptions
from ttskit.errors import (
    GenerationError,
    InvalidParameterError,
    InvalidResponseError,
    NetworkError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    TTSError,
    UnsupportedLanguageError,
    VoiceNotFoundError,
)
from ttskit.resources.host import Resources
from ttskit.resources.http.pools import HTTPOptions
from ttskit.testing import AdapterContract, CancelSweep, Ending, transcribe

pytestmark = pytest.mark.anyio
AnyAdapter = Adapter[AdapterOptions]
TEXT = "One two. Three, four! Five?"
STREAMING = {**PIPER, "supports_synthesize_streaming": True}
SECOND = {
    "name": "robot",
    "installed": True,
    "voices": [{"name": "sv_SE-lisa-medium", "languages": ["sv"], "installed": True}],
}
LAYOUT = {"rate": RATE, "width": 2, "channels": 1, "timestamp": None}


@pytest.fixture
def server() -> Iterator[WyomingServer]:
    with WyomingServer() as server:
        yield server


@pytest.fixture(params=[PIPER, STREAMING], ids=["whole", "streamed"])
def either(request: pytest.FixtureRequest) -> Iterator[WyomingServer]:
    """A server that takes streams of text, and one that does not."""
    with WyomingServer(programs=[request.param]) as server:
        yield server


def made(server: WyomingServer, **section: object) -> WyomingAdapter:
    return WyomingAdapter(WyomingOptions.model_validate({"port": server.port, **section}))


@asynccontextmanager
async def opened(
    server: WyomingServer, *, silence_s: float = 5.0, **section: object
) -> AsyncIterator[WyomingAdapter]:
    adapter = made(server, **section)
    resources = Resources(http=HTTPOptions(silence_s=silence_s))
    await adapter.open(resources)
    try:
        yield adapter
    finally:
        await resources.aclose()


def utterance(text: str, **settings: object) -> Utterance:
    return Utterance(text, **settings)  # type: ignore[arg-type] # its own fields


@asynccontextmanager
async def speaking(adapter: WyomingAdapter, text: str) -> AsyncIterator[AsyncIterator[object]]:
    async with adapter.synthesize(utterance(text)) as source:
        yield source.chunks


async def heard(adapter: WyomingAdapter, text: str, **settings: object) -> str:
    """Return what a listener understands."""
    async with adapter.synthesize(utterance(text, **settings)) as source:
        return await understood(source)


async def understood(source: AudioSource) -> str:
    data = b"".join([cast("bytes", chunk) async for chunk in source.chunks])
    return transcribe(
        Audio(
            data=data,
            format="pcm",
            sample_rate=source.sample_rate,
            frames=len(data) // 2,
            channels=source.channels,
        )
    )


class Contract(AdapterContract):
    """The contract, and what goes wrong on the wire."""

    streams = False

    @pytest.fixture
    def server(self) -> Iterator[WyomingServer]:
        program = STREAMING if self.streams else PIPER
        with WyomingServer(programs=[program], noise=True) as server:
            yield server

    @pytest.fixture
    @override
    def adapter(self, server: WyomingServer) -> AnyAdapter:
        return cast("AnyAdapter", made(server))

    async def test_pieces_of_any_size_are_the_same_audio(
        self, opened: AnyAdapter, server: WyomingServer
    ) -> None:
        whole = await self._take(opened, "One two.")
        for step in (1, 7, 1_021):
            server.spoil(step=step)
            pieces = await self._take(opened, "One two.")
            assert np.array_equal(pieces.samples, whole.samples), step

    @pytest.mark.parametrize("at", [0, 1, 30, 150, 5_000])
    @pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
    async def test_an_answer_that_breaks_off_is_a_network_error(
        self, opened: AnyAdapter, server: WyomingServer, ending: Ending, at: int
    ) -> None:
        server.spoil(ending=ending, at=at)
        with pytest.raises(NetworkError) as caught:
            await self._take(opened, self.sentence)
        assert caught.value.provider == "wyoming"
        shown = "".join(traceback.format_exception(caught.value))
        assert f"{os.sep}anyio{os.sep}" not in shown
        assert (await self._take(opened, self.sentence)).duration > 0.1

    @pytest.mark.parametrize("at", [0, 30, 5_000])
    async def test_a_server_that_falls_silent_is_left(
        self, adapter: AnyAdapter, server: WyomingServer, at: int
    ) -> None:
        resources = Resources(http=HTTPOptions(silence_s=0.2))
        await adapter.open(resources)
        server.spoil(ending=Ending.STALL, at=at)
        with anyio.fail_after(10), pytest.raises(ProviderTimeoutError):
            await self._take(adapter, self.sentence)
        assert (await self._take(adapter, self.sentence)).duration > 0.1
        await resources.aclose()

    async def test_a_server_that_is_gone_and_comes_back(
        self, opened: AnyAdapter, server: WyomingServer
    ) -> None:
        await self._take(opened, self.sentence)
        server.hang_up()
        assert (await self._take(opened, self.sentence)).duration > 0.1


class TestWyoming(Contract):
    pass


class TestWyomingStreaming(Contract):
    streams = True


@pytest.mark.parametrize(
    "instead",
    [
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"\x00\xff\n",
        b"[]\n",
        b'{"data": {}}\n',
        b'{"type": 7}\n',
        b'{"type": "audio-chunk", "data": []}\n',
        b'{"type": "audio-chunk", "data_length": -1}\n',
        b'{"type": "audio-chunk", "data_length": "7"}\n',
        b'{"type": "audio-chunk", "payload_length": 1e3}\n',
        b'{"type": "audio-chunk", "payload_length": 99999999999}\n',
        b'{"type": "audio-chunk", "data_length": 5}\nnull\n',
        b'{"type": "audio-chunk", "data_length": 2}\n[]',
        b"[" * 100_000 + b"\n",
        packed("audio-start"),
        packed("audio-start", {**LAYOUT, "rate": 0}),
        packed("audio-start", {**LAYOUT, "width": 5}),
        packed("audio-start", {**LAYOUT, "channels": None}),
        packed("audio-start", LAYOUT) + packed("audio-chunk", {**LAYOUT, "rate": 8_000}, b"ab"),
        packed("audio-stop"),
    ],
    ids=lambda instead: repr(instead[:60]),
)
async def test_an_answer_that_is_none_is_refused(server: WyomingServer, instead: bytes) -> None:
    server.spoil(instead=instead)
    async with opened(server) as adapter:
        with pytest.raises(InvalidResponseError):
            await heard(adapter, TEXT)
        assert await heard(adapter, TEXT) == TEXT


async def test_a_line_without_end_is_left_at_the_limit(server: WyomingServer) -> None:
    server.spoil(instead=b" " * 8 * 1024 * 1024)
    async with opened(server) as adapter:
        with pytest.raises(InvalidResponseError, match="without an end"):
            await heard(adapter, TEXT)


async def test_nobody_there_is_a_network_error() -> None:
    with WyomingServer() as server:
        pass
    async with opened(server) as adapter:
        for ask in (adapter.check, adapter.voices, lambda: heard(adapter, TEXT)):
            with pytest.raises(NetworkError, match="cannot connect") as caught:
                await ask()
            assert caught.value.provider == "wyoming"


async def test_an_error_of_the_server_is_told_without_its_words(either: WyomingServer) -> None:
    told = {"text": f"cannot say {TEXT}", "code": "RuntimeError"}
    either.spoil(instead=packed("error", told))
    async with opened(either) as adapter:
        with pytest.raises(GenerationError, match=r"the server failed \(RuntimeError\)") as caught:
            await heard(adapter, TEXT)
        assert TEXT not in repr(caught.value)
        either.spoil(instead=packed("error", {"text": TEXT, "code": TEXT}))
        with pytest.raises(GenerationError, match=r"failed$"):
            await heard(adapter, TEXT)


async def test_an_error_within_the_audio_is_raised_after_it(server: WyomingServer) -> None:
    audio = packed("audio-start", LAYOUT) + packed("audio-chunk", LAYOUT, b"ab")
    server.spoil(instead=audio + packed("error", {"text": "no"}))
    async with opened(server) as adapter, speaking(adapter, TEXT) as chunks:
        assert await anext(chunks) == b"ab"
        with pytest.raises(GenerationError):
            await anext(chunks)


async def test_every_sentence_is_heard_once(either: WyomingServer) -> None:
    async with opened(either) as adapter:
        assert await heard(adapter, TEXT) == TEXT


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
async def test_samples_may_have_any_width(width: int, channels: int) -> None:
    with WyomingServer(width=width, channels=channels) as server:
        async with opened(server) as adapter:
            take = await Contract()._take(cast("AnyAdapter", adapter), TEXT)
    assert take.samples.shape[1:] == ((2,) if channels == 2 else ())
    assert transcribe(take) == TEXT


async def test_data_may_stand_in_the_line(server: WyomingServer) -> None:
    server.habits.is_old = True
    async with opened(server) as adapter:
        assert await heard(adapter, TEXT) == TEXT
        assert len(await adapter.voices()) == 7


async def test_data_in_line_and_block_is_merged(server: WyomingServer) -> None:
    block = b'{"rate": 16000, "channels": 1}'
    line = b'{"type": "audio-chunk", "data": {"width": 2, "rate": 1}, "payload_length": 2, '
    line += b'"data_length": %d}\n' % len(block)
    server.spoil(instead=line + block + b"ab" + packed("audio-stop"))
    async with opened(server) as adapter, adapter.synthesize(utterance(TEXT)) as source:
        assert source.sample_rate == 16_000
        assert [chunk async for chunk in source.chunks] == [b"ab"]


async def test_voices_are_those_that_the_server_has(server: WyomingServer) -> None:
    async with opened(server) as adapter:
        first, *voices = await adapter.voices()
    assert (first.id, first.languages) == ("default", ("und",))
    assert [(voice.id, voice.languages) for voice in voices] == [
        ("en_GB-many-high", ("en-GB",)),
        ("en_GB-many-high#ann", ("en-GB",)),
        ("en_GB-many-high#bob", ("en-GB",)),
        ("en_US-joe-medium", ("en-US",)),
        ("sv_SE-lisa-medium", ("sv-SE",)),
        ("de_DE-anna-low", ("de-DE",)),
    ]
    assert voices[-1].description == "Anna (low) (not installed yet)"


@pytest.mark.parametrize(
    ("section", "asked", "voice"),
    [
        ({}, {}, None),
        ({}, {"voice": "default"}, None),
        ({"voice": OWN_VOICE}, {}, {"name": OWN_VOICE}),
        ({"language": "en-GB"}, {}, {"name": "en_GB-many-high"}),
        ({"language": "en-GB"}, {"voice": "default"}, {"name": "en_GB-many-high"}),
        ({"language": "en-GB"}, {"language": "sv"}, {"name": "sv_SE-lisa-medium"}),
        ({}, {"language": "sv-FI"}, {"name": "sv_SE-lisa-medium"}),
        ({}, {"language": "de"}, {"language": "de"}),  # its voice would have to be fetched first
        ({"voice": OWN_VOICE}, {"language": "sv"}, {"name": OWN_VOICE}),
        ({}, {"voice": "de_DE-anna-low"}, {"name": "de_DE-anna-low"}),
        ({}, {"voice": "en_GB-many-high#bob"}, {"name": "en_GB-many-high", "speaker": "bob"}),
        (
            {"voice": "en_GB-many-high", "speaker": "ann"},
            {},
            {"name": "en_GB-many-high", "speaker": "ann"},
        ),
        (
            {"voice": "en_GB-many-high", "speaker": "ann"},
            {"voice": "en_GB-many-high"},
            {"name": "en_GB-many-high", "speaker": "ann"},
        ),
        (
            {"voice": "en_GB-many-high", "speaker": "ann"},
            {"options": {"speaker": "bob"}},
            {"name": "en_GB-many-high", "speaker": "bob"},
        ),
        ({"voice": "en_GB-many-high", "speaker": "ann"}, {"voice": OWN_VOICE}, {"name": OWN_VOICE}),
        (
            {},
            {"voice": OWN_VOICE, "options": {"speaker": "4"}},
            {"name": OWN_VOICE, "speaker": "4"},
        ),
    ],
)
async def test_the_voice_that_is_meant_is_asked_for(
    either: WyomingServer,
    section: dict[str, object],
    asked: dict[str, object],
    voice: dict[str, str] | None,
) -> None:
    async with opened(either, **section) as adapter:
        await heard(adapter, "One.", **asked)
    _, data = either.asked()[0]
    assert data.get("voice") == voice


@pytest.mark.parametrize("voice", ["en_US-jo-medium", "en_GB-many-high#an", "#", "de_DE-anna-low#"])
async def test_a_voice_that_is_not_there_is_refused_with_the_nearest(
    server: WyomingServer, voice: str
) -> None:
    async with opened(server) as adapter:
        with pytest.raises(VoiceNotFoundError, match="nearest"):
            await heard(adapter, TEXT, voice=voice)
    assert not server.asked()


async def test_a_voice_that_came_later_is_found(server: WyomingServer) -> None:
    server.habits.programs = [{**PIPER, "voices": VOICES[:1]}]
    async with opened(server) as adapter:
        with pytest.raises(VoiceNotFoundError):
            await heard(adapter, TEXT, voice=OWN_VOICE)
        await heard(adapter, TEXT)
        server.habits.programs = [PIPER]
        assert await heard(adapter, TEXT, voice=OWN_VOICE) == TEXT


async def test_a_server_that_lists_no_voices_is_asked_all_the_same(server: WyomingServer) -> None:
    server.habits.programs = [{"name": "tiny", "installed": True, "voices": []}]
    async with opened(server) as adapter:
        assert await heard(adapter, TEXT, voice=OWN_VOICE) == TEXT
        with pytest.raises(GenerationError, match="VoiceNotFoundError"):
            await heard(adapter, TEXT, voice="nobody")
        assert [voice.id for voice in await adapter.voices()] == ["default"]


async def test_a_server_is_described_once(server: WyomingServer) -> None:
    async with opened(server) as adapter:
        for _ in range(3):
            await heard(adapter, TEXT)
    assert [event.type for event in server.events] == ["describe", *["synthesize"] * 3]


async def test_a_server_that_was_replaced_is_described_again(server: WyomingServer) -> None:
    server.habits.programs = [STREAMING]
    async with opened(server) as adapter:
        await heard(adapter, TEXT)
        server.spoil(ending=Ending.CLOSE)
        with pytest.raises(NetworkError):
            await heard(adapter, TEXT)
        server.habits.programs = [PIPER]
        await heard(adapter, TEXT)
    assert server.asked()[-1][0] == "synthesize"


async def test_a_stream_is_sent_where_the_server_takes_one(server: WyomingServer) -> None:
    server.habits.programs = [STREAMING]
    async with opened(server, voice=OWN_VOICE) as adapter:
        await heard(adapter, TEXT)
    assert server.asked() == [
        ("synthesize-start", {"voice": {"name": OWN_VOICE}}),
        ("synthesize-chunk", {"text": TEXT}),
        ("synthesize-stop", {}),
    ]


async def test_a_stream_can_be_switched_off(server: WyomingServer) -> None:
    server.habits.programs = [STREAMING]
    async with opened(server, streaming=False) as adapter:
        await heard(adapter, TEXT)
    assert server.asked() == [("synthesize", {"text": TEXT})]


async def test_the_engine_that_has_the_voice_is_selected(server: WyomingServer) -> None:
    server.habits.programs = [{**PIPER, "voices": VOICES[:3]}, SECOND]
    async with opened(server) as adapter:
        await heard(adapter, TEXT, voice=OWN_VOICE)
        await heard(adapter, TEXT, voice="sv_SE-lisa-medium")
    assert [(kind, data.get("name")) for kind, data in server.asked()] == [
        ("synthesize", None),
        ("select-program", "robot"),
        ("synthesize", None),
    ]


@pytest.mark.parametrize("programs", [[], [{**PIPER, "installed": False}]], ids=["none", "absent"])
async def test_a_server_that_cannot_speak_is_found_out(
    server: WyomingServer, programs: list[dict[str, object]]
) -> None:
    server.habits.programs = programs
    async with opened(server) as adapter:
        for ask in (adapter.check, adapter.voices, lambda: heard(adapter, TEXT)):
            with pytest.raises(ProviderUnavailableError, match="no engine"):
                await ask()


async def test_a_description_that_is_none_is_refused(server: WyomingServer) -> None:
    server.habits.programs = [{"voices": "all"}]
    async with opened(server) as adapter:
        with pytest.raises(InvalidResponseError, match="another shape"):
            await adapter.check()


async def test_a_check_finds_out_that_the_configured_voice_is_gone(server: WyomingServer) -> None:
    async with opened(server, voice="en_US-gone-low") as adapter:
        with pytest.raises(VoiceNotFoundError):
            await adapter.check()
        assert (await adapter.voices())[0].id == "en_US-gone-low"
    assert not server.asked()


async def test_a_speaker_needs_a_voice(server: WyomingServer) -> None:
    async with opened(server) as adapter:
        with pytest.raises(InvalidParameterError, match="name the voice"):
            await heard(adapter, TEXT, options={"speaker": "ann"})
        with pytest.raises(InvalidParameterError, match="did you mean 'speaker'"):
            await heard(adapter, TEXT, options={"speakr": "ann"})


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"host": "192.168.1.5"}, "allow_unencrypted"),
        ({"uri": "tcp://piper.local:10200"}, "allow_unencrypted"),
        ({"uri": "tcp://localhost:1", "port": 2}, "not both"),
        ({"uri": "http://localhost:1"}, "must be like"),
        ({"uri": "tcp://localhost"}, "must be like"),
        ({"uri": "tcp://localhost:1/path"}, "must be like"),
        ({"uri": "tcp://localhost:99999"}, "range"),
        ({"port": 0}, "greater"),
        ({"speaker": "ann"}, "voice is missing"),
        ({"language": "english"}, "BCP 47"),
        ({"voise": "x"}, "not permitted"),
    ],
)
def test_settings_that_cannot_be_are_refused(section: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        WyomingOptions.model_validate(section)


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ({}, ("127.0.0.1", 10_200)),
        ({"host": "localhost", "port": 7}, ("localhost", 7)),
        ({"host": "piper.local", "allow_unencrypted": True}, ("piper.local", 10_200)),
        ({"uri": "tcp://[::1]:10201"}, ("::1", 10_201)),
        ({"uri": "tcp://piper:9", "allow_unencrypted": True}, ("piper", 9)),
    ],
)
def test_a_server_has_a_place(section: dict[str, object], place: tuple[str, int]) -> None:
    assert WyomingOptions.model_validate(section).place == place


async def test_a_service_speaks_through_it(either: WyomingServer) -> None:
    async with AsyncTTSService({"providers": {"wyoming": {}}}, providers=[made(either)]) as tts:
        audio = await tts.synthesize(TEXT)
        assert (transcribe(audio), audio.origin.provider) == (TEXT, "wyoming")
        swedish = await tts.synthesize(TEXT, language="sv")
        assert swedish.origin.voice == "sv_SE-lisa-medium"
        with pytest.raises(TTSError) as caught:
            await tts.synthesize(TEXT, language="fi")
        assert isinstance(caught.value, UnsupportedLanguageError)


async def test_cancelled_anywhere_it_leaves_nothing(either: WyomingServer) -> None:
    async with opened(either) as adapter:
        report = await CancelSweep(lambda: heard(adapter, "One."), times=2).run()
        assert await heard(adapter, TEXT) == TEXT
    assert report.cases > 5
