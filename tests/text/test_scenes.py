from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ttskit.text.plan import plan_ssml
from ttskit.text.scenes import scenes

lines = st.tuples(
    st.sampled_from(["anna", "bob", "carl"]),
    st.sampled_from(["Hello there.", "Yes! No?", "It is &lt; 3.", "Well, <break time='1s'/> so."]),
)


def dialogue(spoken: list[tuple[str, str]]) -> str:
    said = "\n".join(f"<voice name='{voice}'>{text}</voice>" for voice, text in spoken)
    return f"<speak>{said}</speak>"


@given(spoken=st.lists(lines, min_size=1, max_size=12), longest=st.integers(1, 120))
def test_scenes_say_the_same_in_the_same_places(
    spoken: list[tuple[str, str]], longest: int
) -> None:
    passages = plan_ssml(dialogue(spoken))
    found = scenes(passages, longest)
    assert [run for one in found for run in one.runs] == [
        run for one in passages for run in one.runs
    ]
    assert [one.index for one in found] == list(range(len(found)))
    assert [edge for one in found for edge in one.span] == sorted(
        edge for one in found for edge in one.span
    )
    assert found[0].span[0] == passages[0].span[0]
    assert found[-1].span[1] == passages[-1].span[1]
    alone = {one.text for one in passages}
    assert all(len(one.text) <= longest or one.text in alone for one in found)
    if len({voice for voice, _ in spoken}) == 1:
        assert found == passages


def test_a_dialogue_is_one_scene() -> None:
    passages = plan_ssml(dialogue([("anna", "Hello there. You?"), ("bob", "Yes! No?")]))
    assert len(passages) == 4
    (scene,) = scenes(passages, 2_000)
    assert scene.text.split() == ["Hello", "there.", "You?", "Yes!", "No?"]
