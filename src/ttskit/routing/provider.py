"""One configured provider while the service runs: opened once, on first use."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TypeVar

import anyio
from pydantic import SecretStr

from ttskit.adapters.base import (
    Adapter,
    AdapterOptions,
    AudioSource,
    Conversion,
    Runs,
    Utterance,
)
from ttskit.adapters.models import MILLION
from ttskit.errors import ProviderTimeoutError, ServiceClosedError
from ttskit.resilience.alarm import Alarm
from ttskit.resilience.clocks import Watched
from ttskit.resources.host import Resources
from ttskit.resources.shelf import shelf_key
from ttskit.routing.guard import Ask, Guard, GuardSettings, Signs
from ttskit.routing.listing import Listing
from ttskit.telemetry.desk import Tell
from ttskit.telemetry.events import Event
from ttskit.telemetry.health import Facts
from ttskit.voices import Voice

CLOUD_CONCURRENCY = 20
"""Calls in flight to one cloud provider where nothing else is configured."""
LOCAL_CONCURRENCY = 64
"""Local engines queue in their own host, which knows how many jobs they bear."""
LOCAL_QUEUE = 4_000
"""Calls that may wait for a local engine: nobody else is kept from it, and none is paid for."""
LOCAL_FIRST_AUDIO_S = 60.0
"""A local engine's first call loads its weights, and many give an utterance when it is whole."""
CLOSE_TIMEOUT_S = 2.0
T = TypeVar("T")


def _nobody(news: Event | Facts, make: Callable[[], Event] | None = None) -> None:
    del news, make


@dataclass(frozen=True, slots=True)
class Place:
    """A provider's place in the service, from its section of the settings."""

    default_voice: str | None = None
    """The configured voice; None: the adapter's own."""
    is_routed: bool = True
    """Asked by requests that do not name it."""
    price: float | None = None
    """US dollars for a million characters; None: not known."""
    guard: GuardSettings = field(default_factory=GuardSettings)


class Provider:
    """An adapter, its place in the service, and what was learnt of it.

    Args:
        adapter: Not opened yet.
        resources: What the adapter works with.
        place: From the settings.
        tell: Hears what happens.
    """

    def __init__(
        self,
        adapter: Adapter[AdapterOptions],
        resources: Resources,
        place: Place | None = None,
        *,
        tell: Tell = _nobody,
    ) -> None:
        self.adapter = adapter
        self.name = adapter.provider
        self.place = place or Place()
        self.capabilities = adapter.capabilities
        self._is_cloud = adapter.capabilities.runs is Runs.CLOUD
        settings = self.place.guard if self._is_cloud else _at_home(self.place.guard)
        self._timeouts = settings.timeouts
        self.guard = Guard(
            self.name,
            settings,
            concurrency=adapter.concurrency
            or (CLOUD_CONCURRENCY if self._is_cloud else LOCAL_CONCURRENCY),
            tell=tell,
            random=Random(),  # noqa: S311 - jitter is no secret
            check=self._check,
        )
        self._resources = resources
        self._alarm = Alarm()
        self._opening = anyio.Lock()
        self.is_open = False
        """The adapter is ready to speak."""
        self._is_closed = False
        self._listing = Listing(
            self._ask_for_voices,
            shelf=resources.shelf if self._is_cloud else None,
            key=shelf_key(self.name, _identity(adapter)),
            max_age_s=resources.voices_max_age_s if self._is_cloud else None,
            is_remote=self._is_cloud,
        )
        self._found: tuple[Voice, ...] = ()
        self._voices: list[Voice] | None = None

    @property
    def price(self) -> float | None:
        """US dollars for a million characters; an engine on this machine costs none."""
        if self.place.price is not None:
            return self.place.price
        return self.adapter.list_price if self._is_cloud else 0.0

    def time_for(self, characters: int) -> float:
        """Return the seconds that a whole text of this length may take, where nobody set any."""
        return self._timeouts.total_s + self._timeouts.total_per_character_s * characters

    async def open(self) -> None:
        """Open the adapter unless it is open already.

        Raises:
            TTSError: It cannot be opened; the next call tries again.
        """
        if self.is_open and not self._is_closed:
            return
        async with self._opening:
            if self._is_closed:
                raise ServiceClosedError("the service was shut down")
            if not self.is_open:
                await self.adapter.open(self._resources)
                self.is_open = True

    async def voices(self, *, refresh: bool = False) -> list[Voice]:
        """Return the adapter's voices, the default one first; a cloud is asked once a day.

        Args:
            refresh: Ask in any case.
        """
        found = await self._listing.voices(refresh=refresh)
        if self._voices is None or found is not self._found:
            self._found = found
            self._voices = _default_first(list(found), self.place.default_voice)
        return self._voices

    async def _ask_for_voices(self) -> list[Voice]:
        await self.open()
        return await self.adapter.voices()

    async def default_id(self) -> str | None:
        """Return the voice that speaks where none is named; None: a cloud was never asked."""
        if self.place.default_voice is not None:
            return self.place.default_voice
        if self._voices is None and not self._is_cloud:
            await self.voices()
        return self._voices[0].id if self._voices else None

    def known_rate(self, voice_id: str | None) -> int | None:
        """Return the sample rate that a voice is known to fix, in Hz; asks nobody."""
        for voice in self._voices or ():
            if voice.id == voice_id:
                return voice.sample_rate
        return None

    async def call(
        self, utterance: Utterance, take: Callable[[AudioSource], Awaitable[T]], ask: Ask
    ) -> T:
        """Have the adapter speak, and return what ``take`` makes of its audio.

        Args:
            utterance: What is to be said.
            take: Reads the audio; whatever it raises counts as the call's failure.
            ask: What the guard needs to know.

        Raises:
            ProviderTimeoutError: No audio in time, at the beginning or on the way.
            TTSError: What the call failed with in the end.
        """
        begin = partial(self.adapter.synthesize, utterance)
        return await self.guard.call(partial(self._listen, begin, len(utterance.text), take), ask)

    async def convert(
        self, conversion: Conversion, take: Callable[[AudioSource], Awaitable[T]], ask: Ask
    ) -> T:
        """Have the adapter say a recording in another voice; otherwise as ``call``."""
        begin = partial(self.adapter.convert, conversion)
        return await self.guard.call(partial(self._listen, begin, 0, take), ask)

    async def _listen(
        self,
        begin: Callable[[], AbstractAsyncContextManager[AudioSource]],
        characters: int,
        take: Callable[[AudioSource], Awaitable[T]],
        signs: Signs,
    ) -> T:
        if not self.is_open:
            await self.open()
        first_by = signs.began + self._timeouts.first_audio_s
        with self._alarm.scope(first_by) as scope:
            async with begin() as source:
                chunks = source.chunks
                watched = Watched(
                    chunks, scope, stall_s=self._timeouts.stall_s, alive=_alive(signs)
                )
                source.chunks = watched
                if source.concurrency is not None:
                    self.guard.allow(source.concurrency)
                if self.place.price is not None and characters:
                    source.cost = self.place.price * characters / MILLION
                try:
                    return await take(source)
                finally:
                    if watched.first_at is not None:
                        signs.first_audio_s = watched.first_at - signs.began
                    if isinstance(chunks, AsyncGenerator):
                        # Left early it would be ended some time later, and in another task.
                        await chunks.aclose()
        what = "no audio came" if signs.first_audio_s is None else "no further audio came"
        seconds = (
            self._timeouts.first_audio_s if signs.first_audio_s is None else self._timeouts.stall_s
        )
        raise ProviderTimeoutError(f"{what} within {seconds:g} s", provider=self.name)

    async def _check(self) -> None:
        await self.open()
        await self.adapter.check()

    async def close(self) -> None:
        """Close the adapter if it was opened; takes at most ``CLOSE_TIMEOUT_S`` seconds."""
        if self._is_closed:
            return
        self._is_closed = True
        self.guard.close()
        was_open, self.is_open = self.is_open, False
        if was_open:
            with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                await self.adapter.close()
        self._alarm.close()


def _alive(signs: Signs) -> Callable[[], None]:
    """Return what is to be called with every chunk."""
    on_audio = signs.on_audio
    if on_audio is None:
        return signs.alive

    def alive() -> None:
        signs.alive()
        on_audio()

    return alive


def _at_home(settings: GuardSettings) -> GuardSettings:
    """Return the settings for an engine on this machine: it loads first, and speaks when done.

    What was configured stays; only defaults that are meant for clouds give way.
    """
    breaker, timeouts, limits = settings.breaker, settings.timeouts, settings.limits
    if "slow_after_s" not in breaker.model_fields_set:
        breaker = breaker.model_copy(update={"slow_after_s": None})
    if "first_audio_s" not in timeouts.model_fields_set:
        timeouts = timeouts.model_copy(update={"first_audio_s": LOCAL_FIRST_AUDIO_S})
    if limits.queue is None:
        limits = limits.model_copy(update={"queue": LOCAL_QUEUE})
    return replace(settings, breaker=breaker, timeouts=timeouts, limits=limits)


def _default_first(voices: list[Voice], default: str | None) -> list[Voice]:
    return sorted(voices, key=lambda voice: voice.id != default) if default else voices


def _identity(adapter: Adapter[AdapterOptions]) -> str:
    """Return all that an adapter's voices may depend on; it holds the key."""
    told = [type(adapter).__qualname__]
    for name, value in adapter.options:
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        told.append(f"{name}={plain!r}")
    return "\n".join(told)
