from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttskit.routing.readings import KEPT, Reading, Readings

calls = st.builds(
    Reading,
    st.sampled_from(["first", "second"]),
    st.sampled_from([None, "bob"]),
    st.none() | st.text("abc", min_size=1, max_size=3),
)


@given(
    passages=st.lists(st.none() | st.lists(calls, max_size=4), max_size=6),
    said=st.lists(calls, max_size=4),
    who=calls,
)
def test_the_last_calls_of_the_same_voice_without_a_gap_are_gone_on_from(
    passages: list[list[Reading] | None], said: list[Reading], who: Reading
) -> None:
    readings = Readings()
    for index, passage in enumerate(passages):
        if passage is not None:
            readings.note(index, passage, goes_on=False)
    heard: list[Reading | None] = []
    for passage in passages:
        heard += passage or [None]
    heard += said
    found = readings.before(len(passages), said, who)
    count = len(found)
    assert count <= 3
    last = heard[len(heard) - count :]
    assert [one and one.continuation for one in last] == list(found)
    assert all(one is not None and one[:2] == who[:2] for one in last)
    if count < min(3, len(heard)):
        gap = heard[len(heard) - count - 1]
        assert gap is None or gap[:2] != who[:2] or gap.continuation is None


def test_what_is_said_anew_takes_the_place_of_what_was_said() -> None:
    readings, who = Readings(), Reading("first", None, None)
    readings.note(0, [who._replace(continuation="old")], goes_on=False)
    readings.note(0, [who._replace(continuation="new")], goes_on=False)
    assert readings.before(1, [], who) == ("new",)
    readings.note(0, [who._replace(continuation="rest")], goes_on=True)
    assert readings.before(1, [], who) == ("new", "rest")


def test_a_long_reading_is_not_remembered_for_ever() -> None:
    readings, who = Readings(), Reading("first", None, "id")
    for index in range(10 * KEPT):
        readings.note(index, [who], goes_on=False)
    assert readings.before(10 * KEPT, [], who) == ("id",) * 3
    assert readings.before(1, [], who) == ()
