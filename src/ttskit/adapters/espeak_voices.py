"""espeak-ng's voices under ids and language tags that others understand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ttskit.adapters.espeak_library import Listed
from ttskit.errors import UnsupportedLanguageError
from ttskit.languages import Fit, best_fit, is_related
from ttskit.request import check_language
from ttskit.voices import Gender, Voice

_GENDERS = {1: Gender.MALE, 2: Gender.FEMALE}
_VARIANT_GENDERS = {"f": Gender.FEMALE, "m": Gender.MALE}
_TAGS = {
    # Would name another place (BA is Bosnia, VA the Vatican, CL Chile) or break BCP 47.
    "ca-ba": "ca-x-balear",
    "ca-nw": "ca-x-nw",
    "ca-va": "ca-valencia",
    "en-us-nyc": "en-US-x-nyc",
    "piqd": "tlh-Piqd",
    "ru-cl": "ru-x-classic",
}


@dataclass(frozen=True, slots=True)
class EspeakVoice:
    """A voice of the library, named for ttskit."""

    id: str
    """What espeak's own users call it (``en-us``), made unique."""
    identifier: str
    """What the library is told."""
    name: str
    gender: Gender
    tags: tuple[str, ...]
    """BCP 47; the voice's own first."""
    rank: int
    """espeak's own, for the widest of its languages: the usual voice of one has the lowest."""

    def described(self, *, sample_rate: int, variant: str | None) -> Voice:
        """Return the voice as the catalogue holds it, spoken by a variant where there is one."""
        return Voice(
            id=self.id,
            provider="",
            name=self.name,
            languages=self.tags,
            gender=_VARIANT_GENDERS.get(variant[0], Gender.UNKNOWN) if variant else self.gender,
            sample_rate=sample_rate,
        )


def name_voices(listing: Iterable[Listed]) -> dict[str, EspeakVoice]:
    """Return the voices by id; one that shares its first tag is called by its file's name."""
    voices: dict[str, EspeakVoice] = {}
    for listed in listing:
        own = listed.tags[0][1].lower()
        voice = EspeakVoice(
            id=own if own not in voices else listed.identifier.rpartition("/")[2].lower(),
            identifier=listed.identifier,
            name=listed.name,
            gender=_GENDERS.get(listed.gender, Gender.UNKNOWN),
            tags=tuple(dict.fromkeys(_bcp47(tag) for _, tag in listed.tags)),
            rank=max(rank for rank, _ in listed.tags),
        )
        voices[voice.id] = voice
    return voices


def best_voice(voices: Iterable[EspeakVoice], language: str, *, default: str) -> EspeakVoice:
    """Return the voice that speaks a language best; another region's where none is nearer.

    Args:
        voices: To choose from.
        language: BCP 47.
        default: The id of the voice preferred among those that fit equally.

    Raises:
        UnsupportedLanguageError: None speaks even the language's first part.
    """

    def merit(voice: EspeakVoice) -> tuple[Fit, bool, int]:
        return best_fit(language, voice.tags), voice.id == default, -voice.rank

    best = max(voices, key=merit, default=None)
    if best is None or not is_related(language, best.tags):
        raise UnsupportedLanguageError(f"espeak speaks no {language[:40]!r}")
    return best


def _bcp47(tag: str) -> str:
    return check_language(_TAGS.get(tag.lower(), tag))
