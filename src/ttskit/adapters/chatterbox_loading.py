"""How Chatterbox's files become a model, with nothing fetched that may not be.

Imports Chatterbox and torch: import it where it is used. Read: chatterbox-tts 0.1.7.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import ModuleType

import perth
import spacy_pkuseg
from chatterbox.models.s3gen import flow_matching as decoder
from chatterbox.models.t3 import t3 as talker
from chatterbox.models.tokenizers import tokenizer as reader
from tqdm import tqdm

from ttskit.adapters.chatterbox_kinds import LANGUAGES, Kind
from ttskit.adapters.chatterbox_mending import mend
from ttskit.adapters.chatterbox_model import ChatterboxModel
from ttskit.adapters.torch_device import choose_device
from ttskit.errors import DependencyMissingError, ModelLoadError
from ttskit.resources.failures import is_out_of_memory

_logger = logging.getLogger(__name__)


def load_model(kind: Kind, files: Path, *, device: str, downloads: bool) -> ChatterboxModel:
    """Return a model that speaks, on its device.

    Args:
        kind: Which.
        files: Their folder.
        device: As the settings have it.
        downloads: What reads Chinese may fetch what it lacks.

    Raises:
        DependencyMissingError: Its watermark lacks a package.
        ModelLoadError: Its files are damaged, or hold code.
    """
    if perth.PerthImplicitWatermarker is None:  # Perth hides the reason
        raise DependencyMissingError(
            'Chatterbox\'s watermark needs pkg_resources; run: pip install "setuptools<81"'
        )
    place = choose_device(device)
    # Bars for each sentence would fill the log.
    talker.tqdm = decoder.tqdm = partial(tqdm, disable=True)
    model_class = getattr(importlib.import_module(kind.module), kind.name)
    offline = _offline(files, downloads=downloads) if kind.languages is LANGUAGES else nullcontext()
    with _loading(), offline:
        loaded = model_class.from_local(files, str(place))
    mend(loaded)
    return ChatterboxModel(kind, loaded)


@contextmanager
def _offline(files: Path, *, downloads: bool) -> Iterator[None]:
    """Have the multilingual reader take its table of Chinese from the model's own folder.

    It asks the hub for it each time. Its segmenter of Chinese fetches weights of its own, and does
    without them where that is not possible.
    """

    def beside(*, filename: str, **_: object) -> str:
        return str(files / filename)

    def unsegmented() -> None:
        raise ImportError("the segmenter's weights are not on disk")

    home = Path(spacy_pkuseg.config.pkuseg_home)
    can_segment = downloads or (home / "spacy_ontonotes.zip").is_file()
    segmenting = spacy_pkuseg.pkuseg if can_segment else unsegmented
    with _swapped(reader, "hf_hub_download", beside), _swapped(spacy_pkuseg, "pkuseg", segmenting):
        yield


@contextmanager
def _swapped(module: ModuleType, name: str, other: Callable[..., object]) -> Iterator[None]:
    own = getattr(module, name)
    setattr(module, name, other)
    try:
        yield
    finally:
        setattr(module, name, own)


@contextmanager
def _loading() -> Iterator[None]:
    """Tell files that make no model from a machine that has no room for one.

    Raises:
        ModelLoadError: They are damaged, of another version, or hold code, which torch refuses.
    """
    try:
        yield
    except Exception as error:  # tokenizers and safetensors raise nothing narrower
        if is_out_of_memory(error):
            raise
        _logger.debug("the model cannot be loaded", exc_info=True)
        raise ModelLoadError(
            f"the model's files are damaged, of another version, or hold code "
            f"({type(error).__name__})"
        ) from error
