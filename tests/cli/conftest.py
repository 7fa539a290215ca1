"""The command, run as a user runs it, beside a tts.yaml that has the mock speak."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from ttskit.cli.main import main

SETTINGS = "providers:\n  mock: {}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: empty but for tts.yaml."""
    (tmp_path / "tts.yaml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TTSKIT_CONFIG", raising=False)
    return tmp_path


@pytest.fixture
def ttskit(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., CompletedProcess[bytes]]:
    """Runs the command in ``folder``, within this process."""
    del folder

    def run(*arguments: str) -> CompletedProcess[bytes]:
        code = main(arguments)
        captured = capfdbinary.readouterr()
        return CompletedProcess(arguments, code, captured.out, captured.err)

    return run


@pytest.fixture
def ttskit_process(folder: Path) -> Callable[..., CompletedProcess[bytes]]:
    """Runs the command in ``folder`` as a process of its own, with ``stdin`` to read."""

    def run(*arguments: str, stdin: bytes = b"") -> CompletedProcess[bytes]:
        command = [sys.executable, "-m", "ttskit", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, cwd=folder, check=False)

    return run
