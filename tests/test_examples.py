"""Every example runs as it stands, in a process and a directory of its own, and leaves speech."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ttskit.codecs.decode import decode

EXAMPLES = Path(__file__).parents[1] / "examples"
LEAVES = {
    "hello.py": {"hello.wav"},
    "stream_to_file.py": {"story.ogg"},
    "agent_tokens.py": set(),
    "failover.py": set(),
    "audiobook.py": {"chapter.ogg", "chapter.srt"},
    "ssml.py": {"ssml.wav"},
    "voices.py": {"espeak.wav", "hibari.wav", "piper.wav"},
    "testing_your_code.py": set(),
    "third_party_adapter.py": {"hum.wav"},
}
"""Example -> the files that it writes."""
NEED_NO_ENGINE = {"failover.py", "testing_your_code.py", "third_party_adapter.py"}
SPOKEN = sorted(LEAVES.keys() - NEED_NO_ENGINE)


def run(example: str, folder: Path) -> str:
    """Run the example in ``folder`` and return what it prints; warnings are errors there too."""
    runner = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if "testing" in example else []
    done = subprocess.run(
        [sys.executable, "-W", "error", *runner, str(EXAMPLES / example)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def check_files(example: str, folder: Path) -> None:
    """Check that the example left what it promises, and that there is sound in it."""
    left = {path.name for path in folder.iterdir()} - {"__pycache__"}
    assert left == LEAVES[example]
    for path in folder.iterdir():
        if path.suffix in {".wav", ".ogg"}:
            decoded = decode(path.read_bytes())
            assert len(decoded.samples) > decoded.sample_rate / 2


@pytest.mark.parametrize("example", sorted(NEED_NO_ENGINE))
def test_an_example_without_an_engine_runs(example: str, tmp_path: Path) -> None:
    run(example, tmp_path)
    check_files(example, tmp_path)


@pytest.mark.engine("hibari")
@pytest.mark.parametrize("example", [name for name in SPOKEN if name != "voices.py"])
def test_an_example_with_an_engine_runs(example: str, tmp_path: Path) -> None:
    run(example, tmp_path)
    check_files(example, tmp_path)


@pytest.mark.engine("hibari", "espeak", "piper")
def test_every_engine_is_heard_in_voices(tmp_path: Path) -> None:
    run("voices.py", tmp_path)
    check_files("voices.py", tmp_path)


@pytest.mark.engine("hibari")
def test_the_agent_knows_less_was_heard_than_written(tmp_path: Path) -> None:
    wrote, heard = run("agent_tokens.py", tmp_path).splitlines()
    text = heard.partition(": ")[2].strip().strip("'")
    assert 10 < len(text) < 120
    assert text in wrote


def test_the_ledger_of_failover_names_both_providers(tmp_path: Path) -> None:
    _, _, second = run("failover.py", tmp_path).partition("cloud has enough")
    assert second.startswith(" after a sentence: resumed")
    speakers = [line.split()[4] for line in second.splitlines() if " s  " in line]
    assert speakers == ["cloud", "home", "home"]


def test_every_example_is_run_and_listed() -> None:
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert scripts == LEAVES.keys()
    listing = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"[{name}]({name})" in listing for name in scripts)
