"""The embedded voice: real speech, settings, voices on disk, two requests at a time."""

from __future__ import annotations

import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import numpy as np
import pytest

from ttskit import TTSService
from ttskit.adapters.hibari import HibariAdapter, HibariEngine, HibariOptions
from ttskit.errors import (
    InvalidParameterError,
    InvalidResponseError,
    ModelLoadError,
    UnsupportedLanguageError,
    VoiceNotFoundError,
)
from ttskit.resources.engine import EngineJob, Recipe
from ttskit.resources.host import Resources
from ttskit.voices import Gender

from .conftest import Booth

pytestmark = [pytest.mark.anyio, pytest.mark.engine("hibari")]

SENTENCE = "The train to Oxford leaves at half past nine."
PARAGRAPH = "First comes one. Then comes another. At last there is a third."


class InThreads(HibariAdapter):
    """These tests are of the engine: a process for each would only take time."""

    isolation = "thread"


@pytest.fixture
async def adapter(booth: Booth) -> AsyncIterator[HibariAdapter]:
    adapter = InThreads(HibariOptions())
    await booth.open(adapter)
    yield adapter
    await adapter.close()


async def test_a_sentence_lasts_as_long_as_it_takes_to_say(
    booth: Booth, adapter: HibariAdapter
) -> None:
    heard = await booth.hear(adapter, SENTENCE)
    assert heard.sample_rate == 24_000
    assert 2 < heard.duration < 5
    assert 0.1 < np.abs(heard.samples).max() <= 1


async def test_a_seed_makes_repeats_identical(booth: Booth, adapter: HibariAdapter) -> None:
    first, again, other = [await booth.hear(adapter, SENTENCE, seed=seed) for seed in (7, 7, 8)]
    assert np.array_equal(first.samples, again.samples)
    assert not np.array_equal(first.samples, other.samples)


async def test_ttskit_adds_nothing_to_what_the_engine_says(
    booth: Booth, adapter: HibariAdapter
) -> None:
    from hibari import Hibari

    heard = await booth.hear(adapter, PARAGRAPH, seed=3)
    assert np.array_equal(heard.samples, Hibari()(PARAGRAPH, seed=3))


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 2.0])
async def test_speed_changes_the_duration(
    booth: Booth, adapter: HibariAdapter, speed: float
) -> None:
    plain = await booth.hear(adapter, SENTENCE)
    heard = await booth.hear(adapter, SENTENCE, speed=speed)
    assert plain.duration / heard.duration == pytest.approx(speed, rel=0.12)


async def test_audio_comes_sentence_by_sentence(booth: Booth, adapter: HibariAdapter) -> None:
    assert (await booth.hear(adapter, PARAGRAPH)).chunks == 3


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("See [the docs](/usr/lib) for more.", id="a path after a label"),
        pytest.param("Take a[i](page three) now please.", id="words after a label"),
    ],
)
async def test_brackets_are_no_markup(booth: Booth, adapter: HibariAdapter, text: str) -> None:
    spaced = text.replace("](", "], (")
    heard, expected = [await booth.hear(adapter, said, seed=1) for said in (text, spaced)]
    assert heard.duration == pytest.approx(expected.duration, rel=0.25)


async def test_text_it_cannot_pronounce_is_refused(booth: Booth, adapter: HibariAdapter) -> None:
    with pytest.raises(InvalidResponseError, match="no audio"):
        await booth.hear(adapter, "你好")


async def test_two_requests_at_a_time_never_mix(booth: Booth, adapter: HibariAdapter) -> None:
    texts = [f"This is the sentence with the number {number}." for number in range(8)]
    alone = [(await booth.hear(adapter, text, seed=1)).samples for text in texts]
    together: dict[str, np.ndarray] = {}

    async def hear(text: str) -> None:
        together[text] = (await booth.hear(adapter, text, seed=1)).samples

    async with anyio.create_task_group() as listeners:
        for text in texts:
            listeners.start_soon(hear, text)
    for text, samples in zip(texts, alone, strict=True):
        assert np.allclose(together[text], samples, atol=1e-4)


async def test_the_voice_in_the_wheel_is_always_there(adapter: HibariAdapter) -> None:
    heart = (await adapter.voices())[0]
    assert (heart.id, heart.provider, heart.languages) == ("heart", "hibari", ("en-US",))
    assert heart.gender is Gender.FEMALE


async def test_a_check_loads_the_engine(adapter: HibariAdapter) -> None:
    await adapter.check()
    await adapter.check()


async def test_an_option_it_does_not_know_is_named(booth: Booth, adapter: HibariAdapter) -> None:
    with pytest.raises(InvalidParameterError, match="'tempo'"):
        await booth.hear(adapter, SENTENCE, options={"tempo": 3})


@pytest.fixture
def voices_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder where Hibari looks for downloaded voices."""
    monkeypatch.setenv("HIBARI_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("voices_home")
def test_voices_that_are_not_on_disk_are_not_offered() -> None:
    assert [voice.id for voice in HibariEngine().voices()] == ["heart"]


@pytest.mark.usefixtures("voices_home")
def test_voices_that_may_be_downloaded_are_offered() -> None:
    offered = {voice.id: voice.languages for voice in HibariEngine(downloads=True).voices()}
    assert offered["emma"] == ("en-GB",)


@pytest.mark.usefixtures("voices_home")
def test_a_voice_that_is_not_on_disk_says_so() -> None:
    with pytest.raises(VoiceNotFoundError, match=r"'emma'.*not|downloads are off"):
        list(HibariEngine().synthesize(EngineJob("Hello.", voice="emma"), threading.Event()))


def test_a_voice_nobody_knows_gives_the_nearest_names() -> None:
    with pytest.raises(VoiceNotFoundError, match="nearest: heart"):
        HibariEngine(voice="hart").load()


def test_a_voice_on_disk_is_offered_and_speaks(voices_home: Path) -> None:
    from hibari.voices import voice_path

    shutil.copy(voice_path("heart"), voices_home / "am_fenrir_v2.int8.onnx")
    engine = HibariEngine(voice="fenrir")
    assert [voice.id for voice in engine.voices()] == ["fenrir", "heart"]
    assert list(engine.synthesize(EngineJob("Hello."), threading.Event()))


def test_a_damaged_voice_is_a_model_that_cannot_be_loaded(voices_home: Path) -> None:
    (voices_home / "am_fenrir_v2.int8.onnx").write_bytes(b"half a download")
    host = Resources().engine(Recipe(HibariEngine, {"voice": "fenrir"}), provider="hibari")
    with pytest.raises(ModelLoadError):
        anyio.run(host.start)


def test_no_sentence_is_begun_after_it_was_told_to_stop() -> None:
    engine, stop = HibariEngine(), threading.Event()
    chunks = engine.synthesize(EngineJob(PARAGRAPH), stop)
    next(chunks)
    stop.set()
    assert list(chunks) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_no_word(threads: int) -> None:
    engine = HibariEngine(threads=threads)
    (chunk,) = engine.synthesize(EngineJob(SENTENCE, seed=1), threading.Event())
    assert 2 < len(chunk.samples) / chunk.sample_rate < 5


def test_a_language_without_a_region_is_spoken_by_the_voice_of_one() -> None:
    settings = {"providers": {"hibari": {}}, "resources": {"downloads": False}}
    with TTSService(settings) as tts:
        audio = tts.synthesize("Good morning.", language="en", provider="hibari")
        narrower = tts.synthesize("Howdy.", language="en-US-x-texan", provider="hibari")
        with pytest.raises(UnsupportedLanguageError, match="the nearest is en-US"):
            tts.synthesize("Good morning.", language="en-NZ", provider="hibari")
    assert {audio.ledger[0].voice, narrower.ledger[0].voice} == {"heart"}
