"""Our events and those of the package ``wyoming`` are the same to a server."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.clouds.wyoming_server import PIPER, VOICES, Received, WyomingServer
from ttskit.adapters.base import Utterance
from ttskit.adapters.wyoming import WyomingAdapter, WyomingOptions
from ttskit.adapters.wyoming_events import Event
from ttskit.resources.host import Resources
from ttskit.voices import Voice

if TYPE_CHECKING:
    from wyoming.event import Eventable

pytestmark = [
    pytest.mark.engine("wyoming sdk"),
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:'audioop':DeprecationWarning"),  # the package imports it
]
TEXT = "Grüße, “world” & <all>."
VOICE = "en_GB-many-high"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the package's only one


@pytest.fixture
def server() -> Iterator[WyomingServer]:
    with WyomingServer() as server:
        yield server


@asynccontextmanager
async def opened(server: WyomingServer, **section: object) -> AsyncIterator[WyomingAdapter]:
    options = WyomingOptions.model_validate({"port": server.port, **section})
    adapter = WyomingAdapter(options)
    resources = Resources()
    await adapter.open(resources)
    try:
        yield adapter
    finally:
        await resources.aclose()


async def theirs(server: WyomingServer, *events: Eventable, until: str) -> bytes:
    """Send events by the package's client, and return the audio that comes back."""
    from wyoming.client import AsyncTcpClient

    audio = b""
    async with AsyncTcpClient("127.0.0.1", server.port) as client:
        for event in events:
            await client.write_event(event.event())
        while (reply := await client.read_event()) is not None:
            audio += reply.payload or b""
            if reply.type == until:
                return audio
    raise AssertionError("the server hung up")


async def ours(
    server: WyomingServer, text: str, *, section: Mapping[str, object], **asked: object
) -> bytes:
    async with opened(server, **section) as adapter:
        utterance = Utterance(text, **asked)  # type: ignore[arg-type] # its own fields
        async with adapter.synthesize(utterance) as source:
            chunks = [chunk async for chunk in source.chunks]
    return b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))


async def compare(server: WyomingServer, heard: bytes, *, section: Mapping[str, object]) -> None:
    their_events = [*server.events]
    server.events.clear()
    assert await ours(server, TEXT, section=section) == heard
    assert server.events == [Received("describe", {}), *their_events]


@pytest.mark.parametrize(
    ("section", "voice"),
    [
        ({}, None),
        ({"voice": VOICE}, {"name": VOICE}),
        ({"voice": VOICE, "speaker": "bob"}, {"name": VOICE, "speaker": "bob"}),
        ({"language": "de"}, {"language": "de"}),
    ],
)
async def test_a_text(
    server: WyomingServer, section: Mapping[str, object], voice: Mapping[str, str] | None
) -> None:
    from wyoming.tts import Synthesize, SynthesizeVoice

    asked = Synthesize(TEXT, voice=None if voice is None else SynthesizeVoice(**voice))
    heard = await theirs(server, asked, until="audio-stop")
    await compare(server, heard, section=section)


async def test_a_stream_of_text(server: WyomingServer) -> None:
    from wyoming.tts import SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeVoice

    server.habits.programs = [{**PIPER, "supports_synthesize_streaming": True}]
    start = SynthesizeStart(voice=SynthesizeVoice(name=VOICE, speaker="ann"))
    events = (start, SynthesizeChunk(TEXT), SynthesizeStop())
    heard = await theirs(server, *events, until="synthesize-stopped")
    await compare(server, heard, section={"voice": VOICE, "speaker": "ann"})


async def test_an_engine_is_selected(server: WyomingServer) -> None:
    from wyoming.info import SelectProgram
    from wyoming.tts import Synthesize, SynthesizeVoice

    robot = {"name": "robot", "installed": True, "voices": VOICES[3:]}
    server.habits.programs = [{**PIPER, "voices": VOICES[:3]}, robot]
    voice = str(VOICES[3]["name"])
    asked = Synthesize(TEXT, voice=SynthesizeVoice(name=voice))
    heard = await theirs(server, SelectProgram("robot"), asked, until="audio-stop")
    await compare(server, heard, section={"voice": voice})


@pytest.mark.parametrize(
    "event",
    [
        Event("describe"),
        Event("synthesize", {"text": TEXT, "voice": {"name": "x"}}),
        Event("audio-chunk", {"rate": 1}, b"\n\0{}"),
    ],
)
def test_what_we_pack_the_package_reads(event: Event) -> None:
    from wyoming.event import read_event

    read = read_event(io.BytesIO(event.packed()))
    assert read is not None
    assert (read.type, read.data, read.payload or b"") == (event.type, event.data, event.payload)


async def test_a_server_of_the_package_is_understood() -> None:
    import asyncio

    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.event import Event as TheirEvent
    from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
    from wyoming.server import AsyncEventHandler
    from wyoming.tts import Synthesize

    whose = Attribution("", "")
    voice = TtsVoice(VOICE, whose, installed=True, description="A", version=None, languages=["en"])
    program = TtsProgram("x", whose, installed=True, description=None, version=None, voices=[voice])

    class Handler(AsyncEventHandler):
        async def handle_event(self, event: TheirEvent) -> bool:
            if Describe.is_type(event.type):
                await self.write_event(Info(tts=[program]).event())
            if Synthesize.is_type(event.type):
                await self.write_event(AudioStart(8_000, 2, 1).event())
                data = Synthesize.from_event(event).text.encode("utf-16-le")
                await self.write_event(AudioChunk(8_000, 2, 1, data).event())
                await self.write_event(AudioStop().event())
            return True

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Handler(reader, writer).run()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    adapter = WyomingAdapter(WyomingOptions(port=port))
    resources = Resources()
    await adapter.open(resources)
    assert (await adapter.voices())[1:] == [
        Voice(VOICE, "wyoming", VOICE, languages=("en",), description="A")
    ]
    async with adapter.synthesize(Utterance(TEXT, voice=VOICE)) as source:
        assert (source.format, source.sample_rate, source.channels) == ("pcm", 8_000, 1)
        chunks = [chunk async for chunk in source.chunks]
    assert chunks == [TEXT.encode("utf-16-le")]
    await resources.aclose()
    server.close()
    await server.wait_closed()
