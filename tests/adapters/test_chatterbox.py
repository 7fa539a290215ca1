"""Chatterbox's own code over small networks, in the worker process of another interpreter."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ttskit import Audio, TTSService
from ttskit.adapters.chatterbox import ChatterboxAdapter, ChatterboxOptions
from ttskit.adapters.chatterbox_kinds import KINDS as KINDS_OF_MODELS
from ttskit.errors import (
    ConfigurationError,
    DependencyMissingError,
    InvalidParameterError,
    InvalidVoiceReferenceError,
    ModelLoadError,
    UnsupportedLanguageError,
    VoiceNotFoundError,
)
from ttskit.registry import Registry

from .chatterbox_home import RATE, Home, lay_out_hub, make_environment, make_home, sample

needs_chatterbox = pytest.mark.engine("chatterbox")
KINDS = ("english", "multilingual", "turbo")
TEXT = "Hello there."
LOW, HIGH = sample(110), sample(230)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Models, and the hub's cache with the English one in it."""
    with pytest.MonkeyPatch.context() as patch:
        hub = tmp_path_factory.mktemp("hub")
        patch.setenv("HF_HOME", str(hub))
        patch.setenv("OMP_NUM_THREADS", "1")  # threads of networks this small wait for one another
        with make_home(tmp_path_factory.mktemp("chatterbox")) as home:
            lay_out_hub(hub, "ResembleAI/chatterbox", home.models / "english")
            yield home


@pytest.fixture(scope="module")
def tts(home: Home) -> Iterator[TTSService]:
    """Every model, each in a worker process of its own that stays; the English one is the hub's."""
    adapters = [home.adapter("english", model=None), *map(home.adapter, KINDS[1:])]
    with TTSService({"resources": {"downloads": False}}, providers=adapters) as service:
        yield service


def say(tts: TTSService, provider: str, text: str = TEXT, **options: object) -> Audio:
    given = {"provider": provider, "seed": 1, "cache": "bypass"} | options
    return tts.synthesize(text, **given)


@pytest.fixture(scope="module")
def imported_before() -> frozenset[str]:
    """What this process had imported before any model spoke."""
    return frozenset(sys.modules)


@pytest.fixture(scope="module")
def plain(tts: TTSService, imported_before: frozenset[str]) -> dict[str, Audio]:
    """What each model says of the text by itself."""
    del imported_before
    with ThreadPoolExecutor() as pool:  # what they import takes far longer than what they say
        said = pool.map(lambda kind: say(tts, kind, deadline=250), KINDS)
        return dict(zip(KINDS, said, strict=True))


def same(one: Audio, other: Audio) -> bool:
    return np.array_equal(one.samples, other.samples)


@needs_chatterbox
@pytest.mark.parametrize("kind", KINDS)
class TestEveryModel:
    def test_speaks_in_an_environment_of_its_own(
        self, plain: dict[str, Audio], imported_before: frozenset[str], kind: str
    ) -> None:
        audio = plain[kind]
        assert audio.sample_rate == RATE
        assert 0.3 < audio.duration < 20
        assert np.std(audio.samples) > 0.001
        assert audio.origin.voice == "default"
        assert "chatterbox" not in sys.modules.keys() - imported_before

    def test_repeats_itself_with_the_same_seed_alone(
        self, tts: TTSService, plain: dict[str, Audio], kind: str
    ) -> None:
        assert same(say(tts, kind), plain[kind])
        assert not same(say(tts, kind, seed=2), plain[kind])

    def test_speaks_like_a_sample_and_forgets_it(
        self, tts: TTSService, plain: dict[str, Audio], kind: str
    ) -> None:
        own = plain[kind]
        low, high = say(tts, kind, reference=LOW), say(tts, kind, reference=HIGH)
        assert not same(low, high)
        assert not same(low, own)
        assert same(say(tts, kind), own)
        assert same(say(tts, kind, reference=LOW), low)

    def test_keeps_one_requests_settings_from_the_next(
        self, tts: TTSService, plain: dict[str, Audio], kind: str
    ) -> None:
        hot = say(tts, kind, provider_options={kind: {"temperature": 3.0, "top_p": 0.5}})
        assert not same(hot, plain[kind])
        assert same(say(tts, kind), plain[kind])

    def test_refuses_a_voice_that_it_has_not(self, tts: TTSService, kind: str) -> None:
        with pytest.raises(VoiceNotFoundError, match="default"):
            say(tts, kind, voice="nobody")


@needs_chatterbox
@pytest.mark.parametrize("kind", ["english", "turbo"])
def test_a_recording_is_said_again_in_its_own_time(tts: TTSService, kind: str) -> None:
    recording = sample(150, seconds=20.5)  # more than is taken at once
    like_low = tts.convert(recording, provider=kind, reference=LOW)
    assert like_low.duration == pytest.approx(20.5, abs=0.001)
    assert np.std(like_low.samples) > 0.001


@needs_chatterbox
class TestSettings:
    def test_feeling_is_one_requests_own(self, tts: TTSService, plain: dict[str, Audio]) -> None:
        wild = say(tts, "english", provider_options={"english": {"exaggeration": 2.0}})
        assert not same(wild, plain["english"])
        assert same(say(tts, "english"), plain["english"])

    def test_english_speaks_without_guidance(self, tts: TTSService) -> None:
        audio = say(tts, "english", provider_options={"english": {"cfg_weight": 0.0}})
        assert audio.duration > 0.3

    def test_a_setting_of_another_kind_is_refused(self, tts: TTSService) -> None:
        with pytest.raises(InvalidParameterError, match="exaggeration"):
            say(tts, "turbo", provider_options={"turbo": {"exaggeration": 1.0}})
        with pytest.raises(InvalidParameterError, match="top_k"):
            say(tts, "english", provider_options={"english": {"top_k": 5}})

    def test_the_language_is_the_requests(self, tts: TTSService, plain: dict[str, Audio]) -> None:
        assert not same(say(tts, "multilingual", language="fr"), plain["multilingual"])
        assert same(
            say(tts, "multilingual", voice="default", language="en-GB"), plain["multilingual"]
        )

    def test_a_language_that_none_speaks_is_refused(self, tts: TTSService) -> None:
        with pytest.raises(UnsupportedLanguageError):
            say(tts, "multilingual", language="cy", strict=True)

    def test_a_text_of_one_letter_is_spoken(self, tts: TTSService) -> None:
        assert say(tts, "multilingual", "I").duration > 0.3

    def test_turbo_needs_more_than_five_seconds_of_a_voice(self, tts: TTSService) -> None:
        with pytest.raises(InvalidVoiceReferenceError, match="more than 5 s"):
            say(tts, "turbo", reference=sample(110, seconds=3.0))
        assert say(tts, "turbo").duration > 0.3


@needs_chatterbox
class TestInside:
    def test_babble_without_an_end_is_no_speech(self, home: Home) -> None:
        assert home.findings["short"].startswith("the model did not come to the end")

    def test_a_text_that_is_cut_off_is_too_long(self, home: Home) -> None:
        assert home.findings["long"].startswith("text_too_long")

    def test_a_model_that_was_told_to_stop_says_nothing(self, home: Home) -> None:
        assert home.findings["stopped"] == 0

    def test_a_folder_without_a_voice_speaks_like_samples_only(self, home: Home) -> None:
        assert home.findings["voices"] == 0
        assert home.findings["mute"].startswith("voice_not_found")
        assert home.findings["mute"].endswith("bring a sample as reference")

    def test_nothing_is_left_on_the_models_layers_by_a_job(self, home: Home) -> None:
        assert len(set(home.findings["hooks"])) == 1

    def test_what_is_said_bears_the_watermark(self, home: Home) -> None:
        assert home.findings["watermark"] == 1.0


@needs_chatterbox
class TestFiles:
    def test_files_with_code_are_refused_and_not_run(self, home: Home) -> None:
        assert home.findings["code"].startswith("model_load:")
        assert home.findings["it ran"] is False

    def test_a_file_that_lacks_is_named(self, home: Home, tmp_path: Path) -> None:
        adapter = home.adapter("turbo", model=tmp_path)
        with (
            TTSService(providers=[adapter]) as tts,
            pytest.raises(ModelLoadError, match="turbo_v1"),
        ):
            say(tts, "turbo")

    def test_what_the_hub_gave_before_speaks_with_downloads_off(
        self, home: Home, plain: dict[str, Audio]
    ) -> None:
        assert plain["english"].duration > 0.3
        settings = {"resources": {"downloads": False}}
        adapter = home.adapter("turbo", model=None)
        with (
            TTSService(settings, providers=[adapter]) as tts,
            pytest.raises(ModelLoadError, match="downloads: true"),
        ):
            say(tts, "turbo")


class TestInterpreter:
    def test_one_that_is_not_there_is_told_at_once(self, tmp_path: Path) -> None:
        settings = {"providers": {"chatterbox": {"python": str(tmp_path / "bin" / "python")}}}
        with pytest.raises(ConfigurationError, match=r"python.*no interpreter"):
            TTSService(settings)

    def test_its_packages_are_not_looked_for_here(self) -> None:
        settings = {"providers": {"chatterbox": {"python": sys.executable}}}
        with TTSService(settings) as tts:
            assert [provider.missing for provider in tts.providers()] == [()]
        here = ChatterboxAdapter(ChatterboxOptions())
        assert Registry.missing(here) == Registry.missing(ChatterboxAdapter)
        assert [needed.module for needed in here.requires] == ["chatterbox"]

    def test_what_it_lacks_is_named_with_the_place(self, tmp_path: Path) -> None:
        shadow = tmp_path / "shadow" / "chatterbox"
        shadow.mkdir(parents=True)
        (shadow / "__init__.py").write_text(
            "raise ModuleNotFoundError('no chatterbox', name='chatterbox')"
        )
        python = make_environment(tmp_path / "bare", [str(shadow.parent), *sys.path])
        for name in KINDS_OF_MODELS["english"].needed:
            (tmp_path / name).touch()
        settings = {"providers": {"chatterbox": {"python": str(python), "model": str(tmp_path)}}}
        with (
            TTSService(settings) as tts,
            pytest.raises(DependencyMissingError, match=f"'chatterbox'.*{python.parent}"),
        ):
            tts.synthesize(TEXT)

    def test_what_is_not_installed_there_is_told_before_anything_runs(self, tmp_path: Path) -> None:
        python = make_environment(tmp_path / "empty", [])
        settings = {"providers": {"chatterbox": {"python": str(python)}}}
        lacking = rf"ttskit, chatterbox-tts.*run: {python} -m pip"
        with TTSService(settings) as tts, pytest.raises(DependencyMissingError, match=lacking):
            tts.synthesize(TEXT)

    def test_another_program_is_no_interpreter(self) -> None:
        settings = {"providers": {"chatterbox": {"python": "/bin/false"}}}
        with TTSService(settings) as tts, pytest.raises(ConfigurationError, match="no interpreter"):
            tts.synthesize(TEXT)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"kind": "turbo", "exaggeration": 1.0}, "turbo knows no exaggeration"),
        ({"kind": "english", "top_k": 5}, "english knows no top_k"),
        ({"kind": "multilingual", "language": "cy"}, r"language: Chatterbox speaks ar da"),
        ({"device": "tpu"}, "device"),
    ],
    ids=["not turbo's", "not English's", "no such language", "no such device"],
)
def test_settings_that_cannot_work_are_told_at_once(
    options: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        TTSService({"providers": {"chatterbox": options}})


def test_what_a_provider_can_say_is_its_kinds() -> None:
    english = ChatterboxAdapter(ChatterboxOptions())
    many = ChatterboxAdapter(ChatterboxOptions(kind="multilingual"))
    assert english.capabilities.languages == {"en"}
    assert len(many.capabilities.languages) == 23
