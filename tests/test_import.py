from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import ttskit

HEAVY = {
    "TTS",
    "anyio",
    "asyncio",
    "espeakng_loader",
    "hibari",
    "httpx",
    "numpy",
    "onnxruntime",
    "piper",
    "pydantic",
    "soundfile",
    "soxr",
    "tenacity",
    "torch",
    "typing",
    "yaml",
}

PUBLIC = """
AsyncTTSService Audio AudioChunk AudioFormat Capabilities Notice Provenance SpeechRequest
SpeechStream Spoken SyncSpeechStream TTSError TTSService Voice WordTiming __version__ errors
synthesize
"""


def loaded_by(code: str) -> set[str]:
    """Return the modules that the code adds to an interpreter that has loaded next to nothing."""
    script = (
        f"import sys; sys.path[:] = {sys.path!r}; before = set(sys.modules)\n{code}\n"
        "print(*set(sys.modules) - before, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], capture_output=True, check=True, text=True
    )
    return set(done.stdout.split())


def test_importing_ttskit_loads_itself_and_a_handful_of_light_modules() -> None:
    loaded = loaded_by("import ttskit")
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("ttskit")} == {"ttskit"}
    assert len(loaded) <= 8


@pytest.mark.parametrize(
    ("use", "forbidden"),
    [
        ("ttskit.errors", {"pydantic", "numpy", "anyio", "asyncio"}),
        ("ttskit.Voice", {"numpy", "anyio", "asyncio", "yaml", "pydantic_settings"}),
        ("ttskit.SpeechRequest", {"numpy", "anyio", "asyncio", "yaml", "pydantic_settings"}),
        ("ttskit.Capabilities", {"numpy", "anyio", "asyncio", "yaml", "pydantic_settings"}),
    ],
)
def test_a_public_name_loads_no_more_than_it_needs(use: str, forbidden: set[str]) -> None:
    assert not loaded_by(f"import ttskit; {use}") & forbidden


def test_a_service_is_ready_without_any_engine_or_numpy() -> None:
    loaded = loaded_by("import ttskit; ttskit.TTSService()")
    engines = {"hibari", "piper", "espeakng_loader", "onnxruntime", "av", "torch", "TTS"}
    assert not loaded & (engines | {"numpy", "soundfile", "soxr", "httpx", "pydantic_settings"})


def test_the_public_names_are_those_of_the_design() -> None:
    assert sorted(ttskit.__all__) == sorted(PUBLIC.split())


@pytest.mark.parametrize("name", PUBLIC.split())
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(ttskit, name)
    assert found is getattr(ttskit, name)
    assert isinstance(found, str) or found.__doc__
    assert name in dir(ttskit)


def test_every_public_name_comes_from_where_type_checkers_see_it() -> None:
    module = vars(ttskit)["__file__"]
    with open(module, encoding="utf-8") as file:  # noqa: PTH123 - a plain read of a module
        source = file.read()
    for name in set(ttskit.__all__) - {"__version__", "errors"}:
        found = getattr(ttskit, name)
        assert f"from {found.__module__} import" in source
        assert vars(importlib.import_module(found.__module__))[name] is found


def test_a_star_import_brings_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from ttskit import *", names)  # noqa: S102 - the very statement under test
    assert set(PUBLIC.split()) <= set(names)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'TTSServise'"):
        ttskit.TTSServise  # noqa: B018
