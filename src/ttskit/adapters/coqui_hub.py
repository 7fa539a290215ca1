"""Models of Coqui's own list: found on disk, or downloaded where that is allowed.

Imports Coqui: import it where it is used. Read: coqui-tts 0.28.0, ``manage.py``.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import zipfile
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from ttskit.adapters.coqui_files import CONFIG, CoquiFiles, find_weights, is_hub_name, local_files
from ttskit.errors import ConfigurationError, ModelLoadError

if TYPE_CHECKING:
    from TTS.utils.manage import ModelManager

_LOGGER = logging.getLogger(__name__)
_AGREED = "tos_agreed.txt"
"""The file by which Coqui knows that somebody agreed; without it, it asks on the terminal."""
_PROGRESS_S = 5.0
"""Seconds between two lines of the log about a download."""
_MB = 1_000_000


def hub_files(
    model: str,
    *,
    vocoder: str | None = None,
    downloads: bool = False,
    agreed: bool = False,
    manager: ModelManager | None = None,
) -> CoquiFiles:
    """Return the files of a model on Coqui's list, and those of its vocoder.

    Args:
        model: Such as ``tts_models/en/ljspeech/vits``.
        vocoder: A path, or another name; None: the one that the list gives.
        downloads: What is not on disk may be fetched.
        agreed: The user has read the licence, where it has to be agreed to.
        manager: Coqui's own; None: with its own list and folder.

    Raises:
        ConfigurationError: The list has no such model, or its licence is not agreed to.
        ModelLoadError: It is not on disk, and cannot be fetched.
    """
    if manager is None:
        from TTS.utils.manage import ModelManager

        manager = ModelManager(progress_bar=False)
    shelf = _Hub(manager, downloads=downloads, agreed=agreed)
    chosen = vocoder or shelf.item(model).get("default_vocoder")
    sound = chosen
    if chosen and is_hub_name(str(chosen)):
        sound = str(shelf.folder(str(chosen)))
    files = local_files(str(shelf.folder(model)), vocoder=str(sound) if sound else None)
    return CoquiFiles(model, files.checkpoint, files.config, files.vocoder, files.vocoder_config)


class _Hub:
    """Coqui's list, and what may be done with it."""

    def __init__(self, manager: ModelManager, *, downloads: bool, agreed: bool) -> None:
        self._manager = manager
        self._downloads = downloads
        self._agreed = agreed

    def item(self, name: str) -> Mapping[str, object]:
        """Return what the list says of a model.

        Raises:
            ConfigurationError: It has no such model.
        """
        found: object = self._manager.models_dict
        for part in name.split("/"):
            found = found.get(part) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            near = get_close_matches(name, self._names(), n=3) or ["tts_models/en/ljspeech/vits"]
            raise ConfigurationError(
                f"Coqui's list has no model {name[:80]!r}; nearest: {', '.join(near)}"
            )
        return found

    def folder(self, name: str) -> Path:
        """Return the folder of a model, fetched where that is needed and allowed."""
        item = self.item(name)
        if item.get("tos_required") and not self._agreed:
            raise ConfigurationError(
                f"{name} is under the licence {item.get('license')}, which has to be agreed to; "
                f"read {_licence_page(item)} and set agree_to_licence: true"
            )
        there = self._on_disk(name, item)
        if there is None and not self._downloads:
            raise ModelLoadError(
                f"{name} is not on disk, and downloads are off; resources: {{downloads: true}} "
                "allows them, or set model to a path"
            )
        return there or self._fetched(name, item)

    def _names(self) -> list[str]:
        return [
            f"{kind}/{language}/{dataset}/{model}"
            for kind, languages in self._manager.models_dict.items()
            for language, datasets in languages.items()
            for dataset, models in datasets.items()
            for model in models
        ]

    def _own_folder(self, name: str) -> Path:
        return Path(self._manager.output_prefix) / name.replace("/", "--")

    def _on_disk(self, name: str, item: Mapping[str, object]) -> Path | None:
        folder: Path | None = self._own_folder(name)
        if "repo_id" in item:
            folder = _snapshot(str(item["repo_id"]))
        whole = folder is not None and find_weights(folder) and (folder / CONFIG).is_file()
        return folder if whole else None

    def _fetched(self, name: str, item: Mapping[str, object]) -> Path:
        folder = self._own_folder(name)
        # What an earlier download left unfinished, Coqui would take for the whole.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if item.get("tos_required"):
            (folder / _AGREED).write_text("agree_to_licence: true\n")
        _LOGGER.info("downloading %s (licence: %s)", name, item.get("license") or "not known")
        try:
            with _told(name, folder):
                if "repo_id" not in item:
                    self._manager.create_dir_and_download_model(name, dict(item), folder)
                self._manager.download_model(name)
        except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            # Failures of requests and of the hub's own client are OSErrors.
            shutil.rmtree(folder, ignore_errors=True)
            raise ModelLoadError(
                f"{name} could not be downloaded ({type(error).__name__}); is there a network?"
            ) from error
        there = self._on_disk(name, item)
        if there is None:
            raise ModelLoadError(f"what was downloaded of {name} is no model")
        return there


def _snapshot(repository: str) -> Path | None:
    """Return where a repository of the hub lies on disk; asks nobody."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _licence_page(item: Mapping[str, object]) -> str:
    from TTS.utils.manage import LICENSE_URLS

    return str(LICENSE_URLS.get(str(item.get("license")).lower(), "it"))


@contextlib.contextmanager
def _told(name: str, folder: Path) -> Iterator[None]:
    """Say in the log how much of a download has arrived, and in the end that all has."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_PROGRESS_S):
            _LOGGER.info("downloading %s: %d MB so far", name, _size(folder) // _MB)

    watching = threading.Thread(target=watch, name="coqui download", daemon=True)
    watching.start()
    try:
        yield
        _LOGGER.info("downloaded %s: %d MB", name, _size(folder) // _MB)
    finally:
        is_over.set()
        watching.join()


def _size(folder: Path) -> int:
    with contextlib.suppress(OSError):  # a file may be renamed meanwhile
        return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
    return 0
