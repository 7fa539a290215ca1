"""ElevenLabs' lists of voices and models, and what they say of a voice.

Source: ElevenLabs API reference, ``GET /v2/voices`` and ``GET /v1/models``; Python SDK 2.78.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ttskit.adapters.replies import Shape
from ttskit.errors import UnsupportedLanguageError
from ttskit.languages import is_related
from ttskit.request import check_language
from ttskit.voices import Gender, Voice

_CLONES = frozenset({"cloned", "professional"})
_TOLD_LABELS = ("accent", "age", "descriptive", "use_case")
_ISO_639_1: Mapping[str, str] = MappingProxyType(
    {"nb": "no", "nn": "no", "cmn": "zh", "arb": "ar", "tl": "fil"}
)
"""Subtags that ElevenLabs knows by another one."""


class Language(Shape):
    """A language in which somebody at ElevenLabs has listened to a voice."""

    language: str = ""
    locale: str | None = None


class ListedVoice(Shape):
    """A voice as it is listed; labels are free text and may be absent."""

    voice_id: str
    name: str | None = None
    category: str | None = None
    labels: Mapping[str, str | None] | None = None
    description: str | None = None
    verified_languages: tuple[Language, ...] | None = None


class VoicePage(Shape):
    """One page of voices; the first may hold more than was asked for."""

    voices: tuple[ListedVoice, ...]
    has_more: bool = False
    next_page_token: str | None = None


class ModelLanguage(Shape):
    """A language that a model speaks."""

    language_id: str


class ListedModel(Shape):
    """A model as it is listed."""

    model_id: str
    languages: tuple[ModelLanguage, ...] | None = None


def voice(listed: ListedVoice, provider: str, spoken: Iterable[str]) -> Voice:
    """Return a listed voice as ours.

    Args:
        listed: From ElevenLabs.
        provider: The configured name.
        spoken: Languages of the model; empty where they are not known. Any voice speaks them all,
            so they follow the voice's own.
    """
    labels = listed.labels or {}
    told = [listed.description, *(labels.get(label) for label in _TOLD_LABELS)]
    return Voice(
        listed.voice_id,
        provider,
        listed.name or listed.voice_id,
        languages=tuple(_languages(listed, list(spoken))),
        gender=_gender(labels.get("gender")),
        description=", ".join(one.strip() for one in told if one and one.strip()),
        cloned=listed.category in _CLONES,
    )


def tags(model: ListedModel | None) -> list[str]:
    """Return the languages that a model speaks; none where it is not listed."""
    ids = [one.language_id for one in (model.languages if model else None) or ()]
    return [tag for tag in map(_tag, ids) if tag]


def language_code(language: str) -> str:
    """Return the code that ElevenLabs has for a BCP 47 tag."""
    primary = language.partition("-")[0].lower()
    return _ISO_639_1.get(primary, primary)


def _languages(listed: ListedVoice, spoken: list[str]) -> Iterable[str]:
    """Return what the voice was made or checked for, then what else the model speaks."""
    own = [(listed.labels or {}).get("language")]
    own += [one.locale or one.language for one in listed.verified_languages or ()]
    checked = [tag for tag in map(_tag, own) if tag and is_related(language_code(tag), spoken)]
    return dict.fromkeys((*checked, *spoken))


def _tag(text: str | None) -> str | None:
    """Return a BCP 47 tag; None where a label is none, such as ``English``."""
    try:
        return check_language((text or "").strip().replace("_", "-"))
    except UnsupportedLanguageError:
        return None


def _gender(label: str | None) -> Gender:
    known = {"female": Gender.FEMALE, "male": Gender.MALE, "neutral": Gender.NEUTRAL}
    return known.get((label or "").strip().lower(), Gender.UNKNOWN)
