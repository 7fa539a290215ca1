"""What is wrong is one clear line, an exit code that tells the kind, and nothing on the disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest

from ttskit import errors
from ttskit.cli.failure import exit_code
from ttskit.errors import AllProvidersFailedError, TTSError

Command: TypeAlias = Callable[..., CompletedProcess[bytes]]

MISTAKES = [
    pytest.param(["sya"], "'sya'", id="unknown command"),
    pytest.param(["say", "hi", "--sped", "2"], "--sped", id="unknown option"),
    pytest.param(["say", "hi", "--speed", "fast"], "--speed", id="no number"),
    pytest.param(["say", "hi", "--speed", "9"], "speed", id="speed out of range"),
    pytest.param(["say", "hi", "--speed", "nan"], "speed", id="speed not a number"),
    pytest.param(["say", " \n"], "spoken", id="blank text"),
    pytest.param(["say", "hi", "-t", "ho"], "one of", id="two texts"),
    pytest.param(["say", "gone.txt"], "--text", id="no such text file"),
    pytest.param(["say", "-f", "gone"], "'gone'", id="no such file"),
    pytest.param(["say", "-f", "."], "directory", id="directory"),
    pytest.param(["say", "-f", "latin.txt"], "0xdf at offset 3", id="no UTF-8"),
    pytest.param(["say", "-f", "utf16.txt"], "UTF-16", id="UTF-16"),
    pytest.param(["say", "<speak>", "--ssml"], "SSML", id="malformed SSML"),
    pytest.param(["say", "hi", "-o", "x.doc"], ".doc", id="unknown suffix"),
    pytest.param(["say", "hi", "-o", "x", "--format", "midi"], "'midi'", id="unknown format"),
    pytest.param(["say", "hi", "-o", "no/x.wav"], "'no/x.wav'", id="no such directory"),
    pytest.param(["say", "hi", "-o", "x.wav", "--subtitles", "x.txt"], ".srt", id="subtitles"),
    pytest.param(["say", "hi", "-o", "-", "--subtitles"], "-o FILE", id="subtitles beside stdout"),
    pytest.param(["say", "hi", "--voice", "altoo"], "nearest are alto", id="unknown voice"),
    pytest.param(["say", "hi", "--language", "e"], "BCP 47", id="no language"),
    pytest.param(["say", "hi", "--provider", "mok"], "'mock'", id="unknown provider"),
    pytest.param(["voices", "--gender", "tall"], "gender", id="unknown gender"),
    pytest.param(["config", "chek"], "check", id="unknown action"),
]


@pytest.mark.parametrize(("arguments", "hint"), MISTAKES)
def test_a_mistake_is_one_line(
    ttskit: Command, folder: Path, arguments: list[str], hint: str
) -> None:
    (folder / "latin.txt").write_bytes("Gruß".encode("latin-1"))
    (folder / "utf16.txt").write_text("hi", encoding="utf-16")
    before = sorted(folder.iterdir())
    run = ttskit(*arguments)
    assert (run.returncode, run.stdout) == (2, b"")
    assert run.stderr.startswith(b"ttskit: error: ")
    assert run.stderr.count(b"\n") == 1
    assert hint in run.stderr.decode()
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["say", "hi", "--sped", "--json"], "usage", id="usage"),
        pytest.param(["say", "hi", "-o", "x.doc", "--json"], "unsupported_format", id="format"),
        pytest.param(["say", "hi", "--json"], "invalid_parameter", id="JSON and audio on stdout"),
    ],
)
def test_a_mistake_is_an_object_for_programs(
    ttskit: Command, arguments: list[str], code: str
) -> None:
    run = ttskit(*arguments)
    error = json.loads(run.stderr)["error"]
    assert run.stdout == b""
    assert (error["code"], error["exit_code"]) == (code, run.returncode)
    assert error["message"]


def test_a_broken_file_of_settings_is_named_with_its_line(ttskit: Command, folder: Path) -> None:
    (folder / "tts.yaml").write_text("providers:\n  mock: {}\nrooting: {}\n")
    run = ttskit("say", "hi", "-o", "x.wav")
    assert run.returncode == 3
    assert b"tts.yaml:3" in run.stderr
    assert b"routing" in run.stderr


def test_settings_come_from_the_file_named(ttskit: Command, folder: Path) -> None:
    (folder / "other.yaml").write_text("providers: {other: {adapter: mock}}")
    run = ttskit("--config", "other.yaml", "providers", "--json")
    assert [provider["name"] for provider in json.loads(run.stdout)] == ["other"]


def test_or_from_the_environment(
    ttskit: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "other.yaml").write_text("providers: {other: {adapter: mock}}")
    monkeypatch.setenv("TTSKIT_CONFIG", "other.yaml")
    run = ttskit("providers", "--json")
    assert [provider["name"] for provider in json.loads(run.stdout)] == ["other"]


def test_a_provider_that_fails_is_code_4(ttskit: Command, folder: Path) -> None:
    (folder / "tts.yaml").write_text("providers: {mock: {latency_s: 5}}")
    run = ttskit("say", "hi", "-o", "x.wav", "--deadline", "0.05", "--json")
    assert run.returncode == 4
    assert json.loads(run.stderr)["error"]["code"] == "deadline_exceeded"
    assert not (folder / "x.wav").exists()


def family() -> list[type[TTSError]]:
    found = [one for one in vars(errors).values() if isinstance(one, type)]
    return [one for one in found if issubclass(one, TTSError)]


@pytest.mark.parametrize("error", family(), ids=lambda error: str(error.code))
def test_every_error_has_an_exit_code_of_its_family(error: type[TTSError]) -> None:
    expected = {"validation": 2, "configuration": 3, "resource": 5}
    raised = (
        error("all", [errors.NetworkError("x")])
        if issubclass(error, AllProvidersFailedError)
        else error("x")
    )
    wanted = 5 if isinstance(raised, errors.ResourceError) else expected.get(raised.category, 4)
    assert exit_code(raised) == wanted


@pytest.mark.parametrize(
    ("causes", "code"),
    [
        pytest.param([errors.VoiceNotFoundError("x")], 2, id="all for the request"),
        pytest.param([errors.DependencyMissingError("x")] * 2, 3, id="all for want of packages"),
        pytest.param([errors.ModelLoadError("x"), errors.NetworkError("y")], 4, id="mixed"),
    ],
)
def test_providers_that_failed_for_one_reason_share_its_code(
    causes: list[TTSError], code: int
) -> None:
    assert exit_code(AllProvidersFailedError("all", causes)) == code


def test_a_bug_is_one_line_too() -> None:
    assert exit_code(ZeroDivisionError()) == 1
