"""Voices, and the catalogue that searches them and finds the nearest one elsewhere."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ttskit.errors import InvalidParameterError
from ttskit.languages import Fit, best_fit, is_related, speaks
from ttskit.request import check_language

Aliases = Mapping[str, Mapping[str, str]]
"""Alias -> provider -> that provider's voice id."""

_COMPARED = 24
"""Names that are compared closely when one is not found."""


class Gender(StrEnum):
    """How a voice is perceived."""

    FEMALE = "female"
    MALE = "male"
    NEUTRAL = "neutral"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice of one provider. ``id`` means something to that provider only."""

    id: str
    provider: str
    name: str
    languages: tuple[str, ...] = ()
    """BCP 47 tags, the voice's own first; empty: any."""
    gender: Gender = Gender.UNKNOWN
    styles: tuple[str, ...] = ()
    sample_rate: int | None = None
    """Hz, where the voice fixes it."""
    description: str = ""
    cloned: bool = False


class _Query(NamedTuple):
    """What a voice must be besides speaking a language; None: no matter."""

    gender: Gender | None
    style: str | None
    provider: str | None
    words: list[str]

    def admits(self, voice: Voice) -> bool:
        return (
            self.gender in (None, voice.gender)
            and self.provider in (None, voice.provider)
            and (self.style is None or self.style in map(str.casefold, voice.styles))
            and all(word in _described(voice) for word in self.words)
        )


class Catalogue:
    """Voices to search, of one provider or of many; their order is kept."""

    def __init__(self, voices: Iterable[Voice]) -> None:
        self._voices = tuple(voices)

    def search(
        self,
        *,
        language: str | None = None,
        gender: Gender | str | None = None,
        style: str | None = None,
        provider: str | None = None,
        text: str | None = None,
    ) -> list[Voice]:
        """Return the voices that meet every condition given; the language's own come first.

        Args:
            language: BCP 47: ``en`` finds ``en-GB``, ``en-GB`` finds it and then ``en``, and not
                ``en-US``.
            gender: How the voice is perceived.
            style: One of the voice's styles.
            provider: Its configured name.
            text: Words that all occur in the id, name or description, in any case.

        Raises:
            UnsupportedLanguageError: ``language`` is not BCP 47.
            InvalidParameterError: ``gender`` is unknown.
        """
        wanted = "*" if language is None or language == "*" else check_language(language)
        query = _Query(
            gender=None if gender is None else _gender(gender),
            style=None if style is None else style.casefold(),
            provider=provider,
            words=(text or "").casefold().split(),
        )
        found = [
            voice
            for voice in self._voices
            if speaks(wanted, voice.languages) and query.admits(voice)
        ]
        return sorted(found, key=lambda voice: best_fit(wanted, voice.languages), reverse=True)

    def suggestions(self, name: str, *, most: int = 3) -> list[str]:
        """Return the ids of voices whose id or name is like ``name``, the nearest first."""
        ids: dict[str, str] = {}
        for voice in self._voices:
            ids.setdefault(voice.id.casefold(), voice.id)
            ids.setdefault(voice.name.casefold(), voice.id)
        wanted = name[:60].casefold()
        pairs = {wanted[at : at + 2] for at in range(len(wanted) - 1)}
        # difflib takes 30 microseconds a name: too long for a cloud's thousands.
        likely = heapq.nlargest(_COMPARED, ids, key=lambda one: sum(map(one.__contains__, pairs)))
        found = difflib.get_close_matches(wanted, likely, n=2 * most)
        return list(dict.fromkeys(ids[one] for one in found))[:most]

    @staticmethod
    def nearest(
        voice: Voice | None, language: str | None, candidates: Iterable[Voice]
    ) -> Voice | None:
        """Return the candidate that comes nearest, by language, region, gender and styles.

        Args:
            voice: Whom it stands in for; None: only the language counts.
            language: What it must speak; None: the first language of ``voice``.
            candidates: In the order of preference among equals.

        Returns:
            None where no candidate speaks the language.
        """
        wanted = language or next(iter(voice.languages if voice else ()), "*")
        able = [one for one in candidates if is_related(wanted, one.languages)]
        return max(able, key=lambda one: _likeness(one, voice, wanted), default=None)


def resolve_alias(aliases: Aliases, voice: str, provider: str) -> str | None:
    """Return the voice id that ``provider`` knows the voice by; None: its alias leaves it out."""
    bindings = aliases.get(voice)
    return voice if bindings is None else bindings.get(provider)


def _likeness(one: Voice, voice: Voice | None, wanted: str) -> tuple[Fit, bool, int]:
    fit = best_fit(wanted, one.languages)
    if voice is None:
        return fit, False, 0
    is_known = voice.gender is not Gender.UNKNOWN
    return fit, is_known and one.gender is voice.gender, len({*one.styles} & {*voice.styles})


def _gender(gender: str) -> Gender:
    try:
        return Gender(gender)
    except ValueError:
        raise InvalidParameterError(f"gender must be one of {', '.join(Gender)}") from None


def _described(voice: Voice) -> str:
    return f"{voice.id}\n{voice.name}\n{voice.description}".casefold()
