"""``--help``: quick, complete, and the same in the docs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest

from ttskit import __version__
from ttskit.cli.options import FORMATS, build_parser
from ttskit.request import AudioFormat

Command: TypeAlias = Callable[..., CompletedProcess[bytes]]
DOCS = Path(__file__).parents[2] / "docs" / "command.md"
COMMANDS = ["say", "voices", "providers", "doctor", "config"]
HEAVY = {"pydantic", "numpy", "anyio", "httpx", "yaml", "typing", "dataclasses", "inspect"}


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_the_docs_show_what_help_prints(
    ttskit: Command, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = ttskit(*command, "--help")
    block = f"```text\n{shown.stdout.decode()}```\n"
    assert block in DOCS.read_text(), f"paste into {DOCS.name}:\n{block}"


def test_every_command_is_documented() -> None:
    help_text = build_parser().format_help()
    assert all(f"\n    {name} " in help_text for name in COMMANDS)


def test_help_names_every_format() -> None:
    assert tuple(AudioFormat) == FORMATS


def test_help_loads_nothing_heavy() -> None:
    script = "import sys; from ttskit.cli.main import main; main(['--help']); print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not HEAVY & set(run.stdout.splitlines()[-1].split())


def test_the_version_is_the_packages(ttskit: Command) -> None:
    assert ttskit("--version").stdout == f"ttskit {__version__}\n".encode()


def test_no_command_shows_the_way(ttskit: Command) -> None:
    run = ttskit()
    assert (run.returncode, run.stdout) == (2, b"")
    assert run.stderr.startswith(b"usage: ttskit")


@pytest.mark.parametrize("order", [("--json", "providers"), ("providers", "--json")], ids=" ".join)
def test_general_options_stand_on_either_side(ttskit: Command, order: tuple[str, str]) -> None:
    assert ttskit(*order).stdout.startswith(b"[")
