"""What every cloud adapter must do against a server on this machine that speaks as its own does."""

from __future__ import annotations

import base64
import logging
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import quote

import anyio
import numpy as np
import pytest
from typing_extensions import override

from ttskit import AsyncTTSService
from ttskit.adapters.base import Adapter, AdapterOptions, Utterance
from ttskit.codecs.encode import encode
from ttskit.codecs.pcm import Samples
from ttskit.errors import (
    InvalidResponseError,
    NetworkError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    TTSError,
)
from ttskit.request import Timestamps
from ttskit.resources.host import Resources
from ttskit.resources.http.pools import HTTPOptions
from ttskit.testing import AdapterContract, Ending, FaultyServer, Framing, Reply, RetryAfter
from ttskit.testing.modem import Modem

KEY = "sk-canary-7f3a9c1e55"
"""A key that must be found nowhere but in the header it belongs in."""
WIRES = [("asyncio", "aiohttp"), ("asyncio", "httpx"), ("asyncio", "httpx2"), ("trio", "httpx2")]
AnyAdapter = Adapter[AdapterOptions]


def spoken(text: str, voice: str, rate: int, *, speed: float = 1.0) -> Samples:
    """Return the text in the modem voice: float32 of shape (frames,)."""
    return np.concatenate([tones.samples for tones in Modem(rate, speed=speed).speak(text, voice)])


def audio(samples: Samples, form: str, rate: int) -> bytes:
    """Return samples as a server sends them."""
    return encode(samples, form, sample_rate=rate)


class CloudContract(AdapterContract):
    """``AdapterContract`` over each transport and loop, and what goes wrong on the wire.

    A subclass gives the fixtures ``server``, well and serving, and ``adapter``, which speaks to it
    under ``KEY``.
    """

    speech_path: str = "/"
    """What the target of a request for speech begins with."""

    @pytest.fixture(params=WIRES, ids="-".join)
    def wire(self, request: pytest.FixtureRequest) -> tuple[str, str]:
        loop, transport = request.param
        return loop, transport

    @pytest.fixture
    @override
    def anyio_backend(self, wire: tuple[str, str]) -> str:
        return wire[0]

    @pytest.fixture
    def server(self) -> Iterator[FaultyServer]:
        raise NotImplementedError("a subclass needs a fixture `server`")

    @pytest.fixture
    @override
    async def opened(
        self, adapter: AnyAdapter, anyio_backend: str, wire: tuple[str, str]
    ) -> AsyncIterator[AnyAdapter]:
        del anyio_backend
        resources = Resources(http=HTTPOptions(transport=wire[1], silence_s=5.0))  # type: ignore[arg-type]
        await adapter.open(resources)
        yield adapter
        await adapter.close()
        await resources.aclose()

    async def test_pieces_of_any_size_are_the_same_audio(
        self, opened: AnyAdapter, server: FaultyServer
    ) -> None:
        whole = await self._take(opened, "One two.")
        for step in (1, 7, 1_021):
            server.heal().reply(Reply(step=step, framing=Framing.CHUNKED))
            pieces = await self._take(opened, "One two.")
            assert np.array_equal(pieces.samples, whole.samples), step

    async def test_words_are_timed_the_same_whatever_the_pieces(
        self, opened: AnyAdapter, server: FaultyServer
    ) -> None:
        self._needs(opened.capabilities.word_timestamps)
        whole = await self._take(opened, "Zoë, one two.", timestamps=Timestamps.WORD)
        for step in (1, 7, 1_021):
            server.heal().reply(Reply(step=step, framing=Framing.CHUNKED))
            pieces = await self._take(opened, "Zoë, one two.", timestamps=Timestamps.WORD)
            assert np.array_equal(pieces.samples, whole.samples), step
            assert pieces.words == whole.words, step

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (lambda server: server.refuse(), NetworkError),
            (lambda server: server.reset(), NetworkError),
            (lambda server: server.reset(at=40), NetworkError),
            (lambda server: server.wrong_length(40), NetworkError),
            (lambda server: server.fail(500), ProviderUnavailableError),
            (lambda server: server.fail(503), ProviderUnavailableError),
            (lambda server: server.fail(429), RateLimitedError),
            (lambda server: server.html(), InvalidResponseError),
            (
                lambda server: server.reply(Reply(307, (("Location", "http://127.0.0.2:9/"),))),
                InvalidResponseError,
            ),
            (lambda server: server.reply(Reply(502, body=b"<html>bad gateway")), TTSError),
        ],
        ids=["refused", "reset", "reset in the body", "cut short", "500", "503", "429", "html",
             "redirect", "502"],
    )  # fmt: skip
    async def test_what_goes_wrong_on_the_wire_has_its_name(
        self,
        opened: AnyAdapter,
        server: FaultyServer,
        caplog: pytest.LogCaptureFixture,
        fault: Callable[[FaultyServer], object],
        kind: type[TTSError],
    ) -> None:
        caplog.set_level(logging.DEBUG)
        fault(server)
        with pytest.raises(kind) as caught:
            await self._take(opened, self.sentence)
        assert caught.value.provider == opened.provider
        self._is_kept_secret(caught.value, caplog, opened)
        server.heal()
        assert (await self._take(opened, self.sentence)).duration > 0.1

    async def test_a_server_that_falls_silent_is_left(
        self, adapter: AnyAdapter, server: FaultyServer, wire: tuple[str, str]
    ) -> None:
        resources = Resources(http=HTTPOptions(transport=wire[1], silence_s=0.2))  # type: ignore[arg-type]
        await adapter.open(resources)
        for fault in (Reply(ending=Ending.STALL), Reply(ending=Ending.STALL, at=40)):
            server.reply(fault, times=1)
            with anyio.fail_after(10), pytest.raises(ProviderTimeoutError):
                await self._take(adapter, self.sentence)
        await resources.aclose()

    @pytest.mark.parametrize("form", list(RetryAfter))
    async def test_it_passes_on_how_long_to_wait(
        self, opened: AnyAdapter, server: FaultyServer, form: RetryAfter
    ) -> None:
        server.fail(429, retry_after=7, form=form, times=1)
        with pytest.raises(RateLimitedError) as caught:
            await self._take(opened, self.sentence)
        assert caught.value.retry_after == pytest.approx(7, abs=1.1)

    async def test_the_key_travels_in_its_header_alone(
        self, opened: AnyAdapter, server: FaultyServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        await self._take(opened, self.sentence)
        await opened.voices()
        await opened.check()
        for request in server.requests:
            for secret in _spellings(KEY):
                assert secret not in request.target
                assert secret.encode() not in request.body
        self._is_kept_secret(None, caplog, opened)

    async def test_no_event_result_or_statistic_tells_the_key_or_the_text(
        self, adapter: AnyAdapter, server: FaultyServer, wire: tuple[str, str]
    ) -> None:
        text = "Canary sings quietly."
        told: list[object] = []
        config = {
            "providers": {adapter.provider: {"retry": {"attempts": 1}}},
            "resources": {"http": {"transport": wire[1]}},
            "text": {"fast_start": False},
        }
        async with AsyncTTSService(config, providers=[adapter]) as tts:
            tts.on("*", told.append)
            audio = await tts.synthesize(text)
            told += [audio.origin, audio.ledger, audio.warnings, await tts.voices()]
            for fault in (server.reset, lambda: server.fail(401), lambda: server.fail(500)):
                server.heal()
                fault()
                with pytest.raises(TTSError) as caught:
                    await tts.synthesize(text, cache="bypass")
                told += [caught.value.to_dict(), str(caught.value), repr(caught.value)]
            told += [tts.health(), tts.stats(), tts.providers()]
        plain = "\n".join(map(repr, told))
        for secret in _spellings(KEY):
            assert secret not in plain
        errors = "\n".join(repr(one) for one in told if isinstance(one, dict | str))
        assert "Canary" not in errors

    async def test_the_list_price_is_what_speech_costs(self, opened: AnyAdapter) -> None:
        async with opened.synthesize(Utterance(self.sentence)) as source:
            async for _ in source.chunks:
                pass
        price = opened.list_price
        due = None if price is None else price * len(self.sentence) / 1e6
        assert source.cost == (None if due is None else pytest.approx(due))

    def _is_kept_secret(
        self, error: BaseException | None, caplog: pytest.LogCaptureFixture, adapter: AnyAdapter
    ) -> None:
        """The key is in no log record, no error with all its frames' variables, and no repr."""
        told = [str(vars(record)) for record in caplog.records]
        told += [record.getMessage() for record in caplog.records]
        told += [repr(adapter), repr(adapter.options), repr(vars(adapter))]
        if error is not None:
            frames = traceback.TracebackException.from_exception(error, capture_locals=True)
            told += [str(error), repr(error), "".join(frames.format())]
        for secret in _spellings(KEY):
            assert not [line for line in told if secret in line]


def _spellings(secret: str) -> list[str]:
    data = secret.encode()
    return [secret, quote(secret, safe=""), base64.b64encode(data).decode()[:-4], data.hex()]
