"""One configured provider while the service runs: opened once, on first use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from ttskit.adapters.base import Adapter, AdapterOptions, AudioSource, Runs, Utterance
from ttskit.errors import ServiceClosedError
from ttskit.resources.host import Resources
from ttskit.voices import Voice

CLOUD_CONCURRENCY = 20
"""Calls in flight to one cloud provider where nothing else is configured."""
LOCAL_CONCURRENCY = 64
"""Local engines queue in their own host, which knows how many jobs they bear."""
CLOSE_TIMEOUT_S = 2.0


class Provider:
    """An adapter, its place in the service, and what was learnt of it.

    Args:
        adapter: Not opened yet.
        resources: What the adapter works with.
        default_voice: The configured voice of this provider; None: the adapter's own.
        concurrency: Most calls in flight at a time; None: by where it runs.
        is_routed: Whether it is asked by requests that do not name it.
    """

    def __init__(
        self,
        adapter: Adapter[AdapterOptions],
        resources: Resources,
        *,
        default_voice: str | None = None,
        concurrency: int | None = None,
        is_routed: bool = True,
    ) -> None:
        is_cloud = adapter.capabilities.runs is Runs.CLOUD
        self.adapter = adapter
        self.name = adapter.provider
        self.default_voice = default_voice
        self.is_routed = is_routed
        self.capabilities = adapter.capabilities
        self._resources = resources
        self._opening = anyio.Lock()
        self._is_open = False
        self._is_closed = False
        self._voices: list[Voice] | None = None
        self._limiter = anyio.CapacityLimiter(
            concurrency or (CLOUD_CONCURRENCY if is_cloud else LOCAL_CONCURRENCY)
        )

    async def open(self) -> None:
        """Open the adapter unless it is open already.

        Raises:
            TTSError: It cannot be opened; the next call tries again.
        """
        if self._is_open and not self._is_closed:
            return
        async with self._opening:
            if self._is_closed:
                raise ServiceClosedError("the service was shut down")
            if not self._is_open:
                await self.adapter.open(self._resources)
                self._is_open = True

    async def voices(self) -> list[Voice]:
        """Return the adapter's voices, asked for once; the default one comes first."""
        if self._voices is None:
            await self.open()
            self._voices = _default_first(await self.adapter.voices(), self.default_voice)
        return self._voices

    async def default_id(self) -> str | None:
        """Return the voice that speaks where none is named; None: a cloud was never asked."""
        if self.default_voice is None and self.capabilities.runs is Runs.LOCAL:
            await self.voices()
        if self.default_voice is not None or not self._voices:
            return self.default_voice
        return self._voices[0].id

    def known_rate(self, voice_id: str | None) -> int | None:
        """Return the sample rate that a voice is known to fix, in Hz; asks nobody."""
        for voice in self._voices or ():
            if voice.id == voice_id:
                return voice.sample_rate
        return None

    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        """Speak one utterance through the adapter, within the concurrency allowed."""
        await self.open()
        async with self._limiter, self.adapter.synthesize(utterance) as source:
            yield source

    async def close(self) -> None:
        """Close the adapter if it was opened; takes at most ``CLOSE_TIMEOUT_S`` seconds."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_open:
            with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                await self.adapter.close()


def _default_first(voices: list[Voice], default: str | None) -> list[Voice]:
    return sorted(voices, key=lambda voice: voice.id != default) if default else voices
