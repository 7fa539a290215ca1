"""What can be told of the engine from inside its process only, as one line of JSON.

``python -m tests.engines.chatterbox_findings FOLDER``: writes small models there and looks.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import perth

from tests.engines.chatterbox_tiny import WRITTEN, shrink, write
from ttskit.adapters import chatterbox_model
from ttskit.adapters.chatterbox_engine import ChatterboxEngine
from ttskit.errors import TTSError
from ttskit.resources.engine import EngineJob


def main(folder: Path) -> None:
    """Say when the models are written, then print the findings."""
    for kind in ("english", "multilingual", "turbo"):
        write(kind, folder / kind)
    print(WRITTEN, flush=True)  # noqa: T201
    write("turbo", folder / "endless", steps=None)
    shutil.copytree(folder / "english", folder / "mute")
    (folder / "mute" / "conds.pt").unlink()
    shrink()
    found = _endless(folder) | _mute(folder) | _hooks(folder) | _watermark(folder) | _code(folder)
    print(json.dumps(found))  # noqa: T201


def _endless(folder: Path) -> dict[str, Any]:
    engine = _engine(folder, "turbo", "endless")
    stop = threading.Event()
    stop.set()
    return {
        "stopped": len(list(engine.synthesize(EngineJob("Hello."), stop))),
        "short": chatterbox_model._endless("Hello.").message,
        "long": _error(engine, EngineJob("Hello, says the fox to the hen. " * 8)),
    }


def _mute(folder: Path) -> dict[str, Any]:
    engine = _engine(folder, "english", "mute")
    return {"voices": len(engine.voices()), "mute": _error(engine, EngineJob("Hello."))}


def _hooks(folder: Path) -> dict[str, Any]:
    engine = _engine(folder, "multilingual", "multilingual")
    counted = []
    for _ in range(3):
        list(engine.synthesize(EngineJob("Hello.", seed=1), threading.Event()))
        assert engine._model is not None
        layers = engine._model._loaded.t3.tfmr.layers
        counted.append(sum(len(layer.self_attn._forward_hooks) for layer in layers))
    return {"hooks": counted}


def _watermark(folder: Path) -> dict[str, Any]:
    engine = _engine(folder, "english", "english")
    (said,) = engine.synthesize(EngineJob("Hello.", seed=1), threading.Event())
    marks = perth.PerthImplicitWatermarker().get_watermark(said.samples, said.sample_rate)
    return {"watermark": float(marks.mean())}


class _Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._path),)


def _code(folder: Path) -> dict[str, Any]:
    made = folder / "it-ran"
    shutil.copytree(folder / "english", folder / "code")
    (folder / "code" / "conds.pt").write_bytes(pickle.dumps({"t3": _Code(made), "gen": {}}))
    error = _error(_engine(folder, "english", "code"), EngineJob("Hello."))
    return {"code": error, "it ran": made.exists()}


def _engine(folder: Path, kind: str, model: str) -> ChatterboxEngine:
    return ChatterboxEngine(kind=kind, model=str(folder / model), device="cpu")


def _error(engine: ChatterboxEngine, job: EngineJob) -> str:
    try:
        list(engine.synthesize(job, threading.Event()))
    except TTSError as error:
        return f"{error.code}: {error.message}"
    return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
