"""The kinds of Coqui's models, by ``model`` of their settings, and what each can do."""

from __future__ import annotations

from dataclasses import replace

from ttskit.adapters.base import EMULATED, NATIVE, UNSUPPORTED, Capabilities
from ttskit.adapters.coqui_files import FAIRSEQ, KNNVC, OPENVOICE, TORTOISE, fairseq_language

VITS, XTTS = "vits", "xtts"
YOUR_TTS = "your_tts"
"""What the one model of Coqui's list is called that knows people by samples, and is a VITS."""
SCALED = frozenset(
    {"align_tts", "fast_pitch", "fast_speech", "fastspeech2", "glow_tts", "speedy_speech"}
)
"""Kinds that draw spectrograms and can be told how long sounds last."""
SPECTROGRAM = SCALED | {"delightful_tts", "neuralhmm_tts", "overflow", "tacotron", "tacotron2"}
CONVERTERS = frozenset({"freevc", KNNVC, OPENVOICE})
"""Kinds that say a recording again in the voice of a sample, and read no text."""
KINDS = SPECTROGRAM | CONVERTERS | {VITS, FAIRSEQ, XTTS, TORTOISE}
REFUSED = {
    "bark": "Coqui's Bark runs whatever code its files hold; adapter: transformers speaks with "
    "model: suno/bark",
}
"""Kinds of Coqui's list that are not run, and what to take instead."""
SLOW_VOCODER = "wavernn"
"""Makes some hundred samples a second, and tells of each on the standard output."""
CHARACTERS = {
    "ar": 166,
    "cs": 186,
    "de": 253,
    "en": 250,
    "es": 239,
    "fr": 273,
    "hi": 150,
    "hu": 224,
    "it": 213,
    "ja": 71,
    "ko": 95,
    "nl": 251,
    "pl": 224,
    "pt": 203,
    "ru": 182,
    "tr": 226,
    "zh": 82,
}
"""Of one piece of text, by language, that XTTS says whole; coqui-tts 0.28.0, ``tokenizer.py``."""


def narrowed(
    able: Capabilities, kind: str | None, *, clones: bool, language: str | None
) -> Capabilities:
    """Return what a model can do; everything where its kind is not known.

    Args:
        able: What all kinds can do.
        kind: As its settings or Coqui's list call it.
        clones: A model that reads embeddings of voices has what makes them of samples.
        language: The configured one.
    """
    if kind in CONVERTERS:
        return Capabilities(
            formats=able.formats, synthesis=UNSUPPORTED, cloning=NATIVE, conversion=NATIVE
        )
    able = replace(able, conversion=UNSUPPORTED)
    cloning = NATIVE if clones else UNSUPPORTED
    if kind in (VITS, FAIRSEQ):
        return replace(able, cloning=cloning)
    if kind == XTTS:
        root = (language or "en").split("-")[0].lower()
        return replace(
            able,
            languages=frozenset(CHARACTERS),
            word_timestamps=EMULATED,
            speed_range=(0.5, 2.0),
            max_characters=CHARACTERS.get(root, min(CHARACTERS.values())),
        )
    if kind == TORTOISE:
        return replace(
            able,
            languages=frozenset({"en"}),
            streaming=UNSUPPORTED,
            word_timestamps=EMULATED,
            speed=UNSUPPORTED,
        )
    if kind in SPECTROGRAM:
        return replace(
            able,
            streaming=UNSUPPORTED,
            word_timestamps=EMULATED,
            speed=NATIVE if kind in SCALED else UNSUPPORTED,
            cloning=cloning,
        )
    return able


_NAMED_OTHERWISE = {
    YOUR_TTS: VITS,
    "jenny": VITS,
    "capacitron": "tacotron2",
    "glow-tts": "glow_tts",
    "neural_hmm": "neuralhmm_tts",
    "speedy-speech": "speedy_speech",
}
"""Kinds of models whose names on Coqui's list begin otherwise."""


def hub_kind(name: str) -> str | None:
    """Return the kind that a name of Coqui's list ends with: ``…/tacotron2-DDC``, ``…/xtts_v2``."""
    if fairseq_language(name) is not None:
        return FAIRSEQ
    last = name.rsplit("/", 1)[-1].lower()
    for other, kind in _NAMED_OTHERWISE.items():
        if last.startswith(other):
            return kind
    kinds = sorted(KINDS | set(REFUSED), key=len, reverse=True)
    known = (kind for kind in kinds if last.startswith(kind))
    return next(known, None)
