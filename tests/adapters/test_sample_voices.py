"""Voices of samples are worked out once, and not kept for ever."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.adapters.sample_voices import SampleVoices
from ttskit.errors import InvalidVoiceReferenceError


def read(sample: str) -> str:
    return Path(sample).read_text()


def write(folder: Path, name: str, content: str) -> str:
    (folder / name).write_text(content)
    return str(folder / name)


@given(
    asked=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5)), max_size=20),
    most=st.integers(1, 4),
)
def test_the_voices_used_last_are_not_worked_out_again(
    asked: list[tuple[str, int]], most: int
) -> None:
    voices = SampleVoices(read, most=most)
    recent: list[int] = []
    with TemporaryDirectory() as folder:
        for name, heard in asked:
            made = voices.made
            assert voices.voice(write(Path(folder), name, str(heard))) == str(heard)
            assert (voices.made > made) == (heard not in recent[-most:])
            recent = [*(one for one in recent if one != heard), heard]


def test_after_a_failure_the_sample_is_tried_again(tmp_path: Path) -> None:
    answers = iter(["", "found"])

    def make(sample: str) -> str:
        del sample
        if not (answer := next(answers)):
            raise InvalidVoiceReferenceError("too short")
        return answer

    voices, sample = SampleVoices(make, most=2), write(tmp_path, "a.wav", "a")
    with pytest.raises(InvalidVoiceReferenceError, match="too short"):
        voices.voice(sample)
    assert voices.voice(sample) == "found"


def test_what_is_cleared_is_worked_out_again(tmp_path: Path) -> None:
    voices, sample = SampleVoices(read, most=2), write(tmp_path, "a.wav", "a")
    voices.voice(sample)
    voices.clear()
    voices.voice(sample)
    assert voices.made == 2


def test_a_file_that_is_gone_is_no_sample(tmp_path: Path) -> None:
    with pytest.raises(InvalidVoiceReferenceError, match="cannot be read"):
        SampleVoices(read, most=2).voice(str(tmp_path / "gone.wav"))
