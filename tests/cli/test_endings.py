"""Runs that end early: by Ctrl-C, or because nobody reads any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of POSIX")

LONG = " ".join(f"This is sentence {index} of a long text." for index in range(80))


@contextmanager
def command(*arguments: str, folder: Path, stderr: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command with pipes for stdin and stdout; it is gone when the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "ttskit", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=folder,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def drawn_until(terminal: int, text: bytes) -> bytes:
    """Return what the terminal shows, read until ``text`` is there."""
    shown = b""
    while text not in shown:
        shown += os.read(terminal, 1_000)
    return shown


def test_ctrl_c_leaves_nothing_half_written(folder: Path) -> None:
    before = sorted(folder.iterdir())
    terminal, stderr = os.openpty()
    with command("say", "-", "-o", "out.wav", folder=folder, stderr=stderr) as process:
        assert process.stdin is not None
        process.stdin.write(LONG.encode())
        process.stdin.flush()
        drawn_until(terminal, b" of speech")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    assert b"ttskit: error: interrupted" in drawn_until(terminal, b"interrupted")
    assert sorted(folder.iterdir()) == before


def test_the_bar_counts_the_characters_of_a_file(folder: Path) -> None:
    (folder / "book.txt").write_text(LONG)
    terminal, stderr = os.openpty()
    with command("say", "book.txt", "-o", "out.wav", folder=folder, stderr=stderr) as process:
        shown = drawn_until(terminal, b" of speech")
        assert process.wait(timeout=60) == 0
    assert f" of {len(LONG):,} characters".encode() in shown


def test_a_reader_who_has_enough_is_no_error(folder: Path) -> None:
    (folder / "tts.yaml").write_text("providers: {mock: {}}")
    with command("say", "-", folder=folder, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(LONG.encode())
        process.stdin.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == b""
