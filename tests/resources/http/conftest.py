"""A client over each transport and loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from ttskit.resources.http.address import Address
from ttskit.resources.http.client import HTTPClient, Reply
from ttskit.resources.http.pools import HTTPOptions, Pools, TransportName

WIRES: list[tuple[str, TransportName]] = [
    ("asyncio", "aiohttp"),
    ("asyncio", "httpx"),
    ("asyncio", "httpx2"),
    ("trio", "httpx"),
    ("trio", "httpx2"),
]
Wire = tuple[str, TransportName]
Connect = Callable[..., HTTPClient]


@pytest.fixture(params=WIRES, ids="-".join)
def wire(request: pytest.FixtureRequest) -> Wire:
    loop, transport = request.param
    return loop, transport


@pytest.fixture
def anyio_backend(wire: Wire) -> str:
    return wire[0]


@pytest.fixture
async def pools(wire: Wire, anyio_backend: str) -> AsyncIterator[Pools]:
    del anyio_backend
    pools = Pools(HTTPOptions(transport=wire[1], silence_s=5.0, connect_s=2.0))
    yield pools
    await pools.aclose()


@pytest.fixture
def connect(pools: Pools) -> Connect:
    """Return what makes a client for a base URL, under headers given by name."""

    def client(url: str, *, over: Pools | None = None, **headers: str) -> HTTPClient:
        return HTTPClient(
            over or pools,
            Address.of(url),
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            provider="cloud",
            judge=anything_goes,
        )

    return client


async def anything_goes(reply: Reply) -> None:
    del reply
