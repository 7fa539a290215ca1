"""Where a model of Chatterbox lies on disk, found without loading anything heavy."""

from __future__ import annotations

from pathlib import Path

from ttskit.adapters.chatterbox_kinds import Kind
from ttskit.errors import ModelLoadError


def find_files(kind: Kind, folder: Path | None, *, downloads: bool) -> Path:
    """Return the folder with a model's files.

    Args:
        kind: Which model.
        folder: The configured one; None: that of the hub's cache.
        downloads: What the cache lacks may be fetched.

    Raises:
        ModelLoadError: They are not there.
    """
    files = _hub_folder(kind, downloads=downloads) if folder is None else folder
    lacking = [name for name in kind.needed if not (files / name).is_file()]
    if lacking:
        raise ModelLoadError(f"the model's folder lacks {', '.join(lacking)}")
    return files


def _hub_folder(kind: Kind, *, downloads: bool) -> Path:
    from huggingface_hub import snapshot_download  # comes with Chatterbox

    try:
        return Path(
            snapshot_download(
                kind.repository,
                allow_patterns=list(kind.fetched),
                local_files_only=not downloads,
            )
        )
    except (OSError, ValueError) as error:  # what huggingface_hub raises is one of the two
        remedy = "is the hub to be reached?" if downloads else "set resources.downloads: true"
        raise ModelLoadError(
            f"{kind.repository} is not on disk and was not fetched ({type(error).__name__}); "
            f"{remedy}, or set model to a folder with its files"
        ) from error
