"""The size of what is being downloaded."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from ttskit.resources.downloads import size_of

CALLS = 3_000


def test_all_files_below_a_folder_count(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "one").write_bytes(bytes(10))
    (tmp_path / "a" / "b" / "two").write_bytes(bytes(32))
    assert size_of(tmp_path) == 42


def test_what_vanishes_meanwhile_is_no_error(tmp_path: Path) -> None:
    done = threading.Event()

    def come_and_go(partial: Path) -> None:
        while not done.is_set():
            (partial / "x" / "y").mkdir(parents=True)
            (partial / "x" / "y" / "file").write_bytes(b"1")
            shutil.rmtree(partial)

    names = ("one", "two")
    threads = [threading.Thread(target=come_and_go, args=(tmp_path / name,)) for name in names]
    for thread in threads:
        thread.start()
    try:
        assert {size_of(tmp_path) for _ in range(CALLS)} <= {0, 1, 2}
    finally:
        done.set()
        for thread in threads:
            thread.join()
