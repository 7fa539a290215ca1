from __future__ import annotations

from pathlib import Path

import pytest

from ttskit.codecs.formats import (
    FORMATS,
    Backend,
    available_formats,
    choose_backend,
    format_of_path,
    supported_rate,
)
from ttskit.errors import InvalidParameterError, UnsupportedFormatError
from ttskit.request import AudioFormat


def test_every_format_is_described() -> None:
    assert set(FORMATS) == set(AudioFormat)


def test_no_suffix_stands_for_two_formats() -> None:
    suffixes = [suffix for info in FORMATS.values() for suffix in info.suffixes]
    assert len(suffixes) == len(set(suffixes))


@pytest.mark.parametrize("name", AudioFormat)
def test_a_path_tells_its_format(name: AudioFormat) -> None:
    assert format_of_path(Path("a.b") / f"speech{FORMATS[name].suffix.upper()}") is name


@pytest.mark.parametrize("path", ["speech", "speech.txt", ".wav", ""])
def test_a_path_without_a_known_suffix_is_refused_with_the_known_ones(path: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"\.wav .*\.mp3"):
        format_of_path(path)


@pytest.mark.parametrize(
    ("name", "rate", "carried"),
    [
        ("wav", 12_345, 12_345),
        ("opus", 22_050, 24_000),
        ("opus", 44_100, 48_000),
        ("opus", 96_000, 48_000),
        ("mp3", 22_050, 22_050),
        ("mp3", 96_000, 48_000),
        ("aac", 1_000, 8_000),
        ("mulaw", 24_000, 24_000),
        ("alaw", 24_000, 24_000),
    ],
)
def test_a_rate_is_kept_or_raised_to_what_the_format_carries(
    name: str, rate: int, carried: int
) -> None:
    assert supported_rate(name, rate) == carried


def test_a_rate_must_be_positive() -> None:
    with pytest.raises(InvalidParameterError):
        supported_rate("wav", 0)


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnsupportedFormatError, match="wav, flac"):
        supported_rate("aiff", 24_000)


@pytest.mark.usefixtures("without_av")
def test_without_pyav_all_but_aac_can_be_written() -> None:
    assert set(AudioFormat) - set(available_formats()) == {AudioFormat.AAC, AudioFormat.M4A}


@pytest.mark.engine("av")
def test_with_pyav_everything_can_be_written() -> None:
    assert set(available_formats()) == set(AudioFormat)


@pytest.mark.usefixtures("without_av")
@pytest.mark.parametrize("wanted", [None, "av"])
def test_a_missing_library_is_named_with_the_line_that_installs_it(wanted: Backend | None) -> None:
    with pytest.raises(UnsupportedFormatError, match=r'pip install "ttskit\[codecs\]"'):
        choose_backend(AudioFormat.AAC, FORMATS[AudioFormat.AAC].writers, wanted)


def test_a_library_that_cannot_do_the_format_is_refused() -> None:
    with pytest.raises(UnsupportedFormatError, match="soundfile does"):
        choose_backend(AudioFormat.FLAC, FORMATS[AudioFormat.FLAC].writers, "av")
