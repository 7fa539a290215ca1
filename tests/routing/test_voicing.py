from __future__ import annotations

import pytest

from ttskit import AsyncTTSService
from ttskit.errors import UnsupportedLanguageError, VoiceNotFoundError
from ttskit.testing import MockAdapter

pytestmark = pytest.mark.anyio
HELLO = "Hello there."


def adapters() -> tuple[MockAdapter, MockAdapter]:
    women = {"id": "anna", "languages": ("en-GB",), "gender": "female"}
    men = {"id": "bert", "languages": ("en-US",), "gender": "male"}
    first = MockAdapter(provider="first", voices=(women, men))
    other = [{**women, "id": "clara"}, {**men, "id": "dirk"}]
    return first, MockAdapter(provider="second", voices=tuple(other))


async def voices_asked_for(
    *, voice: str | None, policy: str = "similar", aliases: dict[str, object] | None = None
) -> list[str | None]:
    first, second = adapters()
    first.faults.fail_first(99)
    async with AsyncTTSService({"voices": aliases or {}}, providers=[first, second]) as tts:
        await tts.synthesize(HELLO, voice=voice, voice_policy=policy)
    return [utterance.voice for utterance in (*first.requests, *second.requests)]


async def test_an_alias_gives_each_provider_its_own_voice() -> None:
    aliases: dict[str, object] = {"narrator": {"first": "bert", "second": "clara"}}
    assert await voices_asked_for(voice="narrator", aliases=aliases) == ["bert", "clara"]


@pytest.mark.parametrize(
    ("voice", "stand_in"),
    [("anna", "clara"), ("bert", "dirk"), ("first:bert", "dirk"), ("Anna", "clara")],
)
async def test_the_nearest_voice_stands_in_on_another_provider(voice: str, stand_in: str) -> None:
    assert (await voices_asked_for(voice=voice))[-1] == stand_in


async def test_any_lets_the_backups_default_voice_speak() -> None:
    assert (await voices_asked_for(voice="bert", policy="any"))[-1] is None


async def test_exact_lets_nobody_stand_in() -> None:
    with pytest.raises(Exception, match="voice_policy=exact") as failure:
        await voices_asked_for(voice="bert", policy="exact")
    assert failure.value.__class__.__name__ == "AllProvidersFailedError"


async def test_an_alias_stands_in_for_the_voice_it_names() -> None:
    aliases: dict[str, object] = {"narrator": {"first": "bert", "second": "clara"}}
    asked = await voices_asked_for(voice="bert", policy="alias", aliases=aliases)
    assert asked == ["bert", "clara"]


async def test_a_voice_of_one_provider_is_never_sent_to_another() -> None:
    first, second = adapters()
    async with AsyncTTSService(providers=[first, second]) as tts:
        await tts.synthesize(HELLO, voice="second:clara", provider=["first", "second"])
    assert "clara" not in {utterance.voice for utterance in first.requests}


@pytest.mark.parametrize("voice", ["clara", "second:clara", "narrator"])
async def test_a_voice_is_spoken_by_the_provider_that_has_it(voice: str) -> None:
    first, second = adapters()
    config = {"voices": {"narrator": {"second": "clara"}}}
    async with AsyncTTSService(config, providers=[first, second]) as tts:
        audio = await tts.synthesize(HELLO, voice=voice)
    assert (audio.ledger[0].provider, audio.ledger[0].voice) == ("second", "clara")
    assert audio.warnings == []


async def test_a_replacement_is_on_the_record() -> None:
    first, second = adapters()
    async with AsyncTTSService(providers=[first, second]) as tts:
        audio = await tts.synthesize(HELLO, voice="clara", provider=["first", "second"])
    assert [(notice.code, notice.provider) for notice in audio.warnings] == [
        ("voice_replaced", "first")
    ]
    assert audio.ledger[0].voice == "anna"


async def test_an_unknown_voice_is_refused_with_the_nearest_names_before_anyone_is_asked() -> None:
    first, second = adapters()
    async with AsyncTTSService(providers=[first, second]) as tts:
        with pytest.raises(VoiceNotFoundError, match="clara"):
            await tts.synthesize(HELLO, voice="claraa")
    assert first.requests == second.requests == []


async def test_a_language_chooses_a_voice_that_speaks_it() -> None:
    first, second = adapters()
    async with AsyncTTSService(providers=[first, second]) as tts:
        audio = await tts.synthesize(HELLO, language="en-US")
        with pytest.raises(UnsupportedLanguageError):
            await tts.synthesize(HELLO, language="ja")
    assert audio.ledger[0].voice == "bert"


async def voice_for(language: str, *tags: str) -> str | None:
    """Who speaks where only the language is named, of voices called by their tags."""
    voices = [{"id": tag, "languages": (tag,)} for tag in tags]
    async with AsyncTTSService(providers=[MockAdapter(voices=tuple(voices))]) as tts:
        audio = await tts.synthesize(HELLO, language=language)
    return audio.ledger[0].voice


@pytest.mark.parametrize(
    ("language", "voices", "chosen"),
    [
        ("en-GB", ("en",), "en"),
        ("en", ("en-GB",), "en-GB"),
        ("en-GB", ("en-US", "en", "en-GB"), "en-GB"),
        ("en-GB", ("en-US", "en"), "en"),
        ("en", ("fr", "en-US", "en"), "en-US"),
        ("zh-Hant-TW", ("zh", "zh-Hans", "zh-Hant"), "zh-Hant"),
        ("nb-NO", ("no",), "no"),
    ],
)
async def test_a_region_is_spoken_by_its_own_voice_or_else_by_the_languages(
    language: str, voices: tuple[str, ...], chosen: str
) -> None:
    assert await voice_for(language, *voices) == chosen


async def test_another_regions_voice_is_named_and_not_taken() -> None:
    with pytest.raises(UnsupportedLanguageError, match="en-GB; the nearest is en-US"):
        await voice_for("en-GB", "de", "en-US")


async def test_the_next_provider_speaks_the_region_that_the_first_has_not() -> None:
    first, second = adapters()
    irish = MockAdapter(provider="irish", voices=({"id": "orla", "languages": ("en-IE",)},))
    async with AsyncTTSService(providers=[first, irish, second]) as tts:
        audio = await tts.synthesize(HELLO, language="en-IE")
    assert (audio.ledger[0].provider, audio.ledger[0].voice) == ("irish", "orla")
