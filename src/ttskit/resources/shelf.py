"""Lists that providers are asked for seldom, kept on disk with the time they were made."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ttskit.errors import TTSError
from ttskit.files import write_atomically
from ttskit.voices import Gender, Voice

VERSION = 1
"""Of the files; one that another version wrote is not read."""
LARGEST_FILE = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Shelved:
    """A list of voices and when the provider gave it."""

    voices: tuple[Voice, ...]
    written: float
    """Unix seconds."""


class Shelf:
    """Voice lists of cloud providers in a directory, one file each.

    Reading and writing block: call it from a thread. What cannot be read is as good as not there,
    and what cannot be written is not kept.

    Args:
        folder: Where; None: ``default_folder()``.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or default_folder()

    def read(self, key: str) -> Shelved | None:
        """Return the list kept under a key, or None."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            path = self._path(key)
            if path.stat().st_size > LARGEST_FILE:
                return None
            kept = json.loads(path.read_bytes())
            if kept["version"] == VERSION:
                voices = tuple(_voice(one) for one in kept["voices"])
                return Shelved(voices, float(kept["written"]))
        return None

    def write(self, key: str, voices: list[Voice]) -> Shelved:
        """Keep a list under a key, as of now, and return it."""
        shelved = Shelved(tuple(voices), time.time())
        kept = {
            "version": VERSION,
            "written": shelved.written,
            "voices": [asdict(voice) for voice in voices],
        }
        with contextlib.suppress(OSError, TTSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(self._path(key), json.dumps(kept).encode(), within=self._folder)
        return shelved

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def shelf_key(provider: str, options: str) -> str:
    """Return the name of a provider's file: another account or address has another one.

    Args:
        provider: The configured name.
        options: Everything that its voices depend on, the key included; a hash of it is kept.
    """
    plain = "".join(one if one.isalnum() else "-" for one in provider)
    return f"{plain}-{hashlib.sha256(options.encode()).hexdigest()[:24]}"


def default_folder() -> Path:
    """Return the user's cache directory for voice lists."""
    return user_cache("voices")


def user_cache(kind: str) -> Path:
    """Return the user's own directory for one kind of thing that can be made again.

    Source: XDG Base Directory Specification; Apple's and Microsoft's own places elsewhere.
    """
    if sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "ttskit" / kind


def _voice(kept: dict[str, object]) -> Voice:
    """Return a voice as it was kept.

    Raises:
        ValueError: Something in it is none of a voice.
    """
    texts = {name: kept[name] for name in ("id", "provider", "name", "description")}
    languages, styles, rate = kept["languages"], kept["styles"], kept["sample_rate"]
    if not (
        all(isinstance(text, str) for text in texts.values())
        and isinstance(languages, list)
        and isinstance(styles, list)
        and isinstance(rate, int | None)
    ):
        raise ValueError("no voice")
    return Voice(
        languages=tuple(map(str, languages)),
        gender=Gender(str(kept["gender"])),
        styles=tuple(map(str, styles)),
        sample_rate=rate,
        cloned=bool(kept["cloned"]),
        **texts,  # type: ignore[arg-type] # they are strings
    )
