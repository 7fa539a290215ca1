"""Which of a provider's voices speaks for the voice the caller asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import anyio

from ttskit.errors import TTSError, UnsupportedLanguageError, VoiceNotFoundError
from ttskit.languages import nearest
from ttskit.request import VoicePolicy
from ttskit.resources.reference_shelf import Reference
from ttskit.routing.provider import Provider
from ttskit.voices import Aliases, Catalogue, Voice, resolve_alias


class Wish(NamedTuple):
    """The voice asked for, and what may stand in for it."""

    voice: str | None
    language: str | None
    policy: VoicePolicy


class Casting(NamedTuple):
    """The voice that will speak; None is the provider's own default."""

    voice: str | None
    is_replacement: bool = False
    reference: Reference | None = None
    """Whom to speak like, in place of a voice."""

    @property
    def label(self) -> str | None:
        """Who is heard, for the record; None is the provider's own default."""
        return self.voice if self.reference is None else self.reference.name


class Casts:
    """Finds each provider's voice for a wish, over the providers of one service.

    Args:
        providers: In routing order.
        aliases: From the settings.
    """

    def __init__(self, providers: list[Provider], aliases: Aliases) -> None:
        self._providers = providers
        self._aliases = aliases

    async def cast(self, wish: Wish, provider: Provider) -> Casting:
        """Return the voice with which ``provider`` answers the wish.

        Raises:
            VoiceNotFoundError: The policy allows no voice of this provider; nearest names given.
            UnsupportedLanguageError: No voice was named and none speaks the language.
        """
        if wish.voice is None:
            return await self._by_language(wish, provider)
        own = await self._own_voice(wish.voice, provider)
        if own is not None:
            return Casting(own)
        return await self._stand_in(wish, wish.voice, provider)

    async def _by_language(self, wish: Wish, provider: Provider) -> Casting:
        if wish.language is None:
            return Casting(provider.place.default_voice)
        voices = await provider.voices()
        fitting = Catalogue(voices).search(language=wish.language)
        if not fitting and voices:
            near = nearest(wish.language, dict.fromkeys(_tags(voices)))
            hint = f"; the nearest is {near}" if near else ""
            raise UnsupportedLanguageError(
                f"no voice speaks {wish.language}{hint}", provider=provider.name
            )
        return Casting(fitting[0].id if fitting else provider.place.default_voice)

    async def owners_first(self, name: str, providers: Sequence[Provider]) -> list[Provider]:
        """Return the providers, those that have the voice themselves before the others."""
        owns = {provider.name: await self._owns(name, provider) for provider in providers}
        return sorted(providers, key=lambda provider: not owns[provider.name])

    async def _owns(self, name: str, provider: Provider) -> bool:
        try:
            return await self._own_voice(name, provider) is not None
        except TTSError:
            return False

    async def all_voices(self, *, refresh: bool = False) -> list[Voice]:
        """Return the voices of every provider that can tell."""
        return _flat(await self._listings(refresh=refresh))

    async def _listings(self, *, refresh: bool = False) -> list[list[Voice] | None]:
        """Return each provider's voices, asked for at the same time."""
        found: list[list[Voice] | None] = [None] * len(self._providers)

        async def look(place: int, provider: Provider) -> None:
            found[place] = await _listing(provider, refresh=refresh)

        async with anyio.create_task_group() as tasks:
            for place, provider in enumerate(self._providers):
                tasks.start_soon(look, place, provider)
        return found

    async def require_known(self, name: str) -> None:
        """Find out early that a voice exists nowhere.

        Raises:
            VoiceNotFoundError: Every provider could be asked and none has it; nearest names given.
        """
        if name in self._aliases or self._named_owner(name):
            return
        listings = await self._listings()
        voices = _flat(listings)
        if None in listings or any(_answers_to(voice, name) for voice in voices):
            return
        near = Catalogue(voices).suggestions(name) + difflib.get_close_matches(name, self._aliases)
        near = near or [voice.id for voice in voices[:3]]
        hint = f"; the nearest are {', '.join(near)}" if near else ""
        raise VoiceNotFoundError(f"no provider has a voice {name[:60]!r}{hint}")

    def _named_owner(self, name: str) -> str | None:
        """Return the provider in ``provider:id``."""
        owner, _, voice_id = name.partition(":")
        return owner if voice_id and any(owner == one.name for one in self._providers) else None

    async def _own_voice(self, name: str, provider: Provider) -> str | None:
        """Return the provider's own voice of this name or alias."""
        if name in self._aliases:
            return resolve_alias(self._aliases, name, provider.name)
        if owner := self._named_owner(name):
            return name.partition(":")[2] if owner == provider.name else None
        named = [voice for voice in await provider.voices() if _answers_to(voice, name)]
        exact = [voice for voice in named if voice.id == name]
        return (exact or named)[0].id if named else None

    async def _stand_in(self, wish: Wish, name: str, provider: Provider) -> Casting:
        if wish.policy is VoicePolicy.ANY:
            return Casting(provider.place.default_voice, is_replacement=True)
        if wish.policy is not VoicePolicy.EXACT and (alias := self._through_alias(name, provider)):
            return Casting(alias, is_replacement=True)
        if wish.policy is VoicePolicy.SIMILAR:
            voices = await provider.voices()
            model = await self._described(name)
            stand_in = Catalogue.nearest(model, wish.language, voices)
            if stand_in is not None:
                return Casting(stand_in.id, is_replacement=True)
        raise VoiceNotFoundError(
            f"voice {name[:60]!r} has no stand-in that voice_policy={wish.policy} allows",
            provider=provider.name,
        )

    def _through_alias(self, name: str, provider: Provider) -> str | None:
        """Return the provider's voice in an alias that also names the voice asked for."""
        owner = self._named_owner(name)
        voice_id = name.partition(":")[2] if owner else name
        for bindings in self._aliases.values():
            bound = {bindings.get(owner)} if owner else set(bindings.values())
            if voice_id in bound and provider.name in bindings:
                return bindings[provider.name]
        return None

    async def _described(self, name: str) -> Voice | None:
        """Return what is known of the voice, from whichever provider has it."""
        for provider in self._providers:
            listing = await _listing(provider)
            own = await self._own_voice(name, provider) if listing else None
            for voice in listing or ():
                if voice.id == own:
                    return voice
        return None


async def _listing(provider: Provider, *, refresh: bool = False) -> list[Voice] | None:
    """Return the provider's voices; None while it cannot tell, which is no fault of the request."""
    try:
        return await provider.voices(refresh=refresh)
    except TTSError:
        return None


def _flat(listings: list[list[Voice] | None]) -> list[Voice]:
    return [voice for listing in listings for voice in listing or ()]


def _tags(voices: Iterable[Voice]) -> Iterator[str]:
    return (tag for voice in voices for tag in voice.languages)


def _answers_to(voice: Voice, name: str) -> bool:
    return voice.id == name or voice.name.casefold() == name.casefold()
