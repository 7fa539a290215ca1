"""Checkpoints of transformers: where they are, what is refused, that nothing in them is run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.engines.hub_server import HubServer
from ttskit.adapters.transformers_checkpoint import load
from ttskit.adapters.transformers_engine import TransformersEngine
from ttskit.errors import ModelLoadError, OutOfMemoryError
from ttskit.resources.engine import Recipe
from ttskit.resources.failures import translated
from ttskit.resources.host import Resources
from ttskit.telemetry.events import DownloadEvent

from .transformers_speech import MakeCheckpoint, MakeEngine, say

pytestmark = [
    pytest.mark.engine("transformers"),
    # diffusers 0.42 with torch 2.13.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]


def test_a_name_that_is_not_on_disk_says_what_to_do() -> None:
    with pytest.raises(ModelLoadError, match=r"downloads are off .*downloads: true"):
        TransformersEngine(model="facebook/mms-tts-nowhere").load()


def test_without_a_network_a_download_fails_in_so_many_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(ModelLoadError, match="cannot be reached"):
        TransformersEngine(model="facebook/mms-tts-nowhere", downloads=True).load()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_checkpoint_of_the_hub_is_fetched_once_and_its_size_is_told(
    tiny_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    checkpoint = tiny_checkpoint("vits")
    files = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    with HubServer(files) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.server.url)
        page = hub.server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", page)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        for times in (1, 2):
            events: list[DownloadEvent] = []
            resources = Resources(tell=events.append)  # type: ignore[arg-type] # nothing else is told
            recipe = Recipe(TransformersEngine, {"model": hub.repository, "downloads": True})
            host = resources.engine(recipe, provider="local", isolation="thread")
            await host.start()
            await resources.aclose()
            if times == 1:
                assert events[-1].is_over
                assert events[-1].what == hub.repository
                assert events[-1].received == sum(map(len, files.values()))
            else:
                assert not events


@pytest.mark.parametrize("model", ["/nowhere/at/all", "nothing", "a/b/c", "../up/one"])
def test_what_is_neither_a_directory_nor_a_name_is_refused(model: str) -> None:
    with pytest.raises(ModelLoadError):
        TransformersEngine(model=model, downloads=True).load()


@pytest.fixture
def spoilt(tiny_checkpoint: MakeCheckpoint, tmp_path: Path) -> Path:
    """A copy of a good checkpoint, for a test to spoil."""
    return shutil.copytree(tiny_checkpoint("vits"), tmp_path / "spoilt")


def refused(model: Path) -> str:
    with pytest.raises(ModelLoadError) as raised:
        TransformersEngine(model=str(model)).load()
    return str(raised.value)


def test_a_checkpoint_without_weights_is_incomplete(spoilt: Path) -> None:
    (spoilt / "model.safetensors").unlink()
    assert "incomplete or damaged" in refused(spoilt)


def test_damaged_weights_are_refused(spoilt: Path) -> None:
    (spoilt / "model.safetensors").write_bytes(b"half a download")
    assert "incomplete or damaged" in refused(spoilt)


def test_a_damaged_configuration_is_refused(spoilt: Path) -> None:
    (spoilt / "config.json").write_text("{")
    assert "config.json" in refused(spoilt)


def test_a_model_that_does_not_speak_is_refused(spoilt: Path) -> None:
    (spoilt / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert "'bert'" in refused(spoilt)


def test_weights_that_would_run_code_are_refused(spoilt: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "sprung",)

    import torch

    (spoilt / "model.safetensors").unlink()
    torch.save({"weights": Trap()}, spoilt / "pytorch_model.bin")
    assert "pickle" in refused(spoilt)
    assert not (tmp_path / "sprung").exists()


def test_weights_that_are_a_harmless_pickle_are_taken(
    spoilt: Path, kept_engine: MakeEngine
) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(spoilt / "model.safetensors"), spoilt / "pytorch_model.bin")
    (spoilt / "model.safetensors").unlink()
    assert np.array_equal(say(TransformersEngine(model=str(spoilt))), say(kept_engine("vits")))


def test_code_of_a_checkpoint_is_never_run(spoilt: Path, tmp_path: Path) -> None:
    config = json.loads((spoilt / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "trap.Config", "AutoModel": "trap.Model"}
    (spoilt / "config.json").write_text(json.dumps(config))
    (spoilt / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    say(TransformersEngine(model=str(spoilt)))
    assert not (tmp_path / "sprung").exists()


def test_a_vector_of_another_checkpoint_is_refused(make_engine: MakeEngine, tmp_path: Path) -> None:
    np.save(tmp_path / "eve.npy", np.zeros(5, np.float32))
    with pytest.raises(ModelLoadError, match=r"eve\.npy"):
        say(make_engine("speecht5", samples=str(tmp_path)))


def test_a_family_that_is_not_the_checkpoints_is_refused(make_engine: MakeEngine) -> None:
    with pytest.raises(ModelLoadError, match="vits, not bark"):
        make_engine("vits", family="bark").load()


@pytest.mark.parametrize("device", ["cuda:63", "mps"])
def test_a_device_that_is_not_there_is_named(make_engine: MakeEngine, device: str) -> None:
    with pytest.raises(ModelLoadError, match=device):
        make_engine("vits", device=device).load()


@pytest.mark.parametrize(("family", "dtype"), [("vits", "bfloat16"), ("csm", "float16")])
def test_a_precision_it_does_not_work_in_is_refused(
    make_engine: MakeEngine, family: str, dtype: str
) -> None:
    with pytest.raises(ModelLoadError, match=dtype):
        make_engine(family, dtype=dtype, device="cpu").load()


def test_half_precision_speaks_where_it_can(make_engine: MakeEngine) -> None:
    assert len(say(make_engine("csm", dtype="bfloat16"))) > 0


def test_a_lack_of_memory_is_not_taken_for_damage() -> None:
    import torch

    with pytest.raises(RuntimeError) as raised:
        load(lambda: torch.empty(2**60, dtype=torch.uint8))
    assert isinstance(translated(raised.value, "mine", ModelLoadError), OutOfMemoryError)
