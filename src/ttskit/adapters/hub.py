"""Models of the Hugging Face hub on this disk, with word of how much has come.

Read: huggingface_hub 2.4, which is optional and slow to import.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ttskit.resources.downloads import Progress, size_of


def snapshot(name: str, *, repo_id: str, **wanted: object) -> Path:
    """Return the folder with a repository's files, after those that are not there were fetched.

    Args:
        name: Of the model, for events and the log.
        repo_id: Of the repository.
        wanted: As of ``huggingface_hub.snapshot_download``.

    Raises:
        Exception: What that function raises.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.file_download import repo_folder_name

    repository = repo_folder_name(repo_id=repo_id, repo_type="model")
    blobs = Path(constants.HF_HUB_CACHE) / repository / "blobs"
    with Progress(name, lambda: size_of(blobs)), _without_bars():
        return Path(snapshot_download(repo_id, **wanted))


@contextmanager
def _without_bars() -> Iterator[None]:
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
