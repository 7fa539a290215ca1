"""Text-to-speech models of Hugging Face's transformers. Read and run: transformers 5.24."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import override

from ttskit.adapters.base import (
    EMULATED,
    NATIVE,
    UNSUPPORTED,
    AdapterOptions,
    Capabilities,
    Requirement,
)
from ttskit.adapters.local import LocalAdapter
from ttskit.adapters.transformers_checkpoint import as_path, read_settings
from ttskit.adapters.transformers_engine import FAMILIES, TransformersEngine
from ttskit.adapters.transformers_family import TransformersCallOptions
from ttskit.resources.engine import Recipe

FamilyName = Literal[
    "bark",
    "csm",
    "dia",
    "gradium_phonon_tts",
    "higgs_audio_v2",
    "pocket_tts",
    "speecht5",
    "vibevoice",
    "vits",
]


class TransformersOptions(AdapterOptions, TransformersCallOptions):
    """The adapter's section of tts.yaml."""

    model: Annotated[str, Field(min_length=1)]
    """A directory with a checkpoint, or a name on the hub such as ``facebook/mms-tts-eng``."""
    family: FamilyName | None = None
    """Of a name on the hub, so that ttskit knows what it can do before it has the files."""
    revision: str | None = None
    """A commit, a branch or a tag of the checkpoint on the hub."""
    voice: str | None = None
    """One of its speakers, presets or samples; without it the first."""
    language: str | None = None
    """What its voices speak (BCP 47), where the checkpoint does not say."""
    samples: Path | None = None
    """A directory of voices: ``NAME.wav`` (said in it: ``NAME.txt``); SpeechT5's: ``NAME.npy``."""
    vocoder: str = "microsoft/speecht5_hifigan"
    """SpeechT5's second half: a directory, or a name on the hub."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")] = "auto"
    """``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1`` or ``mps``."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Of the weights; ``auto``: the checkpoint's own on a GPU, float32 on a processor."""
    threads: Annotated[int, Field(ge=1, le=64)] | None = None
    """Of torch, within one step of a model; without it torch decides."""


class TransformersAdapter(LocalAdapter[TransformersOptions]):
    """One checkpoint; what it can do depends on its family."""

    name = "transformers"
    capabilities = Capabilities(
        formats=("f32",),
        word_timestamps=EMULATED,
        speed=NATIVE,
        seed=NATIVE,
        cloning=NATIVE,
    )
    requires = (
        Requirement("transformers", "transformers", "transformers"),
        Requirement("torch", "torch", "transformers"),
    )
    call_model = TransformersCallOptions
    isolation = "process"  # torch

    def __init__(self, options: TransformersOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        self.capabilities = _narrowed(self.capabilities, options)

    @override
    def engine(self, *, downloads: bool) -> Recipe:
        options = self.options
        return Recipe(
            TransformersEngine,
            {
                "model": _place(options.model),
                "family": options.family,
                "revision": options.revision,
                "device": options.device,
                "dtype": options.dtype,
                "threads": options.threads,
                "voice": options.voice,
                "language": options.language,
                "vocoder": _place(options.vocoder),
                "samples": str(options.samples.absolute()) if options.samples else None,
                "downloads": downloads,
                "defaults": options.model_dump(
                    include=set(TransformersCallOptions.model_fields), exclude_none=True
                ),
            },
            on_cpu=None if options.device == "cpu" else {"device": "cpu", "dtype": "auto"},
        )


def _place(name: str) -> str:
    """Return a directory as an absolute path, and a hub's name as it is."""
    path = as_path(name)
    return str(path.absolute()) if path.is_dir() else name


def _narrowed(widest: Capabilities, options: TransformersOptions) -> Capabilities:
    """Return what the family can do; of one that is not known nothing more than to speak."""
    found = options.family or read_settings(as_path(options.model) / "config.json").get(
        "model_type"
    )
    family = FAMILIES.get(str(found))
    return replace(
        widest,
        speed=NATIVE if family is not None and family.speed else UNSUPPORTED,
        cloning=NATIVE if family is not None and family.clones else UNSUPPORTED,
        max_characters=None if family is None else family.max_characters,
    )
