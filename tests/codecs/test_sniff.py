from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.codecs.sniff import is_text, sniff


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"RIFF\x24\0\0\0WAVEfmt ", "wav"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "wav"),
        (b"fLaC\0\0\0\x22", "flac"),
        (b"OggS" + bytes(24) + b"OpusHead", "opus"),
        (b"OggS" + bytes(24) + b"\x01vorbis", "ogg"),
        (b"\0\0\0\x1cftypM4A ", "m4a"),
        (b"ID3\x04\0\0", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf3\x84\xc0", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
    ],
)
def test_a_file_is_known_by_its_first_bytes(head: bytes, name: str) -> None:
    assert sniff(head) == name


@pytest.mark.parametrize(
    "head", [b"", b"\xff", b"RIFF\x24\0\0\0AVI ", b"\0\0\0\0", b"\xff\xff\xff"]
)
def test_anything_else_is_not_known(head: bytes) -> None:
    assert sniff(head) is None


@pytest.mark.parametrize(
    "text", ["<html>", '{"a": 1}', " [1, 2]\n", "service unavailable, try later"]
)
def test_text_is_told_from_audio(text: str) -> None:
    assert is_text(text.encode() + b" " * 40)


@given(st.binary(min_size=32, max_size=64).filter(lambda data: any(b > 0x7F for b in data[:32])))
def test_bytes_beyond_ascii_are_not_taken_for_text(data: bytes) -> None:
    assert not is_text(data)


@pytest.mark.parametrize("pcm", [b"", b"00", b"{a", b"<\x01>", b"{" * 20], ids=repr)
def test_a_few_samples_are_not_taken_for_text(pcm: bytes) -> None:
    assert not is_text(pcm)
