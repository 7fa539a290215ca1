"""Lists of voices: asked for seldom, kept between services, and no burden on requests."""

from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from typing_extensions import override

from ttskit import AsyncTTSService
from ttskit.adapters.base import AdapterOptions, Runs
from ttskit.errors import NetworkError, TTSError
from ttskit.resources.shelf import Shelf, default_folder, shelf_key
from ttskit.routing.listing import PAUSE_S, Listing
from ttskit.testing import MockAdapter
from ttskit.testing.clock import virtual_time
from ttskit.testing.mock import MockOptions
from ttskit.voices import Gender, Voice

KEY = "sk-canary-81fbc2d9"
TEXTS = st.text(max_size=20)
VOICES = st.builds(
    Voice,
    id=TEXTS,
    provider=TEXTS,
    name=TEXTS,
    languages=st.lists(TEXTS).map(tuple),
    gender=st.sampled_from(Gender),
    styles=st.lists(TEXTS).map(tuple),
    sample_rate=st.none() | st.integers(1, 192_000),
    description=TEXTS,
    cloned=st.booleans(),
)


class KeyOptions(MockOptions):
    api_key: SecretStr = SecretStr(KEY)


class Cloud(MockAdapter):
    """The mock provider as if it were a cloud; it counts how often its voices are asked for."""

    capabilities = replace(MockAdapter.capabilities, runs=Runs.CLOUD)
    options_model = KeyOptions

    def __init__(self, provider: str = "cloud", key: str = KEY) -> None:
        super().__init__(
            KeyOptions(api_key=SecretStr(key)), provider=provider, capabilities=Cloud.capabilities
        )
        self.asked = 0
        self.error: TTSError | None = None

    @override
    async def voices(self) -> list[Voice]:
        self.asked += 1
        await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return await super().voices()


def files() -> list[Path]:
    return sorted(default_folder().glob("*"))


@pytest.mark.anyio
async def test_a_cloud_is_asked_once_for_all_services() -> None:
    first, second = Cloud(), Cloud()
    for adapter in (first, second):
        async with AsyncTTSService(providers=[adapter]) as tts:
            voices = await tts.voices()
            assert await tts.voices() == voices
            assert {voice.provider for voice in voices} == {"cloud"}
    assert (first.asked, second.asked) == (1, 0)


@pytest.mark.anyio
async def test_whoever_wants_news_gets_them() -> None:
    adapter = Cloud()
    async with AsyncTTSService(providers=[adapter]) as tts:
        await tts.voices()
        await tts.voices(refresh=True)
    assert adapter.asked == 2


@pytest.mark.anyio
async def test_another_account_has_a_list_of_its_own() -> None:
    mine, other = Cloud(), Cloud(key="another")
    for adapter in (mine, other):
        async with AsyncTTSService(providers=[adapter]) as tts:
            await tts.voices()
    assert (mine.asked, other.asked) == (1, 1)


@pytest.mark.anyio
async def test_an_old_list_is_made_anew_and_serves_while_that_fails() -> None:
    async with AsyncTTSService(providers=[Cloud()]) as tts:
        known = await tts.voices()
    (file,) = files()
    kept = json.loads(file.read_text())
    file.write_text(json.dumps(kept | {"written": time.time() - 90_000}))
    failing = Cloud()
    failing.error = NetworkError("down")
    async with AsyncTTSService(providers=[failing]) as tts:
        assert await tts.voices() == known
        assert failing.asked == 1
        await tts.synthesize("Hello.", voice=known[0].name)
        assert failing.asked == 1


@pytest.mark.anyio
async def test_a_list_that_cannot_be_had_is_not_asked_for_by_every_request() -> None:
    failing = Cloud()
    failing.error = NetworkError("down")
    async with AsyncTTSService(providers=[failing, MockAdapter(provider="well")]) as tts:
        for _ in range(5):
            assert (await tts.synthesize("Hello.", voice="alto")).origin.provider == "well"
    assert failing.asked == 1
    assert not files()


def test_after_a_pause_it_is_asked_for_again() -> None:
    asked: list[float] = []

    async def ask() -> list[Voice]:
        asked.append(anyio.current_time())
        if len(asked) == 1:
            raise NetworkError("down", provider="cloud")
        return [Voice("a", "cloud", "A")]

    async def main() -> None:
        listing = Listing(ask)
        for _ in range(3):
            with pytest.raises(NetworkError, match="down"):
                await listing.voices()
        await anyio.sleep(PAUSE_S)
        assert [voice.id for voice in await listing.voices()] == ["a"]

    virtual_time(main)
    assert len(asked) == 2


def test_a_list_without_end_is_given_up() -> None:
    async def main() -> None:
        with pytest.raises(TTSError, match="no list"):
            await Listing(anyio.sleep_forever).voices()  # type: ignore[arg-type]

    virtual_time(main)


@pytest.mark.anyio
async def test_without_an_age_nothing_is_written() -> None:
    settings = {"resources": {"voices_max_age": None}}
    adapter = Cloud()
    async with AsyncTTSService(settings, providers=[adapter]) as tts:
        await tts.voices()
        await tts.voices()
    assert adapter.asked == 1
    assert not files()


@pytest.mark.anyio
async def test_neither_the_file_nor_its_name_holds_the_key() -> None:
    async with AsyncTTSService(providers=[Cloud()]) as tts:
        await tts.voices()
    (file,) = files()
    for spelling in (KEY, KEY.encode().hex()):
        assert spelling not in file.name
        assert spelling not in file.read_text()
    if os.name == "posix":
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@given(st.lists(VOICES, max_size=5))
def test_voices_come_back_as_they_were_kept(
    tmp_path_factory: pytest.TempPathFactory, voices: list[Voice]
) -> None:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    shelf.write("key", voices)
    kept = shelf.read("key")
    assert kept is not None
    assert kept.voices == tuple(voices)
    assert abs(kept.written - time.time()) < 60


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"version": 1}',
        '{"version": 1, "written": 0, "voices": [{}]}',
        '{"version": 1, "written": "soon", "voices": []}',
        '{"version": 2, "written": 0, "voices": []}',
        '{"version": 1, "written": 0, "voices": [7]}',
        "[" * 100_000,
    ],
)
def test_a_file_that_is_damaged_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "key.json").write_text(content)
    assert Shelf(tmp_path).read("key") is None


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shelf = Shelf(tmp_path / "file" / "folder")
    assert shelf.write("key", [Voice("a", "p", "A")]).voices == (Voice("a", "p", "A"),)
    assert shelf.read("key") is None


@given(st.text(min_size=1, max_size=64), st.text())
def test_any_provider_has_a_name_that_files_can_have(provider: str, options: str) -> None:
    key = shelf_key(provider, options)
    assert "/" not in key
    assert "." not in key


def test_options_of_any_kind_are_told_apart() -> None:
    assert issubclass(KeyOptions, AdapterOptions)
    assert shelf_key("a", "x") != shelf_key("a", "y") != shelf_key("b", "y")
