"""A service put together from its settings: its resources, its providers, its studio.

It brings every room below with it, numpy and AnyIO too, so a service imports it with its first
request.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from ttskit.config.settings import HTTPSettings, ProviderSettings, Settings
from ttskit.config.units import MemoryLimit
from ttskit.registry import Seat, secret_values
from ttskit.resilience.hedge import Hedging
from ttskit.resilience.now import now
from ttskit.resources.host import Engines, Placement, Resources
from ttskit.resources.http.pools import HTTPOptions
from ttskit.resources.memory import machine_memory
from ttskit.resources.references import ReferenceOptions
from ttskit.resources.shelf import Shelf
from ttskit.resources.workers.environment import Secrets
from ttskit.routing.booth import Policy
from ttskit.routing.guard import GuardSettings
from ttskit.routing.hedge import observing
from ttskit.routing.provider import Place, Provider
from ttskit.routing.script import Layout
from ttskit.routing.strategy import Chooser, Strategy
from ttskit.routing.studio import Studio
from ttskit.telemetry.desk import Desk


def assembled(
    settings: Settings, seats: Sequence[Seat], desk: Desk, secret_variables: frozenset[str]
) -> Studio:
    """Return the studio of a service; nothing of it is open yet.

    Args:
        settings: Of the service.
        seats: Its providers, in routing order.
        desk: Hears what happens, and knows how providers have fared.
        secret_variables: Environment variables that hold keys: no worker inherits them.
    """

    def first_audio(provider: str) -> float | None:
        measured = desk.book.of(provider).time_to_first_audio
        return None if measured is None else measured.p50

    hedge = settings.routing.hedge
    hedging = Hedging(hedge, clock=now) if hedge.enabled else None

    tell = desk.tell if hedging is None else observing(desk.tell, hedging)
    resources = _resources(settings, seats, desk, secret_variables)
    return Studio(
        [Provider(seat.adapter, resources, _place(seat), tell=tell) for seat in seats],
        settings.voices,
        resources=resources,
        layout=Layout(
            language=None,
            fast_start=settings.text.fast_start,
            utterance_characters=settings.text.utterance_characters,
            max_characters=settings.text.max_characters,
        ),
        within=settings.output.directory,
        tell=tell,
        chooser=Chooser(
            Strategy(settings.routing.strategy),
            first_audio=first_audio,
            random=Random(),  # noqa: S311 - explorations are no secret
        ),
        policy=Policy(settings.routing.ask_others_when_rejected, hedging),
    )


def _resources(
    settings: Settings, seats: Sequence[Seat], desk: Desk, secret_variables: frozenset[str]
) -> Resources:
    gpu_memory = settings.resources.gpu_memory
    return Resources(
        tell=desk.tell,
        downloads=settings.resources.downloads,
        threads=settings.resources.threads,
        http=_http(settings.resources.http),
        shelf=None if settings.resources.voices_max_age is None else Shelf(),
        voices_max_age_s=settings.resources.voices_max_age,
        engines=Engines(
            placements={seat.adapter.provider: _placement(seat.settings) for seat in seats},
            secrets=Secrets(
                secret_variables,
                frozenset().union(*(secret_values(seat.adapter.options) for seat in seats)),
            ),
            memory=_memory(settings.resources.memory),
            gpu_budget=None if gpu_memory is None else gpu_memory.of,
            idle_s=settings.resources.idle_unload,
        ),
        references=ReferenceOptions(
            directories=settings.resources.reference_directories,
            shortest_s=settings.resources.reference_shortest,
            longest_s=settings.resources.reference_longest,
            cache_bytes=settings.resources.reference_cache,
        ),
    )


def _place(seat: Seat) -> Place:
    own = seat.settings
    return Place(
        default_voice=own.voice,
        is_routed=seat.is_routed,
        price=own.price,
        guard=GuardSettings(
            limits=own.limits,
            breaker=own.breaker,
            retry=own.retry,
            budget=own.budget,
            timeouts=own.timeouts,
        ),
    )


def _placement(section: ProviderSettings) -> Placement:
    return Placement(
        section.isolation, section.workers, section.worker_memory, is_pinned=section.pinned
    )


def _memory(limit: MemoryLimit | None) -> int | None:
    """Return the bytes of main memory that the setting means."""
    if limit is None or limit.share is None:
        return None if limit is None else limit.size
    return limit.of(machine_memory())


def _http(settings: HTTPSettings) -> HTTPOptions:
    return HTTPOptions(
        transport=settings.transport,
        proxy=settings.proxy.get_secret_value() if settings.proxy else None,
        ca_file=settings.ca_file,
        trust_env=settings.trust_env,
        connect_s=settings.connect,
        silence_s=settings.silence,
    )
