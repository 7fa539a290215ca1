"""XTTS from disk, and what it needs to run with today's transformers.

Imports Coqui: import it where it is used. Read: coqui-tts 0.28.0, ``xtts.py`` and
``gpt_inference.py``; transformers 5.24.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import GPT2Model
from TTS.tts.models.xtts import Xtts, _legacy_safe_globals
from typing_extensions import override

from ttskit.adapters.coqui_loading import loading
from ttskit.errors import ModelLoadError

if TYPE_CHECKING:
    from coqpit import Coqpit

    from ttskit.adapters.coqui_files import CoquiFiles

_OLD, _NEW = "past_key_values", "cache"
"""What a network's memory of the sounds before is called."""


def chosen_type(asked: str, device: torch.device) -> torch.dtype:
    """Return the type of the weights that choose sounds; the others are float32 always.

    Args:
        asked: ``auto``, ``float32``, ``float16`` or ``bfloat16``. Coqui halves this network where
            DeepSpeed runs it, so ``auto`` does on CUDA.
        device: Where they will be.

    Raises:
        ModelLoadError: The device does not reckon with it.
    """
    if asked == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if asked == "float16" and device.type == "cpu":
        raise ModelLoadError("a processor does not work in float16; use bfloat16 or float32")
    chosen: torch.dtype = getattr(torch, asked)
    return chosen


def load_xtts(
    config: Coqpit, files: CoquiFiles, device: torch.device, dtype: torch.dtype = torch.float32
) -> torch.nn.Module:
    """Return the model in memory, on its device.

    Args:
        config: Its settings.
        files: Its weights and vocabulary.
        device: Where it runs.
        dtype: Of the weights that choose sounds.

    Raises:
        ModelLoadError: Its weights cannot be read, or belong to other settings.
        GPUOutOfMemoryError: The device has no room for it.
    """
    with loading(files.name):
        model = _ReadOnlyXtts(config)
        model.load_checkpoint(
            config,
            checkpoint_path=files.checkpoint,
            # They are read elsewhere, on whichever device they were saved.
            speaker_file_path=files.checkpoint.parent / "none",
            eval=True,
        )
        agree_on_a_name(model.gpt.gpt_inference)
        if dtype != torch.float32:
            _halve(model.gpt.gpt_inference.transformer, dtype)
        return model.to(device)


class _ReadOnlyXtts(Xtts):  # type: ignore[misc] # Coqui has no types
    """XTTS that leaves its checkpoint as it is: Coqui writes one of the first ones anew."""

    @override
    def _load_checkpoint(self, model_path: Path) -> dict[str, torch.Tensor]:
        # Those first ones hold their settings as objects of these few classes.
        with _legacy_safe_globals():
            checkpoint = torch.load(model_path, map_location="cpu", weights_only=True)
        weights: dict[str, torch.Tensor] = checkpoint["model"]
        return weights


def _halve(network: GPT2Model, dtype: torch.dtype) -> None:
    """Have the layers between embeddings and choice work in ``dtype``; around them is float32."""
    network.to(dtype)
    positions = network.wpe  # Coqui's: nothing, in float32

    def enter(
        _: GPT2Model, args: tuple[object, ...], given: dict[str, Any]
    ) -> tuple[tuple[object, ...], dict[str, Any]]:
        return args, given | {"inputs_embeds": given["inputs_embeds"].to(dtype)}

    def leave(_: GPT2Model, __: tuple[object, ...], made: Any) -> None:  # noqa: ANN401 - not followed
        made.last_hidden_state = made.last_hidden_state.float()
        if made.hidden_states is not None:
            made.hidden_states = (*made.hidden_states[:-1], made.hidden_states[-1].float())

    network.wpe = lambda numbers: positions(numbers).to(dtype)
    network.register_forward_pre_hook(enter, with_kwargs=True)
    network.register_forward_hook(leave)


def agree_on_a_name(chooser: torch.nn.Module) -> None:
    """Hand on what transformers calls otherwise since Coqui was written: without it, no sound.

    Args:
        chooser: A ``GPT2InferenceModel`` of Coqui's.
    """
    if _takes(GPT2Model.forward, _NEW) and not _takes(type(chooser).forward, _NEW):
        chooser.forward = _renaming(chooser.forward, _NEW, _OLD)
        chooser.transformer.forward = _renaming(chooser.transformer.forward, _OLD, _NEW)


def _takes(function: Callable[..., object], name: str) -> bool:
    return name in inspect.signature(function).parameters


def _renaming(
    function: Callable[..., object], given_as: str, known_as: str
) -> Callable[..., object]:
    @functools.wraps(function)
    def renamed(*args: Any, **given: Any) -> object:  # noqa: ANN401 - whatever the other takes
        if given_as in given:
            given[known_as] = given.pop(given_as)
        return function(*args, **given)

    return renamed
