"""Providers that read neighbouring text are given it, whoever cut the text and whatever failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
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


def known(adapter: MockAdapter) -> dict[str, list[str]]:
    """Return what each utterance was to go on from, by the text that was said then."""
    said = {f"{adapter.provider}-{at}": one.text for at, one in enumerate(adapter.requests, 1)}
    return {one.text: [said[ident] for ident in one.previous_ids] for one in adapter.requests}


async def test_pieces_of_a_sentence_go_on_from_the_last_three() -> None:
    adapter = reader(max_characters=9)
    await told(adapter, "One two three four five six seven.")
    assert known(adapter) == {
        "One two": [],
        "three": ["One two"],
        "four": ["One two", "three"],
        "five six": ["One two", "three", "four"],
        "seven.": ["three", "four", "five six"],
    }


async def test_text_that_comes_slowly_goes_on_from_what_was_said() -> None:
    adapter = reader()
    sentences = ["One two.", "Three four.", "Five six.", "Seven eight.", "Nine ten."]
    heard = [anyio.Event() for _ in sentences]

    async def pieces() -> AsyncIterator[str]:
        for at, sentence in enumerate(sentences):
            if at > 1:
                await heard[at - 2].wait()
            yield f"{sentence} "
        await heard[-2].wait()

    with anyio.fail_after(20):
        async with (
            AsyncTTSService({"text": {"fast_start": False}}, providers=[adapter]) as tts,
            tts.stream(pieces()) as speech,
        ):
            async for chunk in speech:
                heard[chunk.utterance.index].set()
    assert known(adapter) == {
        sentence: sentences[max(at - 3, 0) : at] for at, sentence in enumerate(sentences)
    }


@pytest.mark.parametrize("delivery", ["exact", "live"])
async def test_only_what_is_directly_before_is_gone_on_from(delivery: str) -> None:
    """Some are made at a time: what is not known when a call is made is left to the text."""
    sentences = [f"Sentence number {at}." for at in range(12)]
    adapter = reader()
    async with AsyncTTSService(providers=[adapter]) as tts:
        await tts.synthesize(" ".join(sentences), delivery=delivery)
    found = known(adapter)
    assert set(found) == set(sentences)
    for at, sentence in enumerate(sentences):
        before = found[sentence]
        assert before == sentences[at - len(before) : at]


async def test_nobody_goes_on_from_another_provider_or_voice() -> None:
    first, second = reader("first"), reader("second")
    first.faults.reject_content(matching="Three")
    settings = {"text": {"fast_start": False}, "routing": {"ask_others_when_rejected": True}}
    async with (
        AsyncTTSService(settings, providers=[first, second]) as tts,
        tts.stream("One two. Three four. Five six.") as speech,
    ):
        await speech.collect()
    assert "One two." not in known(second)
    assert known(second)["Three four."] == []
    ssml = "<speak>One two. <voice name='bob'>Three four.</voice> Five six. Seven.</speak>"
    talkers = reader()
    async with AsyncTTSService(providers=[talkers]) as tts:
        await tts.synthesize(ssml=ssml)
    assert known(talkers)["Three four."] == known(talkers)["Five six."] == []


async def test_what_broke_off_in_the_listeners_ear_is_gone_on_from_by_nobody() -> None:
    first, second = reader("first"), reader("second")
    first.faults.die_mid_stream(at=0.6)
    async with (
        AsyncTTSService(providers=[first, second]) as tts,
        tts.stream("One two three four five. Six seven.", delivery="live") as speech,
    ):
        await speech.collect()
    rest, last = second.requests
    assert rest.previous_ids == ()
    assert known(second)[last.text] in ([], [rest.text])


async def test_who_reads_no_context_goes_on_from_nothing() -> None:
    adapter = MockAdapter(capabilities=replace(MockAdapter.capabilities, max_characters=9))
    await told(adapter, "One two three four five.")
    assert {one.previous_ids for one in adapter.requests} == {()}
