"""Folders for workers' temporary files."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ttskit.resources.workers.scratch import Scratch, sweep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_goes_with_all_that_is_in_it(temporary: Path) -> None:
    scratch = Scratch()
    assert scratch.path.stat().st_mode & 0o077 == 0
    (scratch.path / "model.bin").write_bytes(b"x")
    scratch.remove()
    assert list(temporary.iterdir()) == []


def test_folders_of_the_living_stay(temporary: Path) -> None:
    scratch = Scratch()
    sweep()
    assert list(temporary.iterdir()) == [scratch.path]
    scratch.remove()


def test_folders_of_an_application_that_was_killed_are_removed_by_the_next(temporary: Path) -> None:
    script = (
        "import os, tempfile; from ttskit.resources.workers.scratch import Scratch\n"
        f"tempfile.tempdir = {str(temporary)!r}; Scratch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    assert len(list(temporary.iterdir())) == 1
    Scratch().remove()
    assert list(temporary.iterdir()) == []


def test_a_link_in_its_place_is_left_alone(
    temporary: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    precious = tmp_path_factory.mktemp("precious") / "file"
    precious.write_bytes(b"x")
    folder = temporary / "ttskit-worker-1"
    folder.mkdir()
    (folder / ".lock").symlink_to(precious)
    sweep()
    assert precious.exists()
