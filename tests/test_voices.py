from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.errors import InvalidParameterError, UnsupportedLanguageError
from ttskit.voices import Catalogue, Gender, Voice, resolve_alias

ANN = Voice("ann-gb", "acme", "Ann", ("en-GB",), Gender.FEMALE, ("calm", "news"))
BOB = Voice("bob-us", "acme", "Bob", ("en-US", "es-US"), Gender.MALE, ("cheerful",))
EVE = Voice("eve-us", "home", "Eve", ("en-US",), Gender.FEMALE, description="A warm narrator")
LIU = Voice("liu", "home", "刘", ("cmn",), Gender.MALE)
KIM = Voice("kim", "home", "Kim")
ALL = Catalogue([ANN, BOB, EVE, LIU, KIM])

tags = st.from_regex(r"[a-z]{2}(-[A-Z][a-z]{3})?(-[A-Z]{2})?", fullmatch=True)


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({}, [ANN, BOB, EVE, LIU, KIM]),
        ({"language": "en"}, [ANN, BOB, EVE, KIM]),
        ({"language": "EN-us"}, [BOB, EVE, KIM]),
        ({"language": "es"}, [BOB, KIM]),
        ({"language": "zh"}, [LIU, KIM]),
        ({"language": "*"}, [ANN, BOB, EVE, LIU, KIM]),
        ({"language": "de"}, [KIM]),
        ({"language": "es-US-x-tejano"}, [KIM, BOB]),
        ({"language": "zh-Hant-TW"}, [KIM, LIU]),
        ({"gender": "female"}, [ANN, EVE]),
        ({"gender": Gender.MALE, "language": "en"}, [BOB, KIM][:1]),
        ({"style": "Calm"}, [ANN]),
        ({"provider": "home", "language": "en"}, [EVE, KIM]),
        ({"text": "NARRATOR warm"}, [EVE]),
        ({"text": "nobody"}, []),
    ],
    ids=str,
)
def test_a_search_returns_the_voices_that_meet_every_condition(
    conditions: dict[str, str], found: list[Voice]
) -> None:
    assert ALL.search(**conditions) == found


def test_a_search_for_what_cannot_be_is_an_error() -> None:
    with pytest.raises(UnsupportedLanguageError, match="BCP 47"):
        ALL.search(language="english")
    with pytest.raises(InvalidParameterError, match="female, male, neutral, unknown"):
        ALL.search(gender="loud")


def test_a_search_returns_the_languages_own_voices_before_those_of_a_wider_one() -> None:
    wide = Voice("wide", "acme", "Wide", ("en",))
    other = Voice("other", "acme", "Other", ("en-IE",))
    found = Catalogue([wide, BOB, other, ANN]).search(language="en-GB")
    assert found == [ANN, wide]
    assert Catalogue([wide, BOB, ANN]).search(language="en") == [wide, BOB, ANN]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("ann-bg", "ann-gb"), ("ANN", "ann-gb"), ("evee", "eve-us"), ("bob_us", "bob-us")],
)
def test_a_misspelt_voice_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    assert ALL.suggestions(name)[0] == nearest


def test_suggestions_are_few_known_and_never_the_callers_text() -> None:
    many = Catalogue(Voice(f"voice-{number}", "p", f"Voice {number}") for number in range(2000))
    found = many.suggestions("voice-77x")
    assert 0 < len(found) <= 3
    assert "voice-77" in found
    assert many.suggestions("z" * 100_000) == []
    assert Catalogue([]).suggestions("ann") == []


@pytest.mark.parametrize(
    ("voice", "language", "nearest"),
    [
        (EVE, None, BOB),
        (Voice("x", "p", "X", ("en-GB",), Gender.MALE), None, ANN),
        (Voice("x", "p", "X", ("en-IE",), Gender.MALE), None, BOB),
        (Voice("x", "p", "X", ("en",), styles=("news",)), None, ANN),
        (EVE, "es", BOB),
        (None, "en-GB", ANN),
        (None, None, ANN),
        (KIM, None, ANN),
        (LIU, None, None),
        (None, "fr-FR", None),
    ],
    ids=["region", "language first", "gender", "style", "asked", "no voice", "any", "untagged",
         "foreign", "nobody"],
)  # fmt: skip
def test_the_nearest_voice_has_the_language_then_region_gender_and_style(
    voice: Voice | None, language: str | None, nearest: Voice | None
) -> None:
    assert Catalogue.nearest(voice, language, [ANN, BOB]) == nearest


def primary(tag: str) -> str:
    """The language without script and region; Mandarin goes by the name of Chinese."""
    own = tag.partition("-")[0].lower()
    return {"cmn": "zh"}.get(own, own)


@given(st.permutations([ANN, BOB, EVE, LIU]), tags)
def test_the_nearest_voice_always_speaks_the_language(voices: list[Voice], tag: str) -> None:
    nearest = Catalogue.nearest(None, tag, voices)
    able = [voice for voice in voices if primary(tag) in map(primary, voice.languages)]
    assert nearest is None or nearest in able
    assert (nearest is None) == (not able)


def test_a_voice_that_speaks_any_language_stands_in_for_every_one() -> None:
    assert Catalogue.nearest(None, "fr", [ANN, KIM]) == KIM


def test_an_alias_means_each_providers_own_voice() -> None:
    aliases = {"narrator": {"acme": "ann-gb", "home": "eve-us"}}
    assert resolve_alias(aliases, "narrator", "home") == "eve-us"
    assert resolve_alias(aliases, "narrator", "other") is None
    assert resolve_alias(aliases, "bob-us", "acme") == "bob-us"
