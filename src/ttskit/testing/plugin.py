"""The pytest plugin: a service over two mocks, and the script of what goes wrong with the first.

Every project that installs ttskit loads this module in its test runs, so it imports nothing else
of ttskit until a fixture is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ttskit.service import AsyncTTSService, TTSService
    from ttskit.testing.faults import Faults
    from ttskit.testing.mock import MockAdapter

pytest.register_assert_rewrite("ttskit.testing.contract")


@pytest.fixture
def mock_adapter() -> MockAdapter:
    """The provider ``mock``, which the fixtures ``tts`` and ``async_tts`` ask first."""
    from ttskit.testing.mock import MockAdapter  # only for those who use it

    return MockAdapter()


@pytest.fixture
def spare_adapter() -> MockAdapter:
    """The provider ``spare``, which they ask when ``mock`` fails."""
    from ttskit.testing.mock import MockAdapter  # only for those who use it

    return MockAdapter(provider="spare")


@pytest.fixture
def tts_faults(mock_adapter: MockAdapter) -> Faults:
    """The script of what goes wrong with ``mock``; ``spare`` stays well."""
    return mock_adapter.faults


@pytest.fixture
def tts(mock_adapter: MockAdapter, spare_adapter: MockAdapter) -> Iterator[TTSService]:
    """A service over ``mock`` and ``spare``, for blocking code."""
    from ttskit.service import TTSService  # only for those who use it

    with TTSService(providers=[mock_adapter, spare_adapter]) as service:
        yield service


@pytest.fixture
async def async_tts(
    mock_adapter: MockAdapter, spare_adapter: MockAdapter, anyio_backend: object
) -> AsyncIterator[AsyncTTSService]:
    """The same for asyncio and trio; the test needs ``pytest.mark.anyio``."""
    from ttskit.service import AsyncTTSService  # only for those who use it

    del anyio_backend
    async with AsyncTTSService(providers=[mock_adapter, spare_adapter]) as service:
        yield service
