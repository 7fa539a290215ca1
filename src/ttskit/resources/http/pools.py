"""Which transport serves an origin: one for each event loop, and none that crossed a fork."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal
from weakref import WeakKeyDictionary

import anyio
import anyio.lowlevel
from anyio import to_thread

from ttskit.errors import DependencyMissingError, ServiceClosedError
from ttskit.resources.http.address import Origin, is_loopback
from ttskit.resources.http.tls import proxy_for, tls_context
from ttskit.resources.http.wire import Transport, Way

TransportName = Literal["auto", "httpx", "httpx2", "aiohttp"]

_ABANDONED: list[object] = []
"""What a forked child inherited: closing it would end the parent's connections."""


@dataclass(frozen=True, slots=True)
class HTTPOptions:
    """How servers are reached."""

    transport: TransportName = "auto"
    """``auto``: the best that is installed: aiohttp on asyncio, httpx2's engine, httpx's."""
    proxy: str | None = field(default=None, repr=False)
    """Its URL, for every server but this machine; None: as the environment says."""
    ca_file: Path | None = None
    """Certificates of authorities, in place of the usual ones."""
    trust_env: bool = True
    """Whether proxies and certificates are taken from the environment."""
    connect_s: float = 5.0
    silence_s: float = 60.0
    """How long a server may send nothing where no other clock runs."""


class Pools:
    """The connections of one service.

    A transport belongs to the event loop and the process it was made in and is used nowhere else:
    two processes that read from one socket get each other's replies.
    """

    def __init__(self, options: HTTPOptions | None = None) -> None:
        self.options = options or HTTPOptions()
        self._by_loop: WeakKeyDictionary[object, dict[Origin, Transport]] = WeakKeyDictionary()
        self._ways: dict[Origin, Way] = {}
        self._process = os.getpid()
        self._making: WeakKeyDictionary[object, anyio.Lock] = WeakKeyDictionary()
        self._is_closed = False

    async def transport(self, origin: Origin) -> Transport:
        """Return the transport to an origin from where the caller runs; made on first use.

        Raises:
            ConfigurationError: The certificates or the proxy cannot be used.
            DependencyMissingError: The transport was chosen and is not installed.
            ServiceClosedError: The service was shut down.
        """
        if self._process != os.getpid():
            self._abandon()
        loop = running_loop()
        transports = self._by_loop.get(loop)
        if transports is not None and (known := transports.get(origin)) is not None:
            return known
        return await self._make(loop, origin)

    async def aclose(self) -> None:
        """Close the connections of this event loop; those of other loops ended with them."""
        self._is_closed = True
        if self._process != os.getpid():
            self._abandon()
        transports = self._by_loop.pop(running_loop(), {})
        async with anyio.create_task_group() as closing:
            for transport in transports.values():
                closing.start_soon(transport.aclose)

    async def _make(self, loop: object, origin: Origin) -> Transport:
        if self._is_closed:
            raise ServiceClosedError("the service was shut down")
        async with self._making.setdefault(loop, anyio.Lock()):
            transports = self._by_loop.setdefault(loop, {})
            if origin not in transports:
                transports[origin] = await self._made(origin)
            return transports[origin]

    async def way(self, origin: Origin) -> Way:
        """Return how an origin is reached; found out once.

        Raises:
            ConfigurationError: The certificates or the proxy cannot be used.
        """
        if (known := self._ways.get(origin)) is not None:
            return known
        options, proxy = self.options, None
        if not is_loopback(origin.host):
            proxy = options.proxy or proxy_for(origin, trust_env=options.trust_env)
        tls = None
        if origin.scheme == "https":
            # Certificates take tens of milliseconds: not in the event loop.
            tls = await to_thread.run_sync(
                lambda: tls_context(options.ca_file, trust_env=options.trust_env)
            )
        way = self._ways[origin] = Way(tls, proxy, options.connect_s, options.silence_s)
        return way

    async def _made(self, origin: Origin) -> Transport:
        way = await self.way(origin)
        # Imports take as long.
        make = await to_thread.run_sync(_maker, _chosen(self.options.transport, way.proxy))
        return make(origin, way)

    def _abandon(self) -> None:
        """Forget everything that another process opened, without closing it."""
        _ABANDONED.append((self._by_loop, self._making))
        self._by_loop = WeakKeyDictionary()
        self._making = WeakKeyDictionary()
        self._process = os.getpid()


def running_loop() -> Hashable:
    """Return the event loop, as asyncio or trio have it."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        token: Hashable = anyio.lowlevel.current_token().native_token
        return token


_MODULES = {"aiohttp": "aiohttp", "httpx2": "httpcore2", "httpx": "httpcore"}
"""What each transport imports, the best first."""
_EXTRAS = {"aiohttp": "ttskit[fast]", "httpx2": "httpx2", "httpx": "httpx"}


def _chosen(name: TransportName, proxy: str | None) -> str:
    """Return the transport for where the caller runs; aiohttp knows asyncio and no SOCKS."""
    installed = [one for one, module in _MODULES.items() if importlib.util.find_spec(module)]
    if name != "auto" and name not in installed:
        raise DependencyMissingError(f'{name} is not installed; run: pip install "{_EXTRAS[name]}"')
    able = [one for one in installed if one != "aiohttp" or _suits_aiohttp(proxy)]
    return name if name in able else able[0]


def _suits_aiohttp(proxy: str | None) -> bool:
    is_asyncio = isinstance(running_loop(), asyncio.AbstractEventLoop)
    return is_asyncio and not (proxy or "").startswith("socks")


def _maker(kind: str) -> Callable[[Origin, Way], Transport]:
    """Import what a transport needs and return what makes one."""
    if kind == "aiohttp":
        from ttskit.resources.http.aiohttp_transport import AiohttpTransport

        return AiohttpTransport
    from ttskit.resources.http.httpcore_transport import HttpcoreTransport

    return partial(HttpcoreTransport, library=importlib.import_module(_MODULES[kind]))
