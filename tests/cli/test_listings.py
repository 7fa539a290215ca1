"""``voices``, ``providers``, ``doctor`` and ``config``: what is there, and what is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest
import yaml

Command: TypeAlias = Callable[..., CompletedProcess[bytes]]

ADAPTER = """
from pydantic import SecretStr
from ttskit.adapters.base import Adapter, AdapterOptions, Capabilities, Requirement

class Options(AdapterOptions):
    key: SecretStr | None = None

class Lacking(Adapter[Options]):
    name = "lacking"
    capabilities = Capabilities()
    requires = (Requirement("no_such_module", "no-such-package", "brass"),)
    secrets = {"key": "BRASS_KEY"}
    async def open(self, resources): ...
    async def voices(self): return []
    def synthesize(self, utterance): ...
    async def check(self): ...
"""


def test_voices_are_a_table(ttskit: Command) -> None:
    lines = ttskit("voices").stdout.decode().splitlines()
    assert lines == [
        "PROVIDER  VOICE  LANGUAGES  GENDER  NAME",
        "mock      alto   any        female  Alto: A tone code for tests",
        "mock      tenor  any        male    Tenor: A tone code for tests",
    ]


@pytest.mark.parametrize(
    ("filters", "voices"),
    [
        pytest.param([], ["alto", "tenor"], id="none"),
        pytest.param(["--gender", "male"], ["tenor"], id="gender"),
        pytest.param(["--search", "alt"], ["alto"], id="search"),
        pytest.param(["--provider", "mock"], ["alto", "tenor"], id="provider"),
        pytest.param(["--style", "cheerful"], [], id="style"),
    ],
)
def test_voices_are_filtered(ttskit: Command, filters: list[str], voices: list[str]) -> None:
    run = ttskit("voices", *filters, "--json")
    assert [voice["id"] for voice in json.loads(run.stdout)] == voices


def test_no_voice_is_told_on_stderr(ttskit: Command) -> None:
    run = ttskit("voices", "--style", "cheerful")
    assert (run.returncode, run.stdout) == (0, b"")
    assert run.stderr.startswith(b"no voice")


def test_providers_tell_what_they_can_do(ttskit: Command) -> None:
    header, mock = ttskit("providers").stdout.decode().splitlines()
    assert header.split()[:4] == ["PROVIDER", "ADAPTER", "RUNS", "READY"]
    assert mock.split()[:4] == ["mock", "mock", "local", "yes"]
    assert "speed" in mock


def test_providers_are_data_for_programs(ttskit: Command) -> None:
    (provider,) = json.loads(ttskit("providers", "--json").stdout)
    assert (provider["name"], provider["ready"]) == ("mock", True)
    assert provider["capabilities"]["speed"] == "native"
    assert provider["capabilities"]["ssml"] == []


def test_the_doctor_finds_the_voices(ttskit: Command) -> None:
    run = ttskit("doctor")
    assert run.returncode == 0
    assert re.search(r"^mock +ready", run.stdout.decode(), re.MULTILINE)
    assert "2 voices" in run.stdout.decode()


def test_the_doctor_has_everyone_speak(ttskit: Command) -> None:
    report = json.loads(ttskit("doctor", "--speak", "--json").stdout)
    (mock,) = [engine for engine in report["engines"] if engine["name"] == "mock"]
    assert mock["about"].startswith("2 voices, said a word in ")


def test_the_doctor_gives_the_line_that_installs_an_engine(
    ttskit_process: Command, folder: Path
) -> None:
    (folder / "tts.yaml").write_text("providers: {mock: {}, gone: {adapter: lacking}}")
    _third_party(folder)
    run = ttskit_process("doctor")
    assert run.returncode == 0
    assert b'pip install "ttskit[brass]"' in run.stdout


def test_the_doctor_tells_which_keys_are_set_but_not_their_values(
    ttskit_process: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _third_party(folder)
    assert b"key BRASS_KEY: not set" in ttskit_process("doctor").stdout
    monkeypatch.setenv("BRASS_KEY", "s3cret")
    for run in (ttskit_process("doctor"), ttskit_process("doctor", "--json")):
        assert b"s3cret" not in run.stdout + run.stderr
    assert b"key BRASS_KEY: set" in ttskit_process("doctor").stdout


def test_the_doctor_survives_broken_settings(ttskit: Command, folder: Path) -> None:
    (folder / "tts.yaml").write_text("providers: {mock: {sample_rat: 1}}")
    run = ttskit("doctor")
    assert run.returncode == 3
    assert b"sample_rate" in run.stdout
    assert b"formats: wav" in run.stdout


def test_good_settings_are_called_so(ttskit: Command) -> None:
    run = ttskit("config", "check")
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout == b"tts.yaml: no mistakes\nproviders, in order: mock\n"


def test_settings_without_effect_are_named(ttskit: Command, folder: Path) -> None:
    (folder / "tts.yaml").write_text("{providers: {mock: {}}, cache: {memory: 64 MiB}}")
    assert b"cache.memory: " in ttskit("config", "check").stdout
    report = json.loads(ttskit("config", "check", "--json").stdout)
    assert report == {
        "file": "tts.yaml",
        "providers": ["mock"],
        "missing": {},
        "unused": ["cache.memory"],
    }


def test_a_mistake_in_an_adapters_options_is_found(ttskit: Command, folder: Path) -> None:
    (folder / "tts.yaml").write_text("providers:\n  mock:\n    sample_rat: 8000\n")
    run = ttskit("config", "check")
    assert run.returncode == 3
    assert b"tts.yaml:3" in run.stderr
    assert b"sample_rate" in run.stderr


def test_the_settings_in_force_are_shown(ttskit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTSKIT_TEXT__UTTERANCE_CHARACTERS", "123")
    shown = ttskit("config", "show")
    assert yaml.safe_load(shown.stdout)["text"]["utterance_characters"] == 123
    assert json.loads(ttskit("config", "show", "--json").stdout) == yaml.safe_load(shown.stdout)


def test_secrets_are_masked(ttskit_process: Command, folder: Path) -> None:
    _third_party(folder)
    (folder / "tts.yaml").write_text("providers: {lacking: {key: s3cret}}")
    run = ttskit_process("config", "show")
    assert run.returncode == 0
    assert b"s3cret" not in run.stdout
    assert b"key: '****" in run.stdout


def test_the_schema_describes_every_adapter(ttskit: Command) -> None:
    schema = json.loads(ttskit("config", "schema").stdout)
    providers = schema["properties"]["providers"]["properties"]
    assert {"mock", "hibari", "espeak", "piper"} <= set(providers)
    assert "sample_rate" in providers["mock"]["properties"]


def _third_party(folder: Path) -> None:
    """Put a package with an adapter of its own beside tts.yaml, where ``python -m`` finds it."""
    (folder / "lacking.py").write_text(ADAPTER)
    info = folder / "lacking-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lacking\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[ttskit.adapters]\nlacking = lacking:Lacking\n")
