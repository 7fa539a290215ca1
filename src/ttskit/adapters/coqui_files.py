"""Where a Coqui model lies on disk, and which kind it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttskit.errors import ModelLoadError

CONFIG = "config.json"
_NAMES = ("model.pth", "model_file.pth", "model_file.pth.tar", "best_model.pth", "checkpoint.pth")
"""Of weights, in the order in which they are preferred."""
_HUB_NAME = re.compile(r"(tts_models|vocoder_models|voice_conversion_models)/[^/]+/[^/]+/[^/]+")
_FAIRSEQ_NAME = re.compile(r"tts_models/([a-z]{3}(?:-[a-z]+_[a-z]+)?)/fairseq/vits")
TORTOISE = "tortoise"
"""The kind that loads itself from a folder."""
_TORTOISE_WEIGHTS = (
    "autoregressive.pth",
    "diffusion_decoder.pth",
    "clvp2.pth",
    "vocoder.pth",
    "mel_norms.pth",
)
TORTOISE_FILES = {"chosen": "rlg_auto.pth", "drawn": "rlg_diffuser.pth"}
"""What its own voice is made of; it speaks like samples without them."""
_ENCODER = {
    "speaker_encoder_model_path": ("model_se.pth", "model_se.pth.tar"),
    "speaker_encoder_config_path": ("config_se.json",),
}
"""Settings that name the files of what knows people by samples, and how Coqui calls those."""
OPENVOICE, KNNVC, FAIRSEQ = "openvoice", "knnvc", "fairseq"
"""Kinds whose files are not like those of others: the settings of the first and the last are their
makers' own, and the second has no weights of its own."""


@dataclass(frozen=True, slots=True)
class CoquiFiles:
    """A model on disk."""

    name: str
    checkpoint: Path
    """The weights' file; of Tortoise, the folder."""
    config: Path
    vocoder: Path | None = None
    vocoder_config: Path | None = None


def fairseq_language(model: str) -> str | None:
    """Return the ISO 639-3 code, script or dialect included, of a name of MMS; None of others."""
    named = _FAIRSEQ_NAME.fullmatch(model)
    return None if named is None else named[1]


def is_hub_name(model: str) -> bool:
    """Whether a model is named as Coqui's own list names them."""
    return _HUB_NAME.fullmatch(model) is not None


def local_files(
    model: str,
    *,
    config: str | None = None,
    vocoder: str | None = None,
    vocoder_config: str | None = None,
) -> CoquiFiles:
    """Return the files of a model given as a path.

    Args:
        model: The weights, or a folder that holds them.
        config: The settings; None: ``config.json`` beside the weights.
        vocoder: Weights or folder of what turns spectrograms into sound.
        vocoder_config: Its settings; None: ``config.json`` beside it.

    Raises:
        ModelLoadError: One of them is missing.
    """
    path = Path(model).expanduser()
    weights, settings = _own_pair(path, config)
    voice = _pair(Path(vocoder).expanduser(), vocoder_config) if vocoder else (None, None)
    if path.is_dir() and kind_of(settings) == TORTOISE:
        return CoquiFiles(path.name, path, settings)
    return CoquiFiles(weights.parent.name or weights.stem, weights, settings, *voice)


def kind_of(config: Path) -> str:
    """Return the ``model`` that settings name, such as ``vits``.

    Raises:
        ModelLoadError: They cannot be read.
    """
    settings = read_json(config)
    kind = settings.get("model")
    if isinstance(kind, dict):
        return FAIRSEQ if "train" in settings else OPENVOICE
    return str(kind).lower()


def encoder_of(config: Path) -> tuple[Path, Path] | None:
    """Return weights and settings of the network by which a model knows people it never heard.

    Args:
        config: The model's settings, that network's files beside them.

    Raises:
        ModelLoadError: They cannot be read.
    """
    settings = read_json(config)
    own = settings.get("model_args")
    both = settings | (own if isinstance(own, dict) else {})
    if not both.get("use_d_vector_file"):
        return None  # it knows people by their numbers
    found = [
        next(
            (path for path in _places(both.get(key), names, config.parent) if path.is_file()), None
        )
        for key, names in _ENCODER.items()
    ]
    weights, told = found
    return None if weights is None or told is None else (weights, told)


def find_weights(folder: Path) -> Path | None:
    """Return the file of weights in a folder; None where there is none, or no telling which."""
    for name in _NAMES:
        if (folder / name).is_file():
            return folder / name
    # The network that judges, D_100000.pth, may lie beside the one that speaks.
    others = sorted(folder.glob("G_*.pth")) or sorted(folder.glob("*.pth"))
    return others[0] if len(others) == 1 else None


def settings_in(folder: Path) -> Path | None:
    """Return the settings nearest to the top of a folder; None where it has none."""
    found = sorted(folder.rglob(CONFIG), key=lambda path: len(path.parts))
    return found[0] if found else None


def tortoise_lacks(folder: Path) -> str | None:
    """Return which of Tortoise's weights are nowhere in a folder; None where all are there."""
    return next((name for name in _TORTOISE_WEIGHTS if not any(folder.rglob(name))), None)


def is_whole(folder: Path) -> bool:
    """Whether a folder holds settings and the weights that they are for."""
    settings = folder / CONFIG
    if find_weights(folder) is not None:
        return settings.is_file()
    with suppress(ModelLoadError):  # there are none, or damaged ones
        return kind_of(settings) == KNNVC
    return False


def _places(named: object, usual: Iterable[str], folder: Path) -> Iterator[Path]:
    """Yield where a file may be: beside the settings, where they say, and as Coqui calls it."""
    if isinstance(named, str) and named:
        yield folder / Path(named).name
        yield Path(named)
    yield from (folder / name for name in usual)


def read_json(config: Path) -> dict[str, Any]:
    """Return the settings of a model, whoever made them.

    Raises:
        ModelLoadError: They cannot be read.
    """
    try:
        # Old settings have comments, which JSON has not.
        text = re.sub(r'("(?:[^"\\]|\\.)*")|(//.*)', r"\1", config.read_text(encoding="utf-8"))
        settings = json.loads(text)
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"the settings {config.name} cannot be read") from error
    if not isinstance(settings, dict):
        raise ModelLoadError(f"the settings {config.name} cannot be read")
    return settings


def _own_pair(path: Path, config: str | None) -> tuple[Path, Path]:
    """Return weights and settings of a model; where it has none of its own, the settings twice."""
    settings = Path(config).expanduser() if config else path / CONFIG
    if path.is_dir() and settings.is_file() and kind_of(settings) in (KNNVC, TORTOISE):
        return settings, settings
    return _pair(path, config)


def _pair(path: Path, config: str | None) -> tuple[Path, Path]:
    weights = find_weights(path) if path.is_dir() else path
    if weights is None or not weights.is_file():
        raise ModelLoadError(f"there are no weights at {path.name!r}: a .pth file or its folder")
    settings = Path(config).expanduser() if config else weights.parent / CONFIG
    if not settings.is_file():
        raise ModelLoadError(f"there are no settings {settings.name!r} for {weights.name}")
    return weights, settings
