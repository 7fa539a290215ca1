"""Coqui's models that draw spectrograms, on tiny random weights, with a vocoder or without."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from tests.engines.coqui_models import (
    RARER_SPECTROGRAMS,
    SPECTROGRAMS,
    VOCODERS,
    make_other_vocoder,
    make_spectrogram_model,
    make_vocoder,
)
from ttskit.adapters.base import EMULATED, NATIVE, UNSUPPORTED
from ttskit.adapters.coqui import CoquiAdapter, CoquiOptions
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.errors import (
    ConfigurationError,
    InvalidParameterError,
    ModelLoadError,
    UnsupportedFeatureError,
)
from ttskit.resources.engine import EngineJob, JsonValue

pytestmark = pytest.mark.engine("coqui")
TEXT = "hello there my friend, this is a sentence. and here is one more of them."


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {kind: make_spectrogram_model(folder / kind, kind) for kind in SPECTROGRAMS}


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vocoder(tmp_path_factory.mktemp("vocoder"))


def loaded(model: Path, vocoder: Path | None = None) -> CoquiEngine:
    engine = CoquiEngine(model=str(model), vocoder=str(vocoder) if vocoder else None)
    engine.load()
    return engine


def heard(engine: CoquiEngine, text: str = TEXT, **settings: object) -> list[np.ndarray]:
    job = EngineJob(text, **settings)  # type: ignore[arg-type] # the test's own
    return [chunk.samples for chunk in engine.synthesize(job, threading.Event())]


@pytest.mark.parametrize(
    ("kind", "with_vocoder"),
    # The first Tacotron draws linear spectrograms, which no HiFi-GAN reads.
    [(kind, False) for kind in SPECTROGRAMS]
    + [(kind, True) for kind in SPECTROGRAMS if kind != "tacotron"],
)
def test_each_sentence_is_drawn_and_made_sound_of(
    models: dict[str, Path], vocoder: Path, kind: str, *, with_vocoder: bool
) -> None:
    engine = loaded(models[kind], vocoder if with_vocoder else None)
    takes = heard(engine, seed=1)
    assert len(takes) == 2
    assert all(take.dtype == np.float32 and take.size and np.isfinite(take).all() for take in takes)
    assert max(np.abs(take).max() for take in takes) <= 1


@pytest.mark.filterwarnings("ignore::UserWarning:torch")  # DelightfulTTS has layers of no size
@pytest.mark.parametrize("name", RARER_SPECTROGRAMS)
def test_rarer_kinds_speak_too(tmp_path: Path, name: str) -> None:
    kind, settings = RARER_SPECTROGRAMS[name]
    takes = heard(loaded(make_spectrogram_model(tmp_path, kind, **settings)), "hello there")
    assert len(takes) == 1
    assert takes[0].size
    assert np.isfinite(takes[0]).all()


@pytest.mark.parametrize("kind", VOCODERS)
def test_every_vocoder_of_coquis_list_makes_sound(
    models: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    (take,) = heard(loaded(models["glow_tts"], make_other_vocoder(tmp_path, kind)), "he")
    assert take.size
    assert np.isfinite(take).all()


def test_a_vocoder_that_nobody_could_wait_for_is_refused(
    models: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="WaveRNN takes minutes"):
        loaded(models["glow_tts"], make_other_vocoder(tmp_path, "wavernn"))


@pytest.mark.parametrize("kind", ["glow_tts", "tacotron2"])
def test_a_seed_repeats_noise_and_dropout(
    models: dict[str, Path], vocoder: Path, kind: str
) -> None:
    engine = loaded(models[kind], vocoder)
    options: dict[str, JsonValue] = {"noise_scale": 1.0} if kind == "glow_tts" else {}
    takes = [np.concatenate(heard(engine, seed=seed, options=options)) for seed in (1, 1, 2)]
    assert np.array_equal(takes[0], takes[1])
    assert not np.array_equal(takes[0], takes[2])


def test_speed_and_length_are_one_jobs_own(models: dict[str, Path], vocoder: Path) -> None:
    engine = loaded(models["glow_tts"], vocoder)
    plain, slow, slower, again = [
        np.concatenate(heard(engine, speed=speed, options=options)).size
        for speed, options in ((1, {}), (0.5, {}), (0.5, {"length_scale": 2.0}), (1, {}))
    ]
    assert plain == again
    assert plain < slow < slower


def test_a_vocoder_of_another_sample_rate_is_fed_what_it_reads(
    models: dict[str, Path], tmp_path: Path
) -> None:
    engine = loaded(models["glow_tts"], make_vocoder(tmp_path, sample_rate=24_000))
    chunks = list(engine.synthesize(EngineJob(TEXT), threading.Event()))
    assert {chunk.sample_rate for chunk in chunks} == {24_000}
    assert engine.voices()[0].sample_rate == 24_000


def test_speakers_of_a_spectrogram_model_are_voices(tmp_path: Path, vocoder: Path) -> None:
    many = {"use_speaker_embedding": True, "speakers": ["ann", "bob"], "c_in_channels": 0}
    model = make_spectrogram_model(tmp_path, "glow_tts", **many)
    engine = loaded(model, vocoder)
    assert [voice.id for voice in engine.voices()] == ["ann", "bob"]
    ann, bob = [np.concatenate(heard(engine, voice=voice)) for voice in ("ann", "bob")]
    assert ann.tobytes() != bob.tobytes()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("tacotron2", {"length_scale": 2.0}), ("fast_pitch", {"noise_scale": 0.5})],
)
def test_what_a_kind_knows_nothing_of_is_refused(
    models: dict[str, Path], kind: str, options: dict[str, JsonValue]
) -> None:
    with pytest.raises(InvalidParameterError, match="knows no"):
        heard(loaded(models[kind]), options=options)


def test_a_sample_of_a_voice_is_of_no_use_to_it(models: dict[str, Path]) -> None:
    with pytest.raises(UnsupportedFeatureError, match="sample"):
        heard(loaded(models["glow_tts"]), reference="me.wav")


def test_weights_that_are_no_vocoders_are_refused(models: dict[str, Path], tmp_path: Path) -> None:
    wrong = make_vocoder(tmp_path)
    (wrong / "model.pth").write_bytes((models["glow_tts"] / "model.pth").read_bytes())
    with pytest.raises(ModelLoadError, match="vocoder"):
        loaded(models["glow_tts"], wrong)


@pytest.mark.parametrize(("kind", "speed"), [("glow_tts", NATIVE), ("tacotron2", UNSUPPORTED)])
def test_the_adapter_declares_what_its_model_can_do(
    models: dict[str, Path], kind: str, speed: str
) -> None:
    able = CoquiAdapter(CoquiOptions(model=str(models[kind]))).capabilities
    assert (able.streaming, able.word_timestamps, able.speed) == (UNSUPPORTED, EMULATED, speed)
    named = CoquiOptions(model="tts_models/en/ljspeech/tacotron2-DDC")
    assert CoquiAdapter(named).capabilities.speed is UNSUPPORTED
