"""The kit for tests of code that speaks: a mock provider, its ears, faults, a contract to pass.

Names are loaded when they are first used, so that the pytest plugin costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ttskit.testing.census import Census, LeakError
    from ttskit.testing.clock import virtual_backend, virtual_time
    from ttskit.testing.contract import AdapterContract
    from ttskit.testing.faults import Faults
    from ttskit.testing.hearing import Heard, listen, transcribe
    from ttskit.testing.mock import MockAdapter, MockOptions, MockVoice
    from ttskit.testing.pushback import RetryAfter, http_date, retry_after_headers
    from ttskit.testing.server import FaultyServer
    from ttskit.testing.sweep import CancelSweep, SweepError, SweepReport
    from ttskit.testing.wire import Ending, Framing, Received, Reply

__all__ = [
    "AdapterContract",
    "CancelSweep",
    "Census",
    "Ending",
    "Faults",
    "FaultyServer",
    "Framing",
    "Heard",
    "LeakError",
    "MockAdapter",
    "MockOptions",
    "MockVoice",
    "Received",
    "Reply",
    "RetryAfter",
    "SweepError",
    "SweepReport",
    "http_date",
    "listen",
    "retry_after_headers",
    "transcribe",
    "virtual_backend",
    "virtual_time",
]

_HOMES = {
    "AdapterContract": "contract",
    "CancelSweep": "sweep",
    "Census": "census",
    "Ending": "wire",
    "Faults": "faults",
    "FaultyServer": "server",
    "Framing": "wire",
    "Heard": "hearing",
    "LeakError": "census",
    "MockAdapter": "mock",
    "MockOptions": "mock",
    "MockVoice": "mock",
    "Received": "wire",
    "Reply": "wire",
    "RetryAfter": "pushback",
    "SweepError": "sweep",
    "SweepReport": "sweep",
    "http_date": "pushback",
    "listen": "hearing",
    "retry_after_headers": "pushback",
    "transcribe": "hearing",
    "virtual_backend": "clock",
    "virtual_time": "clock",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = vars(importlib.import_module(f"{__name__}.{_HOMES[name]}"))[name]
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
