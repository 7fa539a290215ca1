"""The mock passes the contract that it helps others to test, in every shape it can take."""

from __future__ import annotations

import pytest
from typing_extensions import override

from ttskit.testing import AdapterContract, MockAdapter


class TestMock(AdapterContract):
    @pytest.fixture(params=["f32", "pcm", "wav", "flac", "mp3"])
    @override
    def adapter(self, request: pytest.FixtureRequest) -> MockAdapter:
        return MockAdapter(format=request.param)


class TestMockThatReadsMarkup(AdapterContract):
    @pytest.fixture
    @override
    def adapter(self) -> MockAdapter:
        return MockAdapter(provider="clever", ssml=["break"], volume="native", sample_rate=16_000)


class TestMockThatDoesLittle(AdapterContract):
    @pytest.fixture
    @override
    def adapter(self) -> MockAdapter:
        return MockAdapter(speed="unsupported", word_timestamps="emulated", languages=["en-GB"])
