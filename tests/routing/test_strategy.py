from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit import AsyncTTSService
from ttskit.routing.strategy import (
    CONVERSATIONS,
    EXPLORATION,
    Conversations,
    Facts,
    by_price,
    by_speed,
)
from ttskit.testing import MockAdapter

names = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)
amounts = st.none() | st.floats(0, 200)
facts = names.flatmap(
    lambda chosen: st.tuples(
        *(st.builds(Facts, st.just(name), amounts, amounts) for name in chosen)
    )
)


@given(facts=facts, seed=st.integers())
def test_every_provider_is_asked_once_whatever_the_strategy(
    facts: tuple[Facts, ...], seed: int
) -> None:
    everyone = sorted(one.name for one in facts)
    assert sorted(by_price(facts)) == everyone
    assert sorted(by_speed(facts, random.Random(seed))) == everyone


def test_the_cheapest_comes_first_and_the_unpriced_last() -> None:
    offers = [Facts("cloud", 30.0), Facts("unknown"), Facts("local", 0.0), Facts("cheap", 4.0)]
    assert by_price(offers) == ["local", "cheap", "cloud", "unknown"]


def test_the_configured_order_decides_between_equals() -> None:
    assert by_price([Facts("b", 1.0), Facts("a", 1.0)]) == ["b", "a"]


def test_the_soonest_heard_comes_first_but_for_explorations() -> None:
    field = [Facts("slow", None, 0.9), Facts("quick", None, 0.1), Facts("middling", None, 0.4)]
    draw = random.Random(7)
    firsts = Counter(by_speed(field, draw)[0] for _ in range(4_000))
    assert 1 - firsts["quick"] / 4_000 < 1.5 * EXPLORATION
    assert firsts["slow"] > 0
    assert firsts["middling"] > 0


def test_whoever_was_never_measured_is_explored_first() -> None:
    field = [Facts("known", None, 0.1), Facts("known too", None, 0.2), Facts("new")]
    draw = random.Random(7)
    firsts = {by_speed(field, draw)[0] for _ in range(1_000)}
    assert firsts == {"known", "new"}


@given(names)
def test_a_conversation_stays_with_whoever_spoke_last(everyone: list[str]) -> None:
    talks = Conversations()
    for speaker in everyone:
        talks.note("tea", speaker)
        assert talks.order("tea", everyone)[0] == speaker
    assert talks.order("another", everyone) == everyone
    assert talks.order(None, everyone) == everyone


def test_only_so_many_conversations_are_remembered() -> None:
    talks = Conversations()
    for number in range(CONVERSATIONS + 1):
        talks.note(str(number), "b")
    assert talks.order("0", ["a", "b"]) == ["a", "b"]
    assert talks.order(str(CONVERSATIONS), ["a", "b"]) == ["b", "a"]


async def _speakers(config: dict[str, object], tags: list[dict[str, str]]) -> list[str | None]:
    first = MockAdapter(provider="first", latency_s=0.02)
    second = MockAdapter(provider="second")
    providers = {
        "first": {"adapter": "mock", "price": 30},
        "second": {"adapter": "mock", "price": 4},
    }
    settings = {"routing": config, "providers": providers}
    async with AsyncTTSService(settings, providers=[first, second]) as tts:
        await tts.synthesize("Measured once.", provider="first")
        await tts.synthesize("Measured, too.", provider="second", tags={"conversation": "tea"})
        return [(await tts.synthesize("Who speaks?", tags=own)).origin.provider for own in tags]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("strategy", "tags", "speaker"),
    [
        ("priority", {}, "first"),
        ("cheapest", {}, "second"),
        ("fastest", {}, "second"),
        ("sticky", {"conversation": "tea"}, "second"),
        ("sticky", {"conversation": "coffee"}, "first"),
    ],
)
async def test_the_strategy_of_the_settings_decides_who_speaks(
    strategy: str, tags: dict[str, str], speaker: str
) -> None:
    spoken = await _speakers({"strategy": strategy}, [tags] * 8)
    # ``fastest`` measures another one now and then.
    assert spoken.count(speaker) >= 6
