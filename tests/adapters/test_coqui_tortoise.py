"""Tortoise on tiny random weights: its own voice, cloned ones, seeds, stops, and no end."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.engines.coqui_list import manager_of, write_list
from tests.engines.coqui_tortoise import make_tortoise
from tests.engines.hub_server import HubServer
from ttskit import TTSService
from ttskit.adapters.base import EMULATED, NATIVE, UNSUPPORTED
from ttskit.adapters.coqui import CoquiAdapter, CoquiOptions
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.adapters.coqui_files import TORTOISE, kind_of
from ttskit.codecs.pcm import Samples, to_pcm
from ttskit.codecs.wav import wav_header
from ttskit.errors import (
    GenerationError,
    InvalidParameterError,
    InvalidVoiceReferenceError,
    ModelLoadError,
    VoiceNotFoundError,
)
from ttskit.resources.engine import EngineJob

pytestmark = pytest.mark.engine("coqui")
TEXT = "hello there my friend"
HUB = "tts_models/en/multi-dataset/tortoise-v2"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tortoise(tmp_path_factory.mktemp("tortoise") / "model")


@pytest.fixture(scope="module")
def engine(model: Path) -> CoquiEngine:
    return loaded(model)


def loaded(model: Path, **settings: object) -> CoquiEngine:
    engine = CoquiEngine(model=str(model), **settings)  # type: ignore[arg-type] # the test's own
    engine.load()
    return engine


def chunks(engine: CoquiEngine, text: str = TEXT, **settings: object) -> list[Samples]:
    job = EngineJob(text, **{"seed": 1, **settings})  # type: ignore[arg-type] # the test's own
    return [chunk.samples for chunk in engine.synthesize(job, threading.Event())]


def heard(engine: CoquiEngine, text: str = TEXT, **settings: object) -> Samples:
    return np.concatenate(chunks(engine, text, **settings))


def write_sample(path: Path, *, seed: int, loudness: float = 0.1) -> str:
    noise = np.random.default_rng(seed).normal(size=48_000) * loudness
    path.write_bytes(wav_header(24_000, 1, len(noise)) + to_pcm(noise.astype(np.float32)))
    return str(path)


# Sound


def test_each_sentence_is_made_and_what_cannot_be_said_left_out(engine: CoquiEngine) -> None:
    takes = chunks(engine, "Hello there, this is the first sentence of two. ?! And this is more.")
    assert len(takes) == 2
    assert all(np.isfinite(take).all() and 0.3 < len(take) / 24_000 < 3 for take in takes)
    assert max(np.abs(take).max() for take in takes) <= 1


def test_it_speaks_as_coqui_would_have_it(engine: CoquiEngine) -> None:
    import torch

    from ttskit.adapters.torch_seed import Dice

    own = engine._made  # Coqui's own model, to compare with
    with Dice(1, torch.device("cpu")):
        expected = own._model.inference_with_config(  # type: ignore[union-attr]
            TEXT,
            conditioning_latents=own._own,  # type: ignore[union-attr]
            half=False,
            verbose=False,
            num_autoregressive_samples=2,
            diffusion_iterations=3,
        )
    whole = expected["wav"].flatten().numpy()
    assert np.allclose(heard(engine), whole, atol=1e-5)


def test_a_seed_repeats_it_and_leaves_the_processs_own_dice_alone(engine: CoquiEngine) -> None:
    import torch

    before = random.getstate(), torch.get_rng_state()
    first, again, other = (heard(engine, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert first.tobytes() != other.tobytes()
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_it_ends_in_the_midst_of_a_sentence_once_it_was_told_to(model: Path) -> None:
    engine = loaded(model)
    stop = threading.Event()
    network = engine._made._model.clvp  # type: ignore[union-attr] # asked when sounds are chosen
    network.register_forward_pre_hook(lambda *_: stop.set())
    assert list(engine.synthesize(EngineJob(TEXT), stop)) == []


def test_speech_without_an_end_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="came to no end"):
        heard(loaded(make_tortoise(tmp_path / "model", lasts=0)))


def test_what_is_more_than_it_reads_is_read_in_parts(engine: CoquiEngine) -> None:
    assert len(chunks(engine, "999,999,999,999 " * 12)) > 1


@pytest.mark.parametrize("option", ["top_k", "length_scale"])
def test_what_it_knows_nothing_of_is_refused(engine: CoquiEngine, option: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"no {option}"):
        heard(engine, options={option: 2})


# Voices


def test_its_own_voice_is_always_the_same_and_a_sample_another(
    model: Path, engine: CoquiEngine, tmp_path: Path
) -> None:
    assert [(voice.id, voice.languages) for voice in engine.voices()] == [("default", ("en",))]
    own = heard(engine)
    assert np.array_equal(own, heard(loaded(model), voice="default"))
    cloned = heard(engine, reference=write_sample(tmp_path / "me.wav", seed=1))
    assert cloned.tobytes() != own.tobytes()


def test_a_sample_is_listened_to_once(engine: CoquiEngine, tmp_path: Path) -> None:
    clones = engine._made._clones  # type: ignore[union-attr] # what nobody hears
    before = clones.made
    sample = write_sample(tmp_path / "me.wav", seed=2)
    first, again = heard(engine, reference=sample), heard(engine, reference=sample)
    assert np.array_equal(first, again)
    assert clones.made == before + 1


def test_silence_is_nobodys_voice(engine: CoquiEngine, tmp_path: Path) -> None:
    with pytest.raises(InvalidVoiceReferenceError, match="silent"):
        heard(engine, reference=write_sample(tmp_path / "me.wav", seed=1, loudness=0))


def test_without_a_voice_of_its_own_it_wants_a_sample(tmp_path: Path) -> None:
    engine = loaded(make_tortoise(tmp_path / "model", has_voice=False))
    assert engine.voices() == []
    assert heard(engine, reference=write_sample(tmp_path / "me.wav", seed=1)).size
    with pytest.raises(VoiceNotFoundError, match="has to bring a reference"):
        heard(engine)


def test_the_service_speaks_with_it(model: Path) -> None:
    with TTSService({"providers": {"coqui": {"model": str(model)}}}) as tts:
        audio = tts.synthesize(TEXT)
    assert audio.sample_rate == 24_000
    assert audio.duration > 0.3


# From disk and from the hub


@pytest.mark.parametrize("part", [".models/clvp2.pth", "data/mel_norms.pth"])
def test_a_part_that_is_missing_is_named(tmp_path: Path, part: str) -> None:
    folder = make_tortoise(tmp_path / "model")
    (folder / part).unlink()
    with pytest.raises(ModelLoadError, match=Path(part).name):
        loaded(folder)


def test_bfloat16_is_refused(model: Path) -> None:
    with pytest.raises(ModelLoadError, match="float16 on a CUDA GPU"):
        loaded(model, dtype="bfloat16")


@pytest.fixture
def hub(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    from huggingface_hub import constants

    files = {
        str(path.relative_to(model)): path.read_bytes()
        for path in model.rglob("*.pth")  # the published one has no settings
    }
    with HubServer(files) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.server.url)
        page = hub.server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", page)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield hub


def test_it_is_fetched_by_name_once_and_gets_settings(hub: HubServer, tmp_path: Path) -> None:
    from ttskit.adapters.coqui_files import tortoise_lacks
    from ttskit.adapters.coqui_hub import hub_files

    item = {"repo_id": hub.repository, "allow": ["data/mel_norms.pth", ".models/*.pth"]}
    manager = manager_of(write_list(tmp_path, {HUB: item}))
    with pytest.raises(ModelLoadError, match="downloads are off"):
        hub_files(HUB, manager=manager)
    files = hub_files(HUB, downloads=True, manager=manager)
    assert kind_of(files.config) == TORTOISE
    assert tortoise_lacks(files.checkpoint) is None
    hub.server.refuse()
    assert hub_files(HUB, manager=manager) == files


@pytest.mark.parametrize("name", [HUB, None], ids=["by name", "a folder"])
def test_the_adapter_declares_what_it_can_do(model: Path, name: str | None) -> None:
    able = CoquiAdapter(CoquiOptions(model=name or str(model))).capabilities
    assert (able.cloning, able.speed, able.streaming) == (NATIVE, UNSUPPORTED, UNSUPPORTED)
    assert (able.word_timestamps, able.languages) == (EMULATED, {"en"})
