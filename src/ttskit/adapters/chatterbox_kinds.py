"""What there is of Chatterbox: its kinds, the files of each, and what can be set. Data, not code.

Source: chatterbox-tts 0.1.7, ``tts.py``, ``mtl_tts.py`` and ``tts_turbo.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ENGLISH = frozenset({"en"})
LANGUAGES = frozenset(
    {
        *("ar", "da", "de", "el", "en", "es", "fi", "fr", "he", "hi", "it", "ja"),
        *("ko", "ms", "nl", "no", "pl", "pt", "ru", "sv", "sw", "tr", "zh"),
    }
)
"""Primary subtags that the multilingual model was trained on."""
BUILT_IN = "conds.pt"
"""The voice that comes with a model; without it a sample has to."""

_SAMPLING = frozenset({"temperature", "repetition_penalty", "top_p"})
_GUIDED = _SAMPLING | {"exaggeration", "cfg_weight", "min_p"}


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the models."""

    module: str
    name: str
    """Of the class, in the module."""
    repository: str
    """On the Hugging Face hub."""
    needed: tuple[str, ...]
    """Files without which it cannot be loaded."""
    fetched: tuple[str, ...]
    """Patterns of all that is used of the repository."""
    settings: frozenset[str]
    """Call options that have a meaning for it."""
    languages: frozenset[str] = ENGLISH
    shortest_reference_s: float = 0.0
    """A sample of a voice has to be longer."""


_ENGLISH_FILES = ("ve.safetensors", "t3_cfg.safetensors", "s3gen.safetensors", "tokenizer.json")
_MULTILINGUAL_FILES = (
    "ve.pt",
    "t3_mtl23ls_v2.safetensors",
    "s3gen.pt",
    "grapheme_mtl_merged_expanded_v1.json",
)
_TURBO_FILES = (
    "ve.safetensors",
    "t3_turbo_v1.safetensors",
    "s3gen_meanflow.safetensors",
    "tokenizer_config.json",
)

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "english": Kind(
            module="chatterbox.tts",
            name="ChatterboxTTS",
            repository="ResembleAI/chatterbox",
            needed=_ENGLISH_FILES,
            fetched=(*_ENGLISH_FILES, BUILT_IN),
            settings=_GUIDED,
        ),
        "multilingual": Kind(
            module="chatterbox.mtl_tts",
            name="ChatterboxMultilingualTTS",
            repository="ResembleAI/chatterbox",
            needed=_MULTILINGUAL_FILES,
            fetched=(*_MULTILINGUAL_FILES, BUILT_IN, "Cangjie5_TC.json"),
            settings=_GUIDED,
            languages=LANGUAGES,
        ),
        "turbo": Kind(
            module="chatterbox.tts_turbo",
            name="ChatterboxTurboTTS",
            repository="ResembleAI/chatterbox-turbo",
            needed=_TURBO_FILES,
            fetched=("*.safetensors", "*.json", "*.txt", "*.pt", "*.model"),
            settings=_SAMPLING | {"top_k"},
            shortest_reference_s=5.0,
        ),
    }
)
