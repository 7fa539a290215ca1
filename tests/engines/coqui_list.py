"""A list of models as Coqui's own is, its archives on a server of this machine."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from ttskit.adapters.coqui_files import CoquiFiles
from ttskit.resources.engine import Engine, EngineChunk, EngineJob
from ttskit.voices import Voice

if TYPE_CHECKING:
    from TTS.utils.manage import ModelManager

NAME = "tts_models/en/tiny/vits"


def make_archive(folder: Path) -> bytes:
    """Return a release: the files of a folder, in a folder of the archive as Coqui's are."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"tts_models--en--tiny--vits/{file.name}")
    return packed.getvalue()


def write_list(folder: Path, items: Mapping[str, Mapping[str, object]]) -> Path:
    """Write a list of models by their names; return its path."""
    models: dict[str, dict[str, dict[str, dict[str, object]]]] = {}
    for name, item in items.items():
        kind, language, dataset, model = name.split("/")
        plain = {"default_vocoder": None, "license": "MIT", **item}
        models.setdefault(kind, {}).setdefault(language, {}).setdefault(dataset, {})[model] = plain
    path = folder / "list.json"
    path.write_text(json.dumps(models))
    return path


def manager_of(listed: Path) -> ModelManager:
    """Return Coqui's manager of a list, which keeps models beside it."""
    from TTS.utils.manage import ModelManager

    return ModelManager(models_file=listed, output_prefix=listed.parent)


def found(listed: str, *, downloads: bool = True) -> CoquiFiles:
    """Return the files of ``NAME``; what other processes are told to run."""
    from ttskit.adapters.coqui_hub import hub_files

    return hub_files(NAME, downloads=downloads, manager=manager_of(Path(listed)))


class FetchingEngine(Engine):
    """Loads a model of a list, and says nothing."""

    def __init__(self, listed: str) -> None:
        self._listed = listed

    @override
    def load(self) -> None:
        found(self._listed)

    @override
    def voices(self) -> list[Voice]:
        return []

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        del job, stop
        return iter(())
