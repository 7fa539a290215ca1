"""The real engines keep the contract of every adapter."""

from __future__ import annotations

import pytest
from typing_extensions import override

from ttskit.adapters.espeak import EspeakAdapter
from ttskit.adapters.hibari import HibariAdapter
from ttskit.adapters.piper import PiperAdapter
from ttskit.testing import AdapterContract


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


@pytest.mark.engine("piper")
class TestPiper(AdapterContract):
    @pytest.fixture
    @override
    def adapter(self) -> PiperAdapter:
        return PiperAdapter(PiperAdapter.options_model())
