"""Output files: whole or not at all, only where allowed, never writable by others."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ttskit import files
from ttskit.errors import (
    InvalidParameterError,
    ResourceError,
    StorageFullError,
    TTSError,
    UnsafePathError,
)
from ttskit.files import AtomicFile, safe_path, write_atomically

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes, signals and special files")


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mounting, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk is not allowed here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)  # noqa: S607


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def give_up(target: Path, error: type[BaseException]) -> None:
    with AtomicFile(target) as file:
        file.write(b"half")
        raise error


def child(code: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@given(st.lists(st.binary(max_size=5_000), max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_holds_what_was_written_in_whatever_pieces(
    tmp_path: Path, pieces: list[bytes]
) -> None:
    with AtomicFile(tmp_path / "out.bin") as file:
        for piece in pieces:
            assert file.write(piece) == len(piece)
    assert (tmp_path / "out.bin").read_bytes() == b"".join(pieces)
    assert names(tmp_path) == ["out.bin"]


def test_writing_says_where_the_file_really_is(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    written = write_atomically(tmp_path / "sub" / ".." / "out.wav", b"RIFF")
    assert written == tmp_path.resolve() / "out.wav"


def test_the_file_has_no_name_before_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    target.write_bytes(b"old")
    with AtomicFile(target) as file:
        file.write(b"new" * 100_000)
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new" * 100_000


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "out.wav"
    target.write_bytes(b"old")
    with pytest.raises(error):
        give_up(target, error)
    assert (names(tmp_path), target.read_bytes()) == (["out.wav"], b"old")


def test_a_file_is_written_only_inside_its_block(tmp_path: Path) -> None:
    file = AtomicFile(tmp_path / "out.wav")
    with pytest.raises(ValueError, match="inside its with block"):
        file.write(b"early")


@posix
def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    for _ in range(20):
        write_atomically(tmp_path / "out.wav", b"x", within=tmp_path)
    assert psutil.Process().num_fds() == before


@posix
@pytest.mark.parametrize("umask", [0, 0o022, 0o077], indirect=True, ids=oct)
def test_nobody_else_may_write_a_new_file(tmp_path: Path, umask: int) -> None:
    written = write_atomically(tmp_path / "out.wav", b"x")
    assert mode(written) == 0o644 & ~umask


@posix
@pytest.mark.parametrize("umask", [0, 0o022, 0o077], indirect=True, ids=oct)
@pytest.mark.parametrize(
    ("before", "after"), [(0o600, 0o600), (0o640, 0o640), (0o755, 0o755), (0o666, 0o644)], ids=oct
)
def test_an_existing_file_keeps_its_mode_less_the_right_of_others_to_write(
    tmp_path: Path, umask: int, before: int, after: int
) -> None:
    target = tmp_path / "out.wav"
    target.touch()
    target.chmod(before)
    write_atomically(target, b"x")
    assert mode(target) == after, f"under umask {umask:o}"


@posix
def test_an_unfinished_file_is_nobody_elses_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_create_nameless", lambda _folder: None)
    with AtomicFile(tmp_path / "out.wav") as file:
        file.write(b"x")
        assert [mode(path) for path in tmp_path.iterdir()] == [0o600]
    assert names(tmp_path) == ["out.wav"]


@posix
def test_a_system_without_nameless_files_leaves_no_half_file_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_create_nameless", lambda _folder: None)
    with pytest.raises(RuntimeError):
        give_up(tmp_path / "out.wav", RuntimeError)
    assert names(tmp_path) == []


def test_a_header_known_only_at_the_end_goes_over_the_first_bytes(tmp_path: Path) -> None:
    with AtomicFile(tmp_path / "out.wav") as file:
        file.write(b"????" + b"x" * 100_000)
        file.rewrite_start(b"RIFF")
        file.write(b"end")
    assert (tmp_path / "out.wav").read_bytes() == b"RIFF" + b"x" * 100_000 + b"end"


@pytest.mark.parametrize("publish", [True, False], ids=["finished", "given up"])
def test_the_way_of_other_systems_leaves_no_half_file(tmp_path: Path, publish: bool) -> None:  # noqa: FBT001
    (tmp_path / "out.wav").write_bytes(b"old")
    draft = files._NamedDraft(tmp_path / "out.wav")
    draft.write(b"new")
    if publish:
        draft.publish()
    draft.discard()
    assert names(tmp_path) == ["out.wav"]
    assert (tmp_path / "out.wav").read_bytes() == (b"new" if publish else b"old")


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    """A directory that output may go to, with ways out of it."""
    root, outside = tmp_path / "allowed", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.wav").write_bytes(b"secret")
    (root / "folder-link").symlink_to(outside)
    (root / "file-link.wav").symlink_to(outside / "secret.wav")
    (root / "new-link.wav").symlink_to(outside / "new.wav")
    (root / "inner-link.wav").symlink_to(root / "sub" / "inner.wav")
    return root


@pytest.mark.parametrize(
    "path",
    [
        "../escape.wav",
        "sub/../../escape.wav",
        "folder-link/escape.wav",
        "folder-link/../escape.wav",
        "file-link.wav",
        "new-link.wav",
        "/escape.wav",
        "../allowed-too/escape.wav",
    ],
)
def test_a_path_out_of_the_allowed_directory_is_refused(allowed: Path, path: str) -> None:
    before = sorted(allowed.parent.rglob("*"))
    with pytest.raises(UnsafePathError, match="leads out"):
        write_atomically(path, b"x", within=allowed)
    assert sorted(allowed.parent.rglob("*")) == before
    assert (allowed.parent / "outside" / "secret.wav").read_bytes() == b"secret"


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("a.wav", "a.wav"),
        ("sub/b.wav", "sub/b.wav"),
        ("sub/../c.wav", "c.wav"),
        ("inner-link.wav", "sub/inner.wav"),
        ("..hidden.wav", "..hidden.wav"),
    ],
)
def test_a_path_that_stays_inside_is_written(allowed: Path, path: str, real: str) -> None:
    assert write_atomically(path, b"x", within=allowed) == allowed.resolve() / real
    assert write_atomically(allowed / path, b"y", within=allowed) == allowed.resolve() / real


@given(path=st.lists(st.sampled_from(["..", ".", "sub", "folder-link", "x.wav", ""])).map("/".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_combination_of_steps_escapes(allowed: Path, path: str) -> None:
    try:
        real = safe_path(path, allowed)
    except TTSError:
        return
    assert real.is_relative_to(allowed.resolve())


@posix
def test_a_parent_swapped_for_a_link_while_writing_gains_nothing(allowed: Path) -> None:
    with AtomicFile("sub/out.wav", within=allowed) as file:
        (allowed / "sub").rename(allowed / "moved")
        (allowed / "sub").symlink_to(allowed.parent / "outside")
        file.write(b"x")
    assert (allowed / "moved" / "out.wav").read_bytes() == b"x"
    assert names(allowed.parent / "outside") == ["secret.wav"]


@posix
def test_a_parent_swapped_for_a_link_after_the_check_is_refused(allowed: Path) -> None:
    file = AtomicFile("sub/out.wav", within=allowed)
    (allowed / "sub").rmdir()
    (allowed / "sub").symlink_to(allowed.parent / "outside")
    with pytest.raises(UnsafePathError), file:
        file.write(b"x")
    assert names(allowed.parent / "outside") == ["secret.wav"]


@posix
def test_a_target_swapped_for_a_link_is_refused(allowed: Path) -> None:
    with pytest.raises(UnsafePathError, match="link"), AtomicFile("x.wav", within=allowed):
        (allowed / "x.wav").symlink_to(allowed.parent / "outside" / "secret.wav")
    assert (allowed.parent / "outside" / "secret.wav").read_bytes() == b"secret"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "names no file"),
        ("new/", "names no file"),
        ("a\0b.wav", "character"),
        ("lone\ud800.wav", "character"),
        (".", "a directory"),
        ("..", "a directory"),
    ],
    ids=["empty", "trailing slash", "NUL", "lone surrogate", "here", "above"],
)
def test_what_names_no_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafePathError, match=reason):
        write_atomically(path, b"x")
    assert names(tmp_path) == []


@posix
def test_special_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    for path, kind in [("pipe.wav", "FIFO"), ("loop.wav", "link"), ("/dev/null", "device")]:
        with pytest.raises(UnsafePathError, match=kind):
            write_atomically(tmp_path / path, b"x")


@pytest.mark.parametrize("name", ["CON", "nul.wav", "Aux.tar.gz", "com1", "LPT9 .mp3"])
def test_names_of_windows_devices_are_refused_where_names_come_from_elsewhere(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(UnsafePathError, match="device on Windows"):
        safe_path(name, tmp_path)


@pytest.mark.parametrize("name", ["console.wav", "auxiliary", "com10.wav", "null.mp3"])
def test_names_that_only_look_like_devices_are_fine(tmp_path: Path, name: str) -> None:
    assert safe_path(name, tmp_path) == tmp_path.resolve() / name


def test_a_missing_directory_is_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match=r"no directory '.*missing'"):
        write_atomically(tmp_path / "missing" / "out.wav", b"x")
    assert names(tmp_path) == []


def test_a_name_too_long_for_the_disk_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="ENAMETOOLONG") as caught:
        write_atomically(tmp_path / ("x" * 5_000), b"x")
    assert len(str(caught.value)) < 400


def test_a_full_disk_leaves_the_old_file(tiny_disk: Path) -> None:
    target = tiny_disk / "speech.wav"
    write_atomically(target, b"old")
    with pytest.raises(StorageFullError, match=r"speech\.wav.*ENOSPC, errno 28") as caught:
        write_atomically(target, b"x" * 200_000)
    assert (names(tiny_disk), target.read_bytes()) == (["speech.wav"], b"old")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_file_whose_write_failed_is_not_published_even_if_the_caller_goes_on(
    tiny_disk: Path,
) -> None:
    with (
        pytest.raises(StorageFullError),
        AtomicFile(tiny_disk / "speech.wav") as file,
        suppress(StorageFullError),
    ):
        file.write(b"x" * 200_000)
    assert names(tiny_disk) == []


@posix
def test_a_size_limit_leaves_the_old_file_and_names_it(tmp_path: Path) -> None:
    (tmp_path / "speech.wav").write_bytes(b"old")
    code = """
import resource
from ttskit.errors import StorageFullError
from ttskit.files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically("speech.wav", bytes(5000))
except StorageFullError as error:
    print(error)
"""
    message, _ = child(code, tmp_path).communicate()
    assert "speech.wav" in message
    assert f"EFBIG, errno {errno.EFBIG}" in message
    assert (names(tmp_path), (tmp_path / "speech.wav").read_bytes()) == (["speech.wav"], b"old")


@posix
def test_a_kill_in_the_middle_of_writing_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "speech.wav").write_bytes(b"old")
    code = """
from ttskit.files import AtomicFile
with AtomicFile("speech.wav") as file:
    file.write(bytes(1_000_000))
    print("written", flush=True)
    input()
"""
    with child(code, tmp_path) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        writer.kill()
        assert writer.wait() == -signal.SIGKILL
    assert (tmp_path / "speech.wav").read_bytes() == b"old"
    if sys.platform == "linux":
        assert names(tmp_path) == ["speech.wav"]


@posix
def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    code = """
from ttskit.files import write_atomically
for version in range(1_000_000):
    write_atomically("speech.wav", bytes([version % 256]) * 300_000)
    print(version, flush=True)
"""
    for versions in (1, 2, 3, 5, 8):
        with child(code, tmp_path) as writer:
            assert writer.stdout is not None
            for _ in range(versions):
                writer.stdout.readline()
            writer.kill()
        content = (tmp_path / "speech.wav").read_bytes()
        assert content == content[:1] * 300_000


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, StorageFullError),
        (errno.EDQUOT, StorageFullError),
        (errno.EFBIG, StorageFullError),
        (errno.EACCES, InvalidParameterError),
        (errno.EROFS, InvalidParameterError),
        (errno.ENOENT, InvalidParameterError),
        (errno.ELOOP, UnsafePathError),
        (errno.EIO, ResourceError),
    ],
    ids=errno.errorcode.get,
)
def test_what_the_disk_says_becomes_one_of_our_errors(
    number: int, expected: type[TTSError]
) -> None:
    error = files._translated(OSError(number, "whatever"), "out.wav")
    assert type(error) is expected
    assert "'out.wav'" in str(error)
    assert f"errno {number}" in str(error)


def test_every_complaint_of_the_system_has_an_error_of_ours() -> None:
    for number in errno.errorcode:
        assert isinstance(files._translated(OSError(number, ""), "out.wav"), TTSError)
