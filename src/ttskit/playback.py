"""Audio to the loudspeaker: through the package ``sounddevice``, else a player of the system."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from ttskit.codecs.encode import encode
from ttskit.codecs.pcm import Samples
from ttskit.errors import DependencyMissingError, ResourceError


@dataclass(frozen=True, slots=True)
class Player:
    """A program that plays a WAV file named as its last argument, and ends when it is done."""

    program: str
    options: tuple[str, ...] = ()


PLAYERS = (
    Player("pw-play"),
    Player("paplay"),
    Player("aplay", ("-q",)),
    Player("afplay"),
    Player("ffplay", ("-nodisp", "-autoexit", "-loglevel", "error")),
)
"""Sought in this order: PipeWire, PulseAudio, ALSA, macOS, FFmpeg."""


class _SoundDevice(Protocol):
    """What is used of the package. Source: python-sounddevice 0.5, convenience functions."""

    PortAudioError: type[Exception]

    def play(self, data: Samples, samplerate: int, *, blocking: bool) -> None: ...


def play(samples: Samples, sample_rate: int) -> None:
    """Play the samples and return when they were heard.

    Args:
        samples: Shape (frames,) or (frames, channels).
        sample_rate: Hz.

    Raises:
        DependencyMissingError: Neither ``sounddevice`` nor a player was found.
        ResourceError: What was found could not play: perhaps there is no sound card.
    """
    if not len(samples):
        return
    device = _sound_device()
    if device is not None:
        _play_on_device(device, samples, sample_rate)
    elif sys.platform == "win32":
        import winsound  # only on Windows

        winsound.PlaySound(encode(samples, "wav", sample_rate=sample_rate), winsound.SND_MEMORY)
    else:
        _play_with_program(_found_players(), encode(samples, "wav", sample_rate=sample_rate))


def _sound_device() -> _SoundDevice | None:
    try:
        return cast("_SoundDevice", importlib.import_module("sounddevice"))
    except (ImportError, OSError):  # OSError: the package is there, its PortAudio library is not
        return None


def _play_on_device(device: _SoundDevice, samples: Samples, sample_rate: int) -> None:
    try:
        device.play(samples, sample_rate, blocking=True)
    except device.PortAudioError as error:
        raise ResourceError(f"sounddevice could not play: {_first_line(str(error))}") from error


def _found_players() -> list[tuple[str, Player]]:
    found = [(shutil.which(player.program), player) for player in PLAYERS]
    players = [(path, player) for path, player in found if path is not None]
    if not players:
        raise DependencyMissingError(
            "nothing here can play sound; run: pip install sounddevice "
            "(or install a player, such as: apt install alsa-utils)"
        )
    return players


def _play_with_program(players: Sequence[tuple[str, Player]], wav: bytes) -> None:
    """Try one player after the other: one may be installed and its sound server not running."""
    complaints = []
    with tempfile.TemporaryDirectory(prefix="ttskit-") as folder:
        file = Path(folder, "speech.wav")
        file.write_bytes(wav)
        for path, player in players:
            complaint = _run([path, *player.options, str(file)])
            if complaint is None:
                return
            complaints.append(f"{player.program} could not play: {complaint}")
    raise ResourceError("; ".join(complaints))


def _run(command: Sequence[str]) -> str | None:
    """Return what the program complained of; None when it played to the end."""
    try:
        done = subprocess.run(  # noqa: S603 - a program found on PATH, never a shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        return error.strerror or "it could not be started"
    if done.returncode == 0:
        return None
    return _first_line(done.stderr.decode(errors="replace")) or f"exit status {done.returncode}"


def _first_line(message: str) -> str:
    return "".join(message.strip().splitlines()[:1])[:200]
