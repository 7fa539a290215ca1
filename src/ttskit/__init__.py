"""One text-to-speech service over many engines: say it once, any engine speaks it.

Every public name is here. A name is loaded when it is first used, so that ``import ttskit`` costs
next to nothing and pulls in no engine, no HTTP client and no numpy.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = (
    False  # type checkers take it for true; typing itself would double the import's cost
)
if TYPE_CHECKING:
    from ttskit import errors
    from ttskit.adapters.base import Capabilities
    from ttskit.audio import Audio, AudioChunk, Notice, Provenance, Spoken, WordTiming
    from ttskit.errors import TTSError
    from ttskit.request import AudioFormat, SpeechRequest
    from ttskit.service import AsyncTTSService, TTSService, synthesize
    from ttskit.speech import SpeechStream, SyncSpeechStream
    from ttskit.voices import Voice

__version__ = "0.1.0"

__all__ = [
    "AsyncTTSService",
    "Audio",
    "AudioChunk",
    "AudioFormat",
    "Capabilities",
    "Notice",
    "Provenance",
    "SpeechRequest",
    "SpeechStream",
    "Spoken",
    "SyncSpeechStream",
    "TTSError",
    "TTSService",
    "Voice",
    "WordTiming",
    "__version__",
    "errors",
    "synthesize",
]

_ROOMS = {
    "ttskit.adapters.base": ("Capabilities",),
    "ttskit.audio": ("Audio", "AudioChunk", "Notice", "Provenance", "Spoken", "WordTiming"),
    "ttskit.errors": ("TTSError",),
    "ttskit.request": ("AudioFormat", "SpeechRequest"),
    "ttskit.service": ("AsyncTTSService", "TTSService", "synthesize"),
    "ttskit.speech": ("SpeechStream", "SyncSpeechStream"),
    "ttskit.voices": ("Voice",),
}
"""Module -> the public names it holds."""


def __getattr__(name: str) -> object:
    """Load a public name on its first use (PEP 562)."""
    if name == "errors":
        return importlib.import_module("ttskit.errors")
    for module, names in _ROOMS.items():
        if name in names:
            found: object = vars(importlib.import_module(module))[name]
            globals()[name] = found
            return found
    raise AttributeError(f"module 'ttskit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
