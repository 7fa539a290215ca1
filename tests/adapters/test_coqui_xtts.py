"""XTTS on tiny random weights: streamed, stopped, seeded, in its own voices and in cloned ones."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.engines.coqui_models import XTTS_LANGUAGES, make_xtts
from ttskit import TTSService
from ttskit.adapters.base import EMULATED, NATIVE
from ttskit.adapters.coqui import CoquiAdapter, CoquiOptions
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.adapters.coqui_kinds import CHARACTERS
from ttskit.codecs.pcm import Samples, to_pcm
from ttskit.codecs.wav import wav_header
from ttskit.errors import (
    ConfigurationError,
    GenerationError,
    InvalidParameterError,
    InvalidVoiceReferenceError,
    ModelLoadError,
    UnsupportedLanguageError,
    VoiceNotFoundError,
)
from ttskit.resources.engine import EngineJob, JsonValue

pytestmark = pytest.mark.engine("coqui")
TEXT = "hello there my friend"
HUB = "tts_models/multilingual/multi-dataset/xtts_v2"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_xtts(tmp_path_factory.mktemp("xtts"))


@pytest.fixture(scope="module")
def engine(model: Path) -> CoquiEngine:
    return loaded(model)


@pytest.fixture
def heard_by(tmp_path: Path) -> Path:
    """A sample of a voice."""
    return write_sample(tmp_path / "sample.wav", seed=1)


def loaded(model: Path, **settings: object) -> CoquiEngine:
    engine = CoquiEngine(model=str(model), **settings)  # type: ignore[arg-type] # the test's own
    engine.load()
    return engine


def chunks(engine: CoquiEngine, text: str = TEXT, **settings: object) -> list[Samples]:
    job = EngineJob(text, **{"language": "en", **settings})  # type: ignore[arg-type] # the test's
    return [chunk.samples for chunk in engine.synthesize(job, threading.Event())]


def heard(engine: CoquiEngine, text: str = TEXT, **settings: object) -> Samples:
    return np.concatenate(chunks(engine, text, **settings))


def write_sample(path: Path, *, seed: int, seconds: float = 2.0) -> Path:
    noise = np.random.default_rng(seed).normal(size=int(seconds * 24_000)) * 0.1
    path.write_bytes(wav_header(24_000, 1, len(noise)) + to_pcm(noise.astype(np.float32)))
    return path


def cloned(engine: CoquiEngine) -> int:
    """Return how often a voice had to be cloned."""
    made: int = engine._made._clones.made  # type: ignore[union-attr] # what nobody hears
    return made


# Sound


def test_sound_leaves_while_the_rest_is_still_made(engine: CoquiEngine) -> None:
    takes = chunks(engine, seed=1)
    assert len(takes) == 2
    assert all(take.dtype == np.float32 and take.size for take in takes)
    assert 0.05 < max(np.abs(take).max() for take in takes) <= 1


def test_the_pieces_are_what_coqui_would_make_whole(engine: CoquiEngine) -> None:
    model = engine._made._model  # type: ignore[union-attr] # Coqui's own, to compare with
    ana = engine._made._speakers["Ana"]  # type: ignore[union-attr]
    config = model.config
    whole = model.inference(
        TEXT,
        "en",
        ana.manner,
        ana.timbre,
        top_k=1,
        temperature=config.temperature,
        top_p=config.top_p,
        repetition_penalty=config.repetition_penalty,
    )["wav"]
    streamed = heard(engine, voice="Ana", options={"top_k": 1})
    assert len(streamed) == len(whole)
    # At a seam the end of one piece fades into the next, which knew more.
    assert np.abs(streamed - whole).max() < 0.05 * np.abs(whole).max()
    assert np.allclose(streamed[-1_000:], whole[-1_000:], atol=1e-4)


def test_half_precision_sounds_nearly_the_same(model: Path, engine: CoquiEngine) -> None:
    import torch

    half = loaded(model, dtype="bfloat16")
    choosers = [
        one._made._model.gpt.gpt_inference  # type: ignore[union-attr] # Coqui's own
        for one in (engine, half)
    ]
    layers = choosers[1].transformer.h
    assert {weight.dtype for weight in layers.parameters()} == {torch.bfloat16}
    latents = torch.randn(1, 12, 32)
    with torch.inference_mode():
        exact, near = [one.transformer(inputs_embeds=latents)[0] for one in choosers]
    assert near.dtype == torch.float32
    assert 0 < (exact - near).abs().max() < 0.05 * exact.abs().max()
    whole, taken = [heard(one, voice="Ana", options={"top_k": 1}) for one in (engine, half)]
    assert np.isfinite(taken).all()
    assert len(taken) == len(whole)
    assert np.abs(taken).max() == pytest.approx(np.abs(whole).max(), rel=0.5)


@pytest.mark.parametrize(
    ("asked", "device", "chosen"),
    [
        ("auto", "cpu", "float32"),
        ("auto", "cuda", "float16"),
        ("auto", "mps", "float32"),
        ("bfloat16", "cpu", "bfloat16"),
        ("float32", "cuda", "float32"),
    ],
)
def test_the_type_of_its_weights_suits_the_device(asked: str, device: str, chosen: str) -> None:
    import torch

    from ttskit.adapters.coqui_xtts_loading import chosen_type

    assert chosen_type(asked, torch.device(device)) == getattr(torch, chosen)


def test_a_processor_is_not_asked_for_float16(model: Path) -> None:
    with pytest.raises(ModelLoadError, match="use bfloat16 or float32"):
        loaded(model, device="cpu", dtype="float16")


def test_it_ends_soon_after_it_was_told_to_stop(model: Path) -> None:
    engine, stop = loaded(model), threading.Event()
    sounds = engine.synthesize(EngineJob(TEXT, language="en"), stop)
    next(sounds)
    stop.set()
    assert list(sounds) == []
    assert chunks(engine)  # and can be asked again


class Impatient(threading.Event):
    """Is set once it has been looked at so many times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.left = looks

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_told_to_stop_within_a_piece_it_makes_no_more_of_it(tmp_path: Path) -> None:
    engine = loaded(make_xtts(tmp_path, lasts=0))
    stop = Impatient(looks=30)
    made = list(engine.synthesize(EngineJob(TEXT, language="en"), stop))
    assert len(made) == 1  # of 20 sounds, and 10 more were looked at
    assert stop.left > -4  # then nobody looked on


def test_what_comes_to_no_end_is_no_success(tmp_path: Path) -> None:
    engine = loaded(make_xtts(tmp_path, lasts=0, arguments={"gpt_max_audio_tokens": 40}))
    with pytest.raises(GenerationError, match="came to no end"):
        chunks(engine)


def test_a_seed_repeats_itself_and_leaves_other_dice_alone(engine: CoquiEngine) -> None:
    import torch

    before = torch.get_rng_state()
    takes = [heard(engine, seed=seed).tobytes() for seed in (1, 1, 2)]
    assert torch.equal(before, torch.get_rng_state())
    assert takes[0] == takes[1] != takes[2]
    assert heard(engine).tobytes() != heard(engine).tobytes()


def test_speed_is_what_was_asked_for(engine: CoquiEngine) -> None:
    speeds = (0.5, 1.6)
    plain = len(heard(engine))
    ratios = [plain / len(heard(engine, speed=speed)) for speed in speeds]
    assert ratios == pytest.approx(speeds, rel=0.2)  # so few sounds cannot be shared out finely


@pytest.mark.parametrize(
    "options",
    [{"top_k": 1}, {"top_p": 0.05}, {"temperature": 0.0001}],
    ids=lambda options: next(iter(options)),
)
def test_with_one_choice_left_every_take_is_the_same(
    engine: CoquiEngine, options: dict[str, JsonValue]
) -> None:
    takes = [heard(engine, seed=seed, options=options).tobytes() for seed in (1, 2)]
    assert takes[0] == takes[1]


def test_the_penalty_for_repeating_reaches_the_network(engine: CoquiEngine) -> None:
    takes = [
        heard(engine, options={"top_k": 1, "repetition_penalty": penalty}).tobytes()
        for penalty in (1.0, 20.0)
    ]
    assert takes[0] != takes[1]


def test_configured_options_hold_where_a_request_sets_none(
    model: Path, engine: CoquiEngine
) -> None:
    configured = loaded(model, defaults={"top_k": 1})
    assert heard(configured).tobytes() == heard(engine, options={"top_k": 1}).tobytes()


def test_an_option_of_another_kind_of_model_is_refused(engine: CoquiEngine) -> None:
    with pytest.raises(InvalidParameterError, match="no length_scale"):
        chunks(engine, options={"length_scale": 2.0})


# Text


def test_a_long_text_is_said_line_by_line(engine: CoquiEngine) -> None:
    line = "many words are said here and not one of them is left out of it. " * 3
    assert len(heard(engine, line * 3)) == 3 * len(heard(engine, line))


@pytest.mark.parametrize("text", ["...", "?!", "\u2603", "— —"])
def test_where_nothing_is_to_be_said_nothing_is_made_up(engine: CoquiEngine, text: str) -> None:
    assert chunks(engine, text) == []


def test_coquis_own_log_does_not_tell_the_text(
    engine: CoquiEngine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        chunks(engine, "zanzibar is a secret " * 20)
    assert "zanzibar" not in caplog.text


def test_the_language_is_read_in_its_own_way(engine: CoquiEngine) -> None:
    takes = {
        language: heard(engine, "20", language=language, options={"top_k": 1}).tobytes()
        for language in ("en", "de", "pl")
    }
    assert len(set(takes.values())) == len(takes)
    assert heard(engine, "20", language="de-AT", options={"top_k": 1}).tobytes() == takes["de"]


def test_languages_that_coqui_cannot_read_are_not_offered(tmp_path: Path) -> None:
    engine = CoquiEngine(model=str(make_xtts(tmp_path, languages=["en", "vi"])))
    assert engine.voices()[0].languages == ("en",)
    engine.load()
    with pytest.raises(ModelLoadError, match="no language"):
        loaded(make_xtts(tmp_path / "other", languages=["vi"]))


def test_a_language_it_has_not_is_told(engine: CoquiEngine) -> None:
    with pytest.raises(UnsupportedLanguageError, match=f"it has {', '.join(XTTS_LANGUAGES)}"):
        chunks(engine, language="sv")


# Voices


def test_its_own_speakers_are_voices(model: Path) -> None:
    engine = loaded(model, voice="Bob")
    assert [voice.id for voice in engine.voices()] == ["Bob", "Ana"]
    assert engine.voices()[0].sample_rate == 24_000
    still: dict[str, JsonValue] = {"top_k": 1}
    takes = [heard(engine, voice=who, options=still).tobytes() for who in ("Ana", "Bob", None)]
    assert takes[0] != takes[1] == takes[2]


def test_a_voice_nobody_has_gives_the_nearest_names(engine: CoquiEngine) -> None:
    with pytest.raises(VoiceNotFoundError, match="Bob"):
        chunks(engine, voice="Bop")


def test_a_sample_is_spoken_like_and_heard_once(engine: CoquiEngine, heard_by: Path) -> None:
    before = cloned(engine)
    still: dict[str, JsonValue] = {"top_k": 1}
    copy = heard_by.with_name("copy.wav")
    copy.write_bytes(heard_by.read_bytes())
    takes = [heard(engine, reference=str(path), options=still) for path in (heard_by, copy)]
    assert np.array_equal(*takes)
    assert cloned(engine) == before + 1
    assert takes[0].tobytes() != heard(engine, options=still).tobytes()


def test_a_file_that_changed_is_another_voice(engine: CoquiEngine, heard_by: Path) -> None:
    first = heard(engine, reference=str(heard_by), seed=1)
    write_sample(heard_by, seed=2)
    assert first.tobytes() != heard(engine, reference=str(heard_by), seed=1).tobytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "cannot be read", id="missing"),
        pytest.param(b"ID3 and so on", "no whole WAV", id="no WAV"),
        pytest.param("short", "too short", id="short"),
        pytest.param("empty", "too short", id="empty"),
    ],
)
def test_a_sample_that_is_of_no_use_is_told(
    engine: CoquiEngine, tmp_path: Path, content: bytes | str | None, words: str
) -> None:
    path = tmp_path / "sample.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        write_sample(path, seed=1, seconds=0.2 if content == "short" else 0)
    with pytest.raises(InvalidVoiceReferenceError, match=words):
        chunks(engine, reference=str(path))


def test_a_model_without_speakers_speaks_like_samples_only(tmp_path: Path, heard_by: Path) -> None:
    engine = loaded(make_xtts(tmp_path, speakers=()))
    assert engine.voices() == []
    assert heard(engine, reference=str(heard_by)).size
    with pytest.raises(VoiceNotFoundError, match="has to bring a reference"):
        chunks(engine)


# On disk


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code of a stranger ran')",)


@pytest.mark.parametrize("file", ["model.pth", "speakers_xtts.pth"])
def test_a_file_that_holds_code_is_refused(tmp_path: Path, file: str) -> None:
    import torch

    make_xtts(tmp_path)
    torch.save({"model": Evil(), "Ana": Evil()}, tmp_path / file)
    with pytest.raises(ModelLoadError, match="more than weights and is refused"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("speakers", "do not belong together|cannot be loaded"),
        ("vocab", "cannot be loaded"),
        ("sizes", "do not belong together"),
    ],
)
def test_a_model_that_is_damaged_is_refused(tmp_path: Path, damage: str, words: str) -> None:
    import torch

    make_xtts(tmp_path)
    if damage == "speakers":
        torch.save({"Ana": {"gpt_cond_latent": torch.ones(3)}}, tmp_path / "speakers_xtts.pth")
    elif damage == "vocab":
        (tmp_path / "vocab.json").unlink()
    else:
        settings = (tmp_path / "config.json").read_text()
        (tmp_path / "config.json").write_text(settings.replace('_channels": 32', '_channels": 64'))
    with pytest.raises(ModelLoadError, match=words):
        loaded(tmp_path)


def test_the_first_checkpoints_with_their_settings_inside_stay_as_they_are(
    tmp_path: Path, engine: CoquiEngine
) -> None:
    import torch
    from TTS.config import load_config
    from TTS.tts.models.xtts import _legacy_safe_globals

    make_xtts(tmp_path)
    whole = torch.load(tmp_path / "model.pth", weights_only=True)
    (tmp_path / "model.pth").unlink()
    with _legacy_safe_globals():
        whole["config"] = load_config(tmp_path / "config.json")
        torch.save(whole, tmp_path / "best_model.pth")  # as training calls it
    before = (tmp_path / "best_model.pth").read_bytes()
    assert np.array_equal(heard(loaded(tmp_path), seed=1), heard(engine, seed=1))
    assert (tmp_path / "best_model.pth").read_bytes() == before


# What is said of it


def test_the_adapter_declares_what_xtts_can_do(model: Path) -> None:
    for named in (str(model), HUB):
        able = CoquiAdapter(CoquiOptions(model=named, language="ja-JP")).capabilities
        assert (able.cloning, able.streaming, able.speed) == (NATIVE, NATIVE, NATIVE)
        assert able.word_timestamps is EMULATED
        assert able.max_characters == 71


def test_the_longest_lines_are_those_of_coqui() -> None:
    from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer

    assert VoiceBpeTokenizer().char_limits == CHARACTERS


@pytest.mark.parametrize(
    ("agreed", "error", "words"),
    [
        (False, ConfigurationError, "CPML, which has to be agreed to"),
        (True, ModelLoadError, "not on disk, and downloads are off"),
    ],
)
def test_its_licence_has_to_be_agreed_to(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    agreed: bool,  # noqa: FBT001 - a case
    error: type[Exception],
    words: str,
) -> None:
    monkeypatch.setenv("TTS_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(error, match=words):
        CoquiEngine(model=HUB, agree_to_licence=agreed).load()


def test_a_service_clones_a_voice_in_a_worker_of_its_own(model: Path, heard_by: Path) -> None:
    config = {"providers": {"coqui": {"model": str(model), "language": "en"}}}
    with TTSService(config) as tts:
        takes = [
            tts.synthesize("hello", reference=heard_by, seed=1, cache="bypass") for _ in range(2)
        ]
        assert [voice.id for voice in tts.voices()] == ["Ana", "Bob"]
    assert takes[0].origin.voice.startswith("reference-")
    assert takes[0].sample_rate == 24_000
    assert np.array_equal(takes[0].samples, takes[1].samples)
