"""The servers that speak OpenAI's dialect: where each is, and what it does otherwise.

Source: OpenAI's OpenAPI file and documents; Kokoro-FastAPI 0.8.1, api/src/structures/schemas.py;
speaches 0.1.0, routers/speech.py; LocalAI, core/schema/localai.go; AllTalk v2, tts_server.py;
vLLM-Omni's serving documents; Groq's SDK 1.7.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

SAMPLE_RATE = 24_000
"""Of the endpoint's PCM, which has no header."""
MAX_CHARACTERS = 4_096
VOICES = (
    "alloy", "ash", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "ballad", "verse",
    "marin", "cedar",
)  # fmt: skip
"""OpenAI lists its voices nowhere but in its documents."""
_FIRST_VOICES = ("alloy", "echo", "fable", "onyx", "nova", "shimmer")
"""What servers that copy the endpoint's first version know."""

Format = Literal["pcm", "wav", "mp3", "opus", "aac", "flac"]


@dataclass(frozen=True, slots=True)
class Preset:
    """One kind of server: where it is and what it does otherwise than OpenAI."""

    base_url: str | None
    """None: it is wherever somebody runs it."""
    variable: str | None = None
    """The environment variable its key is customarily in; None: it asks for none."""
    model: str | None = None
    voice: str | None = None
    format: Format = "pcm"
    """What to ask for where nothing is configured: what needs no decoding, if it is sent."""
    sample_rate: int = SAMPLE_RATE
    """Of its PCM."""
    voices: tuple[str, ...] = ()
    """Where it does not list them itself."""
    voices_path: str | None = "/audio/voices"
    max_characters: int | None = None
    speed_range: tuple[float, float] = (0.25, 4.0)
    takes_instructions: bool = False


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "openai": Preset(
            "https://api.openai.com/v1",
            "OPENAI_API_KEY",
            model="gpt-4o-mini-tts",
            voice="alloy",
            voices=VOICES,
            voices_path=None,
            max_characters=MAX_CHARACTERS,
            takes_instructions=True,
        ),
        "kokoro-fastapi": Preset("http://localhost:8880/v1", model="kokoro", voice="af_heart"),
        "speaches": Preset(
            "http://localhost:8000/v1", model="speaches-ai/Kokoro-82M-v1.0-ONNX", voice="af_heart"
        ),
        "localai": Preset("http://localhost:8080/v1", format="wav", voices_path=None),
        "alltalk": Preset(
            "http://localhost:7851/v1",
            model="tts-1",
            voice="alloy",
            format="wav",
            voices=_FIRST_VOICES,
            voices_path=None,
            max_characters=MAX_CHARACTERS,
        ),
        "vllm-omni": Preset("http://localhost:8000/v1", format="wav", takes_instructions=True),
        "groq": Preset(
            "https://api.groq.com/openai/v1",
            "GROQ_API_KEY",
            model="canopylabs/orpheus-v1-english",
            voice="autumn",
            format="wav",
            voices=("autumn", "diana", "hannah", "austin", "daniel", "troy"),
            voices_path=None,
            max_characters=200,
            speed_range=(0.5, 4.0),
        ),
        "deepinfra": Preset(
            "https://api.deepinfra.com/v1/openai",
            "DEEPINFRA_API_KEY",
            model="hexgrad/Kokoro-82M",
            voice="af_heart",
            format="wav",
            voices_path=None,
        ),
        "compatible": Preset(None, format="wav"),
    }
)
"""By name. ``compatible`` assumes nothing that is not in every copy of the endpoint."""

_KOKORO_LANGUAGES = MappingProxyType(
    {
        "a": "en-US",
        "b": "en-GB",
        "e": "es",
        "f": "fr",
        "h": "hi",
        "i": "it",
        "j": "ja",
        "p": "pt-BR",
        "z": "zh",
    }
)
"""What the first letter of a Kokoro voice means. Source: hexgrad/Kokoro-82M, VOICES.md."""


def languages(voice: str) -> tuple[str, ...]:
    """Return the language of a Kokoro voice such as ``af_heart``; others speak any."""
    if len(voice) > 3 and voice[1] in "fm" and voice[2] == "_":  # noqa: PLR2004 - that form
        language = _KOKORO_LANGUAGES.get(voice[0])
        return (language,) if language else ()
    return ()
