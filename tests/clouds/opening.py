"""An adapter outside the contract: opened for a block, and what it says put together."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from ttskit.adapters.base import Adapter, AdapterOptions, TimedText, Utterance
from ttskit.codecs.decode import decode
from ttskit.codecs.pcm import Samples
from ttskit.resources.host import Resources
from ttskit.testing import FaultyServer, Received, Reply

JSON = "application/json"
EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Take:
    """One utterance as it was heard."""

    samples: Samples
    format: str
    sample_rate: int
    """Hz, as decoded."""
    words: list[TimedText]
    request_id: str | None
    cost: float | None


@asynccontextmanager
async def opened(adapter: Adapter[AdapterOptions]) -> AsyncIterator[Adapter[AdapterOptions]]:
    resources = Resources()
    await adapter.open(resources)
    try:
        yield adapter
    finally:
        await adapter.close()
        await resources.aclose()


async def taken(adapter: Adapter[AdapterOptions], utterance: Utterance | str) -> Take:
    """Open the adapter, say one utterance and return it decoded."""
    said = Utterance(utterance) if isinstance(utterance, str) else utterance
    async with opened(adapter) as ready, ready.synthesize(said) as source:
        chunks = [chunk async for chunk in source.chunks]
        rate = source.sample_rate
        if source.format == "f32":
            samples = np.concatenate([chunk for chunk in chunks if isinstance(chunk, np.ndarray)])
        else:
            data = b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))
            decoded = decode(data, source.format, sample_rate=rate)
            samples, rate = decoded.samples, decoded.sample_rate
        return Take(samples, source.format, rate, source.words, source.request_id, source.cost)


def as_json(document: object, status: int = 200) -> Reply:
    """Return a reply that is JSON."""
    return Reply(status, body=json.dumps(document).encode(), content_type=JSON)


def body_of(received: Received) -> dict[str, object]:
    """Return a request's body."""
    body = json.loads(received.body)
    assert isinstance(body, dict)
    return body


def last_body(server: FaultyServer) -> dict[str, object]:
    """Return the body of the last request."""
    return body_of(server.requests[-1])
