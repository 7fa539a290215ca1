"""YourTTS on tiny random weights: its own speakers, and voices cloned through its encoder."""

from __future__ import annotations

import json
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.coqui_models import make_encoder, make_spectrogram_model, make_your_tts
from ttskit import TTSService
from ttskit.adapters.base import NATIVE, UNSUPPORTED
from ttskit.adapters.coqui import CoquiAdapter, CoquiOptions
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.codecs.pcm import Samples, to_pcm
from ttskit.codecs.wav import wav_header
from ttskit.errors import (
    ConfigurationError,
    InvalidVoiceReferenceError,
    ModelLoadError,
    UnsupportedFeatureError,
    VoiceNotFoundError,
)
from ttskit.resources.engine import EngineJob

pytestmark = pytest.mark.engine("coqui")
STILL: dict[str, object] = {"noise_scale": 0.0, "noise_scale_dp": 0.0}
TEXT = "hello there my friend"
HUB = "tts_models/multilingual/multi-dataset/your_tts"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_your_tts(tmp_path_factory.mktemp("your_tts"), encoder={})


@pytest.fixture(scope="module")
def engine(model: Path) -> CoquiEngine:
    return loaded(model)


def loaded(model: Path, **settings: object) -> CoquiEngine:
    engine = CoquiEngine(model=str(model), **{"defaults": STILL, **settings})  # type: ignore[arg-type] # the test's own
    engine.load()
    return engine


def heard(engine: CoquiEngine, **settings: object) -> Samples:
    job = EngineJob(TEXT, **{"language": "en", **settings})  # type: ignore[arg-type] # the test's
    return np.concatenate([chunk.samples for chunk in engine.synthesize(job, threading.Event())])


def write_sample(path: Path, *, seed: int, seconds: float = 2.0, loudness: float = 0.1) -> str:
    noise = np.random.default_rng(seed).normal(size=int(seconds * 24_000)) * loudness
    pitch = np.sin(np.arange(len(noise)) * (0.02 + 0.03 * seed)) * loudness
    samples = (noise * 0.1 + pitch).astype(np.float32)
    path.write_bytes(wav_header(24_000, 1, len(samples)) + to_pcm(samples))
    return str(path)


# Its own speakers and languages


def test_the_speakers_of_its_embeddings_are_voices(engine: CoquiEngine) -> None:
    voices = engine.voices()
    assert [voice.id for voice in voices] == ["female-en-5", "male-pt-3"]
    assert voices[0].languages == ("en", "fr-FR", "pt-BR")
    woman, man = heard(engine, voice="female-en-5"), heard(engine, voice="male-pt-3")
    assert woman.tobytes() != man.tobytes()
    assert np.array_equal(woman, heard(engine))


def test_the_language_reaches_the_network(engine: CoquiEngine) -> None:
    assert heard(engine).tobytes() != heard(engine, language="fr").tobytes()


@given(st.lists(st.sampled_from(["ann", "ann\n", " bob", "bob", "eve\n"]), unique=True))
def test_every_voice_means_a_speaker_and_the_plain_name_first(names: list[str]) -> None:
    from ttskit.adapters.coqui_reader import voices_of

    voices = voices_of(names)
    assert set(voices) == {name.strip() for name in names}
    assert all(own.strip() == voice for voice, own in voices.items())
    assert all(voices[name] == name for name in names if name == name.strip())


def test_onnxruntime_is_refused_and_torch_taken_by_itself(model: Path) -> None:
    with pytest.raises(ConfigurationError, match="by embeddings"):
        loaded(model, runtime="onnx")


# Cloned voices


_LSTM = {"model_name": "lstm", "lstm_dim": 8, "num_lstm_layers": 1, "use_torch_spec": False}


@pytest.mark.parametrize("encoder", [{}, _LSTM], ids=["of waves", "of spectrograms"])
def test_a_sample_speaks_as_coqui_would_have_it(encoder: dict[str, object], tmp_path: Path) -> None:
    import torch
    from TTS.tts.utils.managers import EmbeddingManager

    model = make_your_tts(tmp_path / "model", encoder=encoder)
    engine = loaded(model)
    sample = write_sample(tmp_path / "me.wav", seed=1)
    manager = EmbeddingManager(
        encoder_model_path=model / "model_se.pth", encoder_config_path=model / "config_se.json"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what librosa reads files with
        vector = manager.compute_embedding_from_clip(sample)
    network = engine._made._voice._runtime._model  # type: ignore[union-attr] # Coqui's own
    ids = engine._made._reader.read(TEXT, "en").ids  # type: ignore[union-attr]
    network.inference_noise_scale = network.inference_noise_scale_dp = 0.0
    with torch.inference_mode():
        expected = network.inference(
            torch.tensor([ids]),
            aux_input={"d_vectors": torch.tensor([vector]), "language_ids": torch.tensor([0])},
        )["model_outputs"].flatten()
    cloned = heard(engine, reference=sample)
    assert np.allclose(cloned, expected, atol=1e-3)
    assert cloned.tobytes() != heard(engine).tobytes()


def test_another_sample_is_another_voice_and_each_is_cloned_once(
    model: Path, tmp_path: Path
) -> None:
    engine = loaded(model)
    one = write_sample(tmp_path / "one.wav", seed=1)
    other = write_sample(tmp_path / "other.wav", seed=2)
    copy = tmp_path / "copy.wav"
    copy.write_bytes(Path(one).read_bytes())
    first, second, again = (heard(engine, reference=str(path)) for path in (one, other, copy))
    assert first.tobytes() != second.tobytes()
    assert np.array_equal(first, again)
    assert engine._made._speakers._clones.made == 2  # type: ignore[union-attr] # nobody hears it


def test_the_service_clones_with_it(model: Path, tmp_path: Path) -> None:
    sample = Path(write_sample(tmp_path / "me.wav", seed=1))
    with TTSService({"providers": {"coqui": {"model": str(model), **STILL}}}) as tts:
        cloned = tts.synthesize(TEXT, language="en", reference=sample)
        named = tts.synthesize(TEXT, language="en", voice="male-pt-3")
    assert cloned.sample_rate == 16_000
    assert cloned.duration > 0.1
    assert cloned.data != named.data


def test_sentences_of_several_voices_are_read_in_one_go(model: Path, tmp_path: Path) -> None:
    alone, together = loaded(model), loaded(model, batch=4)
    jobs: list[dict[str, object]] = [
        {"voice": "male-pt-3"},
        {"reference": write_sample(tmp_path / "me.wav", seed=1)},
    ]
    made: dict[int, Samples] = {}

    def run(number: int) -> None:
        made[number] = heard(together, **jobs[number])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, job in enumerate(jobs):
        assert np.allclose(made[number], heard(alone, **job), atol=1e-3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"RIFF", "no whole WAV", id="no file of sound"),
        pytest.param(wav_header(24_000, 1, 2_400) + bytes(4_800), "too short", id="short"),
        pytest.param(wav_header(24_000, 1, 24_000) + bytes(48_000), "no voice", id="silence"),
        pytest.param(None, "cannot be read", id="none"),
    ],
)
def test_what_is_no_sample_is_said(
    engine: CoquiEngine, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "me.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidVoiceReferenceError, match=words):
        heard(engine, reference=str(path))


# With and without an encoder


def test_without_its_encoder_it_speaks_and_clones_nobody(tmp_path: Path) -> None:
    engine = loaded(make_your_tts(tmp_path / "model"))
    assert heard(engine).size
    with pytest.raises(UnsupportedFeatureError, match="like no sample"):
        heard(engine, reference=write_sample(tmp_path / "me.wav", seed=1))


def test_without_speakers_of_its_own_it_wants_a_sample(tmp_path: Path) -> None:
    engine = loaded(make_your_tts(tmp_path / "model", speakers=(), encoder={}))
    assert engine.voices() == []
    assert heard(engine, reference=write_sample(tmp_path / "me.wav", seed=1)).size
    with pytest.raises(VoiceNotFoundError, match="has to bring a reference"):
        heard(engine)


def test_the_encoder_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"gives 12 numbers .* reads 8"):
        loaded(make_your_tts(tmp_path / "model", encoder={"proj_dim": 12}))


def test_a_damaged_encoder_is_refused(tmp_path: Path) -> None:
    folder = make_your_tts(tmp_path / "model", encoder={})
    (folder / "model_se.pth").write_bytes((folder / "model_se.pth").read_bytes()[:5_000])
    with pytest.raises(ModelLoadError, match="speaker encoder"):
        loaded(folder)


def test_a_spectrogram_model_that_reads_embeddings_clones_too(tmp_path: Path) -> None:
    folder = tmp_path / "glow"
    folder.mkdir()
    clips = {"one.wav": {"name": "ann", "embedding": np.linspace(0, 1, 8).tolist()}}
    (folder / "speakers.json").write_text(json.dumps(clips))
    make_encoder(folder, {})
    make_spectrogram_model(
        folder,
        "glow_tts",
        use_d_vector_file=True,
        d_vector_file=str(folder / "speakers.json"),
        d_vector_dim=8,
    )
    engine = CoquiEngine(model=str(folder), defaults={"noise_scale": 0.0})
    engine.load()
    cloned = heard(engine, reference=write_sample(tmp_path / "me.wav", seed=1))
    assert cloned.tobytes() != heard(engine, voice="ann").tobytes()


# What it can do


@pytest.mark.parametrize("encoder", [None, {}], ids=["no encoder", "an encoder"])
def test_it_can_clone_where_it_has_an_encoder(
    tmp_path: Path, encoder: dict[str, object] | None
) -> None:
    folder = make_your_tts(tmp_path / "model", encoder=encoder)
    able = CoquiAdapter(CoquiOptions(model=str(folder))).capabilities
    assert able.cloning == (UNSUPPORTED if encoder is None else NATIVE)
    assert able.word_timestamps == NATIVE


def test_the_published_one_is_known_by_its_name() -> None:
    able = CoquiAdapter(CoquiOptions(model=HUB)).capabilities
    assert (able.cloning, able.conversion) == (NATIVE, UNSUPPORTED)
