"""An adapter that speaks HTTP, and servers that speak the modem voice and fail as they are told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager

import numpy as np
import pytest

from ttskit import AsyncTTSService
from ttskit.adapters.base import NATIVE, AudioSource, Capabilities, Runs, Utterance
from ttskit.adapters.cloud import CloudAdapter, CloudOptions
from ttskit.adapters.refusals import Refusals
from ttskit.codecs.encode import encode
from ttskit.errors import InvalidParameterError
from ttskit.resources.http.pools import TransportName
from ttskit.testing import FaultyServer, Received
from ttskit.testing.modem import Modem
from ttskit.voices import Voice

SPEECH = "/speech"


class WireOptions(CloudOptions):
    """What the server sends."""

    format: str = "wav"
    sample_rate: int = 16_000


class WireAdapter(CloudAdapter[WireOptions]):
    """A cloud provider as small as one can be."""

    name = "wire"
    capabilities = Capabilities(formats=("wav",), runs=Runs.CLOUD, streaming=NATIVE)
    refusals = Refusals(statuses={400: InvalidParameterError})

    def headers(self) -> dict[str, str]:
        return {}

    async def voices(self) -> list[Voice]:
        return [Voice(id="alto", provider=self.provider, name="Alto")]

    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        body = {"text": utterance.text, "voice": utterance.voice or "alto"}
        async with self._http.stream("POST", SPEECH, json=body) as reply:
            yield AudioSource(
                reply,
                format=self.options.format,
                sample_rate=self.options.sample_rate if self.options.format == "pcm" else 0,
            )

    async def check(self) -> None:
        await self._http.fetch("GET", "/health")


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

    def service(self, *, transport: TransportName = "auto", **settings: object) -> AsyncTTSService:
        """Return a service over them; further keyword arguments are settings of each provider."""
        each = {"timeouts": {"first_audio_s": 0.4, "stall_s": 0.4}, **settings}
        config = {
            "providers": {one.provider: each for one in self.adapters},
            "text": {"fast_start": False},
            "resources": {"http": {"transport": transport}},
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
