from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from ttskit.errors import GenerationError, GPUOutOfMemoryError, OutOfMemoryError
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, EngineWord
from ttskit.resources.relief import Rung, halves, relieved
from ttskit.voices import Voice

RATE = 1_000
ROOT = Path(__file__).parents[2]
TEXT = "One two three four five six, seven eight nine ten eleven twelve thirteen."


class Tensor:
    """Something large that an attempt holds."""


class TightEngine(Engine):
    """Says a frame a character, with an allocator that fails as it is told.

    Args:
        failures: How many attempts find no memory, whatever they are.
        most: Characters at a time that there is memory for; None: any number.
        caches: How many attempts fail unless caches are cleared.
        error: What the allocator raises.
    """

    def __init__(
        self,
        failures: int = 0,
        *,
        most: int | None = None,
        caches: bool = False,
        error: Exception | None = None,
    ) -> None:
        self.failures = failures
        self.most = most
        self.caches = caches
        self.error = error or MemoryError()
        self.held: list[weakref.ref[Tensor]] = []
        self.texts: list[str] = []

    @override
    def load(self) -> None:
        """It is there."""

    @override
    def voices(self) -> list[Voice]:
        return []

    @override
    def clear_caches(self) -> None:
        self.caches = False

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        tensor = Tensor()
        assert not any(ref() for ref in self.held), "an earlier attempt's tensors are alive"
        self.held.append(weakref.ref(tensor))
        self.texts.append(job.text)
        self.failures -= 1
        if self.failures >= 0 or self.caches or len(job.text) > (self.most or len(job.text)):
            raise type(self.error)(*self.error.args)
        words = tuple(
            EngineWord(start / RATE, end / RATE, (start, end)) for start, end in _words(job.text)
        )
        yield EngineChunk(np.ones(len(job.text), np.float32), RATE, words)


def _words(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for word in text.split():
        at = text.index(word, at)
        yield at, at + len(word)
        at += len(word)


def _speak(engine: Engine, text: str = TEXT) -> tuple[list[EngineChunk], list[Rung]]:
    rungs: list[Rung] = []
    chunks = list(relieved(engine, EngineJob(text), threading.Event(), rungs.append))
    return chunks, rungs


@pytest.mark.parametrize(
    ("engine", "rungs"),
    [
        (TightEngine(), []),
        (TightEngine(1), [Rung.RELEASE]),
        (TightEngine(caches=True), [Rung.RELEASE, Rung.CLEAR]),
        (TightEngine(most=60), [Rung.RELEASE, Rung.CLEAR, Rung.SPLIT]),
    ],
)
def test_each_step_is_tried_once_in_order(engine: TightEngine, rungs: list[Rung]) -> None:
    chunks, told = _speak(engine)
    assert told == rungs
    assert sum(len(chunk.samples) for chunk in chunks) == len(TEXT)


def test_the_words_of_a_text_in_two_parts_are_where_they_were() -> None:
    chunks, _ = _speak(TightEngine(most=60))
    words = [word for chunk in chunks for word in chunk.words]
    assert [TEXT[start:end] for start, end in (word.span for word in words)] == TEXT.split()
    assert all(word.start == word.span[0] / RATE for word in words)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (MemoryError(), OutOfMemoryError),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), GPUOutOfMemoryError),
        (OutOfMemoryError("none left"), OutOfMemoryError),
    ],
)
def test_when_nothing_helps_the_error_says_so_and_holds_nothing(
    raised: Exception, expected: type[Exception]
) -> None:
    engine = TightEngine(99, error=raised)
    with pytest.raises(expected) as caught:
        _speak(engine)
    assert type(caught.value) is expected
    assert len(engine.texts) == 4
    gc.collect()
    assert not any(ref() for ref in engine.held)


def test_what_was_heard_is_not_said_again() -> None:
    engine = TightEngine(most=40)  # the first part is too long still, or else the second is
    with pytest.raises(OutOfMemoryError):
        _speak(engine, "One two three four five six seven eight nine ten eleven twelve." * 2)
    assert len(engine.texts) == 4


def test_other_failures_are_passed_on() -> None:
    engine = TightEngine(99, error=GenerationError("the model is broken"))
    with pytest.raises(GenerationError):
        _speak(engine)
    assert engine.texts == [TEXT]


@given(st.text(st.characters(categories=["L", "P", "Zs"]), min_size=1, max_size=300))
def test_two_parts_are_the_whole_text(text: str) -> None:
    parts = halves(EngineJob(text))
    assert "".join(part.text for part in parts) == text
    assert all(part.text for part in parts)
    assert len(parts) <= 3


def test_markup_is_not_cut() -> None:
    job = EngineJob(f"<speak>{TEXT}</speak>", is_ssml=True)
    assert halves(job) == [job]


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is kept by Linux alone")
@pytest.mark.parametrize(
    ("room", "each", "told"),
    [
        pytest.param(80, 1, "57", id="enough"),
        pytest.param(40, 1, "57 release clear", id="with what was kept"),
        pytest.param(15, 1, "57 release clear split", id="for one half at a time"),
        pytest.param(15, 2, "0 release clear split in vain", id="too little"),
    ],
)
def test_a_process_with_a_real_limit_climbs_as_far_as_it_must(
    room: int, each: int, told: str
) -> None:
    program = [sys.executable, "-m", "tests.resources.limited_memory", str(room), str(each)]
    ended = subprocess.run(program, capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout == told
