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
    if not is_here(asked):
        raise ConfigurationError(f"device {asked!r} is not here; set device: auto")
    return torch.device(asked)


def is_here(asked: str) -> bool:
    """Whether this machine has a device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``."""
    kind, _, number = asked.partition(":")
    if kind == "cuda":
        return int(number or 0) < int(torch.cuda.device_count())
    return kind == "cpu" or bool(torch.backends.mps.is_available())
