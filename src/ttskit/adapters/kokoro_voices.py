"""Kokoro's voices: what their names tell, and mixes of them. Read: Kokoro-82M v1.0's voice list."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from ttskit.adapters.options import voice_not_found
from ttskit.errors import InvalidParameterError, UnsupportedLanguageError
from ttskit.languages import nearest
from ttskit.voices import Gender, Voice

SAMPLE_RATE = 24_000
"""Hz, of every voice (``kokoro_onnx.config.SAMPLE_RATE``)."""

_ID = re.compile(r"([a-z])([fm])_(\w+)")
_PART = re.compile(r"\s*([\w-]+)\s*(?:\(\s*(\d{1,3}(?:\.\d{1,6})?)\s*\))?\s*")
_GENDERS = {"f": Gender.FEMALE, "m": Gender.MALE}


class Tongue(NamedTuple):
    """A language that Kokoro was trained on."""

    tag: str
    """BCP 47."""
    espeak: str
    """By the name that espeak-ng, which reads the text, knows it."""


TONGUES = {
    "a": Tongue("en-US", "en-us"),
    "b": Tongue("en-GB", "en-gb"),
    "e": Tongue("es", "es"),
    "f": Tongue("fr-FR", "fr-fr"),
    "h": Tongue("hi", "hi"),
    "i": Tongue("it", "it"),
    "j": Tongue("ja", "ja"),
    "p": Tongue("pt-BR", "pt-br"),
    "z": Tongue("zh", "cmn"),
}
"""By the first letter of a voice's name."""


class Share(NamedTuple):
    """One voice's part in a mix; all parts together are 1."""

    voice: str
    weight: float


def tongue_of(voice: str) -> Tongue:
    """Return what a voice speaks by its name; American English where the name does not tell."""
    match = _ID.fullmatch(voice)
    return TONGUES.get(match[1] if match else "a", TONGUES["a"])


def tongue_for(language: str, own: Tongue = TONGUES["a"]) -> Tongue:
    """Return the language to read a text in.

    Args:
        language: BCP 47, asked for.
        own: The voice's, which is read where no other is nearer.

    Raises:
        UnsupportedLanguageError: Kokoro speaks no such language.
    """
    tongues = {tongue.tag: tongue for tongue in (own, *TONGUES.values())}
    tag = nearest(language, tongues)
    if tag is None:
        known = ", ".join(tongue.tag for tongue in TONGUES.values())
        raise UnsupportedLanguageError(f"Kokoro does not speak {language}; it speaks {known}")
    return tongues[tag]


def described(voice: str, description: str = "") -> Voice:
    """Return a voice of the file by what its name tells."""
    match = _ID.fullmatch(voice)
    if match is None or match[1] not in TONGUES:
        return Voice(voice, "", voice, sample_rate=SAMPLE_RATE, description=description)
    return Voice(
        id=voice,
        provider="",
        name=match[3].replace("_", " ").title(),
        languages=(TONGUES[match[1]].tag,),
        gender=_GENDERS[match[2]],
        sample_rate=SAMPLE_RATE,
        description=description,
    )


def mixed(name: str, recipe: str) -> Voice:
    """Return a mix as a voice: it speaks what its first part speaks."""
    first = described(shares(recipe)[0].voice)
    return Voice(name, "", name, first.languages, sample_rate=SAMPLE_RATE, description=recipe)


def shares(recipe: str, known: Collection[str] | None = None) -> list[Share]:
    """Return who speaks: one voice, or several: ``af_bella(2)+af_sky(1)``, ``af_bella+af_sky``.

    Raises:
        InvalidParameterError: It is no mix.
        VoiceNotFoundError: One of them is not among those that are ``known``.
    """
    written = _written(recipe)
    if known is not None:
        asked = [share.voice for share in written] or ([] if "+" in recipe else [recipe])
        unknown = [voice for voice in asked if voice not in known]
        if unknown:
            raise voice_not_found(unknown[0], sorted(known))
    if not written:
        raise InvalidParameterError(f"{recipe[:60]!r} is no mix; write it as af_bella(2)+af_sky")
    total = sum(share.weight for share in written)
    return [Share(share.voice, share.weight / total) for share in written]


def _written(recipe: str) -> list[Share]:
    """Return voices and weights as they are written; none where that is no mix."""
    parts = [_PART.fullmatch(part) for part in recipe.split("+")]
    found = [Share(part[1], float(part[2] or 1)) for part in parts if part is not None]
    is_whole = len(found) == len(parts)
    return found if is_whole and any(share.weight for share in found) else []
