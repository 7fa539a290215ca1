"""What the tests of transformers share: each family's rate, and speech of an engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ttskit.adapters.transformers_engine import TransformersEngine
from ttskit.codecs.pcm import Samples
from ttskit.resources.engine import EngineJob

TEXT = "hello world."
RATES = {
    "bark": 24_000,
    "csm": 24_000,
    "dia": 44_100,
    "gradium_phonon_tts": 24_000,
    "higgs_audio_v2": 24_000,
    "pocket_tts": 24_000,
    "speecht5": 16_000,
    "vibevoice": 24_000,
    "vits": 16_000,
}
ONE_BY_ONE = [
    pytest.param(name, marks=pytest.mark.engine("torchaudio") if "higgs" in name else ())
    for name in RATES
]

MakeCheckpoint = Callable[[str], Path]
MakeEngine = Callable[..., TransformersEngine]


def say(engine: TransformersEngine, text: str = TEXT, **more: object) -> Samples:
    job = EngineJob(text, **{"seed": 7, **more})  # type: ignore[arg-type]
    return np.concatenate([c.samples for c in engine.synthesize(job, threading.Event())])
