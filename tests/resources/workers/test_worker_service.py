"""Worker processes as a section of tts.yaml asks for them, through the front door."""

from __future__ import annotations

import sys

import psutil
import pytest

from tests.resources.workers.conftest import until, workers
from tests.resources.workers.fake_engine import FakeEngine
from ttskit import AsyncTTSService
from ttskit.adapters.base import NATIVE, AdapterOptions, Capabilities
from ttskit.adapters.local import LocalAdapter
from ttskit.adapters.openai import OpenAIAdapter
from ttskit.errors import ConfigurationError
from ttskit.resources.engine import Recipe
from ttskit.testing import Census, transcribe

pytestmark = pytest.mark.anyio
TEXT = "One two three. Four five six."


class LightAdapter(LocalAdapter[AdapterOptions]):
    name = "fake"
    capabilities = Capabilities(formats=("f32",), word_timestamps=NATIVE)

    def engine(self, *, downloads: bool) -> Recipe:
        del downloads
        return Recipe(FakeEngine)


class HeavyAdapter(LightAdapter):
    isolation = "process"


@pytest.mark.parametrize(
    ("adapter", "section", "count"),
    [
        pytest.param(LightAdapter, {}, 0, id="light"),
        pytest.param(HeavyAdapter, {}, 1, id="heavy"),
        pytest.param(LightAdapter, {"isolation": "process", "workers": 2}, 2, id="as asked"),
        pytest.param(HeavyAdapter, {"isolation": "thread"}, 0, id="in threads"),
    ],
)
async def test_the_adapter_prefers_and_the_settings_decide(
    adapter: type[LightAdapter], section: dict[str, object], count: int
) -> None:
    census = Census.take()
    config = {"providers": {"fake": section}}
    async with AsyncTTSService(config, providers=[adapter(AdapterOptions())]) as tts:
        audio = await tts.synthesize(TEXT, timestamps="word")
        assert transcribe(audio) == TEXT
        assert [word.word for word in audio.words] == TEXT.split()
        await until(lambda: len(workers()) == count)
    await census.check()


async def test_a_frozen_application_has_threads_unless_it_asks_for_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    async with AsyncTTSService(providers=[HeavyAdapter(AdapterOptions())]) as tts:
        assert transcribe(await tts.synthesize(TEXT)) == TEXT
        assert workers() == []
    config = {"providers": {"fake": {"isolation": "process"}}}
    async with AsyncTTSService(config, providers=[HeavyAdapter(AdapterOptions())]) as tts:
        with pytest.raises(ConfigurationError, match="isolation: thread"):
            await tts.synthesize(TEXT)


@pytest.mark.skipif(sys.platform != "linux", reason="limits are read from /proc")
async def test_the_memory_cap_reaches_the_worker() -> None:
    config = {"providers": {"fake": {"worker_memory": "3 GiB"}}}
    async with AsyncTTSService(config, providers=[HeavyAdapter(AdapterOptions())]) as tts:
        await tts.synthesize(TEXT)
        (worker,) = workers()
        assert worker.rlimit(psutil.RLIMIT_DATA)[0] == 3 * 2**30


async def test_keys_of_other_providers_stay_out_of_a_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ELEVENLABS_API_KEY", "canary-by-name")
    monkeypatch.setenv("TTSKIT_OUTPUT__DIRECTORY", "canary-of-ttskit")
    monkeypatch.setenv("MY_OWN_VARIABLE", "canary-by-value")
    cloud = OpenAIAdapter(OpenAIAdapter.options_model(api_key="canary-by-value"))
    adapters = [HeavyAdapter(AdapterOptions()), cloud]
    async with AsyncTTSService(providers=adapters) as tts:
        await tts.synthesize(TEXT)
        (worker,) = workers()
        assert "PATH" in worker.environ()
        assert "canary" not in str(worker.environ()) + str(worker.cmdline())
