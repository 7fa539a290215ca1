"""Every model of Coqui's own list is of a kind that runs here, or is refused aloud."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.engines.coqui_models import VOCODERS
from ttskit.adapters.coqui import CoquiAdapter, CoquiOptions
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.adapters.coqui_kinds import KINDS, REFUSED, hub_kind
from ttskit.errors import ConfigurationError

pytestmark = pytest.mark.engine("coqui")
REFUSED_NAMES = {
    "tts_models/multilingual/multi-dataset/bark": "adapter: transformers",
}


def listed(*kinds: str) -> list[str]:
    """Return the names of the list that comes with Coqui."""
    from TTS.utils.manage import ModelManager

    models = ModelManager(progress_bar=False).models_dict
    return [
        f"{kind}/{language}/{dataset}/{model}"
        for kind in kinds
        for language, datasets in models[kind].items()
        for dataset, names in datasets.items()
        for model in names
    ]


def test_every_name_tells_a_kind_that_is_known() -> None:
    names = listed("tts_models", "voice_conversion_models")
    assert len(names) > 70
    assert [name for name in names if hub_kind(name) not in KINDS | set(REFUSED)] == []
    assert {name for name in names if hub_kind(name) in REFUSED} == set(REFUSED_NAMES)


def test_every_vocoder_is_one_that_makes_sound() -> None:
    tested = [kind.replace("_", "-") for kind in (*VOCODERS, "hifigan")]
    unknown = [
        name
        for name in listed("vocoder_models")
        if not any(kind in name.rsplit("/", 1)[1].replace("_", "-") for kind in tested)
    ]
    assert unknown == []


@pytest.mark.parametrize("name", REFUSED_NAMES)
def test_what_is_refused_says_what_to_take_instead_and_fetches_nothing(name: str) -> None:
    engine = CoquiEngine(model=name, downloads=True, agree_to_licence=True)
    with pytest.raises(ConfigurationError, match=REFUSED_NAMES[name]):
        engine.load()


@pytest.mark.parametrize("kind", REFUSED)
def test_a_folder_of_a_refused_kind_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model": kind}))
    (tmp_path / "model.pth").write_bytes(b"weights")
    with pytest.raises(ConfigurationError, match="adapter: transformers"):
        CoquiEngine(model=str(tmp_path)).load()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tts_models/en/blizzard2013/capacitron-t2-c50", "tacotron2"),
        ("tts_models/zh-CN/baker/tacotron2-DDC-GST", "tacotron2"),
        ("tts_models/en/jenny/jenny", "vits"),
        ("tts_models/en/ljspeech/vits--neon", "vits"),
        ("tts_models/en/ljspeech/neural_hmm", "neuralhmm_tts"),
        ("tts_models/fa/custom/vits-female", "vits"),
        ("tts_models/multilingual/multi-dataset/your_tts", "vits"),
        ("tts_models/en/multi-dataset/tortoise-v2", "tortoise"),
        ("tts_models/en/mine/something", None),
    ],
)
def test_a_name_is_declared_for_what_it_is(name: str, kind: str | None) -> None:
    assert hub_kind(name) == kind
    assert CoquiAdapter(CoquiOptions(model=name)).capabilities.synthesis
