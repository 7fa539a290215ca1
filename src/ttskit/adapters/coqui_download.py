"""Files from the network for Coqui's models: whole or not at all, and once for all processes.

Coqui's own downloads wait for ever on a silent server, take a web page for a model, leave halves
behind, and remove folders that an archive names. Read: coqui-tts 0.28.0, ``manage.py``.
"""

from __future__ import annotations

import errno
import gzip
import logging
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from ttskit.errors import ModelLoadError, StorageFullError
from ttskit.resources.downloads import Progress

_LOGGER = logging.getLogger(__name__)
CONNECT_S, SILENCE_S = 10.0, 30.0
"""A server that does not answer, or sends nothing more, for so long is given up."""
_BLOCK = 1 << 20
_OUTSIDE = "the archive names files outside itself"
_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


class Refused(Exception):  # noqa: N818 - why a download is none; becomes one of our errors
    """What came is not what was asked for; the words go to the caller."""


def fetch(url: str, path: Path, arrived: Progress) -> None:
    """Write what an address holds to a file of that path, which is there only if all of it came.

    Args:
        url: Redirections are followed, but never from ``https`` to less.
        path: In a folder that exists.
        arrived: Is told of each piece.

    Raises:
        OSError: The network or the disk failed; requests' own failures are such.
        Refused: The server did not send it.
    """
    import requests  # Coqui's own; it knows the user's proxies and certificates

    part = path.with_name(f"{path.name}.part")
    waits = (CONNECT_S, SILENCE_S)
    try:
        with requests.get(url, stream=True, timeout=waits) as reply, part.open("wb") as file:
            hops = [hop.url for hop in (*reply.history, reply)]
            if url.startswith("https:") and not all(hop.startswith("https:") for hop in hops):
                raise Refused("the server sends it over a connection that is not encrypted")
            if not reply.ok:
                raise Refused(f"the server says {reply.status_code}")
            arrived.expect(int(reply.headers.get("content-length", 0)))
            for block in reply.iter_content(_BLOCK):
                file.write(block)
                arrived.add(len(block))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def unpack(archive: Path, folder: Path) -> None:
    """Write the files of a zip archive into one folder, without their own folders, as Coqui does.

    Raises:
        Refused: It is no archive, is damaged, or names what lies outside.
        OSError: The disk failed.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            files = [info for info in content.infolist() if not info.is_dir()]
            for info in content.infolist():
                _check_inside(info)
            for info in files:
                _take_out(content.open(info), info.filename, folder)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise Refused("what came is no zip archive, or a damaged one") from error


def unpack_tar(archive: Path, folder: Path) -> None:
    """Write the files of a tar archive into one folder, without their own folders, as Coqui does.

    Raises:
        Refused: It is no archive, is damaged, or names what lies outside.
        OSError: The disk failed.
    """
    try:
        with tarfile.open(archive) as content:
            for member in content:
                if not (member.isfile() or member.isdir()) or _leads_out(member.name):
                    raise Refused(_OUTSIDE)
                packed = content.extractfile(member)
                if packed is not None:  # no folder
                    _take_out(packed, member.name, folder)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Refused("what came is no tar archive, or a damaged one") from error


def _take_out(packed: IO[bytes], name: str, folder: Path) -> None:
    """Write a file of an archive into the folder, without the folders in its name."""
    with packed, (folder / PurePosixPath(name).name).open("wb") as file:
        shutil.copyfileobj(packed, file, _BLOCK)


def _check_inside(info: zipfile.ZipInfo) -> None:
    if _leads_out(info.orig_filename) or stat.S_ISLNK(info.external_attr >> 16):
        raise Refused(_OUTSIDE)


def _leads_out(name: str) -> bool:
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    leads_out = windows.drive or windows.root or posix.is_absolute() or ".." in windows.parts
    return bool(leads_out) or "\0" in name


@contextmanager
def sole(place: Path, name: str) -> Iterator[None]:
    """Hold what one process at a time may do to ``place``; the system frees it for the dead."""
    from filelock import FileLock, Timeout

    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.with_name(f".{place.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _LOGGER.info("%s is being downloaded by another process", name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def failures(name: str, *also: type[Exception]) -> Iterator[None]:
    """Turn what stops a download of ``name`` into our errors.

    Args:
        name: Of the model, for the message.
        also: What else means that the network failed.

    Raises:
        ModelLoadError: It cannot be had.
        StorageFullError: The disk has no room; nothing was left on it.
    """
    stops: tuple[type[Exception], ...] = (OSError, ValueError, *also)
    try:
        yield
    except Refused as error:
        raise ModelLoadError(f"{name} could not be downloaded: {error}") from error
    except stops as error:
        if getattr(error, "errno", None) in _FULL:
            raise StorageFullError(f"the disk has no room for {name}") from error
        raise ModelLoadError(
            f"{name} could not be downloaded ({type(error).__name__}); is there a network?"
        ) from error
