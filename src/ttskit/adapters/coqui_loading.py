"""Coqui's models from disk: nothing but weights is read, and every failure is ours.

Imports Coqui: import it where it is used. Read: coqui-tts 0.28.0, ``synthesizer.py``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch
from TTS.config import load_config
from TTS.tts.models import setup_model
from TTS.vocoder.models import setup_model as setup_vocoder

from ttskit.adapters.coqui_kinds import SLOW_VOCODER
from ttskit.adapters.coqui_phonemizer import adopt
from ttskit.errors import ConfigurationError, GPUOutOfMemoryError, ModelLoadError

if TYPE_CHECKING:
    from coqpit import Coqpit

    from ttskit.adapters.coqui_files import CoquiFiles

_FILE_KEYS = (
    "speakers_file",
    "speaker_file",
    "d_vector_file",
    "language_ids_file",
    "tokenizer_file",
    "stats_path",
)
"""Settings that name files."""
_ENCODER_KEYS = ("speaker_encoder_model_path", "speaker_encoder_config_path")
_USUAL = {
    "speakers_file": ("speaker_ids.json", "speaker_ids.pth"),
    "d_vector_file": ("speakers.json", "speakers.pth"),
    "language_ids_file": ("language_ids.json",),
}
"""What some of them are called in Coqui's releases, whatever the settings say."""
_OWN_CLASSES = "TTS."
"""Where a class that settings name may come from: naming one imports its module."""


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Turn whatever Coqui and torch raise while a model is loaded into our errors."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise GPUOutOfMemoryError(f"the GPU has no room for {name}") from error
    except pickle.UnpicklingError as error:
        raise ModelLoadError(
            f"{name} is damaged, or holds more than weights and is refused"
        ) from error
    except (OSError, EOFError, ImportError, AttributeError) as error:
        raise ModelLoadError(f"{name} cannot be loaded ({type(error).__name__})") from error
    except (KeyError, ValueError, TypeError, RuntimeError, AssertionError) as error:
        raise ModelLoadError(
            f"the weights and the settings of {name} do not belong together, or are damaged "
            f"({type(error).__name__})"
        ) from error


def read_settings(files: CoquiFiles) -> Coqpit:
    """Return a model's settings, its files found and its phonemizer ours.

    Raises:
        ModelLoadError: They are damaged, or would bring in code or files from elsewhere.
    """
    with loading(files.name):
        config = load_config(files.config)
        _check_classes(config)
        _find_files(config, files.config.parent)
        _leave_out_encoder(config)
        adopt(config)
    return config


def load_model(config: Coqpit, files: CoquiFiles, device: torch.device) -> torch.nn.Module:
    """Return a model that speaks, on its device.

    Raises:
        ModelLoadError: Its weights cannot be read, or belong to other settings.
        GPUOutOfMemoryError: The device has no room for it.
    """
    with loading(files.name):
        model = setup_model(config)
        place = "checkpoint_dir" if files.checkpoint.is_dir() else "checkpoint_path"
        model.load_checkpoint(config, **{place: files.checkpoint}, eval=True)
        if getattr(model, "disc", None) is not None:
            model.disc = None  # it judges speech in training only, and is the larger half
        return model.to(device)


def load_vocoder(files: CoquiFiles, device: torch.device) -> tuple[torch.nn.Module, Coqpit]:
    """Return what turns spectrograms into sound, and its settings.

    Raises:
        ConfigurationError: It is a kind that nobody could wait for.
        ModelLoadError: Its weights cannot be read, or belong to other settings.
    """
    with loading(f"the vocoder of {files.name}"):
        config = load_config(files.vocoder_config)
        if config.model == SLOW_VOCODER:
            raise ConfigurationError(
                "the vocoder WaveRNN takes minutes for a second; set another, such as "
                "vocoder_models/en/ljspeech/hifigan_v2"
            )
        vocoder = setup_vocoder(config)
        vocoder.load_checkpoint(config, files.vocoder, eval=True)
        return vocoder.to(device), config


def seeing(function: Any, **names: object) -> Callable[..., Any]:  # noqa: ANN401 - a function
    """Return a function that sees something else by some names; for others nothing changes."""
    changed = FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    changed.__kwdefaults__ = function.__kwdefaults__
    return changed


def _check_classes(config: Coqpit) -> None:
    characters = config.get("characters")
    named = characters.characters_class if characters else None
    if named and not str(named).startswith(_OWN_CLASSES):
        raise ModelLoadError("the model's settings name a class that is not Coqui's")


def _find_files(config: Coqpit, beside: Path) -> None:
    """Take files that the settings name from beside them: a path of where they were trained."""
    parts = [config, config.get("model_args"), config.get("audio")]
    for part in filter(None, parts):
        for key in _FILE_KEYS:
            value = part.get(key) if key in part else None
            if isinstance(value, list):
                part[key] = [_found(key, one, beside) for one in value]
            elif value:
                part[key] = _found(key, value, beside)


def _found(key: str, value: str | Path, beside: Path) -> str:
    if "://" in str(value):
        raise ModelLoadError("the model's settings name a file on the network")
    usual = (beside / name for name in _USUAL.get(key, ()))
    near = (beside / Path(value).name, Path(value), *usual)
    return str(next((path for path in near if path.is_file()), value))


def _leave_out_encoder(config: Coqpit) -> None:
    """Have Coqui make no network that knows people by samples: ``coqui_encoder`` makes it."""
    own = config.get("model_args")
    for key in _ENCODER_KEYS:
        if own is not None and key in own:
            own[key] = None
    if own is not None and "use_speaker_encoder_as_loss" in own:
        own["use_speaker_encoder_as_loss"] = False  # in training only
