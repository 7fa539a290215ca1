"""What every adapter must do that reads a stream as one text, over a socket that stays open."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import ClassVar

import anyio
import pytest
from websockets.http11 import Request
from websockets.sync.server import ServerConnection

from tests.clouds.contract import KEY
from tests.clouds.socket_server import Sockets, serving
from ttskit import AsyncTTSService
from ttskit.audio import AudioChunk, TimingSource
from ttskit.errors import AuthenticationError, NetworkError, TTSError
from ttskit.speech import SpeechStream
from ttskit.telemetry.events import AttemptEvent, RetryEvent
from ttskit.testing import transcribe

TEXT = "One two three. Four five six. Seven eight nine."
WORDS = TEXT.replace(".", "").split()


async def arriving(text: str = TEXT) -> AsyncIterator[str]:
    """Yield the text in small pieces, as a language model does."""
    for start in range(0, len(text), 3):
        await anyio.lowlevel.checkpoint()
        yield text[start : start + 3]


class StreamContract:
    """Subclass it with the adapter's name and a server that talks as the provider's does."""

    pytestmark = pytest.mark.anyio
    name: ClassVar[str]
    options: ClassVar[dict[str, object]] = {}
    is_shared: ClassVar[bool] = True
    """The next stream uses the same socket."""
    is_timed: ClassVar[bool] = True
    refused: ClassVar[type[TTSError]] = AuthenticationError
    """What a wrong key ends with."""

    def talk(self, sockets: Sockets, connection: ServerConnection) -> None:
        """Answer a connection until it ends."""
        raise NotImplementedError

    def judge(self, request: Request) -> tuple[int, dict[str, str]] | None:
        """Refuse a handshake by status and fields; None: it is good."""
        raise NotImplementedError

    @pytest.fixture
    def sockets(self) -> Sockets:
        return Sockets(self.talk, self.judge)

    @pytest.fixture
    def url(self, sockets: Sockets) -> Iterator[str]:
        with serving(sockets) as url:
            yield url

    def service(self, url: str, **options: object) -> AsyncTTSService:
        section = {"api_key": KEY, "base_url": url, **self.options, **options}
        return AsyncTTSService({"providers": {self.name: section}, "text": {"fast_start": False}})

    async def heard(self, tts: AsyncTTSService, **options: object) -> list[AudioChunk]:
        async with tts.stream(arriving(), **options) as speech:
            return [chunk async for chunk in speech]

    @pytest.mark.parametrize("delivery", ["exact", "live"])
    async def test_text_that_arrives_is_heard_once_over_one_socket(
        self, url: str, sockets: Sockets, delivery: str
    ) -> None:
        async with self.service(url) as tts:
            assert transcribe(await self.heard(tts, delivery=delivery)) == TEXT
        assert sockets.connections == 1

    async def test_the_next_stream_uses_the_same_socket_where_that_may_be(
        self, url: str, sockets: Sockets
    ) -> None:
        async with self.service(url) as tts:
            for _ in range(3):
                assert transcribe(await self.heard(tts)) == TEXT
        assert sockets.connections == (1 if self.is_shared else 3)

    async def test_two_streams_at_a_time_have_a_socket_each(
        self, url: str, sockets: Sockets
    ) -> None:
        heard: list[str] = []

        async def listen(tts: AsyncTTSService) -> None:
            heard.append(transcribe(await self.heard(tts)))

        async with self.service(url) as tts, anyio.create_task_group() as tasks:
            tasks.start_soon(listen, tts)
            tasks.start_soon(listen, tts)
        assert heard == [TEXT, TEXT]
        assert sockets.connections == 2

    async def test_words_are_timed_within_the_whole_stream(self, url: str) -> None:
        if not self.is_timed:
            pytest.skip("not declared: word times")
        async with self.service(url) as tts:
            chunks = await self.heard(tts, timestamps="word")
        words = [word for chunk in chunks for word in chunk.words]
        assert [TEXT[slice(*word.span)].strip(".") for word in words] == WORDS
        assert {word.source for word in words} == {TimingSource.NATIVE}
        edges = [edge for word in words for edge in (word.start, word.end)]
        assert edges == sorted(edges)
        assert edges[-1] <= sum(len(chunk.samples) for chunk in chunks) / chunks[0].sample_rate

    @pytest.mark.parametrize("politely", [True, False], ids=["farewell", "broken"])
    async def test_a_socket_that_died_between_two_streams_costs_nobody_anything(
        self, url: str, sockets: Sockets, *, politely: bool
    ) -> None:
        attempts: list[AttemptEvent] = []
        async with self.service(url) as tts:
            tts.on("attempt", attempts.append)
            assert transcribe(await self.heard(tts)) == TEXT
            sockets.hang_up(politely=politely)
            assert transcribe(await self.heard(tts)) == TEXT
        assert {attempt.outcome for attempt in attempts} == {"ok"}
        assert sockets.connections == 2

    @pytest.mark.parametrize("delivery", ["exact", "live"])
    @pytest.mark.parametrize("sent", [2, 5, 9, 14])
    async def test_a_socket_that_dies_in_mid_utterance_loses_no_sentence(
        self, url: str, sockets: Sockets, sent: int, delivery: str
    ) -> None:
        sockets.breaks_after = [sent]
        async with self.service(url, retry={"base_wait_s": 0.01}) as tts:
            chunks = await self.heard(tts, delivery=delivery)
        if delivery == "exact" or self.is_timed:
            assert transcribe(chunks) == TEXT
        else:
            # Without word times the seam is an estimate.
            assert transcribe(chunks).endswith("Seven eight nine.")
        assert sockets.connections == 2

    async def test_a_wrong_key_is_told_as_such_and_never_shown(
        self, url: str, sockets: Sockets, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        async with self.service(url, api_key="sk-other-1b7d") as tts:
            with pytest.raises(self.refused) as caught:
                await self.heard(tts)
        told = [str(vars(record)) for record in caplog.records] + [repr(caught.value)]
        assert not [line for line in told if "sk-other-1b7d" in line]
        assert sockets.connections <= 1

    async def test_the_key_is_in_no_address_log_or_repr(
        self, url: str, sockets: Sockets, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        async with self.service(url) as tts:
            await self.heard(tts)
            told = [str(vars(record)) for record in caplog.records]
            told += [repr(tts.health()), repr(tts.stats()), repr(tts.providers())]
        assert not [line for line in told if KEY in line]
        assert not [request for request in sockets.handshakes if KEY in request.path]

    async def test_no_variable_of_an_errors_frames_shows_the_key(
        self, url: str, sockets: Sockets
    ) -> None:
        sockets.breaks_after = [0, 0, 1, 1]
        async with self.service(url, retry={"attempts": 1}) as tts:
            for _ in range(4):
                with pytest.raises(TTSError) as caught:
                    await self.heard(tts)
                frames = traceback.TracebackException.from_exception(
                    caught.value, capture_locals=True
                )
                shown = [line for line in "".join(frames.format()).splitlines() if KEY in line]
                assert shown == []

    async def test_a_listener_who_leaves_takes_the_socket_along(
        self, url: str, sockets: Sockets
    ) -> None:
        sockets.waits_after = 3

        async def listen(speech: SpeechStream) -> None:
            async for _ in speech:
                pass

        async with self.service(url) as tts:
            async with (
                tts.stream(arriving(), delivery="live") as speech,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(listen, speech)
                with anyio.fail_after(20):
                    while not sockets.messages:  # noqa: ASYNC110 - filled by another thread
                        await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
            await sockets.one_is_over()
            sockets.waits_after = None
            assert transcribe(await self.heard(tts)) == TEXT
        assert sockets.connections == 2

    async def test_sockets_are_closed_with_the_service(self, url: str, sockets: Sockets) -> None:
        async with self.service(url) as tts:
            await self.heard(tts)
        await sockets.one_is_over()

    async def test_nothing_goes_over_a_socket_where_the_section_says_never(
        self, url: str, sockets: Sockets
    ) -> None:
        async with self.service(url, websocket="never", retry={"attempts": 1}) as tts:
            retries: list[RetryEvent] = []
            tts.on("retry", retries.append)
            with pytest.raises((TTSError, NetworkError)):
                await self.heard(tts)
        assert sockets.connections == 0
