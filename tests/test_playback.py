"""Playing audio through whatever this machine has for it."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from ttskit.audio import Audio
from ttskit.codecs.decode import decode
from ttskit.codecs.pcm import Samples
from ttskit.errors import DependencyMissingError, ResourceError
from ttskit.playback import PLAYERS, play

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="players here are scripts")

RECORDING_PLAYER = f"""#!{sys.executable} -I
import json, os, shutil, sys
here = os.path.dirname(__file__)
shutil.copy(sys.argv[-1], os.path.join(here, "played.wav"))
facts = {{"arguments": sys.argv[1:], "mode": os.stat(os.path.dirname(sys.argv[-1])).st_mode}}
json.dump(facts, open(os.path.join(here, "facts.json"), "w"))
"""
BROKEN_PLAYER = "#!/bin/sh\necho 'no sound card' >&2; echo more >&2; exit 3\n"
SILENT_PLAYER = "#!/bin/sh\nexit 3\n"
SOUND_DEVICE = """
class PortAudioError(Exception):
    pass

played = []

def play(data, samplerate, *, blocking):
    if samplerate == 44_100:
        raise PortAudioError("Error querying device -1")
    played.append((data, samplerate, blocking))
"""


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH; the package sounddevice is out of reach."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    return folder


def install(folder: Path, name: str, script: str = RECORDING_PLAYER) -> None:
    player = folder / name
    player.write_text(script)
    player.chmod(0o755)


def speech(channels: int = 1) -> Samples:
    wave: Samples = np.sin(np.arange(2_000) / 10).astype(np.float32) * np.float32(0.5)
    return wave if channels == 1 else np.stack([wave] * channels, axis=1)


@pytest.mark.parametrize("player", [player.program for player in PLAYERS])
@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
def test_a_player_on_path_hears_the_audio(bin_folder: Path, player: str, channels: int) -> None:
    install(bin_folder, player)
    play(speech(channels), 8_000)
    heard = decode((bin_folder / "played.wav").read_bytes())
    assert heard.sample_rate == 8_000
    np.testing.assert_allclose(heard.samples, speech(channels), atol=1e-4)


def test_the_file_for_the_player_is_private_and_goes_away(bin_folder: Path) -> None:
    install(bin_folder, "aplay")
    play(speech(), 8_000)
    facts = json.loads((bin_folder / "facts.json").read_text())
    assert stat.S_IMODE(facts["mode"]) == 0o700
    assert facts["arguments"][:-1] == ["-q"]
    assert not Path(facts["arguments"][-1]).exists()


def test_any_audio_plays_itself(bin_folder: Path) -> None:
    install(bin_folder, "paplay")
    Audio.from_samples(speech(), sample_rate=8_000, format="mulaw").play()
    assert len(decode((bin_folder / "played.wav").read_bytes()).samples) == 2_000


def test_a_player_that_cannot_is_followed_by_the_next(bin_folder: Path) -> None:
    install(bin_folder, "pw-play", BROKEN_PLAYER)
    install(bin_folder, "aplay")
    play(speech(), 8_000)
    assert (bin_folder / "played.wav").exists()


def test_silence_of_no_length_needs_no_player(bin_folder: Path) -> None:
    play(speech()[:0], 8_000)
    assert os.listdir(bin_folder) == []  # noqa: PTH208 - a plain list to compare


def test_where_no_player_is_the_line_that_installs_one_is_named(bin_folder: Path) -> None:
    assert bin_folder.exists()
    with pytest.raises(DependencyMissingError, match="pip install sounddevice"):
        play(speech(), 8_000)


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (BROKEN_PLAYER, r"no sound card$"),
        (SILENT_PLAYER, r"exit status 3$"),
        ("#!/no/such/shell\n", r"No such file"),
    ],
    ids=["complains", "says nothing", "cannot start"],
)
def test_players_that_fail_say_why(bin_folder: Path, script: str, complaint: str) -> None:
    install(bin_folder, "aplay", script)
    with pytest.raises(ResourceError, match=f"^aplay could not play: .*{complaint}"):
        play(speech(), 8_000)


@pytest.fixture
def sound_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sounddevice.py").write_text(SOUND_DEVICE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)


@pytest.mark.usefixtures("sound_device")
def test_the_package_sounddevice_is_preferred_and_waited_for() -> None:
    play(speech(), 8_000)
    [(samples, rate, blocking)] = sys.modules["sounddevice"].played
    assert (rate, blocking) == (8_000, True)
    np.testing.assert_array_equal(samples, speech())


@pytest.mark.usefixtures("sound_device")
def test_a_sound_device_that_fails_says_why() -> None:
    with pytest.raises(ResourceError, match="querying device"):
        play(speech(), 44_100)


def test_a_sounddevice_without_its_library_is_passed_over(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice")
    install(bin_folder, "aplay")
    play(speech(), 8_000)
    assert (bin_folder / "played.wav").exists()
