"""Coqui's FreeVC, OpenVoice and kNN-VC: recordings in the voice of a sample, on random weights."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from tests.engines.coqui_converters import (
    make_freevc,
    make_knnvc,
    make_moment_vocoder,
    make_openvoice,
    make_wavlm,
)
from tests.engines.coqui_models import make_vits
from tests.resources import samples
from ttskit import AsyncTTSService
from ttskit.adapters.base import NATIVE, UNSUPPORTED
from ttskit.adapters.coqui import CoquiAdapter, CoquiOptions
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.codecs.pcm import Samples
from ttskit.errors import ConfigurationError, ModelLoadError, TTSError, UnsupportedFeatureError
from ttskit.resources.engine import EngineChunk, EngineJob
from ttskit.testing import FaultyServer

if TYPE_CHECKING:
    import torch

pytestmark = pytest.mark.engine("coqui")

KINDS = ["freevc", "freevc with speakers", "openvoice", "knnvc"]
RATES = {"freevc": 24_000, "freevc with speakers": 24_000, "openvoice": 22_050, "knnvc": 16_000}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "freevc": make_freevc(folder / "freevc"),
        "freevc with speakers": make_freevc(folder / "speakers", knows_speakers=True),
        "openvoice": make_openvoice(folder / "openvoice"),
        "knnvc": make_knnvc(folder / "knnvc"),
        "vocoder": make_moment_vocoder(folder / "vocoder"),
    }


@pytest.fixture(scope="module")
def engines(models: dict[str, Path]) -> dict[str, CoquiEngine]:
    made = {}
    for kind in KINDS:
        vocoder = str(models["vocoder"]) if kind == "knnvc" else None
        made[kind] = CoquiEngine(model=str(models[kind]), vocoder=vocoder)
        made[kind].load()
    return made


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return sounds by name, as the engine gets recordings and samples."""
    folder = tmp_path_factory.mktemp("voices")
    sounds = {
        "said": sung(180, 1.2),
        "low": sung(110, 1.0),
        "high": sung(240, 1.0),
    }
    for name, sound in sounds.items():
        soundfile.write(folder / f"{name}.wav", sound, 24_000)
    return {name: str(folder / f"{name}.wav") for name in sounds}


@pytest.fixture
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut short recordings, so that nobody waits for long ones."""
    from ttskit.adapters import coqui_conversion

    monkeypatch.setattr(coqui_conversion, "SHORTEST_S", 0.25)
    monkeypatch.setattr(coqui_conversion, "LONGEST_S", 0.4)


def sung(pitch: float, seconds: float) -> Samples:
    """Return overtones of a pitch that come and go, like syllables."""
    time = np.arange(round(seconds * 24_000)) / 24_000
    tones = sum(np.sin(2 * np.pi * pitch * n * time) / n for n in range(1, 12))
    return (0.2 * tones * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * time))).astype(np.float32)


def converted(engine: CoquiEngine, voices: dict[str, str], *, to: str = "low") -> list[EngineChunk]:
    job = EngineJob("", recording=voices["said"], reference=voices[to])
    return list(engine.convert(job, threading.Event()))


def test_a_recording_keeps_its_time_in_another_voice(
    engines: dict[str, CoquiEngine], voices: dict[str, str], kind: str
) -> None:
    (chunk,) = converted(engines[kind], voices)
    assert chunk.sample_rate == RATES[kind]
    assert len(chunk.samples) == 1.2 * RATES[kind]
    assert chunk.samples.dtype == np.float32
    assert np.isfinite(chunk.samples).all()
    assert 0 < np.abs(chunk.samples).max() <= 1


def test_the_sample_decides_the_voice(
    engines: dict[str, CoquiEngine], voices: dict[str, str], kind: str
) -> None:
    import torch

    takes = []
    for to in ("low", "high", "low"):
        torch.manual_seed(7)  # FreeVC and OpenVoice add noise
        (chunk,) = converted(engines[kind], voices, to=to)
        takes.append(chunk.samples)
    assert np.array_equal(takes[0], takes[2])
    assert not np.array_equal(takes[0], takes[1])


@pytest.mark.usefixtures("short_pieces")
def test_a_long_recording_is_converted_in_pieces_and_no_time_is_lost(
    engines: dict[str, CoquiEngine], voices: dict[str, str], kind: str
) -> None:
    chunks = converted(engines[kind], voices)
    assert len(chunks) >= 3
    assert sum(len(chunk.samples) for chunk in chunks) == 1.2 * RATES[kind]


class _Echo:
    """Says what it hears, at twice the sample rate."""

    rate_in, rate_out = 24_000, 48_000

    def target(self, sample: torch.Tensor) -> torch.Tensor:
        return sample

    def source(self, recording: torch.Tensor) -> None:
        del recording

    def convert(
        self, piece: torch.Tensor, source: torch.Tensor | None, target: torch.Tensor
    ) -> torch.Tensor:
        del source, target
        return piece.flatten().repeat_interleave(2)


@pytest.mark.usefixtures("short_pieces")
def test_pieces_join_without_a_sample_lost_or_heard_twice(
    models: dict[str, Path],
    voices: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ttskit.adapters import coqui_conversion

    monkeypatch.setattr(coqui_conversion, "load_converter", lambda *_, **__: _Echo())
    engine = CoquiEngine(model=str(models["freevc"]))
    engine.load()
    chunks = converted(engine, voices)
    assert len(chunks) >= 3
    said, _ = soundfile.read(voices["said"], dtype="float32")
    assert np.array_equal(np.concatenate([one.samples for one in chunks]), np.repeat(said, 2))


@pytest.mark.usefixtures("short_pieces")
def test_nothing_is_converted_after_it_was_told_to_stop(
    engines: dict[str, CoquiEngine], voices: dict[str, str]
) -> None:
    stop = threading.Event()
    job = EngineJob("", recording=voices["said"], reference=voices["low"])
    chunks = engines["freevc"].convert(job, stop)
    next(chunks)
    stop.set()
    assert list(chunks) == []


def test_it_has_no_voice_of_its_own_and_reads_no_text(
    engines: dict[str, CoquiEngine], voices: dict[str, str], kind: str
) -> None:
    engine = engines[kind]
    assert engine.voices() == []
    with pytest.raises(UnsupportedFeatureError, match="needs a reference"):
        list(engine.convert(EngineJob("", recording=voices["said"]), threading.Event()))
    with pytest.raises(UnsupportedFeatureError, match="speaks no text"):
        list(engine.synthesize(EngineJob("Hello."), threading.Event()))


def test_a_model_that_speaks_converts_nothing(tmp_path: Path, voices: dict[str, str]) -> None:
    engine = CoquiEngine(model=str(make_vits(tmp_path)), runtime="torch")
    engine.load()
    with pytest.raises(UnsupportedFeatureError, match="converts no voices"):
        converted(engine, voices)
    assert CoquiAdapter(CoquiOptions(model=str(tmp_path))).capabilities.conversion is UNSUPPORTED


@pytest.mark.parametrize(
    "model",
    [
        "voice_conversion_models/multilingual/vctk/freevc24",
        "voice_conversion_models/multilingual/multi-dataset/knnvc",
        "voice_conversion_models/multilingual/multi-dataset/openvoice_v2",
        "freevc",
        "openvoice",
        "knnvc",
    ],
)
def test_the_adapter_declares_conversion_and_no_synthesis(
    models: dict[str, Path], model: str
) -> None:
    able = CoquiAdapter(CoquiOptions(model=str(models.get(model, model)))).capabilities
    assert (able.conversion, able.cloning, able.synthesis) == (NATIVE, NATIVE, UNSUPPORTED)
    assert (able.streaming, able.speed, able.seed) == (UNSUPPORTED, UNSUPPORTED, UNSUPPORTED)


# What belongs to a model besides its own weights


@pytest.fixture
def lone_freevc(models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a FreeVC without its WavLM, and a folder of Coqui's that is empty."""
    monkeypatch.setenv("TTS_HOME", str(tmp_path / "home"))
    for name in ("config.json", "model.pth"):
        (tmp_path / name).write_bytes((models["freevc"] / name).read_bytes())
    return tmp_path


def test_without_its_wavlm_nothing_is_fetched_that_may_not_be(lone_freevc: Path) -> None:
    engine = CoquiEngine(model=str(lone_freevc))
    with pytest.raises(ModelLoadError, match=r"WavLM-Large\.pt is not on disk.*put it beside"):
        engine.load()


def test_a_wavlm_that_coqui_has_is_found(lone_freevc: Path, voices: dict[str, str]) -> None:
    make_wavlm(lone_freevc / "home" / "tts" / "wavlm" / "WavLM-Large.pt")
    engine = CoquiEngine(model=str(lone_freevc))
    engine.load()
    assert converted(engine, voices)


def test_a_wavlm_is_fetched_where_that_is_allowed(
    models: dict[str, Path],
    lone_freevc: Path,
    voices: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ttskit.adapters import coqui_converters

    wavlm = (models["freevc"] / "WavLM-Large.pt").read_bytes()
    with FaultyServer(wavlm, content_type="application/octet-stream") as server:
        monkeypatch.setattr(coqui_converters, "model_uri", server.url + "/WavLM-Large.pt")
        engine = CoquiEngine(model=str(lone_freevc), downloads=True)
        assert engine.voices() == []  # asks nobody
        assert server.requests == []
        engine.load()
        assert converted(engine, voices)
        CoquiEngine(model=str(lone_freevc), downloads=True).load()
    assert len(server.requests) == 1


def test_settings_of_a_wavlm_that_are_code_are_not_run(lone_freevc: Path) -> None:
    mark = lone_freevc / "mark"
    code = f"[(16,10,5)] + [open({str(mark)!r}, 'w')][:0]"
    make_wavlm(lone_freevc / "WavLM-Large.pt", conv_feature_layers=code)
    with pytest.raises(ModelLoadError, match="more than numbers"):
        CoquiEngine(model=str(lone_freevc)).load()
    assert not mark.exists()


class _Mark:
    """Leaves a mark when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("freevc", "model.pth"),
        ("freevc", "WavLM-Large.pt"),
        ("freevc with speakers", "speaker_encoder.pt"),
        ("openvoice", "checkpoint.pth"),
    ],
)
def test_weights_that_hold_code_are_refused(
    models: dict[str, Path], tmp_path: Path, kind: str, name: str
) -> None:
    import torch

    mark = tmp_path / "mark"
    for file in models[kind].iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / name).unlink()
    torch.save({"model": _Mark(mark), "cfg": {}, "model_state": {}}, tmp_path / name)
    with pytest.raises(ModelLoadError, match="refused"):
        CoquiEngine(model=str(tmp_path)).load()
    assert not mark.exists()


def test_knn_vc_without_a_vocoder_says_what_to_set(models: dict[str, Path]) -> None:
    with pytest.raises(ConfigurationError, match="set vocoder"):
        CoquiEngine(model=str(models["knnvc"])).load()


# Through the service


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # the worker is the same on both
async def test_the_service_converts_in_a_worker_process(models: dict[str, Path]) -> None:
    settings = {"providers": {"coqui": {"model": str(models["freevc"])}}}
    async with AsyncTTSService(settings) as tts:
        recording = samples.encoded(samples.voice(), 16_000)
        heard = await tts.convert(recording, reference=samples.GOOD["wav"])
        assert heard.origin.provider == "coqui"
        assert heard.duration == pytest.approx(len(samples.voice()) / 16_000, abs=0.01)
        assert await tts.voices(provider="coqui") == []
        with pytest.raises(TTSError, match="no text is spoken by any of: coqui"):
            await tts.synthesize("Hello.", provider="coqui")
