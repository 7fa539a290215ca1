"""Coqui's models on disk: whom they hold, what is refused, what is exported once."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.coqui_models import make_vits
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.adapters.coqui_pieces import Decoder, pieces
from ttskit.codecs.pcm import Samples
from ttskit.errors import (
    ConfigurationError,
    InvalidParameterError,
    ModelLoadError,
    TTSError,
    UnsupportedFeatureError,
    UnsupportedLanguageError,
    VoiceNotFoundError,
)
from ttskit.resources.engine import EngineJob

pytestmark = pytest.mark.engine("coqui")
STILL: dict[str, object] = {"noise_scale": 0.0, "noise_scale_dp": 0.0}


def loaded(model: Path, **settings: object) -> CoquiEngine:
    given = {"runtime": "torch", "defaults": dict(STILL)} | settings
    engine = CoquiEngine(model=str(model), **given)  # type: ignore[arg-type] # the test's own
    engine.load()
    return engine


def heard(engine: CoquiEngine, text: str = "hello there", **settings: object) -> Samples:
    job = EngineJob(text, **settings)  # type: ignore[arg-type] # the test's own
    return np.concatenate([chunk.samples for chunk in engine.synthesize(job, threading.Event())])


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vits(tmp_path_factory.mktemp("single"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, two languages."""
    many = {"use_speaker_embedding": True, "use_language_embedding": True}
    arguments = {**many, "num_speakers": 2, "num_languages": 2, "embedded_language_dim": 4}
    return make_vits(
        tmp_path_factory.mktemp("pair"),
        arguments,
        use_speaker_embedding=True,
        use_language_embedding=True,
        speakers=["ann", "bob"],
        languages=["en", "pt-br"],
    )


# Who speaks


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_each_speaker_is_a_voice_of_its_own(pair: Path, runtime: str) -> None:
    engine = loaded(pair, runtime=runtime, voice="bob")
    voices = engine.voices()
    assert [voice.id for voice in voices] == ["bob", "ann"]
    assert voices[0].languages == ("en", "pt-BR")
    takes = [heard(engine, voice=voice, language="en") for voice in ("ann", "bob", None, "default")]
    assert not np.array_equal(takes[0], takes[1])
    assert np.array_equal(takes[1], takes[2])
    assert np.array_equal(takes[1], takes[3])


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_the_language_reaches_the_network(pair: Path, runtime: str) -> None:
    engine = loaded(pair, runtime=runtime)
    english, portuguese, exact = [
        heard(engine, language=language) for language in ("en-GB", "pt", "pt-BR")
    ]
    assert english.tobytes() != portuguese.tobytes()
    assert np.array_equal(portuguese, exact)


def test_the_configured_language_speaks_where_none_was_asked_for(pair: Path) -> None:
    engine = loaded(pair, language="pt-BR")
    assert np.array_equal(heard(engine), heard(engine, language="pt"))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        pytest.param("ja", "does not speak 'ja'; it has en, pt-br", id="one it has not"),
        pytest.param(None, "has to be told the language", id="none"),
    ],
)
def test_a_model_of_several_languages_wants_one_of_them(
    pair: Path, asked: str | None, words: str
) -> None:
    with pytest.raises(UnsupportedLanguageError, match=words):
        heard(loaded(pair), language=asked)


def test_speakers_known_by_embeddings_speak_through_torch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clips = {
        f"{name}.wav": {"name": name, "embedding": rng.normal(size=8).tolist()}
        for name in ("ann", "bob")
    }
    folder = tmp_path / "known"
    folder.mkdir()
    (folder / "speakers.json").write_text(json.dumps(clips))
    # As after training: a path of another machine, the file beside the settings.
    arguments = {"use_d_vector_file": True, "d_vector_dim": 8}
    make_vits(folder, {**arguments, "d_vector_file": [str(folder / "speakers.json")]})
    settings = json.loads((folder / "config.json").read_text())
    settings["model_args"]["d_vector_file"] = ["/home/trainer/speakers.json"]
    (folder / "config.json").write_text(json.dumps(settings))
    engine = loaded(folder, runtime="auto")
    assert heard(engine, voice="ann").tobytes() != heard(engine, voice="bob").tobytes()
    with pytest.raises(ConfigurationError, match="by embeddings"):
        loaded(folder, runtime="onnx")


def test_a_model_of_one_person_has_one_voice(single: Path) -> None:
    engine = loaded(single)
    assert [voice.id for voice in engine.voices()] == ["default"]
    assert np.array_equal(heard(engine), heard(engine, voice="default"))


def test_a_voice_nobody_has_gives_the_nearest_names(pair: Path) -> None:
    with pytest.raises(VoiceNotFoundError, match="bob"):
        heard(loaded(pair), voice="bop", language="en")


def test_a_sample_of_a_voice_is_of_no_use_to_it(single: Path) -> None:
    with pytest.raises(UnsupportedFeatureError, match="sample"):
        heard(loaded(single), reference="me.wav")


def test_an_option_of_another_kind_of_model_is_refused(single: Path) -> None:
    with pytest.raises(InvalidParameterError, match="no temperature"):
        heard(loaded(single), options={"temperature": 0.5})


@pytest.mark.parametrize("text", ["\u4f60\u597d", "?!"])
def test_text_it_cannot_read_gives_no_audio(single: Path, text: str) -> None:
    assert list(loaded(single).synthesize(EngineJob(text), threading.Event())) == []


# What is on disk


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code of a stranger ran')",)


def damaged(folder: Path, how: str) -> Path:
    """Make a model and damage it."""
    make_vits(folder)
    model, config = folder / "model.pth", folder / "config.json"
    settings = json.loads(config.read_text())
    if how == "code":
        import torch

        torch.save({"model": Evil()}, model)
    elif how == "cut off":
        model.write_bytes(model.read_bytes()[:5_000])
    elif how == "other sizes":
        settings["model_args"]["hidden_channels"] = 32
    elif how == "class":
        settings["characters"] = {"characters_class": "antigravity.Sky"}
    elif how == "network":
        settings["model_args"]["speakers_file"] = "https://example.org/speakers.pth"
    elif how == "kind":
        settings["model"] = "no_such_thing"
    elif how == "phonemizer":
        settings |= {"use_phonemes": True, "phonemizer": "no_such_thing"}
    config.write_text("{" if how == "settings" else json.dumps(settings))
    return folder


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("code", "more than weights and is refused"),
        ("cut off", "cannot be loaded|damaged"),
        ("other sizes", "do not belong together"),
        ("class", "a class that is not Coqui's"),
        ("network", "a file on the network"),
        ("kind", "cannot be run"),
        ("settings", r"config\.json cannot be read"),
        ("phonemizer", "do not belong together"),
    ],
)
def test_a_model_that_is_damaged_or_dangerous_is_refused(
    tmp_path: Path, how: str, words: str
) -> None:
    with pytest.raises(ModelLoadError, match=words):
        loaded(damaged(tmp_path, how))


@pytest.mark.parametrize("missing", ["model.pth", "config.json"])
def test_what_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    make_vits(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ModelLoadError, match=r"no weights|no settings 'config\.json'"):
        loaded(tmp_path)


def test_a_device_that_is_not_here_is_named(single: Path) -> None:
    with pytest.raises(ConfigurationError, match="'cuda:7' is not here"):
        loaded(single, device="cuda:7")


def test_half_precision_is_refused_where_it_would_not_work(single: Path) -> None:
    with pytest.raises(ModelLoadError, match="does not work in bfloat16; use float32"):
        loaded(single, dtype="bfloat16")


# What is exported


def exports(tmp_path: Path) -> list[Path]:
    return sorted(tmp_path.glob("**/coqui-*.graphs"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_export_is_made_once_and_kept_for_the_same_content(
    single: Path, tmp_path: Path, cache: Path
) -> None:
    first = heard(loaded(single, runtime="onnx"))
    (kept,) = exports(cache)
    before = kept.stat().st_mtime_ns
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in single.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert np.array_equal(first, heard(loaded(copy, runtime="onnx")))
    assert [one.stat().st_mtime_ns for one in exports(cache)] == [before]


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"cut"])
def test_a_damaged_export_is_made_anew(single: Path, cache: Path, damage: bytes) -> None:
    first = heard(loaded(single, runtime="onnx"))
    (kept,) = exports(cache)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-100] + b"\0" * 100 if damage == b"cut" else damage)
    assert np.array_equal(first, heard(loaded(single, runtime="onnx")))
    assert len(kept.read_bytes()) == len(whole)
    assert kept.read_bytes() != damage


def test_an_export_that_cannot_be_kept_still_speaks(single: Path, cache: Path) -> None:
    cache.write_text("a file where the directory should be")
    assert heard(loaded(single, runtime="onnx")).size


def test_the_rhythm_may_be_drawn_or_not(tmp_path: Path, cache: Path) -> None:
    del cache
    folder = make_vits(tmp_path / "plain", {"use_sdp": False})
    takes = [heard(loaded(folder, runtime=runtime)) for runtime in ("torch", "onnx")]
    assert np.allclose(*takes, atol=1e-3)


# Pieces


@given(
    frames=st.integers(0, 3_000),
    radius=st.integers(0, 40),
    first=st.integers(1, 200),
    later=st.integers(1, 600),
)
def test_pieces_are_all_frames_once_and_in_order(
    frames: int, radius: int, first: int, later: int
) -> None:
    made = list(pieces(frames, radius=radius, first=first, later=later))
    assert [frame for one in made for frame in range(one.start, one.end)] == list(range(frames))
    assert all(max(0, one.start - radius) == one.begin for one in made)
    assert all(min(frames, one.end + radius) == one.finish for one in made)


@pytest.mark.parametrize(
    "decoder",
    [
        Decoder("1", [3, 7, 11], [[1, 3, 5]] * 3, [8, 8, 2, 2], [16, 16, 4, 4]),
        Decoder("2", [3, 5, 7], [[1, 2], [2, 6], [3, 12]], [8, 8, 4], [16, 16, 8]),
        Decoder("2", [3], [[1, 2]], [5, 3], [10, 7]),
    ],
    ids=["HiFi-GAN V1", "Piper medium", "odd"],
)
def test_beyond_the_radius_nothing_changes_a_sample(decoder: Decoder) -> None:
    import torch
    from TTS.vocoder.models.hifigan_generator import HifiganGenerator

    torch.manual_seed(0)
    network = HifiganGenerator(
        4,
        1,
        decoder.block,
        decoder.dilations,
        decoder.kernels,
        decoder.rate_kernels,
        32,
        decoder.rates,
        inference_padding=0,
    )
    z = torch.randn(1, 4, 120)
    with torch.inference_mode():
        whole = network(z)
        hop = whole.shape[-1] // 120
        radius = decoder.radius()
        part = network(z[:, :, 60 - radius : 64 + radius])
    middle = part[:, :, radius * hop : (radius + 4) * hop]
    assert torch.allclose(middle, whole[:, :, 60 * hop : 64 * hop], atol=1e-6)


# Seeds


def test_a_seed_leaves_the_processs_own_dice_alone(single: Path) -> None:
    import torch

    lively = {"noise_scale": 1.0, "noise_scale_dp": 1.0}
    engine = loaded(single)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = heard(engine, seed=1, options=lively)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(4)
    assert np.array_equal(first, heard(engine, seed=1, options=lively))


def test_whatever_goes_wrong_is_one_of_our_errors(tmp_path: Path) -> None:
    with pytest.raises(TTSError):
        loaded(tmp_path / "nowhere")
