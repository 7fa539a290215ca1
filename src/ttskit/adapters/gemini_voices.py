"""Gemini's prebuilt voices, which no endpoint lists.

Source: Gemini API, speech generation guide. Genders: Cloud Text-to-Speech, whose Chirp 3 HD voices
have the same names.
"""

from __future__ import annotations

from dataclasses import dataclass

from ttskit.voices import Gender


@dataclass(frozen=True, slots=True)
class Prebuilt:
    """One of them; each speaks every language of the model."""

    name: str
    gender: Gender
    manner: str


_F, _M = Gender.FEMALE, Gender.MALE
PREBUILT = (
    Prebuilt("Kore", _F, "firm"),
    Prebuilt("Zephyr", _F, "bright"),
    Prebuilt("Puck", _M, "upbeat"),
    Prebuilt("Charon", _M, "informative"),
    Prebuilt("Fenrir", _M, "excitable"),
    Prebuilt("Leda", _F, "youthful"),
    Prebuilt("Orus", _M, "firm"),
    Prebuilt("Aoede", _F, "breezy"),
    Prebuilt("Callirrhoe", _F, "easy-going"),
    Prebuilt("Autonoe", _F, "bright"),
    Prebuilt("Enceladus", _M, "breathy"),
    Prebuilt("Iapetus", _M, "clear"),
    Prebuilt("Umbriel", _M, "easy-going"),
    Prebuilt("Algieba", _M, "smooth"),
    Prebuilt("Despina", _F, "smooth"),
    Prebuilt("Erinome", _F, "clear"),
    Prebuilt("Algenib", _M, "gravelly"),
    Prebuilt("Rasalgethi", _M, "informative"),
    Prebuilt("Laomedeia", _F, "upbeat"),
    Prebuilt("Achernar", _F, "soft"),
    Prebuilt("Alnilam", _M, "firm"),
    Prebuilt("Schedar", _M, "even"),
    Prebuilt("Gacrux", _F, "mature"),
    Prebuilt("Pulcherrima", _F, "forward"),
    Prebuilt("Achird", _M, "friendly"),
    Prebuilt("Zubenelgenubi", _M, "casual"),
    Prebuilt("Vindemiatrix", _F, "gentle"),
    Prebuilt("Sadachbia", _M, "lively"),
    Prebuilt("Sadaltager", _M, "knowledgeable"),
    Prebuilt("Sulafat", _F, "warm"),
)
