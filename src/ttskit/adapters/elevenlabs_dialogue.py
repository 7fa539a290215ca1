"""ElevenLabs' dialogues: several voices in one request, heard as people who listen to each other.

Source: ElevenLabs API reference, text to dialogue; Python SDK 2.78.0, ``text_to_dialogue``.
"""

from __future__ import annotations

from ttskit.adapters.base import Utterance
from ttskit.adapters.elevenlabs_options import Knobs

MAX_VOICES = 10
MAX_CHARACTERS = 2_000
"""Of all turns together; what is longer may end early."""
CONTEXT_CHARACTERS = 100
_SETTINGS = {"stability": "stability", "similarity_boost": "similarity",
             "clone_strength": "clone_strength"}  # fmt: skip
"""What the settings of a voice are called in a dialogue, as far as it has them."""
_LEFT_OUT = {"apply_language_text_normalization"}
_FAMILIES = ("eleven_v3", "eleven_v4")
_OF_ONE_VOICE = ("conversational", "turbo")
"""What the names of models end in that are made for agents, with one voice at a time."""


def speaks_dialogue(model: str) -> bool:
    """Whether the model has several voices speak in one request."""
    return is_late(model) and not model.endswith(_OF_ONE_VOICE)


def is_for_agents(model: str) -> bool:
    """Whether the model is made to speak while text still arrives, in one voice."""
    return is_late(model) and model.endswith(_OF_ONE_VOICE)


def is_late(model: str) -> bool:
    """Whether the model is a v3 or v4, which speak over sockets as in dialogues."""
    return model.startswith(_FAMILIES)


def inputs(utterance: Utterance, default_voice: str) -> list[dict[str, str]]:
    """Return the turns as ElevenLabs has them."""
    return [
        {"text": utterance.text[slice(*turn.span)], "voice_id": turn.voice or default_voice}
        for turn in utterance.turns
    ]


def settings(knobs: Knobs) -> dict[str, object]:
    """Return what was set of the voices, as JSON."""
    given = knobs.voice_settings()
    return {name: given[ours] for ours, name in _SETTINGS.items() if ours in given}


def members(knobs: Knobs) -> dict[str, object]:
    """Return what else of the body was set, as JSON."""
    return {name: value for name, value in knobs.members().items() if name not in _LEFT_OUT}


def before(text: str | None) -> str | None:
    """Return the end of what is spoken before, from a word's start."""
    if text is None or len(text) <= CONTEXT_CHARACTERS:
        return text
    return text[-CONTEXT_CHARACTERS:].partition(" ")[2] or None


def after(text: str | None) -> str | None:
    """Return the start of what is spoken after, up to a word's end."""
    if text is None or len(text) <= CONTEXT_CHARACTERS:
        return text
    return text[:CONTEXT_CHARACTERS].rpartition(" ")[0] or None
