"""The real engines keep the contract of every adapter."""

from __future__ import annotations

from pathlib import Path

import pytest
from typing_extensions import override

from tests.engines import tiny_kokoro
from tests.engines.coqui_voice import CoquiVoice
from ttskit.adapters.chatterbox import ChatterboxOptions
from ttskit.adapters.chatterbox_engine import ChatterboxEngine
from ttskit.adapters.coqui import CoquiOptions
from ttskit.adapters.coqui_engine import CoquiEngine
from ttskit.adapters.espeak import EspeakAdapter
from ttskit.adapters.hibari import HibariAdapter
from ttskit.adapters.kokoro import KokoroEngine, KokoroOptions
from ttskit.adapters.piper import PiperAdapter
from ttskit.adapters.transformers import TransformersOptions
from ttskit.testing import AdapterContract

from .conftest import LentChatterbox, LentCoqui, LentKokoro, LentTransformers
from .transformers_speech import MakeCheckpoint, MakeEngine


@pytest.mark.engine("hibari")
class TestHibari(AdapterContract):
    @pytest.fixture
    @override
    def adapter(self) -> HibariAdapter:
        return HibariAdapter(HibariAdapter.options_model())


@pytest.mark.engine("espeak")
class TestEspeak(AdapterContract):
    @pytest.fixture
    @override
    def adapter(self) -> EspeakAdapter:
        return EspeakAdapter(EspeakAdapter.options_model())


@pytest.mark.engine("coqui", "piper")
class TestCoqui(AdapterContract):
    @pytest.fixture(params=["torch", "onnx"])
    @override
    def adapter(
        self,
        request: pytest.FixtureRequest,
        coqui_voice: CoquiVoice,
        coqui_engines: dict[str, CoquiEngine],
    ) -> LentCoqui:
        adapter = LentCoqui(CoquiOptions(model=str(coqui_voice.model), runtime=request.param))
        adapter.lent = coqui_engines[request.param]
        return adapter


@pytest.mark.engine("chatterbox")
@pytest.mark.filterwarnings("ignore")  # its own packages warn of one another
class TestChatterbox(AdapterContract):
    """Over small networks: what they say has no words, and lasts as long whatever the text."""

    @pytest.fixture
    @override
    def adapter(self, chatterbox_engine: ChatterboxEngine) -> LentChatterbox:
        adapter = LentChatterbox(ChatterboxOptions(device="cpu"))
        adapter.lent = chatterbox_engine
        return adapter


@pytest.mark.engine("piper")
class TestPiper(AdapterContract):
    @pytest.fixture
    @override
    def adapter(self) -> PiperAdapter:
        return PiperAdapter(PiperAdapter.options_model())


@pytest.mark.engine("transformers")
class TestTransformers(AdapterContract):
    """Over a random VITS: the contract asks for the time and the level of speech, not for words."""

    @pytest.fixture
    @override
    def adapter(self, tiny_checkpoint: MakeCheckpoint, kept_engine: MakeEngine) -> LentTransformers:
        model = str(tiny_checkpoint("vits steady"))
        adapter = LentTransformers(TransformersOptions(model=model, language="en"))
        adapter.lent = kept_engine("vits steady", language="en")
        return adapter


@pytest.mark.engine("kokoro")
class TestKokoro(AdapterContract):
    """Over a network that is no larger than needed: see ``tiny_kokoro``."""

    @pytest.fixture
    @override
    def adapter(self, tmp_path: Path) -> LentKokoro:
        model, voices = tiny_kokoro.make(tmp_path)
        adapter = LentKokoro(KokoroOptions(model=model, voices=voices))
        adapter.lent = KokoroEngine(model=str(model), voices=str(voices))
        return adapter
