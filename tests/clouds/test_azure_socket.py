"""Azure's WebSocket, spoken to over real connections: words and their times."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import struct
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

import anyio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.sync.server import ServerConnection

from tests.clouds.azure_turns import (
    ID,
    Message,
    Turns,
    boundary,
    heard,
    metadata,
    send,
    told,
)
from tests.clouds.contract import KEY
from tests.clouds.test_azure import NAMES, VOICES
from tests.listening import listening
from tests.resources.http.raw_server import RawServer
from ttskit import AsyncTTSService
from ttskit.adapters.azure import AzureAdapter, AzureOptions
from ttskit.adapters.azure_formats import Format
from ttskit.adapters.azure_socket import Frame
from ttskit.adapters.base import AudioSource, TimedText, Utterance
from ttskit.codecs.decode import decode
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    InvalidResponseError,
    NetworkError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TTSError,
    VoiceNotFoundError,
)
from ttskit.request import Timestamps
from ttskit.resources.host import Resources
from ttskit.resources.http.pools import HTTPOptions
from ttskit.testing import CancelSweep, transcribe
from ttskit.testing.modem import Modem

pytestmark = pytest.mark.anyio
RATE = 24_000
ENTRA = "aad#/subscriptions/1#ey"
VOICE = "en-US-AvaMultilingualNeural"
TEXT = "The quick brown fox jumps, doesn't it?"
WORDS = ["The", "quick", "brown", "fox", "jumps", "doesn't", "it"]
Script = Callable[[ServerConnection, list[Message]], None]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass
class Service:
    turns: Turns
    url: str

    def sends(self, *messages: Message) -> None:
        """Have every turn be these frames."""
        self.turns.script = lambda connection, _: send(connection, messages)

    def changes(self, change: Callable[[list[Message]], list[Message]]) -> None:
        """Have every turn be what ``change`` makes of a good one."""
        self.turns.script = lambda connection, good: send(connection, change(good))


@pytest.fixture
def service() -> Iterator[Service]:
    turns = Turns(NAMES, listing=json.dumps(VOICES).encode())
    with listening(turns, turns.judge) as url:
        yield Service(turns, url)
    assert not turns.complaints


@asynccontextmanager
async def speaker(
    service: Service, *, silence_s: float = 5.0, **options: object
) -> AsyncIterator[AzureAdapter]:
    given: dict[str, object] = {"base_url": service.url, "api_key": KEY, **options}
    adapter = AzureAdapter(AzureOptions.model_validate(given))
    resources = Resources(http=HTTPOptions(silence_s=silence_s))
    await adapter.open(resources)
    try:
        yield adapter
    finally:
        await adapter.close()
        await resources.aclose()


def timed(text: str, **settings: object) -> Utterance:
    return Utterance(text, timestamps=Timestamps.WORD, **settings)  # type: ignore[arg-type]


async def take(adapter: AzureAdapter, utterance: Utterance) -> tuple[AudioSource, bytes]:
    async with adapter.synthesize(utterance) as source:
        return source, b"".join([chunk async for chunk in source.chunks])  # type: ignore[misc]


async def said(
    service: Service, utterance: Utterance, **options: object
) -> tuple[AudioSource, bytes]:
    """Return an utterance's source, read to its end, and its audio."""
    async with speaker(service, **options) as adapter:  # type: ignore[arg-type]
        return await take(adapter, utterance)


def texts(text: str, words: list[TimedText]) -> list[str]:
    return [text[slice(*word.span)] for word in words]


def transcript(source: AudioSource, data: bytes) -> str:
    audio = decode(data, source.format, sample_rate=source.sample_rate)
    return transcribe((audio.samples, audio.sample_rate))


async def test_words_are_timed_where_they_are_heard(service: Service) -> None:
    source, data = await said(service, timed(TEXT))
    assert transcript(source, data) == TEXT
    assert texts(TEXT, source.words) == WORDS
    spoken = [tones for tones in Modem(RATE).speak(TEXT, VOICE) if tones.span]
    for word, tones in zip(source.words, spoken, strict=True):
        assert (word.start, word.end) == pytest.approx((tones.start, tones.end), abs=1e-6)


async def test_a_turn_begins_with_three_frames(service: Service) -> None:
    utterance = timed("One & two.", voice="en-US-JennyNeural", speed=1.25)
    source, _ = await said(service, utterance, style="sad")
    (asked,) = service.turns.asked
    (handshake,) = service.turns.handshakes
    assert handshake.headers["User-Agent"].startswith("ttskit/")
    assert asked.form == "raw-24khz-16bit-mono-pcm"
    assert asked.request_id == source.request_id
    assert source.cost is not None
    (voice,) = ET.fromstring(asked.document)  # noqa: S314 - our own
    assert voice.get("name") == "en-US-JennyNeural"
    assert "".join(voice.itertext()) == "One & two."
    assert voice[0].get("style") == "sad"
    assert voice[0][0].get("rate") == "1.25"


async def test_what_needs_no_times_opens_no_socket(service: Service) -> None:
    for utterance in (Utterance("One."), timed("One.", voice="en-US-Ava:DragonHDLatestNeural")):
        with pytest.raises(TTSError):  # the server answers sockets only
            await said(service, utterance)
    assert not service.turns.asked


async def test_a_token_takes_the_place_of_the_key(service: Service) -> None:
    with pytest.raises(AuthenticationError):
        await said(service, timed("One."), api_key=None, access_token=ENTRA)
    headers = service.turns.handshakes[0].headers
    assert headers["Authorization"] == f"Bearer {ENTRA}"
    assert "Ocp-Apim-Subscription-Key" not in headers


async def test_a_custom_voice_is_asked_for_by_its_deployment(service: Service) -> None:
    service.turns.voices = ["OursNeural"]
    source, _ = await said(service, timed("One."), deployment_id="a/b c", voice="OursNeural")
    assert service.turns.handshakes[0].path.endswith("/websocket/v1?deploymentId=a%2Fb+c")
    assert source.cost is None


@pytest.mark.parametrize(
    ("form", "declared", "asked"),
    [
        ("wav", "pcm", "raw-24khz-16bit-mono-pcm"),
        ("riff-8khz-8bit-mono-mulaw", "mulaw", "raw-8khz-8bit-mono-mulaw"),
        ("riff-8khz-8bit-mono-alaw", "alaw", "raw-8khz-8bit-mono-alaw"),
        ("raw-44100hz-16bit-mono-pcm", "pcm", "raw-44100hz-16bit-mono-pcm"),
        ("mp3", "mp3", "audio-24khz-96kbitrate-mono-mp3"),
        ("opus", "opus", "ogg-24khz-16bit-mono-opus"),
    ],
)
async def test_formats_come_without_a_header_of_their_length(
    service: Service, form: Format, declared: str, asked: str
) -> None:
    source, data = await said(service, timed("One two."), format=form)
    assert service.turns.asked[0].form == asked
    assert source.format == declared
    assert transcript(source, data) == "One two."
    assert texts("One two.", source.words) == ["One", "two"]


async def test_words_of_a_document_are_found_beside_its_tags(service: Service) -> None:
    document = (
        '<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US">'
        '<p>Speak <prosody rate="90%">prosody</prosody> break<break time="100ms"/>'
        "R&amp;B &lt;s&gt; p.</p></speak>"
    )
    source, _ = await said(service, timed(document, is_ssml=True))
    words = ["Speak", "prosody", "break", "R&amp;B", "&lt;s&gt;", "p"]
    assert texts(document, source.words) == words


async def test_an_alias_stands_for_what_is_written(service: Service) -> None:
    document = "<speak>The <sub alias='World Wide Web'>WWW</sub> works.</speak>"
    names = ("The", "World", "Wide", "Web", "works")
    events = [boundary(name, at, at + 0.5) for at, name in enumerate(names)]
    service.sends(metadata(*events), heard(b"\0\0"), told("turn.end"))
    source, _ = await said(service, timed(document, is_ssml=True))
    assert texts(document, source.words) == ["The", "WWW", "WWW", "WWW", "works"]


async def test_a_number_that_was_spelt_out_ends_the_text(service: Service) -> None:
    names = ("It", "costs", "five", "dollars")
    events = [boundary(name, at, at + 0.5) for at, name in enumerate(names)]
    service.sends(metadata(*events), heard(b"\0\0"), told("turn.end"))
    source, _ = await said(service, timed("It costs $5."))
    assert source.words[-1] == TimedText(2.0, 3.5, (9, 12))


def _told_last(good: list[Message]) -> list[Message]:
    """All metadata after all audio."""
    return [*sorted(good[:-1], key=_is_metadata), good[-1]]


def _is_metadata(message: Message) -> bool:
    return isinstance(message, str) and "Path:audio.metadata" in message


def _told_at_once(good: list[Message]) -> list[Message]:
    events: list[Mapping[str, object]] = []
    for message in filter(_is_metadata, good):
        assert isinstance(message, str)
        events += json.loads(message.partition("\r\n\r\n")[2])["Metadata"]
    return [metadata(*events), *(one for one in good if not _is_metadata(one))]


def _cut(step: int) -> Callable[[list[Message]], list[Message]]:
    def change(good: list[Message]) -> list[Message]:
        cut: list[Message] = []
        for message in good:
            data = Frame.read(message).body if isinstance(message, bytes) else b""
            cut += [heard(data[at : at + step]) for at in range(0, len(data), step)] or [message]
        return cut

    return change


def _with_strangers(good: list[Message]) -> list[Message]:
    """Paths and events that nobody asked for, between all others."""
    said = {"Text": TEXT, "Length": len(TEXT), "BoundaryType": "SentenceBoundary"}
    strangers: list[Message] = [
        told("news.of.2030", {"anything": 1}),
        told("turn.progress"),
        metadata(
            {"Type": "Viseme", "Data": {"Offset": 1, "VisemeId": 7, "AnimationChunk": ""}},
            {"Type": "Bookmark", "Data": {"Offset": 1, "Bookmark": "fox"}},
            {"Type": "SentenceBoundary", "Data": {"Offset": 0, "Duration": 9, "text": said}},
            {"Type": "WordBoundary", "Data": {"Offset": 0, "Duration": 9, "text": said}},
            {"Type": "Sigh"},
        ),
    ]
    return [one for message in good for one in (*strangers, message)]


def _otherwise_spelt(good: list[Message]) -> list[Message]:
    """Fields with a space after the colon, in other cases and in another order."""
    audio = b"path: Audio\r\nx-requestid: " + ID.encode()
    return [
        struct.pack(">H", len(audio)) + audio + Frame.read(message).body
        if isinstance(message, bytes)
        else message.replace("Path:", "PATH: ")
        for message in good
    ]


@pytest.mark.parametrize(
    "change",
    [_told_last, _told_at_once, _cut(1_001), _cut(37), _with_strangers, _otherwise_spelt],
    ids=["told last", "told at once", "cut", "cut small", "strangers", "spelt otherwise"],
)
async def test_frames_of_any_kind_are_the_same_speech(
    service: Service, change: Callable[[list[Message]], list[Message]]
) -> None:
    usual, audio = await said(service, timed(TEXT))
    service.changes(change)
    source, data = await said(service, timed(TEXT))
    assert data == audio
    assert source.words == usual.words
    assert texts(TEXT, source.words) == WORDS


async def test_a_turn_without_audio_is_empty(service: Service) -> None:
    service.sends(told("turn.start"), told("turn.end"))
    source, data = await said(service, timed("..."))
    assert (data, source.words) == (b"", [])


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0",
        struct.pack(">H", 500) + b"Path:audio\r\n" + bytes(100),
        struct.pack(">H", 0) + b"Path:audio\r\n" + bytes(100),
        struct.pack(">H", 8) + b"Path:audio\r\n" + bytes(100),
        struct.pack(">H", 60) + b"Path:audio\r\n" + bytes(range(100)),
        struct.pack(">H", 19) + b"X-StreamId:1\r\nPath:",
        "",
        "no fields at all",
        "X-RequestId:1\r\n\r\n{}",
        told("audio.metadata", "no json"),
        told("audio.metadata", {"Metadata": {}}),
        metadata({"Type": "WordBoundary"}),
        metadata({"Type": "WordBoundary", "Data": {"Offset": "soon", "text": {"Text": "One"}}}),
        metadata({"Type": "WordBoundary", "Data": {"Offset": -1, "text": {"Text": "One"}}}),
    ],
    ids=["empty", "a byte", "too long", "none", "too short", "within audio", "path cut off",
         "empty text", "no fields", "no path", "no json", "no list", "no data", "no number",
         "before the start"],
)  # fmt: skip
async def test_a_frame_that_cannot_be_read_is_no_speech(service: Service, message: Message) -> None:
    service.sends(heard(b"\1\0" * 100), message, told("turn.end"))
    with pytest.raises(InvalidResponseError) as caught:
        await said(service, timed("One."))
    assert caught.value.provider == "azure"


@given(fields=st.lists(st.sampled_from(["X-RequestId:1", "X-StreamId:2", "A: b c"])),
       end=st.sampled_from(["", "\r\n", "\r\n\r\n"]), data=st.binary(max_size=99))  # fmt: skip
def test_a_frame_of_audio_is_its_audio(fields: list[str], end: str, data: bytes) -> None:
    head = ("\r\n".join([*fields, "Path:audio"]) + end).encode()
    assert Frame.read(struct.pack(">H", len(head)) + head + data) == Frame("audio", data)


@given(message=st.text() | st.binary())
def test_any_message_is_a_frame_or_refused_by_name(message: Message) -> None:
    try:
        Frame.read(message)
    except TTSError as error:
        assert type(error) is InvalidResponseError  # noqa: PT017 - either may come


def _closing(code: int, *, after: int) -> Script:
    def script(connection: ServerConnection, good: list[Message]) -> None:
        send(connection, good[:after])
        connection.close(code, "the reason may quote the text")

    return script


@pytest.mark.parametrize("after", [0, 2, 8], ids=["at once", "before audio", "in mid-audio"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1000, InvalidResponseError),
        (1001, InvalidResponseError),
        (1007, InvalidParameterError),
        (1011, ProviderUnavailableError),
        (4429, RateLimitedError),
    ],
)
async def test_a_socket_that_is_closed_says_why(
    service: Service, code: int, kind: type[TTSError], after: int
) -> None:
    service.turns.script = _closing(code, after=after)
    with pytest.raises(kind) as caught:
        await said(service, timed(TEXT))
    assert type(caught.value) is kind
    assert caught.value.provider == "azure"
    assert "quote" not in str(caught.value)


async def test_who_is_throttled_before_a_word_is_told_so(service: Service) -> None:
    def answered(connection: socket.socket, request: bytes, count: int) -> bool:
        """Open the socket and close it in one go: it is closed before the first frame is sent."""
        del count
        protocol = ServerProtocol()
        protocol.receive_data(request)
        (handshake,) = protocol.events_received()
        assert isinstance(handshake, Request)
        protocol.send_response(protocol.accept(handshake))
        protocol.send_close(4429, "throttled")
        connection.sendall(b"".join(protocol.data_to_send()))
        return False

    with RawServer(answered) as server, pytest.raises(RateLimitedError):
        await said(Service(service.turns, server.url), timed("One."))


async def test_the_nearest_voice_is_told(service: Service) -> None:
    with pytest.raises(VoiceNotFoundError, match="en-US-JennyNeural") as caught:
        await said(service, timed("One.", voice="en-US-JenyNeural"))
    assert caught.value.provider == "azure"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidParameterError),
        (401, AuthenticationError),
        (403, QuotaExceededError),
        (429, RateLimitedError),
        (503, ProviderUnavailableError),
    ],
)
async def test_refused_handshakes_have_their_names(
    service: Service, status: int, kind: type[TTSError]
) -> None:
    service.turns.refusal = status, {"Retry-After": "7"}
    with pytest.raises(kind) as caught:
        await said(service, timed("One."))
    assert type(caught.value) is kind
    assert caught.value.retry_after == pytest.approx(7, abs=1.1)


async def test_a_connection_that_breaks_is_no_speech(service: Service) -> None:
    def script(connection: ServerConnection, good: list[Message]) -> None:
        send(connection, good[: len(good) // 2])
        connection.socket.shutdown(socket.SHUT_RDWR)

    service.turns.script = script
    async with speaker(service) as adapter, adapter.synthesize(timed(TEXT)) as source:
        assert await anext(source.chunks)
        with pytest.raises(NetworkError):
            async for _ in source.chunks:
                pass


async def test_a_server_that_falls_silent_is_left(service: Service) -> None:
    for after in (0, 8):
        service.changes(lambda good, after=after: good[:after])  # type: ignore[misc]
        with anyio.fail_after(10), pytest.raises(ProviderTimeoutError):
            await said(service, timed(TEXT), silence_s=0.2)


async def test_audio_is_heard_while_it_is_made(service: Service) -> None:
    def script(connection: ServerConnection, good: list[Message]) -> None:
        until = next(at for at, one in enumerate(good) if _is_metadata(one)) + 2
        send(connection, good[:until])
        assert heard_some.wait(10)
        send(connection, good[until:])

    heard_some = threading.Event()
    service.turns.script = script
    async with speaker(service) as adapter, adapter.synthesize(timed(TEXT)) as source:
        async for _ in source.chunks:
            if source.words:
                heard_some.set()
        assert heard_some.is_set()
    assert texts(TEXT, source.words) == WORDS


async def test_leaving_early_ends_the_turn(service: Service) -> None:
    async with speaker(service) as adapter:
        async with adapter.synthesize(timed(TEXT)) as source:
            await anext(source.chunks)
        assert await anyio.to_thread.run_sync(service.turns.left.wait, 5)
        assert service.turns.codes in ([1000], [None])  # what is unread may sweep the code away
        again, data = await take(adapter, timed(TEXT))
    assert transcript(again, data) == TEXT


async def test_an_error_of_the_caller_passes_through(service: Service) -> None:
    async with speaker(service) as adapter:
        with pytest.raises(ZeroDivisionError):
            async with adapter.synthesize(timed(TEXT)):
                raise ZeroDivisionError
    assert await anyio.to_thread.run_sync(service.turns.left.wait, 5)


async def test_two_turns_at_once_do_not_mix(service: Service) -> None:
    taken: dict[str, tuple[AudioSource, bytes]] = {}

    async def speak(text: str) -> None:
        taken[text] = await take(adapter, timed(text))

    async with speaker(service) as adapter, anyio.create_task_group() as tasks:
        tasks.start_soon(speak, "One two three.")
        tasks.start_soon(speak, TEXT)
    for text, (source, data) in taken.items():
        assert transcript(source, data) == text
        assert source.words
    first, second = (asked.request_id for asked in service.turns.asked)
    assert first != second


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "left early"])
async def test_a_cancelled_turn_leaves_nothing(service: Service, *, is_whole: bool) -> None:
    async with speaker(service) as adapter:

        async def work() -> None:
            async with adapter.synthesize(timed("One.")) as source:
                async for _ in source.chunks:
                    if not is_whole:
                        break

        report = await CancelSweep(work).run()
    assert report.cases > 5


def _locals(error: BaseException) -> Iterator[str]:
    """Yield the variables of our frames; those of the tests know the key."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    for frame in frames.stack:
        if "/ttskit/adapters/" in frame.filename or "/ttskit/resources/" in frame.filename:
            yield str(frame.locals)


@pytest.mark.parametrize("fault", [None, 4429, 1011, "garbage"])
async def test_key_and_text_are_told_to_the_server_alone(
    service: Service, caplog: pytest.LogCaptureFixture, fault: object
) -> None:
    caplog.set_level(logging.DEBUG)
    if isinstance(fault, int):
        service.turns.script = _closing(fault, after=8)
    elif fault is not None:
        service.sends(f"{TEXT} and more")
    lines: list[str] = []
    with pytest.raises(TTSError) if fault else contextlib.nullcontext() as caught:
        await said(service, timed(TEXT))
    if caught is not None:
        assert TEXT not in str(caught.value)
        lines += [str(caught.value), repr(caught.value), *_locals(caught.value)]
    lines += [record.getMessage() for record in caplog.records]
    lines += [str(vars(record)) for record in caplog.records]
    assert not [line for line in lines if KEY in line]
    assert not [record for record in caplog.records if TEXT in record.getMessage()]
    (handshake,) = service.turns.handshakes
    assert KEY not in handshake.path
    assert KEY not in service.turns.asked[0].document


@pytest.mark.parametrize("delivery", ["exact", "live"])
async def test_a_request_with_times_is_answered_with_azures_own(
    service: Service, delivery: Literal["exact", "live"]
) -> None:
    section = {"adapter": "azure", "base_url": service.url, "api_key": KEY}
    async with AsyncTTSService({"providers": {"azure": section}}) as tts:
        audio = await tts.synthesize(TEXT, timestamps="word", delivery=delivery)
    assert transcribe(audio) == TEXT
    assert [word.word for word in audio.words] == WORDS
    assert {word.source for word in audio.words} == {"native"}
    assert np.all(np.diff([word.start for word in audio.words]) > 0)
