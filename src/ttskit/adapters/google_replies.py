"""What Google Cloud answers: speech, and its list of voices, whose names tell what they can do.

Source: google-cloud-texttospeech 2.37.0, types/cloud_tts.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from ttskit.adapters.replies import Base64, Camel
from ttskit.voices import Gender, Voice

MARKING = frozenset({"Standard", "Wavenet", "Neural2"})
"""The families of voices that time marks."""
PLAIN = ("Chirp", "Journey", "Studio")
"""Families that take neither a pitch nor, for the most part, SSML."""
_VOICE = re.compile(r"([a-z]{2,3}(?:-[A-Z][a-z]{3})?-[A-Z0-9]{2,3})-(.+)-[^-]+")
"""``en-US-Neural2-C``: language, family, and which one of it."""
_GENDERS = MappingProxyType({"FEMALE": Gender.FEMALE, "MALE": Gender.MALE})


def language_of(voice: str | None) -> str | None:
    """Return the language that a voice's name tells."""
    match = _VOICE.fullmatch(voice or "")
    return match[1] if match else None


def family_of(voice: str | None) -> str:
    """Return the family that a voice's name tells; empty where it tells none."""
    match = _VOICE.fullmatch(voice or "")
    return match[2] if match else ""


class Speech(Camel):
    """What is said, whole."""

    audio_content: Annotated[Base64, Field(min_length=1)]
    timepoints: object = None
    """Points with ``markName`` and ``timeSeconds``; the audio is good without them."""

    @property
    def times(self) -> dict[str, float]:
        """The seconds of each mark."""
        return {
            str(point.get("markName")): float(seconds)
            for point in (self.timepoints if isinstance(self.timepoints, list) else ())
            if isinstance(point, Mapping)
            and isinstance(seconds := point.get("timeSeconds", 0.0), int | float)
        }


class _Voice(Camel):
    name: str = ""
    language_codes: tuple[str, ...] = ()
    ssml_gender: str = ""


class VoiceList(Camel):
    """All voices."""

    voices: tuple[_Voice, ...] = ()

    def of(self, provider: str) -> list[Voice]:
        """Return them as ours."""
        return [
            Voice(
                one.name,
                provider,
                one.name,
                languages=one.language_codes,
                gender=_GENDERS.get(one.ssml_gender, Gender.UNKNOWN),
                description=family_of(one.name),
            )
            for one in self.voices
            if one.name
        ]
