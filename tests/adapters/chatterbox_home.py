"""Small models of Chatterbox, and another interpreter in which they run."""

from __future__ import annotations

import functools
import io
import json
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.engines.chatterbox_tiny import WRITTEN, TinyChatterbox
from ttskit.adapters.chatterbox import ChatterboxOptions

ROOT = Path(__file__).parents[2]
RATE = 24_000


@dataclass(frozen=True)
class Home:
    """Where everything is."""

    python: Path
    models: Path
    """A folder for each model, by its kind."""
    program: subprocess.Popen[str]
    """``tests.engines.chatterbox_findings``, which has written the models and looks at them now."""
    complaints: Path
    """Of that program."""

    @functools.cached_property
    def findings(self) -> Mapping[str, Any]:
        """What that program found."""
        assert self.program.stdout is not None
        told = self.program.stdout.readlines()
        assert self.program.wait() == 0, self.complaints.read_text()[-3000:]
        return dict(json.loads(told[-1]))

    def adapter(self, kind: str, name: str | None = None, **options: object) -> TinyChatterbox:
        """Return the provider of one model, by the model's name unless another is given."""
        given = {"kind": kind, "model": self.models / kind, "device": "cpu"} | options
        made = ChatterboxOptions.model_validate({"python": self.python} | given)
        return TinyChatterbox(made, provider=name or kind)


@contextmanager
def make_home(folder: Path) -> Iterator[Home]:
    """Make an environment beside this one, and in it the models."""
    python = make_environment(folder / "environment", [*sys.path, str(ROOT)])
    models = folder / "models"
    arguments = ["-W", "ignore", "-m", "tests.engines.chatterbox_findings", str(models)]
    complaints = folder / "complaints.txt"
    with (
        complaints.open("w") as stderr,
        subprocess.Popen(
            [str(python), *arguments], stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as program,
    ):
        try:
            assert program.stdout is not None
            assert f"{WRITTEN}\n" in program.stdout, complaints.read_text()[-3000:]
            yield Home(python, models, program, complaints)
        finally:
            program.kill()


def make_environment(folder: Path, paths: list[str]) -> Path:
    """Return the interpreter of a new environment that finds modules in these places as well."""
    venv.create(folder, symlinks=sys.platform != "win32")
    (site,) = folder.glob("**/site-packages")
    (site / "others.pth").write_text("\n".join(path for path in paths if path))
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def sample(pitch: float, seconds: float = 6.0) -> bytes:
    """Return a WAV file with somebody's sample: a buzz that goes up and down."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.2 * np.sin(2 * np.pi * 2 * time))) / RATE
    buzz = sum(np.sin(n * phase) / n for n in range(1, 12))
    sound = 0.1 * buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time))
    file = io.BytesIO()
    soundfile.write(file, sound.astype(np.float32), RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def lay_out_hub(folder: Path, repository: str, files: Path) -> None:
    """Lay files out as the hub's cache in the folder has them."""
    place = folder / "hub" / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40)
    (place / "snapshots").mkdir()
    (place / "snapshots" / ("0" * 40)).symlink_to(files, target_is_directory=True)
