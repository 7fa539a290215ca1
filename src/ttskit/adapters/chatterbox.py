"""Resemble's Chatterbox: cloned voices in 23 languages, local. Read: chatterbox-tts 0.1.7."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from typing_extensions import override

from ttskit.adapters.base import NATIVE, AdapterOptions, Capabilities, Requirement
from ttskit.adapters.chatterbox_engine import ChatterboxEngine
from ttskit.adapters.chatterbox_kinds import KINDS, LANGUAGES
from ttskit.adapters.elsewhere import require_packages
from ttskit.adapters.local import LocalAdapter
from ttskit.adapters.options import CallOptions
from ttskit.resources.engine import Recipe

if TYPE_CHECKING:
    from ttskit.resources.host import Resources

_Exaggeration = Annotated[float, Field(ge=0, le=2)]
_Share = Annotated[float, Field(ge=0, le=1)]
_TopP = Annotated[float, Field(gt=0, le=1)]
_Temperature = Annotated[float, Field(gt=0, le=5)]
_Penalty = Annotated[float, Field(ge=1, le=50)]
_TopK = Annotated[int, Field(ge=1, le=6561)]


class ChatterboxCallOptions(CallOptions):
    """What one request may set; None leaves it to tts.yaml, and then to the model.

    A model that knows nothing of a setting refuses it.
    """

    exaggeration: _Exaggeration | None = None
    """English, multilingual: how much feeling; 0.5 is plain."""
    cfg_weight: _Share | None = None
    """English, multilingual: how closely it keeps to the text and to its pace; lower is slower."""
    temperature: _Temperature | None = None
    """How freely it chooses."""
    repetition_penalty: _Penalty | None = None
    """Against sounds that come again and again."""
    min_p: _Share | None = None
    """English, multilingual: among sounds at least this likely, compared with the likeliest."""
    top_p: _TopP | None = None
    """Among sounds that are together this likely."""
    top_k: _TopK | None = None
    """Turbo: among how many sounds."""


class ChatterboxOptions(AdapterOptions, ChatterboxCallOptions):
    """The adapter's section of tts.yaml."""

    kind: Literal["english", "multilingual", "turbo"] = "english"
    """Which of the models."""
    model: Path | None = None
    """A folder with its files; else they come from the Hugging Face hub."""
    python: Path | None = None
    """The interpreter of an environment that has Chatterbox and ttskit; else this one runs it."""
    language: str = "en"
    """Of the multilingual model, where a request names none."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    """``auto``: a GPU where there is one; ``cpu``, ``cuda:N`` or ``mps``."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """Where a request brings none: the same text then always sounds the same."""

    @field_validator("python")
    @classmethod
    def _is_there(cls, python: Path | None) -> Path | None:
        if python is None:
            return None
        # Not resolved: what makes an environment of a link is the place where it lies.
        found = python.expanduser().absolute()
        if not found.is_file() or not os.access(found, os.X_OK):
            raise ValueError(f"there is no interpreter {str(found)!r}: make its environment first")
        return found

    @field_validator("model")
    @classmethod
    def _expanded(cls, model: Path | None) -> Path | None:
        return None if model is None else model.expanduser().absolute()

    @field_validator("language")
    @classmethod
    def _is_spoken(cls, language: str) -> str:
        if language not in LANGUAGES:
            raise ValueError(f"Chatterbox speaks {' '.join(sorted(LANGUAGES))}")
        return language

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        known = KINDS[self.kind]
        for name in self.defaults():
            if name not in known.settings:
                raise ValueError(f"kind {self.kind} knows no {name}")
        return self

    def defaults(self) -> dict[str, float]:
        """Return the call options that are set here."""
        return self.model_dump(include=set(ChatterboxCallOptions.model_fields), exclude_none=True)


class ChatterboxAdapter(LocalAdapter[ChatterboxOptions]):
    """One model of Chatterbox."""

    name = "chatterbox"
    capabilities = Capabilities(
        languages=LANGUAGES,
        formats=("f32",),
        seed=NATIVE,
        cloning=NATIVE,
        conversion=NATIVE,
        # One call makes 1 000 speech tokens, 40 s. Bytes for scripts that say more in a character.
        max_characters=300,
        max_bytes=500,
    )
    requires: tuple[Requirement, ...] = (Requirement("chatterbox", "chatterbox-tts", "chatterbox"),)
    call_model = ChatterboxCallOptions
    isolation = "process"  # torch

    def __init__(self, options: ChatterboxOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        self.capabilities = replace(
            type(self).capabilities, languages=KINDS[options.kind].languages
        )
        if options.python is not None:
            self.requires = ()  # they are in that interpreter's environment

    @override
    async def open(self, resources: Resources) -> None:
        if self.options.python is not None:
            needed = type(self).requires
            await require_packages(self.options.python, needed, provider=self.provider)
        await super().open(resources)

    @override
    def engine(self, *, downloads: bool) -> Recipe:
        options = self.options
        return Recipe(
            ChatterboxEngine,
            {
                "kind": options.kind,
                "model": None if options.model is None else str(options.model),
                "language": options.language,
                "device": options.device,
                "seed": options.seed,
                "downloads": downloads,
                "defaults": {**options.defaults()},
            },
            on_cpu=None if options.device == "cpu" else {"device": "cpu"},
            python=None if options.python is None else str(options.python),
        )
