"""Hume's two libraries of voices: its own, and the account's.

Source of all facts: Hume's API reference (``/v0/tts/voices``) and Python SDK 0.14.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from ttskit.adapters.replies import Shape
from ttskit.voices import Voice

CUSTOM = "custom/"
"""Begins the ids of an account's own voices: the API must be told which library one is in."""
LIBRARIES: Mapping[str, str] = MappingProxyType({"HUME_AI": "", "CUSTOM_VOICE": CUSTOM})
"""To what the ids of their voices begin with."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class _Voice(Shape):
    id: str
    name: str
    compatible_octave_models: tuple[str, ...] | None = None

    def speaks_with(self, model: str) -> bool:
        able = self.compatible_octave_models
        return not able or any(model in one for one in able)


class VoicePage(Shape):
    """One page of a library."""

    total_pages: int
    voices_page: tuple[_Voice, ...]

    def speaking(self, model: str, library: str, provider: str) -> list[Voice]:
        """Return as ours the voices that a version of Octave speaks with."""
        begun, is_own = LIBRARIES[library], library == "CUSTOM_VOICE"
        return [
            Voice(begun + one.id, provider, one.name, cloned=is_own)
            for one in self.voices_page
            if one.speaks_with(model)
        ]


def prefix(voice: str) -> str:
    """Return what a voice's id says of its library."""
    return CUSTOM if voice.startswith(CUSTOM) else ""


def named(voice: str) -> dict[str, str]:
    """Return a voice as the API wants to be told of it: which library has it, by id or name."""
    name = voice.removeprefix(CUSTOM)
    library = next(one for one in LIBRARIES if LIBRARIES[one] == prefix(voice))
    return {"id" if _ID.fullmatch(name) else "name": name, "provider": library}
