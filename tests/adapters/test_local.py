"""What all adapters over a local engine share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typing_extensions import override

from ttskit.adapters.base import AdapterOptions, Capabilities, Requirement, Utterance
from ttskit.adapters.local import LocalAdapter
from ttskit.errors import DependencyMissingError, InvalidResponseError
from ttskit.request import Timestamps
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, EngineWord, Recipe
from ttskit.resources.reference_shelf import Reference
from ttskit.voices import Voice

from .conftest import Booth

pytestmark = pytest.mark.anyio


class Echo(Engine):
    """Notes its jobs; speaks two chunks, with a word each, and at last words without sound."""

    def __init__(self, *, chunks: int = 2) -> None:
        self.jobs: list[EngineJob] = []
        self.chunks = chunks

    @override
    def load(self) -> None:
        pass

    @override
    def voices(self) -> list[Voice]:
        return [Voice("one", "", "One")]

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        del stop
        self.jobs.append(job)
        for number in range(self.chunks):
            word = EngineWord(number, number + 1, (number, number + 1))
            yield EngineChunk(np.full(10, 0.5, np.float32), 8_000, (word,))
        if self.chunks:
            last = EngineWord(self.chunks, self.chunks + 1, (2, 3))
            yield EngineChunk(np.zeros(0, np.float32), 8_000, (last,))


class EchoAdapter(LocalAdapter[AdapterOptions]):
    name = "echo"
    capabilities = Capabilities(formats=("f32",))

    def __init__(self, *, provider: str | None = None, chunks: int = 2) -> None:
        super().__init__(AdapterOptions(), provider=provider)
        self.echo = Echo(chunks=chunks)

    @override
    def engine(self, *, downloads: bool) -> Recipe:
        del downloads
        return Recipe(lambda: self.echo)


class Unequipped(EchoAdapter):
    requires = (Requirement("no_such_engine", "no-such-engine", "acme"),)


async def test_a_missing_package_is_named_with_the_line_that_installs_it(booth: Booth) -> None:
    with pytest.raises(DependencyMissingError, match=r'run: pip install "ttskit\[acme\]"$'):
        await booth.open(Unequipped())


async def test_words_come_with_the_audio_and_after_it(booth: Booth) -> None:
    adapter = EchoAdapter()
    await booth.open(adapter)
    heard = await booth.hear(adapter, "abc")
    assert (len(heard.samples), heard.chunks, heard.sample_rate) == (20, 2, 8_000)
    assert [word.span for word in heard.words] == [(0, 1), (1, 2), (2, 3)]


async def test_an_engine_without_a_sound_is_a_failure(booth: Booth) -> None:
    adapter = EchoAdapter(chunks=0)
    await booth.open(adapter)
    with pytest.raises(InvalidResponseError, match=r"^echo: no audio"):
        await booth.hear(adapter, "abc")


async def test_voices_belong_to_the_provider_as_configured(booth: Booth) -> None:
    adapter = EchoAdapter(provider="home")
    await booth.open(adapter)
    assert [voice.provider for voice in await adapter.voices()] == ["home"]


async def test_everything_settled_reaches_the_engine(booth: Booth) -> None:
    adapter = EchoAdapter()
    await booth.open(adapter)
    await booth.hear(
        adapter,
        "abc",
        voice="one",
        speed=1.5,
        pitch=2.0,
        volume=-3.0,
        seed=7,
        language="en",
        timestamps=Timestamps.WORD,
        is_ssml=True,
        reference=Reference(Path("/kept/voice.wav"), "0" * 32, 2.0, 24_000),
    )
    assert adapter.echo.jobs == [
        EngineJob(
            *("abc", "one", "en", 1.5, 2.0, -3.0, 7),
            want_words=True,
            is_ssml=True,
            reference=str(Path("/kept/voice.wav")),
        )
    ]


async def test_leaving_before_the_end_is_no_error(booth: Booth) -> None:
    adapter = EchoAdapter(chunks=100)
    await booth.open(adapter)
    async with adapter.synthesize(Utterance("abc")) as source:
        await anext(source.chunks)
    assert (await booth.hear(adapter, "abc")).chunks == 100
