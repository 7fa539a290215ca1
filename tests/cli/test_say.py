"""``ttskit say``: what is heard, where it goes, and what is told about it."""

from __future__ import annotations

import json
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import pytest

from ttskit.codecs.decode import decode
from ttskit.testing import transcribe

Command: TypeAlias = Callable[..., CompletedProcess[bytes]]
TEXT = "One two three. Four five six."
LONG = " ".join(f"This is sentence {index} of a long text." for index in range(80))
RECORDING_PLAYER = f"""#!{sys.executable} -I
import shutil, sys
shutil.copy(sys.argv[1], "heard.wav")
"""
SSML = '<speak>One <sub alias="two">2</sub> three.</speak>'


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3", "WAV"])
def test_the_suffix_decides_the_format(ttskit: Command, folder: Path, suffix: str) -> None:
    ttskit("say", TEXT, "-o", f"out.{suffix}")
    data = (folder / f"out.{suffix}").read_bytes()
    assert transcribe(data) == TEXT
    assert decode(data).format == suffix.lower()


def test_a_format_by_name_wins_over_the_suffix(ttskit: Command, folder: Path) -> None:
    ttskit("say", TEXT, "-o", "out.bin", "--format", "flac")
    assert decode((folder / "out.bin").read_bytes()).format == "flac"


def test_mulaw_has_the_rate_of_telephones(ttskit: Command) -> None:
    run = ttskit("say", TEXT, "-o", "out.ulaw", "--json")
    assert json.loads(run.stdout)["sample_rate"] == 8_000


def test_a_line_tells_what_was_made(ttskit: Command) -> None:
    run = ttskit("say", TEXT, "-o", "out.wav")
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout.startswith(b"out.wav: ")
    assert run.stdout.endswith(b" s of speech by mock (alto)\n")


def test_quiet_says_nothing(ttskit: Command) -> None:
    run = ttskit("say", TEXT, "-o", "out.wav", "-q")
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")


def test_words_need_no_quotes(ttskit: Command, folder: Path) -> None:
    ttskit("say", "-o", "out.wav", "One", "two", "three.")
    assert transcribe((folder / "out.wav").read_bytes()) == "One two three."


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["chapter.txt"], id="by its suffix"),
        pytest.param(["-f", "chapter.txt"], id="by --file"),
    ],
)
def test_a_file_is_read(ttskit: Command, folder: Path, arguments: list[str]) -> None:
    (folder / "chapter.txt").write_text(f"\ufeff{TEXT}\n", encoding="utf-8")
    ttskit("say", *arguments, "-o", "out.wav")
    assert transcribe((folder / "out.wav").read_bytes()) == TEXT


def test_a_file_name_can_be_said_itself(ttskit: Command, folder: Path) -> None:
    (folder / "chapter.txt").write_text("not this")
    ttskit("say", "--text", "chapter.txt", "-o", "out.wav")
    assert transcribe((folder / "out.wav").read_bytes()) == "chapter.txt"


@pytest.mark.parametrize("arguments", [["-"], []], ids=["dash", "nothing"])
def test_stdin_is_read(ttskit_process: Command, folder: Path, arguments: list[str]) -> None:
    run = ttskit_process("say", *arguments, "-o", "out.wav", stdin="Größe. Ende.\n".encode())
    assert (run.returncode, run.stderr) == (0, b"")
    assert transcribe((folder / "out.wav").read_bytes()) == "Größe. Ende."


def test_a_pipe_gets_wav(ttskit: Command) -> None:
    run = ttskit("say", TEXT)
    assert run.stdout[:4] == b"RIFF"
    assert transcribe(run.stdout) == TEXT


def test_audio_from_stdin_to_stdout_leaves_as_it_comes(ttskit_process: Command) -> None:
    run = ttskit_process("say", "-", "-o", "-", "--format", "mp3", stdin=TEXT.encode())
    assert transcribe(run.stdout) == TEXT


def test_the_result_is_on_stderr_when_audio_takes_stdout(ttskit: Command) -> None:
    run = ttskit("say", TEXT, "-o", "-", "--json")
    assert json.loads(run.stderr)["output"] == "-"
    assert transcribe(run.stdout) == TEXT


def test_json_tells_where_the_speech_comes_from(ttskit: Command) -> None:
    result = json.loads(ttskit("say", TEXT, "-o", "out.mp3", "--json").stdout)
    assert (result["output"], result["format"], result["outcome"]) == ("out.mp3", "mp3", "complete")
    assert result["duration"] > 0.5
    assert [attempt["outcome"] for attempt in result["attempts"]] == ["ok", "ok"]
    assert "words" not in result


def test_json_has_word_times_where_asked_for(ttskit: Command) -> None:
    run = ttskit("say", TEXT, "-o", "out.wav", "--json", "--timestamps", "word")
    words = json.loads(run.stdout)["words"]
    assert [TEXT[slice(*word["span"])] for word in words] == [word["word"] for word in words]
    assert words[0]["start"] < words[0]["end"] <= words[-1]["start"]


def test_ssml_is_understood(ttskit: Command, folder: Path) -> None:
    ttskit("say", SSML, "--ssml", "-o", "out.wav")
    assert transcribe((folder / "out.wav").read_bytes()) == "One two three."


def test_an_ssml_file_is_known_by_its_suffix(ttskit: Command, folder: Path) -> None:
    (folder / "page.ssml").write_text(SSML)
    ttskit("say", "page.ssml", "-o", "out.wav")
    assert transcribe((folder / "out.wav").read_bytes()) == "One two three."


def test_long_ssml_is_streamed(ttskit: Command, folder: Path) -> None:
    run = ttskit("say", f"<speak>{LONG}</speak>", "--ssml", "-o", "out.ogg", "--subtitles")
    assert run.returncode == 0
    assert transcribe((folder / "out.ogg").read_bytes()) == LONG
    assert "<speak>" not in (folder / "out.srt").read_text()


def test_a_setting_that_cannot_be_honoured_is_a_warning(ttskit: Command) -> None:
    run = ttskit("say", TEXT, "-o", "out.wav", "--pitch", "3")
    assert run.returncode == 0
    assert run.stderr.startswith(b"ttskit: warning: pitch: ")


def test_or_an_error_under_strict(ttskit: Command, folder: Path) -> None:
    run = ttskit("say", TEXT, "-o", "out.wav", "--pitch", "3", "--strict")
    assert run.returncode == 2
    assert b"pitch" in run.stderr
    assert not (folder / "out.wav").exists()


def test_many_warnings_are_counted(ttskit: Command) -> None:
    text = "\u200b".join(f"Sentence {index}." for index in range(9))
    run = ttskit("say", text, "-o", "out.wav")
    assert run.stderr.count(b"warning: text") == 5
    assert b"3 more warnings" in run.stderr


def test_providers_are_asked_in_the_order_given(ttskit: Command, folder: Path) -> None:
    (folder / "tts.yaml").write_text("providers: {one: {adapter: mock}, two: {adapter: mock}}")
    run = ttskit("say", TEXT, "-o", "out.wav", "--provider", "two, one", "--json")
    assert json.loads(run.stdout)["provider"] == "two"


def test_a_provider_that_is_not_configured_speaks_when_named(ttskit: Command, folder: Path) -> None:
    (folder / "tts.yaml").write_text("providers: {other: {adapter: mock}}")
    run = ttskit("say", TEXT, "-o", "out.wav", "--provider", "mock", "--json")
    assert json.loads(run.stdout)["provider"] == "mock"


def test_a_long_text_is_streamed_into_a_wav_that_knows_its_length(
    ttskit: Command, folder: Path
) -> None:
    (folder / "book.txt").write_text(LONG)
    result = json.loads(ttskit("say", "book.txt", "-o", "book.wav", "--json").stdout)
    with wave.open(str(folder / "book.wav")) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(result["duration"], 1e-3)
    assert transcribe((folder / "book.wav").read_bytes()) == LONG


def test_a_text_over_the_librarys_limit_is_spoken_too(ttskit: Command, folder: Path) -> None:
    (folder / "tts.yaml").write_text("{providers: {mock: {}}, text: {max_characters: 20}}")
    ttskit("say", TEXT, "-o", "out.opus")
    assert transcribe((folder / "out.opus").read_bytes()) == TEXT


@pytest.mark.parametrize("text", [TEXT, LONG], ids=["short", "streamed"])
def test_subtitles_stand_beside_the_audio(ttskit: Command, folder: Path, text: str) -> None:
    run = ttskit("say", text, "-o", "out.wav", "--subtitles")
    assert run.stdout.endswith(b"out.srt: subtitles\n")
    shown = (folder / "out.srt").read_text()
    assert shown.startswith("1\n00:00:00,")
    lines = [line for line in shown.splitlines() if line[:1].isalpha()]
    assert " ".join(lines) == text


def test_subtitles_go_to_a_file_of_their_own(ttskit: Command, folder: Path) -> None:
    ttskit("say", TEXT, "-o", "-", "--subtitles", "shown.vtt")
    assert (folder / "shown.vtt").read_text().startswith("WEBVTT\n")


def test_output_stays_in_its_directory(ttskit: Command, folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "tts.yaml").write_text("{providers: {mock: {}}, output: {directory: out}}")
    assert ttskit("say", TEXT, "-o", "in.wav").returncode == 0
    assert (folder / "out" / "in.wav").exists()
    assert ttskit("say", TEXT, "-o", "../stray.wav").returncode == 2
    assert not (folder / "stray.wav").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the player is a script")
def test_played_text_is_heard(
    ttskit: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = folder / "pw-play"
    player.write_text(RECORDING_PLAYER)
    player.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    run = ttskit("say", "One word.", "--play", "-o", "kept.mp3")
    assert run.returncode == 0
    assert transcribe((folder / "heard.wav").read_bytes()) == "One word."
    assert transcribe((folder / "kept.mp3").read_bytes()) == "One word."


def test_a_player_that_is_missing_keeps_the_file_away(
    ttskit: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    run = ttskit("say", TEXT, "--play", "-o", "kept.mp3")
    assert run.returncode == 3
    assert b"pip install sounddevice" in run.stderr
    assert not (folder / "kept.mp3").exists()


@pytest.mark.engine("hibari")
def test_the_embedded_voice_speaks(ttskit: Command, folder: Path) -> None:
    (folder / "tts.yaml").write_text("providers: {hibari: {}}")
    run = ttskit(
        "say", "The train to Oxford leaves at half past nine.", "-o", "hello.wav", "--json"
    )
    result = json.loads(run.stdout)
    assert 1.5 < result["duration"] < 6
    assert result["provider"] == "hibari"
