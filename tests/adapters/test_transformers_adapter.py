"""The adapter ``transformers``: its section, what it promises, its worker process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.resources.workers.conftest import workers
from ttskit.adapters.base import NATIVE, UNSUPPORTED
from ttskit.adapters.transformers import TransformersAdapter, TransformersOptions
from ttskit.errors import InvalidParameterError, InvalidResponseError, TTSError
from ttskit.voices import Voice

from .conftest import Booth, LentTransformers
from .transformers_speech import TEXT, MakeCheckpoint, MakeEngine, say

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.engine("transformers"),
    # diffusers 0.42 with torch 2.13.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]


@pytest.fixture
def vits(tiny_checkpoint: MakeCheckpoint, kept_engine: MakeEngine) -> LentTransformers:
    adapter = LentTransformers(TransformersOptions(model=str(tiny_checkpoint("vits"))))
    adapter.lent = kept_engine("vits")
    return adapter


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="no model"),
        pytest.param({"model": "a/b", "device": "gpu"}, id="device"),
        pytest.param({"model": "a/b", "family": "tacotron"}, id="family"),
        pytest.param({"model": "a/b", "temperature": -1}, id="temperature"),
        pytest.param({"model": "a/b", "trust_remote_code": True}, id="code"),
    ],
)
def test_settings_that_cannot_work_are_refused_early(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        TransformersOptions.model_validate(options)


def test_what_it_can_do_is_what_its_family_can(tiny_checkpoint: MakeCheckpoint) -> None:
    def able(**options: object) -> tuple[object, object, object]:
        adapter = TransformersAdapter(TransformersOptions.model_validate(options))
        able = adapter.capabilities
        return able.speed, able.cloning, able.max_characters

    assert able(model=str(tiny_checkpoint("vits"))) == (NATIVE, UNSUPPORTED, None)
    assert able(model="suno/bark", family="bark") == (UNSUPPORTED, UNSUPPORTED, 200)
    assert able(model="nari-labs/Dia-1.6B", family="dia") == (UNSUPPORTED, NATIVE, 500)
    assert able(model="who/knows") == (UNSUPPORTED, UNSUPPORTED, None)


async def test_its_voices_are_the_providers(booth: Booth, tiny_checkpoint: MakeCheckpoint) -> None:
    options = TransformersOptions(model=str(tiny_checkpoint("vits")), language="en")
    adapter = TransformersAdapter(options, provider="mine")
    await booth.open(adapter)
    assert await adapter.voices() == [Voice("default", "mine", "default", ("en",))]


async def test_an_option_it_does_not_know_is_named(booth: Booth, vits: LentTransformers) -> None:
    await booth.open(vits)
    with pytest.raises(InvalidParameterError, match="did you mean 'noise_scale'"):
        await booth.hear(vits, TEXT, options={"noise_scal": 1})


async def test_letters_it_does_not_know_are_no_speech(booth: Booth, vits: LentTransformers) -> None:
    await booth.open(vits)
    with pytest.raises(InvalidResponseError, match="no audio"):
        await booth.hear(vits, "\u4f60\u597d")


async def test_errors_are_ours(booth: Booth) -> None:
    adapter = TransformersAdapter(TransformersOptions(model="who/knows"))
    await booth.open(adapter)
    with pytest.raises(TTSError) as raised:
        await adapter.check()
    assert raised.value.provider == "transformers"


@pytest.mark.parametrize("anyio_backend", ["trio"])  # a worker has seconds of imports before it
async def test_it_speaks_in_a_process_of_its_own(
    booth: Booth, tiny_checkpoint: MakeCheckpoint, kept_engine: MakeEngine
) -> None:
    options = TransformersOptions(model=str(tiny_checkpoint("vits")), threads=1)
    adapter = TransformersAdapter(options)
    await booth.open(adapter)
    heard = await booth.hear(adapter, TEXT, seed=7)
    assert np.array_equal(heard.samples, say(kept_engine("vits")))
    assert len(workers()) == 1


def test_its_worker_finds_the_files_from_anywhere(
    tiny_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tiny_checkpoint("vits")
    monkeypatch.chdir(home.parent)
    options = TransformersOptions(model="vits", samples=Path("voices"), vocoder="who/knows")
    told = TransformersAdapter(options).engine(downloads=False).arguments
    assert told["model"] == str(home)
    assert told["samples"] == str(home.parent / "voices")
    assert told["vocoder"] == "who/knows"
