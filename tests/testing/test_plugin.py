"""The pytest plugin costs nothing until it is used, and shows failover when it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ttskit.testing
from ttskit import AsyncTTSService, TTSService
from ttskit.testing import Faults, MockAdapter, listen, transcribe

TEXT = "One two three. Four five six."


def test_a_blocking_service_speaks(tts: TTSService) -> None:
    assert transcribe(tts.synthesize(TEXT)) == TEXT


@pytest.mark.anyio
async def test_the_next_provider_speaks_the_sentence_from_its_start(
    tts_faults: Faults, async_tts: AsyncTTSService
) -> None:
    tts_faults.die_mid_stream(at=0.4)
    audio = await async_tts.synthesize(TEXT)
    assert transcribe(audio) == TEXT
    assert {heard.voice for heard in listen(audio)} == {"spare:alto"}


@pytest.mark.anyio
async def test_what_was_asked_can_be_looked_at(
    mock_adapter: MockAdapter, async_tts: AsyncTTSService
) -> None:
    await async_tts.synthesize(TEXT, voice="tenor")
    assert " ".join(mock_adapter.texts) == TEXT
    assert {request.voice for request in mock_adapter.requests} == {"tenor"}


@pytest.mark.anyio
async def test_chunks_of_a_stream_can_be_transcribed(async_tts: AsyncTTSService) -> None:
    async with async_tts.stream(TEXT) as speech:
        chunks = [chunk async for chunk in speech]
    assert transcribe(chunks) == TEXT


def test_the_plugin_loads_nothing_of_ttskit_but_itself() -> None:
    code = (
        "import sys, ttskit.testing.plugin\n"
        "heavy = {'numpy', 'pydantic', 'anyio', 'soundfile', 'yaml'} & set(sys.modules)\n"
        "ours = {name for name in sys.modules if name.startswith('ttskit')}\n"
        "allowed = {'ttskit', 'ttskit.testing', 'ttskit.testing.plugin'}\n"
        "sys.exit(str(heavy | ours - allowed) if heavy or ours - allowed else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_can_be_had() -> None:
    for name in ttskit.testing.__all__:
        assert vars(ttskit.testing).get(name) or ttskit.testing.__getattr__(name)
    assert dir(ttskit.testing) == sorted(ttskit.testing.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        ttskit.testing.__getattr__("nonsense")
