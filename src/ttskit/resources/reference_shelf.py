"""Normalised samples of voices, kept on disk by what they were made from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from ttskit.codecs.wav import HEADER_BYTES, PCM_BYTES, wav_header
from ttskit.errors import TTSError
from ttskit.files import read_whole, write_atomically
from ttskit.resources.shelf import user_cache

LARGEST_FILE = 64 * 1024 * 1024
_DIGITS = 32
"""Hexadecimal digits of each of the two hashes in a file's name."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Reference:
    """A sample of the voice to speak like, checked and normalised.

    While somebody holds it, its file is not the one that gives way to newer ones.
    """

    path: Path
    """A WAV file of 16 bits, mono."""
    digest: str
    """Of the file's content: the same for the same sound, wherever it came from."""
    seconds: float
    sample_rate: int
    """Hz."""

    @property
    def name(self) -> str:
        """What stands for a voice's id on records."""
        return f"reference-{self.digest[:12]}"


class ReferenceShelf:
    """A directory of samples, each named by a hash of its source and one of its own content.

    So an entry that was damaged or tampered with is told from a good one, and made anew. Everything
    blocks: call it from a thread.

    Args:
        folder: Where; None: the user's cache directory.
        max_bytes: Of all entries. What was used longest ago goes first.
        sample_rate: Of the samples, Hz.
    """

    def __init__(self, folder: Path | None, *, max_bytes: int, sample_rate: int) -> None:
        self._folder = folder or user_cache("references")
        self._max_bytes = max_bytes
        self._sample_rate = sample_rate
        self._lock = threading.Lock()
        self._in_use: WeakValueDictionary[str, Reference] = WeakValueDictionary()

    def find(self, source: bytes, *, recipe: str) -> Reference | None:
        """Return what was kept for a source, or None.

        Args:
            source: The content of the caller's file.
            recipe: How it would be normalised now.
        """
        key = _key(source, recipe)
        with self._lock:
            for name in self._names():
                if name.startswith(key):
                    found = self._checked(name)
                    if found is not None:
                        return found
        return None

    def keep(self, source: bytes, pcm: bytes, *, recipe: str) -> Reference:
        """Keep a normalised sample and return it.

        Args:
            source: The content of the caller's file.
            pcm: 16-bit PCM, mono.
            recipe: How it was normalised.

        Raises:
            StorageFullError: The disk has no room.
            TTSError: The directory cannot be written in.
        """
        wav = wav_header(self._sample_rate, 1, len(pcm) // PCM_BYTES) + pcm
        name = f"{_key(source, recipe)}-{_digest(wav)}.wav"
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(self._folder / name, wav, within=self._folder, private=True)
            kept = self._lent(name, len(wav))
            self._make_room()
        return kept

    def _checked(self, name: str) -> Reference | None:
        """Return the entry if it is what its name says; else remove it."""
        path = self._folder / name
        try:
            wav = read_whole(path, max_bytes=LARGEST_FILE, within=[self._folder])
        except TTSError:
            wav = b""
        if len(wav) <= HEADER_BYTES or name != f"{name[:_DIGITS]}-{_digest(wav)}.wav":
            _remove(path)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return self._lent(name, len(wav))

    def _lent(self, name: str, size: int) -> Reference:
        seconds = (size - HEADER_BYTES) / PCM_BYTES / self._sample_rate
        digest = name.removesuffix(".wav").rpartition("-")[2]
        return self._in_use.setdefault(
            name, Reference(self._folder / name, digest, seconds, self._sample_rate)
        )

    def _make_room(self) -> None:
        """Remove the entries used longest ago until the rest is within the bound."""
        entries = []
        for name in self._names():
            with contextlib.suppress(OSError):
                status = (self._folder / name).stat(follow_symlinks=False)
                entries.append((status.st_mtime, name, status.st_size))
        total = sum(size for _, _, size in entries)
        for _, name, size in sorted(entries):
            if total <= self._max_bytes:
                return
            if name not in self._in_use:
                _remove(self._folder / name)
                total -= size

    def _names(self) -> list[str]:
        with contextlib.suppress(OSError):
            return [path.name for path in self._folder.iterdir() if path.suffix == ".wav"]
        return []


def _key(source: bytes, recipe: str) -> str:
    return _digest(recipe.encode() + b"\n" + hashlib.sha256(source).digest())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
