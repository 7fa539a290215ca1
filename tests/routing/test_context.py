"""Providers that read neighbouring text are given it, whoever cut the text and whatever failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ttskit import AsyncTTSService
from ttskit.adapters.base import NATIVE
from ttskit.testing import MockAdapter, transcribe

pytestmark = pytest.mark.anyio


def reader(provider: str = "mock", **able: object) -> MockAdapter:
    """Return a provider that reads what is around an utterance."""
    capabilities = replace(MockAdapter.capabilities, context=NATIVE, **able)  # type: ignore[arg-type]
    return MockAdapter(provider=provider, capabilities=capabilities)


def around(adapter: MockAdapter) -> dict[str, tuple[str | None, str | None]]:
    return {one.text: (one.previous_text, one.next_text) for one in adapter.requests}


async def told(
    adapter: MockAdapter, text: object, **options: object
) -> dict[str, tuple[str | None, str | None]]:
    settings = {"text": {"fast_start": False, "utterance_characters": 40}}
    async with (
        AsyncTTSService(settings, providers=[adapter]) as tts,
        tts.stream(text, **options) as speech,  # type: ignore[arg-type]
    ):
        audio = await speech.collect()
    assert transcribe(audio)
    return around(adapter)


async def test_sentences_are_told_their_neighbours() -> None:
    text = "One two. Three four. Five six."
    streamed, whole = reader(), reader()
    async with AsyncTTSService(providers=[whole]) as tts:
        await tts.synthesize(text)
    assert await told(streamed, text) == around(whole)
    assert around(whole) == {
        "One two.": (None, "Three four. Five six."),
        "Three four.": ("One two.", "Five six."),
        "Five six.": ("One two. Three four.", None),
    }


async def test_a_text_of_one_sentence_has_no_neighbours() -> None:
    assert await told(reader(), "One two.") == {"One two.": (None, None)}


async def test_of_arriving_text_only_what_came_is_known() -> None:
    async def pieces() -> AsyncIterator[str]:
        for piece in ("One tw", "o. Three ", "four. Five", " six."):
            yield piece

    assert await told(reader(), pieces()) == {
        "One two.": (None, None),
        "Three four.": ("One two.", None),
        "Five six.": ("One two. Three four.", None),
    }


async def test_what_was_cut_to_a_limit_is_told_the_rest_of_it() -> None:
    adapter = reader(max_characters=12)
    assert await told(adapter, "One two three four. Five six.") == {
        "One two": (None, "three four. Five six."),
        "three four.": ("One two", "Five six."),
        "Five six.": ("One two three four.", None),
    }


async def test_markup_is_no_context() -> None:
    ssml = "<speak>One &lt; two. <break time='1s'/> Three four.</speak>"
    adapter = reader()
    async with AsyncTTSService(providers=[adapter]) as tts:
        await tts.synthesize(ssml=ssml)
    assert around(adapter)["Three four."][0] == "One < two."


async def test_a_long_neighbour_is_cut_at_a_word() -> None:
    heard = await told(reader(), f"First. {'word ' * 200}end. Last.")
    before, _ = heard["Last."]
    _, after = heard["First."]
    assert before == f"{'word ' * 59}end."
    assert after == "word " * 59 + "word"


async def test_a_provider_that_reads_no_context_is_given_none() -> None:
    heard = await told(MockAdapter(), "One two. Three four.")
    assert set(heard.values()) == {(None, None)}


async def test_who_goes_on_in_mid_sentence_is_told_what_was_heard() -> None:
    first, second = MockAdapter(provider="first"), reader("second")
    first.faults.die_mid_stream(at=0.6)
    async with (
        AsyncTTSService(providers=[first, second]) as tts,
        tts.stream("One two three four five.", delivery="live") as speech,
    ):
        audio = await speech.collect()
    assert transcribe(audio) == "One two three four five."
    ((rest, (before, after)),) = around(second).items()
    assert f"{before} {rest}" == "One two three four five."
    assert after is None
