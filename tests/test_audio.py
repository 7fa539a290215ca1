"""Finished audio: what it knows, what it can become, where it can go."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.audio import Audio, Notice, Outcome, Provenance, Spoken, WordTiming
from ttskit.codecs.decode import decode
from ttskit.codecs.pcm import Samples
from ttskit.errors import (
    InvalidParameterError,
    InvalidResponseError,
    UnsafePathError,
    UnsupportedFormatError,
)
from ttskit.request import AudioFormat

TEXT = "One two. Three."
RATE = 24_000

needs_av = pytest.mark.engine("av")
FORMATS = [
    pytest.param(name, marks=needs_av if name in ("aac", "m4a") else (), id=name)
    for name in AudioFormat
]


def tone(frames: int = RATE, *, channels: int = 1, rate: int = RATE) -> Samples:
    """Return a tone that swells, so that a shift in time shows."""
    time = np.arange(frames) / rate
    wave = (0.5 * np.sin(2 * np.pi * (200 + 150 * time) * time) * time / time[-1]).astype("f4")
    return wave if channels == 1 else np.stack([wave, -wave], axis=1)


def speech(
    encoding: AudioFormat = AudioFormat.WAV, *, samples: Samples | None = None, rate: int = RATE
) -> Audio:
    return Audio.from_samples(
        tone() if samples is None else samples,
        sample_rate=rate,
        format=encoding,
        words=[WordTiming("One", 0.1, 0.4, (0, 3))],
        origin=Provenance(provider="mock", voice="modem"),
        ledger=[
            Spoken(0, (0, 9), (0, rate // 3), "mock", "modem"),
            Spoken(1, (9, 15), (rate // 3, rate), "mock", "modem"),
        ],
        warnings=[Notice("ignored", "pitch", "mock has no pitch")],
        text=TEXT,
    )


def likeness(one: Samples, other: Samples) -> float:
    return float(np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1])


@pytest.mark.parametrize("encoding", FORMATS)
def test_samples_are_the_speech_in_every_format(encoding: AudioFormat) -> None:
    audio = speech(encoding)
    assert audio.format is encoding
    assert audio.samples.shape == (RATE,)
    assert audio.samples.dtype == np.float32
    assert likeness(audio.samples, tone()) > 0.99
    assert audio.duration == 1.0


@pytest.mark.parametrize("encoding", FORMATS)
def test_stereo_stays_stereo(encoding: AudioFormat) -> None:
    audio = speech(encoding, samples=tone(channels=2))
    assert (audio.channels, audio.samples.shape) == (2, (RATE, 2))
    assert likeness(audio.samples, tone(channels=2)) > 0.99


@pytest.mark.parametrize("encoding", FORMATS)
def test_audio_without_frames_is_no_trouble(encoding: AudioFormat) -> None:
    audio = speech(encoding, samples=np.zeros(0, np.float32))
    assert (audio.duration, audio.samples.shape) == (0.0, (0,))
    assert audio.convert("pcm").data == b""


def test_samples_are_decoded_once() -> None:
    audio = speech(AudioFormat.FLAC)
    assert audio.samples is audio.samples


def test_a_rate_that_the_format_lacks_becomes_the_next_one_and_the_ledger_follows() -> None:
    audio = speech(AudioFormat.OPUS, samples=tone(22_050, rate=22_050), rate=22_050)
    assert (audio.sample_rate, audio.frames, audio.duration) == (24_000, 24_000, 1.0)
    assert [entry.frames for entry in audio.ledger] == [(0, 8_000), (8_000, 24_000)]


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_every_format_becomes_every_other(source: AudioFormat, target: AudioFormat) -> None:
    audio = speech(source).convert(target, RATE)
    assert (audio.format, audio.frames) == (target, RATE)
    # µ-law's 8 bits through the plainer of the two Opus encoders keep 0.9897.
    assert likeness(audio.samples, tone()) > 0.985


@given(frames=st.integers(1, 6_000), rate=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]))
def test_another_sample_rate_keeps_duration_and_ledger_together(frames: int, rate: int) -> None:
    ledger = [Spoken(0, (0, 3), (0, frames // 2), "mock", None)]
    ledger.append(Spoken(1, (3, 6), (frames // 2, frames), "mock", None))
    silence = np.zeros(frames, np.float32)
    audio = Audio.from_samples(silence, sample_rate=RATE, ledger=ledger).convert(sample_rate=rate)
    assert audio.duration == pytest.approx(frames / RATE, abs=0.51 / rate)
    assert len(audio.samples) == audio.frames == audio.ledger[-1].frames[1]
    assert audio.ledger[0].frames[1] == audio.ledger[1].frames[0]


def test_conversion_keeps_the_whole_record() -> None:
    audio = speech()
    other = audio.convert("mp3", 16_000)
    assert (other.words, other.text, other.warnings) == (audio.words, TEXT, audio.warnings)
    assert other.origin is audio.origin
    assert [entry.frames for entry in other.ledger] == [(0, 5_333), (5_333, 16_000)]


def test_audio_that_is_so_already_is_not_converted() -> None:
    audio = speech()
    assert audio.convert() is audio.convert("wav", RATE) is audio


def test_telephone_audio_has_the_telephones_rate_unless_asked_otherwise() -> None:
    assert speech().convert("mulaw").sample_rate == 8_000
    assert speech().convert("alaw").sample_rate == 8_000
    assert speech().convert("mulaw", 16_000).sample_rate == 16_000
    assert speech(AudioFormat.MULAW).convert("mulaw").sample_rate == RATE


@pytest.mark.parametrize(
    ("encoding", "rate", "reason"),
    [
        ("opus", 22_050, "nearest it can is 24000"),
        ("mp3", 96_000, "nearest it can is 48000"),
        ("wav", 0, "positive"),
        ("wav", -8_000, "positive"),
    ],
)
def test_a_rate_that_cannot_be_had_is_refused(encoding: str, rate: int, reason: str) -> None:
    with pytest.raises(InvalidParameterError, match=reason):
        speech().convert(AudioFormat(encoding), rate)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UnsupportedFormatError, match="known: wav"):
        speech().convert("wma")  # type: ignore[arg-type] # the mistake under test


def test_broken_data_is_reported() -> None:
    broken = Audio(data=b"RIFF", format=AudioFormat.FLAC, sample_rate=RATE, frames=9)
    with pytest.raises(InvalidResponseError):
        broken.samples  # noqa: B018 - it is decoded by looking


@pytest.mark.parametrize("encoding", FORMATS)
def test_the_suffix_says_the_format_of_the_file(tmp_path: Path, encoding: AudioFormat) -> None:
    suffix = {"mulaw": "ulaw"}.get(encoding, encoding)
    saved = speech().save(tmp_path / f"Hello.{suffix.upper()}")
    assert saved == tmp_path.resolve() / f"Hello.{suffix.upper()}"
    if encoding not in ("pcm", "mulaw", "alaw"):
        assert decode(saved.read_bytes()).format is encoding


def test_a_file_of_the_same_format_is_the_very_data(tmp_path: Path) -> None:
    audio = speech(AudioFormat.OGG)
    assert audio.save(tmp_path / "a.ogg").read_bytes() == audio.data


def test_the_format_may_be_said_where_the_suffix_says_nothing(tmp_path: Path) -> None:
    saved = speech().save(tmp_path / "download", format="flac")
    assert decode(saved.read_bytes()).format is AudioFormat.FLAC


@pytest.mark.parametrize("name", ["hello", "hello.txt", "hello.wav.bak", ".wav"])
def test_a_suffix_that_is_no_format_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"\.wav"):
        speech().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_audio_of_a_service_stays_in_its_output_directory(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    audio = Audio.from_samples(tone(), sample_rate=RATE, within=tmp_path / "out")
    assert audio.save("hello.wav") == (tmp_path / "out" / "hello.wav").resolve()
    for kept in (audio, audio.convert("flac"), pickle.loads(pickle.dumps(audio))):  # noqa: S301
        with pytest.raises(UnsafePathError):
            kept.save("../hello.wav")
    assert not (tmp_path / "hello.wav").exists()


def test_the_repr_says_who_and_what_but_not_the_text() -> None:
    shown = repr(speech(AudioFormat.MP3))
    assert shown == "<Audio mp3 1.00 s 24000 Hz mono by mock, complete>"


def test_the_repr_is_honest_about_audio_that_ends_early() -> None:
    audio = Audio.from_samples(
        tone(channels=2), sample_rate=RATE, origin=Provenance(outcome=Outcome.TRUNCATED)
    )
    assert repr(audio) == "<Audio wav 1.00 s 24000 Hz stereo, truncated>"


def test_results_can_be_imported_without_numpy_and_codecs() -> None:
    code = "import sys, ttskit.audio; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not loaded & {"numpy", "soundfile", "soxr", "av", "ttskit.codecs", "ttskit.text"}
