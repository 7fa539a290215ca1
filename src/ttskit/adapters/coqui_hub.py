"""Models of Coqui's own list: found on disk, or downloaded where that is allowed.

Imports Coqui: import it where it is used. Read: coqui-tts 0.28.0, ``manage.py``. Its list names no
hashes. What comes from the hub, the hub's own client keeps by content and checks.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from ttskit.adapters.coqui_download import failures, fetch, sole, unpack, unpack_tar
from ttskit.adapters.coqui_files import (
    CONFIG,
    TORTOISE,
    CoquiFiles,
    fairseq_language,
    is_hub_name,
    is_whole,
    local_files,
    settings_in,
    tortoise_lacks,
)
from ttskit.adapters.coqui_kinds import hub_kind
from ttskit.adapters.hub import snapshot
from ttskit.errors import ConfigurationError, ModelLoadError
from ttskit.files import write_atomically
from ttskit.resources.downloads import Progress

if TYPE_CHECKING:
    from TTS.utils.manage import ModelManager

_LOGGER = logging.getLogger(__name__)
FAIRSEQ_URL = "https://dl.fbaipublicfiles.com/mms/tts"
_FAIRSEQ_LICENCE = "CC BY-NC 4.0"
"""As ``manage.py`` has them, within functions."""


def hub_files(
    model: str,
    *,
    vocoder: str | None = None,
    downloads: bool = False,
    agreed: bool = False,
    manager: ModelManager | None = None,
    fairseq: str = FAIRSEQ_URL,
) -> CoquiFiles:
    """Return the files of a model on Coqui's list, and those of its vocoder.

    Args:
        model: Such as ``tts_models/en/ljspeech/vits``.
        vocoder: A path, or another name; None: the one that the list gives.
        downloads: What is not on disk may be fetched.
        agreed: The user has read the licence, where it has to be agreed to.
        manager: Coqui's own; None: with its own list and folder.
        fairseq: Where the archives of MMS are, which the list leaves out: it has them by language.

    Raises:
        ConfigurationError: The list has no such model, or its licence is not agreed to.
        ModelLoadError: It is not on disk, and cannot be fetched.
        StorageFullError: The disk has no room for it.
    """
    if manager is None:
        from TTS.utils.manage import ModelManager

        manager = ModelManager(progress_bar=False)
    shelf = _Hub(manager, downloads=downloads, agreed=agreed, fairseq=fairseq)
    chosen = vocoder or shelf.item(model).get("default_vocoder")
    own = shelf.folder(model)
    if hub_kind(model) == TORTOISE:
        return CoquiFiles(model, own, shelf.settings(model))
    sound = chosen
    if chosen and is_hub_name(str(chosen)):
        sound = str(shelf.folder(str(chosen)))
    files = local_files(str(own), vocoder=str(sound) if sound else None)
    return CoquiFiles(model, files.checkpoint, files.config, files.vocoder, files.vocoder_config)


def hub_piece(url: str, place: Path, *, downloads: bool) -> Path:
    """Return a file that several of Coqui's models need besides their own.

    Args:
        url: Where Coqui has it.
        place: Where Coqui keeps it on disk.
        downloads: It may be fetched.

    Raises:
        ModelLoadError: It is not on disk, and cannot be fetched.
        StorageFullError: The disk has no room for it.
    """
    if place.is_file():
        return place
    _require(place.name, downloads=downloads, otherwise="put it beside the model's settings")
    with failures(place.name), sole(place, place.name):
        if not place.is_file():
            _LOGGER.info("downloading %s", place.name)
            with Progress(place.name) as arrived:
                fetch(url, place, arrived)
    return place


def _require(name: str, *, downloads: bool, otherwise: str) -> None:
    if not downloads:
        raise ModelLoadError(
            f"{name} is not on disk, and downloads are off; resources: {{downloads: true}} "
            f"allows them, or {otherwise}"
        )


class _Hub:
    """Coqui's list, and what may be done with it."""

    def __init__(
        self, manager: ModelManager, *, downloads: bool, agreed: bool, fairseq: str
    ) -> None:
        self._manager = manager
        self._downloads = downloads
        self._agreed = agreed
        self._fairseq = fairseq

    def item(self, name: str) -> Mapping[str, object]:
        """Return what the list says of a model.

        Raises:
            ConfigurationError: It has no such model.
        """
        language = fairseq_language(name)
        if language is not None:
            return {"license": _FAIRSEQ_LICENCE, "tarball": f"{self._fairseq}/{language}.tar.gz"}
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
        if there is not None:
            return there
        _require(name, downloads=self._downloads, otherwise="set model to a path")
        with failures(name, *_hub_errors()):
            if "repo_id" in item:
                self._fetch_repository(name, item)
            else:
                self._fetch_archive(name, item)
        there = self._on_disk(name, item)
        if there is None:
            raise ModelLoadError(f"what was downloaded of {name} is no model")
        return there

    def settings(self, name: str) -> Path:
        """Return settings of Tortoise, which has none of its own: where Coqui has them, too."""
        path = self._own_folder(name) / CONFIG
        with failures(name):
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, json.dumps({"model": TORTOISE}).encode())
        return path

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
        folder = _snapshot(item) if "repo_id" in item else self._own_folder(name)
        if folder is not None and hub_kind(name) == TORTOISE:
            return folder if tortoise_lacks(folder) is None else None
        settings = None if folder is None else settings_in(folder)
        return settings.parent if settings and is_whole(settings.parent) else None

    def _fetch_repository(self, name: str, item: Mapping[str, object]) -> None:
        _tell_licence(name, item)
        wanted = _wanted(item)
        snapshot(name, repo_id=str(wanted.pop("repo_id")), **wanted)

    def _fetch_archive(self, name: str, item: Mapping[str, object]) -> None:
        """Fetch a release into a folder that gets its name when it is whole."""
        from TTS.utils.manage import ModelManager

        folder = self._own_folder(name)
        with sole(folder, name):
            if self._on_disk(name, item) is not None:
                return  # another process was sooner
            _tell_licence(name, item)
            room = folder.with_name(f".{folder.name}.part")
            shutil.rmtree(room, ignore_errors=True)  # of a process that was killed
            try:
                staged = ModelManager(output_prefix=room, progress_bar=False)
                staged.models_dict = self._manager.models_dict
                whole = Path(staged.output_prefix) / folder.name
                whole.mkdir(parents=True)
                url = item.get("github_rls_url") or item.get("tarball")
                if url is not None:
                    archive = room / "archive"
                    with Progress(name) as arrived:
                        fetch(str(url), archive, arrived)
                    (unpack_tar if "tarball" in item else unpack)(archive, whole)
                if "tarball" not in item:
                    staged.download_model(name)  # it is there: Coqui makes its settings fit it
                # What an earlier download of Coqui's left unfinished, Coqui would take for whole.
                shutil.rmtree(folder, ignore_errors=True)
                whole.replace(folder)
            finally:
                shutil.rmtree(room, ignore_errors=True)


def _wanted(item: Mapping[str, object]) -> dict[str, object]:
    return {
        "repo_id": item["repo_id"],
        "allow_patterns": item.get("allow"),
        "ignore_patterns": item.get("ignore"),
    }


def _snapshot(item: Mapping[str, object]) -> Path | None:
    """Return where a repository of the hub lies on disk; asks nobody."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(**_wanted(item), local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _hub_errors() -> tuple[type[Exception], ...]:
    """Return what the hub's client lets through of the HTTP library below it, whichever it is."""
    from huggingface_hub.errors import HfHubHTTPError

    return tuple(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")


def _tell_licence(name: str, item: Mapping[str, object]) -> None:
    _LOGGER.info("downloading %s (licence: %s)", name, item.get("license") or "not known")


def _licence_page(item: Mapping[str, object]) -> str:
    from TTS.utils.manage import LICENSE_URLS

    return str(LICENSE_URLS.get(str(item.get("license")).lower(), "it"))
