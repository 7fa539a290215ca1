from __future__ import annotations

from dataclasses import replace

import pytest

from ttskit.adapters.base import NATIVE, UNSUPPORTED
from ttskit.errors import (
    ConfigurationError,
    InvalidParameterError,
    UnsupportedFeatureError,
    UnsupportedLanguageError,
)
from ttskit.request import SpeechOptions
from ttskit.resources.host import Resources
from ttskit.routing.order import candidates, check_own_options, converters, speakers
from ttskit.routing.provider import Place, Provider
from ttskit.testing import MockAdapter


def providers() -> list[Provider]:
    adapters = [
        MockAdapter(provider="english", languages=("en-US",)),
        MockAdapter(provider="german", languages=("de",)),
        MockAdapter(provider="any"),
    ]
    return [Provider(adapter, Resources()) for adapter in adapters]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        pytest.param({}, ["english", "german", "any"], id="routing order"),
        pytest.param({"provider": "german"}, ["german"], id="one named"),
        pytest.param({"provider": ("any", "english")}, ["any", "english"], id="an order named"),
        pytest.param({"provider": ("any", "any")}, ["any"], id="named twice"),
        pytest.param({"language": "de-AT"}, ["german", "any"], id="by language"),
        pytest.param({"language": "en"}, ["english", "any"], id="region left open"),
    ],
)
def test_candidates_are_those_that_can_serve_the_request(
    options: dict[str, object], names: list[str]
) -> None:
    found = candidates(providers(), SpeechOptions.build(**options))
    assert [provider.name for provider in found] == names


def test_an_unknown_provider_gets_the_nearest_name() -> None:
    with pytest.raises(InvalidParameterError, match="did you mean 'german'"):
        candidates(providers(), SpeechOptions(provider="germann"))


def test_options_for_a_provider_that_is_not_there_are_an_error() -> None:
    options = SpeechOptions(provider_options={"englich": {}})
    with pytest.raises(InvalidParameterError, match="did you mean 'english'"):
        check_own_options(providers(), options)
    check_own_options(providers(), SpeechOptions(provider_options={"english": {}, "mock": {}}))


def test_a_language_nobody_speaks_is_refused_before_anyone_is_asked() -> None:
    with pytest.raises(UnsupportedLanguageError, match="english"):
        candidates(providers()[:2], SpeechOptions(language="fr"))


def test_who_clones_no_voices_is_no_candidate_where_one_is_to_be_cloned() -> None:
    cloner = Provider(MockAdapter(provider="cloner", cloning=NATIVE), Resources())
    options = SpeechOptions(reference=b"RIFF")
    assert candidates([*providers(), cloner], options) == [cloner]
    with pytest.raises(UnsupportedFeatureError, match="english, german, any"):
        candidates(providers(), options)


def test_who_only_converts_voices_is_asked_to_say_nothing() -> None:
    converter = MockAdapter(provider="converter", conversion=NATIVE)
    converter.capabilities = replace(converter.capabilities, synthesis=UNSUPPORTED)
    everyone = [Provider(converter, Resources()), *providers()]
    assert speakers(everyone) == everyone[1:]
    assert converters(everyone) == everyone[:1]
    with pytest.raises(UnsupportedFeatureError, match="no text is spoken by any of: converter"):
        speakers(everyone[:1])


def test_no_provider_at_all_says_what_to_install() -> None:
    with pytest.raises(ConfigurationError, match=r'pip install "ttskit\[local\]"'):
        candidates([], SpeechOptions())


def test_a_provider_outside_the_order_is_asked_only_by_name() -> None:
    spare = Provider(MockAdapter(provider="spare"), Resources(), Place(is_routed=False))
    everyone = [*providers(), spare]
    assert "spare" not in [one.name for one in candidates(everyone, SpeechOptions())]
    assert candidates(everyone, SpeechOptions(provider="spare")) == [spare]
