"""Tortoise from disk, with nothing of the process's touched.

Imports Coqui: import it where it is used. Read: coqui-tts 0.28.0, ``tortoise.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from TTS.tts.models.tortoise import Tortoise

from ttskit.adapters.coqui_files import tortoise_lacks
from ttskit.adapters.coqui_loading import loading, seeing
from ttskit.adapters.coqui_xtts_loading import agree_on_a_name
from ttskit.errors import ModelLoadError

if TYPE_CHECKING:
    import torch
    from coqpit import Coqpit

    from ttskit.adapters.coqui_files import CoquiFiles


def load_tortoise(config: Coqpit, files: CoquiFiles, device: torch.device) -> torch.nn.Module:
    """Return the model in memory, on its device.

    Raises:
        ModelLoadError: Its weights are missing, cannot be read, or belong to other settings.
        GPUOutOfMemoryError: The device has no room for it.
    """
    missing = tortoise_lacks(files.checkpoint)
    if missing is not None:
        raise ModelLoadError(f"{files.name} has no {missing}")
    with loading(files.name):
        # It would be done by a network that is fetched: speech in brackets is cut out.
        config.model_args.enable_redaction = False
        model = _SeedlessTortoise(config)
        model.load_checkpoint(config, files.checkpoint, eval=True)
        agree_on_a_name(model.autoregressive.inference_model)
        return model.to(device)


class _SeedlessTortoise(Tortoise):  # type: ignore[misc] # Coqui has no types
    """Coqui seeds the dice of the whole process before each text, with the time of day."""

    inference = seeing(Tortoise.inference, deterministic_state=lambda seed=None: seed)
