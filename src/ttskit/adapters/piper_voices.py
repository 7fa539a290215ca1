"""Where Piper voices are found: a path, a directory of voices, installed packages of voices."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pydantic
from pydantic import BaseModel, Field

from ttskit.errors import ModelLoadError, UnsupportedLanguageError
from ttskit.request import check_language
from ttskit.voices import Voice

_WEIGHTS_SUFFIX = ".onnx"
_CONFIG_SUFFIX = ".onnx.json"
SPEAKER_MARK = "#"
"""Between a voice's name and one of its speakers in an id: ``en_US-libritts-high#3922``."""


class _Audio(BaseModel):
    sample_rate: int


class _Espeak(BaseModel):
    voice: str = ""


class _Language(BaseModel):
    code: str = ""


class _VoiceFile(BaseModel):
    """What is read of ``<model>.onnx.json``; older voices have no ``language``."""

    audio: _Audio
    espeak: _Espeak = Field(default_factory=_Espeak)
    language: _Language = Field(default_factory=_Language)
    num_speakers: int = 1
    speaker_id_map: dict[str, int] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PiperModel:
    """A voice on disk."""

    name: str
    """The file's name without its suffix, such as ``en_US-joe-medium``."""
    path: Path
    language: str | None
    """BCP 47."""
    sample_rate: int
    speakers: dict[str, int]
    """Numbers by name; empty where they have none."""
    speaker_count: int = 1

    def voices(self) -> Iterator[Voice]:
        """Return the model's voice, and one for each of its speakers where it names them."""
        yield self._voice(self.name, self.name)
        for speaker in self.speakers if len(self.speakers) > 1 else ():
            yield self._voice(f"{self.name}{SPEAKER_MARK}{speaker}", f"{self.name} {speaker}")

    def _voice(self, voice: str, name: str) -> Voice:
        return Voice(
            id=voice,
            provider="",
            name=name,
            languages=(self.language,) if self.language else (),
            sample_rate=self.sample_rate,
        )


def read_model(path: Path) -> PiperModel:
    """Return the voice whose weights are at ``path`` and whose settings are beside it.

    Raises:
        ModelLoadError: One of the two is missing or damaged.
    """
    try:
        content = path.with_name(path.name + ".json").read_bytes()
        described = _VoiceFile.model_validate_json(content)
    except (OSError, pydantic.ValidationError) as error:
        raise ModelLoadError(f"the settings beside {path.name} cannot be read") from error
    if not path.is_file():
        raise ModelLoadError(f"there is no voice file {path.name}")
    return PiperModel(
        name=model_name(str(path)),
        path=path,
        language=_language(described.language.code or described.espeak.voice),
        sample_rate=described.audio.sample_rate,
        speakers=described.speaker_id_map,
        speaker_count=described.num_speakers,
    )


def find_models(*, voice: str | None, directory: Path | None) -> dict[str, PiperModel]:
    """Return the voices that can be had, by name, the default one first.

    Args:
        voice: The default one: a path to an ``.onnx`` file, or a name found elsewhere.
        directory: Holds voices, at any depth.

    Raises:
        ModelLoadError: A voice found is damaged.
    """
    named = [Path(voice)] if voice and voice.endswith(_WEIGHTS_SUFFIX) else []
    models: dict[str, PiperModel] = {}
    for path in [*named, *_below(directory), *_installed()]:
        model = read_model(path)
        models.setdefault(model.name, model)
    default = model_name(voice) if voice else ""
    return {default: models[default], **models} if default in models else models


def model_name(voice: str) -> str:
    """Return the name of a voice that was given as a path or as a name."""
    return Path(voice).name.removesuffix(_WEIGHTS_SUFFIX)


def _below(directory: Path | None) -> Iterable[Path]:
    """Return the voices in the directory, in order of their names."""
    if directory is None:
        return []
    found = (_weights(config) for config in directory.rglob(f"*{_CONFIG_SUFFIX}"))
    return sorted(path for path in found if path.is_file())


def _installed() -> Iterator[Path]:
    """Return the voices that installed packages carry, of whatever package."""
    for distribution in importlib.metadata.distributions():
        # The list of files is parsed only where it holds a voice: some packages have thousands.
        holds = _CONFIG_SUFFIX in (distribution.read_text("RECORD") or "")
        files = (distribution.files if holds else None) or ()
        voices = [file for file in files if file.name.endswith(_CONFIG_SUFFIX)]
        yield from (_weights(Path(str(file.locate()))) for file in voices)


def _weights(config: Path) -> Path:
    return config.with_name(config.name.removesuffix(".json"))


def _language(code: str) -> str | None:
    """Return ``en_US`` or espeak's ``en-us`` as BCP 47; None where it is neither."""
    try:
        return check_language(code.replace("_", "-"))
    except UnsupportedLanguageError:
        return None
