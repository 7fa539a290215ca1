"""Files by the names that callers give: written whole or not at all, and only where allowed.

A file is written without a name (Linux) or under a temporary one in the target's own directory,
synced, and then renamed over the target, so that neither a full disk nor a kill leaves half of it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from ttskit.errors import (
    InvalidParameterError,
    ResourceError,
    StorageFullError,
    TTSError,
    UnsafePathError,
)

StrPath = str | os.PathLike[str]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REPLACED = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENXIO})
"""What opening answers when a link or a file has taken a directory's place, or it is a socket."""
_UNUSABLE = frozenset(
    {errno.ENOENT, errno.EISDIR, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS}
)
_NO_SUPPORT = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})

# Microsoft, "Naming Files, Paths, and Namespaces": these are devices, with any suffix too.
_DEVICE_NAME = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?", re.IGNORECASE)

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link that leads nowhere",
}
_NEW_MODE = 0o644
_KEPT_BITS = 0o755
"""Of an existing file's mode; others never get the right to write."""
_PRIVATE_BITS = 0o600
# Opening a FIFO must not wait for somebody who writes to it, nor a terminal become ours.
_READ_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


def write_atomically(
    path: StrPath, data: bytes, *, within: StrPath | None = None, private: bool = False
) -> Path:
    """Write a whole file, or leave what was there; return its real path.

    Args:
        path: Where to; see ``safe_path``.
        data: The whole content.
        within: The only directory that may be written in; None: any.
        private: Its mode is 0600: nobody else may read it.

    Raises:
        UnsafePathError: The path leaves ``within`` or is no ordinary file.
        InvalidParameterError: The directory does not exist or may not be written in.
        StorageFullError: The disk has no room; the old file is as it was.
        ResourceError: The disk failed otherwise.
    """
    with AtomicFile(path, within=within, private=private) as file:
        file.write(data)
    return file.path


def read_whole(path: StrPath, *, max_bytes: int, within: Sequence[StrPath] | None = None) -> bytes:
    """Return the content of an ordinary file that somebody named.

    It is opened once, and what was opened is what is looked at: whoever swaps it gains nothing.

    Args:
        path: Which. With ``within``, a relative path starts in each of them.
        max_bytes: A larger file is refused.
        within: The directories that may be read from; None: any.

    Raises:
        UnsafePathError: The path leads out of ``within``, or to something that is no ordinary
            file: a directory, a FIFO, a device.
        InvalidParameterError: There is no such file, it may not be read, or it is too large.
        ResourceError: The disk failed otherwise.
    """
    asked = os.fspath(path)
    _check_name(asked, confined=within is not None)
    with _reported(asked, "read"):
        descriptor = _open_to_read(asked, within)
        try:
            _check_ordinary(os.fstat(descriptor).st_mode, asked)
        except UnsafePathError:
            os.close(descriptor)
            raise
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise InvalidParameterError(
            f"{_shown(asked)} is larger than the {max_bytes:,} bytes allowed"
        )
    return data


def safe_path(path: StrPath, within: StrPath | None = None) -> Path:
    """Return the real path of the file to write, with every link followed; nothing is written.

    Args:
        path: Where to. With ``within``, a relative path starts there.
        within: The only directory that may be written in; None: any.

    Raises:
        UnsafePathError: The path leads out of ``within`` (through ``..`` or a link), holds a NUL,
            or names something that is no ordinary file: a directory, a FIFO, a device.
        InvalidParameterError: The directory does not exist or may not be written in.
    """
    return _located(path, within)[0]


class AtomicFile:
    """A file that appears under its name, whole, when the ``with`` block ends without an error.

    Until then, and after any failure, the old file is as it was. Only bytes already complete on
    the disk get the name. A new file's mode is 0644 less the umask; an existing one keeps its mode
    less the right of others to write.

    Args:
        path: Where to; see ``safe_path``.
        within: The only directory that may be written in; None: any.
        private: Its mode becomes 0600.

    Raises:
        UnsafePathError: As ``safe_path``.
        InvalidParameterError: As ``safe_path``.
        StorageFullError: From ``write`` and the end of the block: the disk has no room.
        ResourceError: Likewise: the disk failed otherwise.
    """

    def __init__(
        self, path: StrPath, *, within: StrPath | None = None, private: bool = False
    ) -> None:
        self.path, self._root = _located(path, within)
        self._kept_bits = _PRIVATE_BITS if private else _KEPT_BITS
        self._draft: _Draft | None = None
        self._failure: TTSError | None = None

    def __enter__(self) -> Self:
        with _reported(self.path):
            self._draft = _open_draft(self.path, self._root, self._kept_bits)
        return self

    def write(self, data: bytes) -> int:
        """Append ``data`` and return its length.

        Raises:
            StorageFullError: The disk has no room.
            ResourceError: The disk failed otherwise.
            ValueError: The file is not open.
        """
        with self._watched() as draft:
            return draft.write(data)

    def rewrite_start(self, data: bytes) -> None:
        """Put ``data`` over the first bytes: a header that is known only at the end.

        Raises:
            StorageFullError: The disk has no room.
            ResourceError: The disk failed otherwise.
            ValueError: The file is not open.
        """
        with self._watched() as draft:
            draft.rewrite_start(data)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        draft, self._draft = self._opened(), None
        try:
            if kind is None:
                self._publish(draft)
        finally:
            draft.discard()

    @contextmanager
    def _watched(self) -> Iterator[_Draft]:
        """Give the draft; once it has failed it is never published, whatever the caller does."""
        try:
            with _reported(self.path):
                yield self._opened()
        except TTSError as error:
            self._failure = error
            raise

    def _publish(self, draft: _Draft) -> None:
        if self._failure is not None:
            raise self._failure
        with _reported(self.path):
            draft.publish()

    def _opened(self) -> _Draft:
        if self._draft is None:
            raise ValueError("an AtomicFile is written to inside its with block")
        return self._draft


class _Draft(Protocol):
    """A file in the making; ``discard`` ends it, published or not."""

    def write(self, data: bytes) -> int: ...

    def rewrite_start(self, data: bytes) -> None: ...

    def publish(self) -> None: ...

    def discard(self) -> None: ...


class _NamedDraft:
    """A draft under a temporary name beside the target: what every system can do."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(_temporary_name())
        self._file = self._temporary.open("xb")

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def rewrite_start(self, data: bytes) -> None:
        _rewrite_start(self._file, data)

    def publish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self._path)

    def discard(self) -> None:
        with suppress(OSError):  # what could not be written is not wanted any more
            self._file.close()
        self._temporary.unlink(missing_ok=True)


class _AnchoredDraft:
    """A draft in a directory that is held open: whoever swaps a parent for a link gains nothing."""

    def __init__(self, path: Path, root: Path | None, kept_bits: int) -> None:
        self._name = path.name
        self._kept_bits = kept_bits
        self._folder = _open_folder(path.parent, root)
        self._temporary: str | None = None
        try:
            self._file = os.fdopen(self._create(), "wb")
        except OSError:
            os.close(self._folder)
            raise
        self._mode = stat.S_IMODE(os.fstat(self._file.fileno()).st_mode) & kept_bits
        self._set_mode(0o600)

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def rewrite_start(self, data: bytes) -> None:
        _rewrite_start(self._file, data)

    def publish(self) -> None:
        self._file.flush()
        self._set_mode(self._final_mode())
        os.fsync(self._file.fileno())
        temporary = self._temporary or self._link()
        os.replace(temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._temporary = None
        with suppress(OSError):  # some network file systems cannot sync a directory
            os.fsync(self._folder)

    def discard(self) -> None:
        with suppress(OSError):  # what could not be written is not wanted any more
            self._file.close()
        if self._temporary is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._temporary, dir_fd=self._folder)
        os.close(self._folder)

    def _create(self) -> int:
        nameless = _create_nameless(self._folder)
        if nameless is not None:
            return nameless
        self._temporary = _temporary_name()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        return os.open(self._temporary, flags, _NEW_MODE, dir_fd=self._folder)

    def _link(self) -> str:
        self._temporary = _temporary_name()
        os.link(_proc_path(self._file.fileno()), self._temporary, dst_dir_fd=self._folder)
        return self._temporary

    def _final_mode(self) -> int:
        try:
            existing = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return self._mode
        _check_ordinary(existing.st_mode, self._name)
        return existing.st_mode & self._kept_bits

    def _set_mode(self, mode: int) -> None:
        with suppress(PermissionError):  # FAT has no modes
            os.fchmod(self._file.fileno(), mode)


def _rewrite_start(file: BinaryIO, data: bytes) -> None:
    file.seek(0)
    file.write(data)
    file.seek(0, os.SEEK_END)


def _open_draft(path: Path, root: Path | None, kept_bits: int) -> _Draft:
    if sys.platform == "win32":
        return _NamedDraft(path)
    return _AnchoredDraft(path, root, kept_bits)


def _open_to_read(asked: str, within: Sequence[StrPath] | None) -> int:
    """Return a descriptor; from one of ``within`` downwards not through any link."""
    if within is None:
        return os.open(asked, _READ_FLAGS)
    places = [_located_below(asked, root) for root in within]
    inside = [place for place in places if place is not None]
    if not inside:
        raise UnsafePathError(f"{_shown(asked)} leads out of the directories that may be read from")
    real, root = next((one for one in inside if one[0].exists()), inside[0])
    if sys.platform == "win32":
        return os.open(real, _READ_FLAGS)
    folder = _open_folder(real.parent, root)
    try:
        return os.open(real.name, _READ_FLAGS | os.O_NOFOLLOW, dir_fd=folder)
    finally:
        os.close(folder)


def _located_below(asked: str, within: StrPath) -> tuple[Path, Path] | None:
    root = Path(os.path.realpath(within))
    real = Path(os.path.realpath(root / asked))
    return (real, root) if real.is_relative_to(root) and real != root else None


def _open_folder(folder: Path, root: Path | None) -> int:
    """Open ``folder``; from ``root`` downwards not through any link."""
    base = folder if root is None else root
    flags = os.O_RDONLY | os.O_DIRECTORY
    opened = os.open(base, flags)
    for part in folder.relative_to(base).parts:
        outer = opened
        try:
            opened = os.open(part, flags | os.O_NOFOLLOW, dir_fd=outer)
        finally:
            os.close(outer)
    return opened


def _create_nameless(folder: int) -> int | None:
    """Return a new file of ``folder`` that a kill leaves no trace of, where the system has such."""
    if sys.platform != "linux":
        return None
    try:
        nameless = os.open(".", os.O_WRONLY | os.O_TMPFILE, _NEW_MODE, dir_fd=folder)
    except OSError as error:
        if error.errno in _NO_SUPPORT:
            return None
        raise
    if os.path.lexists(_proc_path(nameless)):
        return nameless
    os.close(nameless)  # without /proc it could never get a name
    return None


def _proc_path(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _temporary_name() -> str:
    return f".ttskit-{secrets.token_hex(8)}.tmp"


def _located(path: StrPath, within: StrPath | None) -> tuple[Path, Path | None]:
    """Return the real path and the real root, checked."""
    asked = os.fspath(path)
    _check_name(asked, confined=within is not None)
    root = None if within is None else Path(os.path.realpath(within))
    real = Path(os.path.realpath(asked if root is None else root / asked))
    if root is not None and not real.is_relative_to(root):
        raise UnsafePathError(f"{_shown(asked)} leads out of the directory that output may go to")
    with _reported(asked):
        _check_place(real, asked)
    return real, root


def _check_name(asked: str, *, confined: bool) -> None:
    name = os.path.basename(asked)  # noqa: PTH119 - pathlib drops the slash that matters here
    if not name:
        raise UnsafePathError(f"{_shown(asked)} names no file")
    if "\0" in asked or not _encodable(asked):
        raise UnsafePathError(f"{_shown(asked)} holds a character that no path may have")
    if (confined or sys.platform == "win32") and _DEVICE_NAME.fullmatch(name):
        raise UnsafePathError(f"{_shown(name)} is the name of a device on Windows")
    if sys.platform == "win32" and ":" in name:
        raise UnsafePathError(f"{_shown(name)} names a stream inside a file")


def _encodable(asked: str) -> bool:
    try:
        os.fsencode(asked)
    except UnicodeEncodeError:
        return False
    return True


def _check_place(real: Path, asked: str) -> None:
    if os.path.lexists(real):
        _check_ordinary(real.lstat().st_mode, asked)
    elif not real.parent.is_dir():
        raise InvalidParameterError(
            f"cannot write {_shown(asked)}: there is no directory {_shown(str(real.parent))}"
        )
    if not os.access(real.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _check_ordinary(mode: int, asked: str) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise UnsafePathError(f"{_shown(asked)} is {kind}, not an ordinary file")


@contextmanager
def _reported(path: StrPath, act: str = "write") -> Iterator[None]:
    """Turn the operating system's complaints into ours."""
    try:
        yield
    except OSError as error:
        raise _translated(error, os.fspath(path), act) from error


def _translated(error: OSError, path: str, act: str = "write") -> TTSError:
    number = error.errno or 0
    name = errno.errorcode.get(number, "unknown")
    reason = f"{_shown(path)}: {os.strerror(number)} ({name}, errno {number})"
    if number in _FULL:
        return StorageFullError(f"no room to {act} {reason}")
    if number in _REPLACED:
        return UnsafePathError(f"cannot {act} {reason}")
    if number in _UNUSABLE:
        return InvalidParameterError(f"cannot {act} {reason}")
    return ResourceError(f"cannot {act} {reason}")


def _shown(path: str) -> str:
    """Return the path for a message: one line, of bounded length, its end kept."""
    return repr(path if len(path) <= 200 else f"…{path[-199:]}")  # noqa: PLR2004 - two lines
