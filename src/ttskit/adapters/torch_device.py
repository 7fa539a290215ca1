"""Which of torch's devices a setting means. Imports torch: import it where it is used."""

from __future__ import annotations

import torch

from ttskit.errors import ConfigurationError


def choose_device(asked: str) -> torch.device:
    """Return the device that ``auto``, ``cpu``, ``cuda:N`` or ``mps`` means here.

    Raises:
        ConfigurationError: This machine has no such device.
    """
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(asked)
    number = device.index or 0
    there = {
        "cpu": True,
        "cuda": device.type == "cuda" and number < torch.cuda.device_count(),
        "mps": device.type == "mps" and torch.backends.mps.is_available(),
    }
    if not there[device.type]:
        raise ConfigurationError(f"device {asked!r} is not here; set device: auto")
    return device
