"""What a worker gets from the application's environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ttskit.resources.workers.environment import Secrets, environment, search_path, share

FOLDER = Path("/somewhere")


def made(environ: dict[str, str], secrets: Secrets | None = None) -> dict[str, str]:
    return environment(
        environ, secrets=secrets or Secrets(), threads=3, folder=FOLDER, same_python=True
    )


def test_keys_of_providers_are_left_out_by_name_and_by_value() -> None:
    secrets = Secrets(frozenset({"ACME_API_KEY"}), frozenset({"canary-key"}))
    given = {
        "ACME_API_KEY": "x",
        "URL": "https://user:canary-key@host",
        "TTSKIT_PROVIDERS__ACME__API_KEY": "y",
        "HOME": "/home/me",
    }
    left = made(given, secrets)
    assert not left.keys() & {"ACME_API_KEY", "URL", "TTSKIT_PROVIDERS__ACME__API_KEY"}
    assert left["HOME"] == "/home/me"


def test_secrets_are_in_no_repr() -> None:
    assert "canary" not in repr(Secrets(frozenset({"canary"}), frozenset({"canary"})))


def test_numerical_libraries_get_their_share_and_do_not_spin() -> None:
    left = made({})
    assert {left["OMP_NUM_THREADS"], left["OPENBLAS_NUM_THREADS"], left["MKL_NUM_THREADS"]} == {"3"}
    assert left["OMP_WAIT_POLICY"] == "PASSIVE"


def test_what_the_user_says_about_threads_stays() -> None:
    assert made({"OMP_NUM_THREADS": "7"})["OMP_NUM_THREADS"] == "7"


def test_temporary_files_go_to_a_folder_of_the_worker_s_own() -> None:
    left = made({"TMPDIR": "/tmp"})  # noqa: S108 - only named
    assert {left["TMPDIR"], left["TEMP"], left["TMP"]} == {str(FOLDER)}


def test_another_interpreter_does_not_get_this_one_s_modules() -> None:
    left = environment(
        {"PYTHONPATH": "mine"}, secrets=Secrets(), threads=1, folder=FOLDER, same_python=False
    )
    assert left["PYTHONPATH"] == "mine"


def test_what_is_found_in_a_working_directory_that_is_gone_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["", "relative", str(tmp_path)])
    monkeypatch.chdir(tmp_path)
    before = search_path()
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert before[:2] == [str(tmp_path), str(tmp_path / "relative")]
    assert search_path() == [str(tmp_path), before[-1]]


@pytest.mark.parametrize("workers", [1, 2, 3, 1_000])
def test_cores_are_shared_out_and_nobody_goes_without(workers: int) -> None:
    cores = os.cpu_count() or 1
    assert 1 <= share(workers) <= max(1, cores // workers)
