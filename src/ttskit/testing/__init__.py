"""The kit for tests of code that speaks: a mock provider, its ears, faults, a contract to pass.

Names are loaded when they are first used, so that the pytest plugin costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ttskit.testing.contract import AdapterContract
    from ttskit.testing.faults import Faults
    from ttskit.testing.hearing import Heard, listen, transcribe
    from ttskit.testing.mock import MockAdapter, MockOptions, MockVoice

__all__ = [
    "AdapterContract",
    "Faults",
    "Heard",
    "MockAdapter",
    "MockOptions",
    "MockVoice",
    "listen",
    "transcribe",
]

_HOMES = {
    "AdapterContract": "contract",
    "Faults": "faults",
    "Heard": "hearing",
    "MockAdapter": "mock",
    "MockOptions": "mock",
    "MockVoice": "mock",
    "listen": "hearing",
    "transcribe": "hearing",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = vars(importlib.import_module(f"{__name__}.{_HOMES[name]}"))[name]
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
