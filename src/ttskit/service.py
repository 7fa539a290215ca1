"""The facade: takes a request, hands it down, hands speech back."""

from __future__ import annotations

import threading
import weakref
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from ttskit.adapters.base import Adapter, AdapterOptions, Capabilities, Requirement
from ttskit.audio import Audio
from ttskit.config import ProviderSettings, Settings, load_settings
from ttskit.errors import InvalidParameterError, ServiceClosedError
from ttskit.registry import Registry, Seat
from ttskit.request import SpeechOptions, SpeechRequest
from ttskit.voices import Catalogue, Voice

if TYPE_CHECKING:
    from ttskit.portal import Portal
    from ttskit.resources.streams import StreamRegistry
    from ttskit.routing.script import Text
    from ttskit.routing.studio import Studio
    from ttskit.speech import SpeechStream, SyncSpeechStream
    from ttskit.telemetry.desk import Desk
    from ttskit.telemetry.events import Event
    from ttskit.telemetry.health import ProviderHealth, Stats

Providers = Mapping[str, Adapter[AdapterOptions]] | Sequence[Adapter[AdapterOptions]]
Config = str | Path | Mapping[str, object] | Settings


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """A configured provider: readable without opening it."""

    name: str
    adapter: str
    capabilities: Capabilities
    missing: tuple[Requirement, ...] = ()
    """Packages to install before it can speak."""


class AsyncTTSService:
    """Text to speech through any provider, for asyncio and trio.

    Args:
        config: A tts.yaml's path, its content as a mapping, or Settings; None: what the
            environment and the installed packages offer, the embedded voice last.
        providers: Adapters to use instead of configured ones, in routing order.
        overrides: Settings that win over ``config``, by section.

    Raises:
        ConfigurationError: The settings cannot work.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        providers: Providers | None = None,
        **overrides: object,
    ) -> None:
        self.settings = load_settings(config, overrides=overrides)
        self._registry = Registry()
        self._desk_made: Desk | None = None
        self._making = threading.Lock()
        self._seats = self._seats_of(providers)
        self._studio: Studio | None = None
        self._streams: StreamRegistry | None = None
        self._is_closed = False

    @classmethod
    def from_config(
        cls, path: str | Path, *, providers: Providers | None = None, **overrides: object
    ) -> Self:
        """Return a service set up by a tts.yaml.

        Raises:
            ConfigurationError: The file cannot be read or cannot work; it names the line.
        """
        return cls(path, providers=providers, **overrides)

    async def synthesize(
        self, text: str | SpeechRequest | None = None, *, ssml: str | None = None, **options: object
    ) -> Audio:
        """Return the finished audio of a text.

        Args:
            text: What to say, or a whole request.
            ssml: In place of ``text``: a document of the W3C's SSML 1.1.
            options: Fields of ``SpeechOptions``: voice, speed, format, …

        Raises:
            ValidationError: The request is wrong; no provider was asked.
            AllProvidersFailedError: Every provider failed; each attempt is on it.
            ProviderError: The only provider failed.
            DeadlineExceededError: Time was up.
        """
        return await self._open_studio().synthesize(_request(text, ssml, options))

    async def convert(
        self,
        audio: Audio | Path | str | bytes,
        voice: str | None = None,
        *,
        reference: Audio | Path | str | bytes | None = None,
        provider: str | Sequence[str] | None = None,
    ) -> Audio:
        """Return a recording said again in another voice; words and timing stay.

        Args:
            audio: The recording: a file's path or content, or ``Audio``; as for ``reference``.
            voice: Who is to be heard; None: the provider's default.
            reference: In place of ``voice``: a sample of the voice.
            provider: A configured provider, or several in the order to try.

        Raises:
            UnsupportedFeatureError: None of the providers converts voices.
            InvalidVoiceReferenceError: The recording or the sample cannot be used.
            ValidationError: The request is wrong; no provider was asked.
            AllProvidersFailedError: Every provider failed; each attempt is on it.
            ProviderError: The only provider failed.
            DeadlineExceededError: Time was up.
        """
        asked = provider if provider is None or isinstance(provider, str) else tuple(provider)
        options = SpeechOptions.build(voice=voice, reference=reference, provider=asked)
        recording = SpeechOptions.build(reference=audio).reference
        if recording is None:
            raise InvalidParameterError("there is no recording to convert")
        return await self._open_studio().convert(recording, options)

    def stream(
        self, text: Text | None = None, *, ssml: str | None = None, **options: object
    ) -> SpeechStream:
        """Return a stream: chunks in order, the first as soon as a clause is spoken.

        It begins as it is entered or first read. Enter it where it may be left early.

        Args:
            text: A text, or an iterator or async iterator of its pieces (a model's tokens).
            ssml: In place of ``text``: a whole SSML document.
            options: Fields of ``SpeechOptions``; ``format`` None means 16-bit PCM.

        Raises:
            ValidationError: The request is wrong; no provider was asked.
        """
        from ttskit.speech import SpeechStream  # numpy and anyio load on first use

        studio = self._open_studio()
        made = studio.produce(text, ssml, _stream_options(text, ssml, options))
        return SpeechStream(
            made,
            self._open_streams(),
            on_close=lambda: studio.forget(made.performance),
        )

    async def voices(
        self,
        *,
        language: str | None = None,
        gender: str | None = None,
        provider: str | None = None,
        style: str | None = None,
        text: str | None = None,
        refresh: bool = False,
    ) -> list[Voice]:
        """Return the voices that can speak now, the preferred provider's first.

        A cloud's list is kept for a day; see ``resources.voices_max_age``.

        Args:
            language: BCP 47; ``en`` finds ``en-GB``, and ``en-GB`` finds ``en`` after it.
            gender: ``female``, ``male`` or ``neutral``.
            provider: One provider only.
            style: A manner the voice has.
            text: Words of its name or description.
            refresh: Ask the clouds, however new their lists are.
        """
        found = await self._open_studio().voices(provider, refresh=refresh)
        return Catalogue(found).search(language=language, gender=gender, style=style, text=text)

    def on(self, event: str, callback: Callable[[Event], object]) -> Callable[[], None]:
        """Have ``callback`` called with each event of a kind, on a thread of its own.

        Args:
            event: ``attempt``, ``retry``, ``failover``, ``breaker``, ``hedge``, ``utterance``,
                ``stream``, or ``*`` for all of them.
            callback: A plain function; one that raises or hangs harms nobody.

        Returns:
            A function that ends it.

        Raises:
            InvalidParameterError: No such event; the nearest name is given.
        """
        return self._desk().events.on(event, callback)

    def health(self) -> list[ProviderHealth]:
        """Return how each provider and model that was asked has fared of late."""
        return self._desk().book.health()

    def stats(self) -> Stats:
        """Return what the service did since it began."""
        stats = self._desk().book.stats()
        return stats if self._streams is None else replace(stats, streams=self._streams.stats())

    def reset(self, provider: str | None = None) -> None:
        """Forget every failure of a provider, or of all: breakers close, a refused key is tried.

        Raises:
            InvalidParameterError: No provider has this name.
        """
        self._open_studio().reset(provider)

    def force(self, provider: str, state: Literal["open", "closed"]) -> None:
        """Switch a provider off (``open``) or on whatever its failures, until ``reset``.

        Raises:
            InvalidParameterError: No provider has this name, or there is no such state.
        """
        self._open_studio().force(provider, state)

    def providers(self) -> list[ProviderInfo]:
        """Return the configured providers in routing order; nothing is opened for it."""
        return [
            ProviderInfo(
                name=seat.adapter.provider,
                adapter=seat.adapter.name,
                capabilities=seat.adapter.capabilities,
                missing=tuple(self._registry.missing(seat.adapter)),
            )
            for seat in self._seats
        ]

    async def shutdown(self) -> None:
        """End every stream and give everything back, within 5 s; safe to call again."""
        self._is_closed = True
        try:
            if self._streams is not None:
                await self._streams.aclose()
        finally:
            if self._studio is not None:
                await self._studio.close()
        if self._desk_made is not None:
            await self._desk_made.aclose()

    aclose = shutdown

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shutdown()

    def _desk(self) -> Desk:
        from ttskit.telemetry.desk import Desk  # a service is made sooner than it has news

        with self._making:
            self._desk_made = self._desk_made or Desk()
            return self._desk_made

    def _open_studio(self) -> Studio:
        if self._is_closed:
            raise ServiceClosedError("the service was shut down")
        if self._studio is None:
            from ttskit.assembly import assembled  # numpy and anyio load on first use

            self._studio = assembled(
                self.settings, self._seats, self._desk(), self._registry.secret_variables()
            )
        return self._studio

    def _open_streams(self) -> StreamRegistry:
        from ttskit.resources.streams import StreamRegistry  # anyio loads on first use

        if self._streams is None:
            self._streams = StreamRegistry(idle_s=self.settings.resources.stream_idle)
        return self._streams

    def _seats_of(self, providers: Providers | None) -> list[Seat]:
        if providers is None:
            return [
                Seat(one.create(), one.settings, is_routed=one.is_routed)
                for one in self._registry.build(self.settings)
            ]
        if isinstance(providers, Mapping):
            for name, adapter in providers.items():
                adapter.provider = name
        adapters = providers.values() if isinstance(providers, Mapping) else providers
        configured = self.settings.providers
        return [Seat(one, configured.get(one.provider) or ProviderSettings()) for one in adapters]


class TTSService:
    """Text to speech through any provider, for blocking code; safe from many threads.

    It drives an ``AsyncTTSService`` in one thread of its own. Inside a running event loop use that
    class itself: a blocking call would hold the loop up.

    Args:
        config: As for ``AsyncTTSService``.
        providers: As there.
        overrides: As there.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        providers: Providers | None = None,
        **overrides: object,
    ) -> None:
        self._service = AsyncTTSService(config, providers=providers, **overrides)
        self._thread = _Thread(self._service)
        # Also when it is garbage, and as the interpreter exits.
        self._closing = weakref.finalize(self, self._thread.close)

    @classmethod
    def from_config(
        cls, path: str | Path, *, providers: Providers | None = None, **overrides: object
    ) -> Self:
        """Return a service set up by a tts.yaml."""
        return cls(path, providers=providers, **overrides)

    @property
    def settings(self) -> Settings:
        """What the service was set up with."""
        return self._service.settings

    def synthesize(
        self, text: str | SpeechRequest | None = None, *, ssml: str | None = None, **options: object
    ) -> Audio:
        """Return the finished audio of a text; see ``AsyncTTSService.synthesize``."""
        return self._thread.portal().call(
            partial(self._service.synthesize, text, ssml=ssml, **options)
        )

    def convert(
        self,
        audio: Audio | Path | str | bytes,
        voice: str | None = None,
        *,
        reference: Audio | Path | str | bytes | None = None,
        provider: str | Sequence[str] | None = None,
    ) -> Audio:
        """Return a recording in another voice; see ``AsyncTTSService.convert``."""
        converting = partial(
            self._service.convert, audio, voice, reference=reference, provider=provider
        )
        return self._thread.portal().call(converting)

    def stream(
        self, text: str | Iterable[str] | None = None, *, ssml: str | None = None, **options: object
    ) -> SyncSpeechStream:
        """Return a stream to enter; see ``AsyncTTSService.stream``.

        Raises:
            InvalidParameterError: The text is an async iterator, which needs AsyncTTSService.
        """
        if isinstance(text, AsyncIterable):
            raise InvalidParameterError("an async iterator of text needs AsyncTTSService")
        from ttskit.speech import SyncSpeechStream  # numpy loads on first use

        async def prepare() -> SpeechStream:
            return self._service.stream(text, ssml=ssml, **options)

        portal = self._thread.portal()
        return SyncSpeechStream(portal.call(prepare), portal)

    def voices(self, *, refresh: bool = False, **filters: str | None) -> list[Voice]:
        """Return the voices that can speak now; see ``AsyncTTSService.voices``."""
        return self._thread.portal().call(partial(self._service.voices, refresh=refresh, **filters))

    def on(self, event: str, callback: Callable[[Event], object]) -> Callable[[], None]:
        """Have ``callback`` called with each event of a kind; see ``AsyncTTSService.on``."""
        return self._service.on(event, callback)

    def health(self) -> list[ProviderHealth]:
        """Return how each provider and model that was asked has fared of late."""
        return self._service.health()

    def stats(self) -> Stats:
        """Return what the service did since it began."""
        return self._service.stats()

    def reset(self, provider: str | None = None) -> None:
        """Forget every failure of a provider, or of all; see ``AsyncTTSService.reset``."""

        async def forget() -> None:
            self._service.reset(provider)

        self._thread.portal().call(forget)

    def force(self, provider: str, state: Literal["open", "closed"]) -> None:
        """Switch a provider off or on until ``reset``; see ``AsyncTTSService.force``."""

        async def switch() -> None:
            self._service.force(provider, state)

        self._thread.portal().call(switch)

    def providers(self) -> list[ProviderInfo]:
        """Return the configured providers in routing order; nothing is opened for it."""
        return self._service.providers()

    def shutdown(self) -> None:
        """End every stream and give everything back, within 5 s; safe to call again."""
        self._closing()

    close = shutdown

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()


def synthesize(
    text: str | SpeechRequest | None = None, *, ssml: str | None = None, **options: object
) -> Audio:
    """Return the finished audio of a text, by a service opened and closed for this call."""
    with TTSService() as service:
        return service.synthesize(text, ssml=ssml, **options)


class _Thread:
    """The portal of a blocking service, made on first use: it brings AnyIO with it."""

    def __init__(self, service: AsyncTTSService) -> None:
        self._service = service
        self._making = threading.Lock()
        self._portal: Portal | None = None
        self._is_closed = False

    def portal(self) -> Portal:
        from ttskit.portal import Portal  # see the class

        with self._making:
            if self._is_closed:
                raise ServiceClosedError("the service was shut down")
            self._portal = self._portal or Portal()
            return self._portal

    def close(self) -> None:
        with self._making:
            self._is_closed = True
        if self._portal is not None:
            self._portal.close(self._service.shutdown)


def _request(
    text: str | SpeechRequest | None, ssml: str | None, options: Mapping[str, object]
) -> SpeechRequest:
    if not isinstance(text, SpeechRequest):
        return SpeechRequest.build(text=text, ssml=ssml, **options)
    if ssml is not None or options:
        raise InvalidParameterError("a SpeechRequest holds every option itself")
    return text


def _stream_options(
    text: Text | None, ssml: str | None, options: Mapping[str, object]
) -> SpeechOptions:
    if (text is None) == (ssml is None):
        raise InvalidParameterError("give exactly one of text and ssml")
    return SpeechOptions.build(**options)
