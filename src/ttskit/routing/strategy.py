"""In which order able providers are asked: as configured, by price, by speed, or as before."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

EXPLORATION = 0.05
"""Share of requests by which ``fastest`` measures somebody other than the fastest known."""
CONVERSATIONS = 10_000
"""How many conversations ``sticky`` remembers; the longest unheard of is forgotten first."""


class Strategy(StrEnum):
    """``priority``: as configured. ``sticky``: a conversation stays with whom it began."""

    PRIORITY = "priority"
    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    STICKY = "sticky"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a provider when the order is made."""

    name: str
    price: float | None = None
    """US dollars for a million characters; 0 runs on this machine, None is not known."""
    first_audio_s: float | None = None
    """Usual time to first audio in seconds; None: not measured yet."""


def by_price(facts: Sequence[Facts]) -> list[str]:
    """Return the names, the cheapest first; those of the same price stay in their order.

    Who has no known price comes last: it may cost anything.
    """
    dearest = float("inf")
    ranked = sorted(facts, key=lambda one: dearest if one.price is None else one.price)
    return [one.name for one in ranked]


def by_speed(facts: Sequence[Facts], draw: random.Random) -> list[str]:
    """Return the names, the soonest heard first; now and then another one is tried first.

    Who was not measured yet comes right behind the fastest known, and is explored before others.
    """
    measured = [one for one in facts if one.first_audio_s is not None]
    fresh = [one for one in facts if one.first_audio_s is None]
    ranked = sorted(measured, key=lambda one: one.first_audio_s or 0.0)
    ranked[1:1] = fresh
    if len(ranked) > 1 and draw.random() < EXPLORATION:
        others = fresh if fresh and measured else ranked[1:]
        tried = draw.choice(others)
        ranked.remove(tried)
        ranked.insert(0, tried)
    return [one.name for one in ranked]


class Chooser:
    """Puts able providers in order for one request after another; belongs to one service.

    Args:
        strategy: From the settings.
        first_audio: Tells a provider's usual time to first audio in seconds; None: not measured.
        random: Draws explorations.
    """

    def __init__(
        self,
        strategy: Strategy,
        *,
        first_audio: Callable[[str], float | None],
        random: random.Random,
    ) -> None:
        self._strategy = strategy
        self._first_audio = first_audio
        self._random = random
        self._conversations = Conversations()

    def order(self, offers: Sequence[tuple[str, float | None]], talk: str | None) -> list[str]:
        """Return the names in the order to ask.

        Args:
            offers: Name and price of each able provider, in the configured order.
            talk: The conversation that the request belongs to.
        """
        if self._strategy is Strategy.STICKY:
            return self._conversations.order(talk, [name for name, _ in offers])
        if self._strategy is Strategy.PRIORITY:
            return [name for name, _ in offers]
        facts = [Facts(name, price, self._first_audio(name)) for name, price in offers]
        if self._strategy is Strategy.CHEAPEST:
            return by_price(facts)
        return by_speed(facts, self._random)

    def note(self, talk: str | None, provider: str) -> None:
        """Remember who spoke in a conversation."""
        if self._strategy is Strategy.STICKY:
            self._conversations.note(talk, provider)


class Conversations:
    """Who spoke in each conversation last; belongs to one service."""

    def __init__(self) -> None:
        self._speakers: OrderedDict[str, str] = OrderedDict()

    def order(self, conversation: str | None, names: Sequence[str]) -> list[str]:
        """Return the names, whoever spoke in the conversation last before the others."""
        speaker = None if conversation is None else self._speakers.get(conversation)
        return sorted(names, key=lambda name: name != speaker)

    def note(self, conversation: str | None, provider: str) -> None:
        """Remember who spoke."""
        if conversation is None:
            return
        self._speakers[conversation] = provider
        self._speakers.move_to_end(conversation)
        if len(self._speakers) > CONVERSATIONS:
            self._speakers.popitem(last=False)
