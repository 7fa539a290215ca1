"""Voices, and the catalogue that searches them and finds the nearest one elsewhere."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ttskit.errors import InvalidParameterError
from ttskit.request import check_language

Aliases = Mapping[str, Mapping[str, str]]
"""Alias -> provider -> that provider's voice id."""

_SHORTER = {
    "arb": "ar",
    "cmn": "zh",
    "ekk": "et",
    "lvs": "lv",
    "nb": "no",
    "npi": "ne",
    "ory": "or",
    "pes": "fa",
    "swh": "sw",
    "zsm": "ms",
}
"""Subtags that engines use for the main language under a wider one. Source: CLDR languageAlias."""


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
        """Return the voices that meet every condition given.

        Args:
            language: A BCP 47 range: ``en`` finds ``en-GB``, ``en-GB`` does not find ``en-US``.
            gender: How the voice is perceived.
            style: One of the voice's styles.
            provider: Its configured name.
            text: Words that all occur in the id, name or description, in any case.

        Raises:
            UnsupportedLanguageError: ``language`` is not BCP 47.
            InvalidParameterError: ``gender`` is unknown.
        """
        wanted_language = None if language in (None, "*") else check_language(language)
        wanted_gender = None if gender is None else _gender(gender)
        words = (text or "").casefold().split()
        return [
            voice
            for voice in self._voices
            if (wanted_language is None or speaks(voice, wanted_language))
            and wanted_gender in (None, voice.gender)
            and (style is None or style.casefold() in map(str.casefold, voice.styles))
            and provider in (None, voice.provider)
            and all(word in _described(voice) for word in words)
        ]

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
        wanted = language or next(iter(voice.languages if voice else ()), None)
        able = [one for one in candidates if wanted is None or _language_fit(one, wanted)]
        return max(able, key=lambda one: _likeness(one, voice, wanted), default=None)


def resolve_alias(aliases: Aliases, voice: str, provider: str) -> str | None:
    """Return the voice id that ``provider`` knows the voice by; None: its alias leaves it out."""
    bindings = aliases.get(voice)
    return voice if bindings is None else bindings.get(provider)


def matches_language(wanted: str, tag: str) -> bool:
    """Return whether a language tag lies within a range: ``en`` holds ``en-GB`` and ``en``.

    Source: RFC 4647 section 3.3.1, basic filtering.
    """
    wide, narrow = _subtags(wanted), _subtags(tag)
    return narrow[: len(wide)] == wide or wide == ["*"]


def speaks(voice: Voice, language: str) -> bool:
    """Return whether the voice speaks a language within the range; one without tags speaks any."""
    return not voice.languages or any(matches_language(language, tag) for tag in voice.languages)


def _subtags(tag: str) -> list[str]:
    primary, *rest = tag.casefold().replace("_", "-").split("-")
    return [_SHORTER.get(primary, primary), *rest]


def _language_fit(voice: Voice, wanted: str) -> int:
    """Return 3 for the language asked for, 2 for it without its region, 1 for another region."""
    if speaks(voice, wanted):
        return 3
    if any(matches_language(tag, wanted) for tag in voice.languages):
        return 2
    return int(any(_subtags(tag)[0] == _subtags(wanted)[0] for tag in voice.languages))


def _likeness(one: Voice, voice: Voice | None, wanted: str | None) -> tuple[int, bool, int]:
    fit = _language_fit(one, wanted) if wanted else 0
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
