"""Languages: whatever is asked for is answered as RFC 4647 looks it up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.languages import best_fit, fit, is_related, nearest, speaks

tags = st.builds(
    lambda primary, rest: "-".join([primary, *rest]),
    st.sampled_from(["en", "de", "zh"]),
    st.tuples(
        st.sampled_from([(), ("Latn",), ("Hant",)]),
        st.sampled_from([(), ("GB",), ("US",), ("419",)]),
        st.sampled_from([(), ("scotland",), ("x", "nyc")]),
    ).map(lambda parts: [subtag for part in parts for subtag in part]),
)


def shortened(tag: str) -> list[str]:
    """The tag, and what RFC 4647 section 3.4 looks for after it: a lone letter goes along."""
    parts, found = tag.split("-"), []
    while parts:
        found.append("-".join(parts))
        parts.pop()
        if parts and len(parts[-1]) == 1:
            parts.pop()
    return found


@pytest.mark.parametrize(
    ("wanted", "tag", "spoken", "related"),
    [
        ("en", "en-GB", True, True),
        ("en-GB", "en", True, True),
        ("en-GB", "en-US", False, True),
        ("en", "enm", False, False),
        ("de-ch", "de-CH-1996", True, True),
        ("de-DE", "de-Latn-DE", False, True),
        ("zh-Hant-TW", "zh-Hant", True, True),
        ("zh-Hant-TW", "zh-Hant-HK", False, True),
        ("no", "nb-NO", True, True),
        ("cmn-CN", "zh-CN", True, True),
        ("iw", "he", True, True),
        ("pt_BR", "pt-br", True, True),
        ("*", "fr", True, True),
    ],
)
def test_a_language_is_answered_by_its_own_a_narrower_or_a_wider_tag(
    wanted: str, tag: str, *, spoken: bool, related: bool
) -> None:
    assert speaks(wanted, [tag]) is spoken
    assert is_related(wanted, [tag]) is related


@given(wanted=tags, tag=tags)
def test_what_lookup_finds_is_spoken_and_nothing_else(wanted: str, tag: str) -> None:
    assert speaks(wanted, [tag]) == (tag in shortened(wanted) or wanted in shortened(tag))


@given(wanted=tags, has=st.lists(tags, min_size=1))
def test_the_nearest_is_what_lookup_comes_upon_first(wanted: str, has: list[str]) -> None:
    for asked in shortened(wanted):
        found = [tag for tag in has if tag == asked or wanted in shortened(tag)]
        if found:
            assert nearest(wanted, has) == found[0]
            return
    assert not speaks(wanted, has)


@given(wanted=tags, has=st.lists(tags))
def test_no_language_is_nearest_that_is_another_one(wanted: str, has: list[str]) -> None:
    kindred = [tag for tag in has if tag[:2] == wanted[:2]]
    near = nearest(wanted, has)
    assert (near is None) == (not kindred)
    assert near is None or near in kindred


@given(wanted=tags, has=st.lists(tags), more=tags)
def test_a_shorter_wish_or_more_tags_never_lose_an_answer(
    wanted: str, has: list[str], more: str
) -> None:
    for shorter in shortened(wanted):
        assert speaks(shorter, has) >= speaks(wanted, has)
    if has:
        assert best_fit(wanted, [*has, more]) >= best_fit(wanted, has)


@given(wanted=tags, tag=tags)
def test_case_and_underscores_make_no_difference(wanted: str, tag: str) -> None:
    assert fit(wanted.upper(), tag.replace("-", "_").lower()) == fit(wanted, tag)


def test_who_names_no_language_speaks_any() -> None:
    assert speaks("fr-CA", [])
    assert best_fit("fr-CA", []) == fit("fr-CA", "fr-CA")
