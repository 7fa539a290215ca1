"""An adapter that speaks HTTP, and servers that speak the modem voice and fail as they are told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager

import httpx
import numpy as np
import pytest

from ttskit import AsyncTTSService
from ttskit.adapters.base import (
    NATIVE,
    Adapter,
    AdapterOptions,
    AudioSource,
    Capabilities,
    Runs,
    Utterance,
)
from ttskit.codecs.encode import encode
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    NetworkError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    TextTooLongError,
    TTSError,
)
from ttskit.resilience.pushback import retry_after
from ttskit.resources.host import Resources
from ttskit.testing import FaultyServer, Received
from ttskit.testing.modem import Modem
from ttskit.voices import Voice

SPEECH = "/speech"
HTTPX_LEAVES_GENERATORS = [
    # It nests them and closes the outer one only; trio tells of those within.
    pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <async_gen:pytest.PytestUnraisableExceptionWarning"
    ),
]
REFUSALS: dict[int, type[TTSError]] = {
    400: InvalidParameterError,
    401: AuthenticationError,
    413: TextTooLongError,
    429: RateLimitedError,
}


class WireOptions(AdapterOptions):
    """Where the server is, and what it sends."""

    base_url: str
    format: str = "wav"
    sample_rate: int = 16_000


class WireAdapter(Adapter[WireOptions]):
    """A cloud provider as small as one can be."""

    name = "wire"
    capabilities = Capabilities(formats=("wav",), runs=Runs.CLOUD, streaming=NATIVE)

    async def open(self, resources: Resources) -> None:
        del resources
        self._http = httpx.AsyncClient(
            base_url=self.options.base_url, timeout=10.0, trust_env=False
        )

    async def voices(self) -> list[Voice]:
        return [Voice(id="alto", provider=self.provider, name="Alto")]

    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        body = {"text": utterance.text, "voice": utterance.voice or "alto"}
        with _translated():
            async with self._http.stream("POST", SPEECH, json=body) as reply:
                await _check(reply)
                yield AudioSource(
                    _chunks(reply),
                    format=self.options.format,
                    sample_rate=self.options.sample_rate if self.options.format == "pcm" else 0,
                )

    async def check(self) -> None:
        with _translated():
            await _check(await self._http.get("/health"))

    async def close(self) -> None:
        await self._http.aclose()


class _translated:  # noqa: N801 - used like a function
    """Turns what httpx raises into our errors."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, httpx.TimeoutException):
            raise ProviderTimeoutError("the server takes too long") from error
        if isinstance(error, httpx.TransportError):
            raise NetworkError(f"the connection failed ({type(error).__name__})") from error


async def _chunks(reply: httpx.Response) -> AsyncIterator[bytes]:
    with _translated():
        async for chunk in reply.aiter_bytes():
            yield chunk


async def _check(reply: httpx.Response) -> None:
    if reply.is_success:
        return
    pause = retry_after(reply.headers, wall=0.0)
    kind = REFUSALS.get(reply.status_code, ProviderUnavailableError)
    raise kind(f"HTTP {reply.status_code}", http_status=reply.status_code, retry_after=pause)


def spoken(text: str, voice: str, rate: int) -> np.ndarray:
    return np.concatenate([tones.samples for tones in Modem(rate).speak(text, voice)])


def speaking(name: str, rate: int, audio_format: str) -> Callable[[Received], bytes]:
    def body(received: Received) -> bytes:
        asked = json.loads(received.body)
        samples = spoken(asked["text"], f"{name}:{asked['voice']}", rate)
        return encode(samples, audio_format, sample_rate=rate)

    return body


class Clouds:
    """Some providers behind real connections, in order: ``p0``, ``p1``, …"""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.servers: list[FaultyServer] = []
        self.adapters: list[WireAdapter] = []

    def add(self, *, rate: int = 16_000, audio_format: str = "wav") -> FaultyServer:
        """Add a provider and return its server, whose faults concern speech and checks."""
        name = f"p{len(self.servers)}"
        server = FaultyServer(b"ok", content_type="text/plain")
        server.serve(SPEECH, speaking(name, rate, audio_format), content_type="audio/wav")
        self._stack.enter_context(server)
        options = WireOptions(base_url=server.url, format=audio_format, sample_rate=rate)
        self.servers.append(server)
        self.adapters.append(WireAdapter(options, provider=name))
        return server

    def service(self, **settings: object) -> AsyncTTSService:
        """Return a service over them; keyword arguments are settings of each provider."""
        each = {"timeouts": {"first_audio_s": 0.4, "stall_s": 0.4}, **settings}
        config = {
            "providers": {one.provider: each for one in self.adapters},
            "text": {"fast_start": False},
        }
        return AsyncTTSService(config, providers=self.adapters)

    def texts(self, number: int) -> list[str]:
        """Return what a provider was asked to say."""
        requests = self.servers[number].requests
        return [json.loads(one.body)["text"] for one in requests if one.target == SPEECH]


@pytest.fixture
def clouds() -> Iterator[Clouds]:
    with ExitStack() as stack:
        yield Clouds(stack)
