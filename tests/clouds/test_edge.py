"""The package edge-tts, led to a server on this machine that speaks as Microsoft's does."""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import cast

import anyio
import numpy as np
import pytest
import trustme
from pydantic import ValidationError
from typing_extensions import override

from tests.clouds import edge_server
from tests.clouds.edge_server import EdgeServer, Fault, audio_message, message
from ttskit import AsyncTTSService
from ttskit.adapters.base import Adapter, AdapterOptions, TimedText, Utterance
from ttskit.adapters.edge import EdgeAdapter, EdgeOptions
from ttskit.codecs.decode import decode
from ttskit.errors import (
    ConfigurationError,
    InvalidParameterError,
    InvalidResponseError,
    NetworkError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    TTSError,
    UnsupportedFeatureError,
    VoiceNotFoundError,
)
from ttskit.request import Timestamps
from ttskit.resources.host import Resources
from ttskit.resources.http.pools import HTTPOptions
from ttskit.testing import AdapterContract, CancelSweep, Census, Ending, transcribe
from ttskit.voices import Gender, Voice

pytestmark = [pytest.mark.engine("edge-tts"), pytest.mark.anyio]
AnyAdapter = Adapter[AdapterOptions]
EMMA = "en-US-EmmaMultilingualNeural"
TEXT = "One <two> & three."


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the package's only one


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that the package trusts from now on."""
    from edge_tts import communicate, voices

    authority = trustme.CA()
    for context in (communicate._SSL_CTX, voices._SSL_CTX):
        authority.configure_trust(context)
    return authority


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[EdgeServer]:
    with EdgeServer(authority) as server:
        yield server


@asynccontextmanager
async def opened(
    server: EdgeServer, *, silence_s: float = 20.0, **section: object
) -> AsyncIterator[EdgeAdapter]:
    adapter = EdgeAdapter(EdgeOptions.model_validate(section))
    async with lent(server, silence_s=silence_s) as resources:
        await adapter.open(resources)
        yield adapter


@asynccontextmanager
async def lent(server: EdgeServer, *, silence_s: float = 20.0) -> AsyncIterator[Resources]:
    """Lend what an adapter needs, and wait until nothing is left of it.

    TLS says goodbye for a moment after the package is done.
    """
    census = Census.take()
    resources = Resources(http=HTTPOptions(proxy=server.proxy, silence_s=silence_s))
    try:
        yield resources
    finally:
        await resources.aclose()
        await census.check()


async def heard(
    adapter: EdgeAdapter, text: str, **settings: object
) -> tuple[bytes, list[TimedText]]:
    utterance = Utterance(text, **settings)  # type: ignore[arg-type] # its own fields
    async with adapter.synthesize(utterance) as source:
        chunks = [cast("bytes", chunk) async for chunk in source.chunks]
        return b"".join(chunks), source.words


def understood(data: bytes) -> str:
    return transcribe(decode(data, "mp3"))


def seconds(data: bytes) -> float:
    sound = decode(data, "mp3")
    return len(sound.samples) / sound.sample_rate


class TestEdge(AdapterContract):
    @pytest.fixture
    @override
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    @override
    def adapter(self) -> AnyAdapter:
        return cast("AnyAdapter", EdgeAdapter(EdgeOptions()))

    @pytest.fixture
    @override
    async def opened(
        self, adapter: AnyAdapter, anyio_backend: str, server: EdgeServer
    ) -> AsyncIterator[AnyAdapter]:
        del anyio_backend
        async with lent(server) as resources:
            await adapter.open(resources)
            yield adapter
            await adapter.close()

    async def test_pieces_of_any_size_are_the_same_audio(
        self, opened: AnyAdapter, server: EdgeServer
    ) -> None:
        whole = await self._take(opened, "One two.")
        for step in (1, 7, 1_021):
            server.spoil(step=step)
            pieces = await self._take(opened, "One two.")
            assert np.array_equal(pieces.samples, whole.samples), step


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Fault(ending=Ending.CLOSE, at=8), NetworkError, "ended the connection early"),
        (Fault(ending=Ending.RESET, at=8), NetworkError, "connection"),
        (Fault(ending=Ending.RESET, at=0), InvalidResponseError, "no audio"),
        (Fault(status=429), RateLimitedError, "HTTP 429"),
        (Fault(status=403, has_date=False), ProviderUnavailableError, "HTTP 403"),
        (Fault(status=404), ProviderUnavailableError, "HTTP 404"),
        (Fault(status=503), ProviderUnavailableError, "HTTP 503"),
        (Fault(status=200), ProviderUnavailableError, "HTTP 200"),
        (Fault(instead=(message("new.path", {}),)), InvalidResponseError, "UnknownResponse"),
        (Fault(instead=(message("audio.metadata", {}),)), InvalidResponseError, "KeyError"),
        (Fault(instead=(edge_server.frame(1, b"?"),)), InvalidResponseError, "not as edge-tts"),
        (Fault(instead=(edge_server.frame(2, b"?"),)), InvalidResponseError, "UnexpectedResponse"),
        (Fault(instead=(audio_message(b"x", path="video"),)), InvalidResponseError, "Unexpected"),
        (Fault(instead=(audio_message(b"x", kind="text/html"),)), InvalidResponseError, "Unexp"),
        (Fault(instead=(message("turn.end", {}),)), InvalidResponseError, "no audio"),
        (Fault(instead=(b"\xff" * 9,)), NetworkError, "broke"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_goes_wrong_has_its_name(
    server: EdgeServer, fault: Fault, kind: type[TTSError], words: str
) -> None:
    async with opened(server) as adapter:
        server.faults.append(fault)
        with pytest.raises(kind, match=words) as caught:
            await heard(adapter, TEXT)
        assert type(caught.value).__mro__[-4:] == kind.__mro__[-4:]
        assert caught.value.provider == "edge"
        assert TEXT not in "".join(traceback.format_exception(caught.value))
        assert understood((await heard(adapter, TEXT))[0]) == TEXT


async def test_a_clock_that_is_wrong_is_set_by_the_servers(server: EdgeServer) -> None:
    async with opened(server) as adapter:
        server.spoil(status=403)
        assert understood((await heard(adapter, TEXT))[0]) == TEXT


async def test_a_token_that_is_not_taken_is_not_tried_again(server: EdgeServer) -> None:
    async with opened(server) as adapter:
        server.spoil(status=403).spoil(status=403)
        with pytest.raises(ProviderUnavailableError, match="azure") as caught:
            await heard(adapter, TEXT)
        assert not caught.value.retryable
        server.spoil(status=403).spoil(status=403)
        with pytest.raises(ProviderUnavailableError, match="HTTP 403"):
            await adapter.check()


@pytest.mark.parametrize("at", [0, 8])
async def test_a_server_that_falls_silent_is_left(server: EdgeServer, at: int) -> None:
    async with opened(server, silence_s=0.3) as adapter:
        server.spoil(ending=Ending.STALL, at=at)
        with anyio.fail_after(20), pytest.raises(ProviderTimeoutError):
            await heard(adapter, TEXT)


async def test_a_proxy_that_leads_nowhere_is_told_of(server: EdgeServer) -> None:
    server.refuses = True
    async with opened(server) as adapter:
        for ask in (adapter.check, adapter.voices, lambda: heard(adapter, TEXT)):
            with pytest.raises(NetworkError, match="proxy does not let us") as caught:
                await ask()
            assert caught.value.provider == "edge"


async def test_nobody_there_is_a_network_error(authority: trustme.CA) -> None:
    with EdgeServer(authority) as server:
        pass
    async with opened(server) as adapter:
        for ask in (adapter.check, adapter.voices, lambda: heard(adapter, TEXT)):
            with pytest.raises(NetworkError, match="cannot connect"):
                await ask()


async def test_a_server_of_another_name_is_not_believed(authority: trustme.CA) -> None:
    del authority  # the package trusts it, and not this other one
    with EdgeServer(trustme.CA()) as server:
        async with opened(server) as adapter:
            with pytest.raises(NetworkError, match="certificate"):
                await heard(adapter, TEXT)


async def test_voices_are_those_of_the_service(server: EdgeServer) -> None:
    async with opened(server, voice="zh-CN-liaoning-XiaobeiNeural") as adapter:
        voices = await adapter.voices()
    assert [voice.id for voice in voices] == [
        "zh-CN-liaoning-XiaobeiNeural",
        "af-ZA-AdriNeural",
        EMMA,
        "iu-Cans-CA-SiqiniqNeural",
    ]
    assert voices[0] == Voice(
        "zh-CN-liaoning-XiaobeiNeural",
        "edge",
        "Xiaobei",
        languages=("zh-CN-liaoning",),
        gender=Gender.MALE,
        description="General, Friendly",
    )


@pytest.mark.parametrize("listing", [{}, [], [{}], ["x"], None], ids=repr)
async def test_a_list_of_voices_that_is_none_is_refused(
    server: EdgeServer, listing: object
) -> None:
    server.voices = listing
    async with opened(server) as adapter:
        with pytest.raises(InvalidResponseError):
            await adapter.check()


@pytest.mark.parametrize("voice", [str(one["ShortName"]) for one in edge_server.VOICES])
async def test_every_voice_of_the_list_can_be_asked_for(server: EdgeServer, voice: str) -> None:
    async with opened(server) as adapter:
        assert understood((await heard(adapter, TEXT, voice=voice))[0]) == TEXT


@pytest.mark.parametrize(
    "voice", ["en-US-EmaNeural", "emma", "en-US-x' onload='Neural", "(en, x)", "en-US-é"]
)
async def test_a_voice_that_is_not_there_is_refused(server: EdgeServer, voice: str) -> None:
    async with opened(server) as adapter:
        with pytest.raises(VoiceNotFoundError):
            await heard(adapter, TEXT, voice=voice)


async def test_words_are_timed_where_that_is_asked_for(server: EdgeServer) -> None:
    async with opened(server) as adapter:
        data, words = await heard(adapter, TEXT, timestamps=Timestamps.WORD)
        _, none = await heard(adapter, TEXT)
    assert [TEXT[slice(*word.span)] for word in words] == ["One", "<two>", "&", "three."]
    assert none == []
    assert 0 < words[0].start < words[-1].end <= seconds(data)


@pytest.mark.parametrize(
    ("section", "settings", "prosody"),
    [
        ({}, {}, "pitch='+0Hz' rate='+0%' volume='+0%'"),
        ({}, {"speed": 1.254}, "pitch='+0Hz' rate='+25%' volume='+0%'"),
        ({}, {"speed": 0.5}, "pitch='+0Hz' rate='-50%' volume='+0%'"),
        ({"pitch_hz": -20}, {}, "pitch='-20Hz' rate='+0%' volume='+0%'"),
        ({"pitch_hz": 7}, {"options": {"pitch_hz": 0}}, "pitch='+0Hz' rate='+0%' volume='+0%'"),
    ],
)
async def test_prosody_is_what_was_set(
    server: EdgeServer, section: dict[str, object], settings: dict[str, object], prosody: str
) -> None:
    async with opened(server, **section) as adapter:
        await heard(adapter, TEXT, **settings)
    assert f"<prosody {prosody}>" in server.asked[0].ssml


async def test_the_request_is_the_packages_own(server: EdgeServer) -> None:
    async with opened(server) as adapter:
        await heard(adapter, TEXT)
        from edge_tts import Communicate

        async for _ in Communicate(TEXT, EMMA, proxy=server.proxy).stream():
            pass
    ours, theirs = server.asked
    assert json.dumps(ours.config) == json.dumps(theirs.config)
    assert ours.ssml == theirs.ssml
    volatile = re.compile(r"(?<=ConnectionId=)\w+")
    assert volatile.sub("", ours.target) == volatile.sub("", theirs.target)
    assert ours.headers.keys() == theirs.headers.keys()


async def test_a_text_of_several_pieces_is_whole(server: EdgeServer) -> None:
    text = " ".join(["One & two."] * 300)
    async with opened(server) as adapter:
        await heard(adapter, text)
        pieces = [edge_server.said(asked) for asked in server.asked]
        assert len(pieces) == 2
        assert " ".join(pieces) == text
        server.spoil(ending=Ending.CLOSE, at=8)
        with pytest.raises(NetworkError, match="early"):
            await heard(adapter, text)


async def test_a_request_may_set_what_there_is(server: EdgeServer) -> None:
    async with opened(server) as adapter:
        with pytest.raises(InvalidParameterError, match="did you mean 'pitch_hz'"):
            await heard(adapter, TEXT, options={"pitch_hx": 1})
    with pytest.raises(ValidationError):
        EdgeOptions.model_validate({"pitch_hz": 1_000})


async def test_who_uses_it_is_warned(server: EdgeServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ttskit"):
        async with opened(server):
            pass
    assert "may end it any day" in caplog.text


async def test_a_socks_proxy_is_refused() -> None:
    resources = Resources(http=HTTPOptions(proxy="socks5://127.0.0.1:9"))
    with pytest.raises(ConfigurationError, match="SOCKS"):
        await EdgeAdapter(EdgeOptions()).open(resources)
    await resources.aclose()


def test_on_trio_it_says_that_it_cannot() -> None:
    async def main() -> None:
        resources = Resources()
        adapter = EdgeAdapter(EdgeOptions())
        with pytest.raises(UnsupportedFeatureError, match="asyncio only") as caught:
            await adapter.open(resources)
        assert caught.value.provider == "edge"
        assert caught.value.failover
        await resources.aclose()

    anyio.run(main, backend="trio")


async def test_leaving_early_ends_the_connection(server: EdgeServer) -> None:
    async with opened(server) as adapter:
        server.spoil(ending=Ending.STALL, at=8)
        with anyio.fail_after(20):
            async with adapter.synthesize(Utterance(TEXT)) as source:
                await anext(source.chunks)


async def test_cancelled_anywhere_it_leaves_nothing(server: EdgeServer) -> None:
    async with opened(server) as adapter:
        report = await CancelSweep(lambda: heard(adapter, "One."), times=2).run()
        assert understood((await heard(adapter, TEXT))[0]) == TEXT
    assert report.cases > 5


async def test_a_service_speaks_through_it(server: EdgeServer) -> None:
    settings = {"providers": {"edge": {}}, "resources": {"http": {"proxy": server.proxy}}}
    adapter = EdgeAdapter(EdgeOptions())
    census = Census.take()
    async with AsyncTTSService(settings, providers=[adapter]) as tts:
        audio = await tts.synthesize(TEXT, timestamps="word")
    await census.check()
    assert transcribe(audio) == TEXT
    assert [word.word for word in audio.words] == ["One", "<two>", "&", "three."]
