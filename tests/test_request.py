from __future__ import annotations

import pickle

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.errors import (
    InvalidParameterError,
    UnsupportedFormatError,
    UnsupportedLanguageError,
    ValidationError,
)
from ttskit.request import (
    AudioFormat,
    SpeechOptions,
    SpeechRequest,
    Timestamps,
    VoicePolicy,
    check_language,
)

RANGES = {
    "speed": (0.25, 4),
    "pitch": (-12, 12),
    "volume": (-40, 20),
    "sample_rate": (8_000, 192_000),
    "seed": (0, 2**32 - 1),
}


def test_a_request_needs_no_more_than_its_text() -> None:
    request = SpeechRequest(text="Hello")
    assert request.source == "Hello"
    assert (request.speed, request.format, request.voice_policy) == (1, None, VoicePolicy.SIMILAR)


def test_every_setting_may_be_given_as_plain_data() -> None:
    request = SpeechRequest.build(
        ssml="<speak>Hi</speak>",
        provider=["a", "b"],
        language="EN-gb",
        format="mp3",
        timestamps="word",
        provider_options={"piper": {"noise_scale": 0.3}},
    )
    assert request.source == "<speak>Hi</speak>"
    assert request.provider == ("a", "b")
    assert request.language == "en-GB"
    assert (request.format, request.timestamps) == (AudioFormat.MP3, Timestamps.WORD)


@pytest.mark.parametrize("source", [{}, {"text": "a", "ssml": "b"}], ids=["none", "both"])
def test_a_request_has_exactly_one_source(source: dict[str, str]) -> None:
    with pytest.raises(InvalidParameterError, match="exactly one of text and ssml"):
        SpeechRequest.build(**source)


def test_text_is_taken_as_it_is_whatever_it_holds() -> None:
    text = "a\ud800b\x00 \u202e x < 3"
    assert SpeechRequest(text=text).text == text


@pytest.mark.parametrize("speed", [0, -1, 0.249, 4.001, 1e308, float("nan"), float("inf")], ids=str)
def test_an_impossible_speed_is_refused(speed: float) -> None:
    with pytest.raises(InvalidParameterError, match="speed should be"):
        SpeechRequest.build(text="Hello", speed=speed)


@pytest.mark.parametrize("name", RANGES)
@given(data=st.data())
def test_numbers_within_their_range_are_kept_exactly(name: str, data: st.DataObject) -> None:
    low, high = RANGES[name]
    whole = name in {"sample_rate", "seed"}
    value = data.draw(st.integers(int(low), int(high)) if whole else st.floats(low, high))
    assert dict(SpeechOptions.build(**{name: value}))[name] == value


@pytest.mark.parametrize("name", [*RANGES, "deadline"])
@given(value=st.floats(max_value=-41) | st.floats(min_value=2**33) | st.just(float("nan")))
def test_numbers_out_of_range_are_errors_that_name_the_setting(name: str, value: float) -> None:
    with pytest.raises(InvalidParameterError, match=f"^{name}[ :]"):
        SpeechOptions.build(**{name: value})


@pytest.mark.parametrize(
    ("written", "meant"),
    [("sped", "speed"), ("fromat", "format"), ("voice_id", "voice"), ("Speed", "speed")],
)
def test_an_unknown_setting_is_answered_with_the_nearest(written: str, meant: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"'{written}'; did you mean '{meant}'"):
        SpeechRequest.build(text="Hello", **{written: 1})


@pytest.mark.parametrize("name", ["mp4", "MP3", "", "../../x", "wav" * 10_000, 5], ids=repr)
def test_an_unknown_format_is_answered_with_the_known_ones(name: object) -> None:
    with pytest.raises(UnsupportedFormatError, match="one of wav, flac, ogg, opus, mp3") as caught:
        SpeechRequest.build(text="Hello", format=name)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    "tag", ["english", "", "e", "en_GB", "en-", "-en", "en GB", "en--GB", "en\n", "12", "é-GB"]
)
def test_what_is_no_language_tag_is_refused(tag: str) -> None:
    with pytest.raises(UnsupportedLanguageError, match="no BCP 47 language tag"):
        SpeechRequest.build(text="Hello", language=tag)


@pytest.mark.parametrize(
    "tag", ["en", "en-GB", "zh-Hant-TW", "es-419", "yue", "de-CH-1996", "zh-cmn-Hans-CN", "en-x-me"]
)
def test_language_tags_keep_their_customary_case(tag: str) -> None:
    assert check_language(tag) == tag
    assert check_language(tag.upper()) == tag
    assert check_language(tag.lower()) == tag


@given(st.text(max_size=40))
def test_any_language_is_a_tag_or_a_typed_error(tag: str) -> None:
    try:
        once = check_language(tag)
    except UnsupportedLanguageError:
        return
    assert check_language(once) == once
    assert once.lower() == tag.lower()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"text": 5}, "text should be a valid string"),
        ({"provider": []}, "provider must be a name"),
        ({"provider": ["a", ""]}, "provider must be a name"),
        ({"voice": ""}, "voice should have at least 1 character"),
        ({"cache": "never"}, "cache should be 'use', 'refresh' or 'bypass'"),
        ({"tags": {"a": 1}}, "tags.a should be a valid string"),
        ({"provider_options": {"piper": 3}}, "provider_options.piper should be"),
        ({"deadline": 0}, "deadline should be greater than 0"),
        ({"strict": "perhaps"}, "strict should be a valid boolean"),
        ({"reference": 5}, "reference is not a valid path"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_setting_of_the_wrong_kind_is_named(settings: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        SpeechRequest.build(**{"text": "Hello", **settings})


@pytest.mark.parametrize(
    "settings",
    [
        {"speed": "x" * 100_000},
        {"language": "x" * 100_000},
        {"format": "x" * 100_000},
        {"voice": "x" * 100_000},
        {"x" * 100_000: 1},
        {"tags": {"x" * 100_000: 1}},
        {"text": ["x" * 100_000]},
    ],
    ids=lambda settings: next(iter(settings))[:10],
)
def test_no_error_repeats_what_was_given(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        SpeechRequest.build(**{"text": "Hello", **settings})
    error = caught.value
    assert len(f"{error}{error!r}{error.__cause__}") < 600
    assert "\n" not in str(error)


def test_the_constructor_raises_the_same_errors_as_build() -> None:
    with pytest.raises(InvalidParameterError, match="speed should be"):
        SpeechRequest(text="Hello", speed=9)
    with pytest.raises(InvalidParameterError, match="unknown setting 'sped'"):
        SpeechRequest.model_validate({"text": "Hello", "sped": 1})


def test_a_requests_text_is_not_in_its_repr() -> None:
    request = SpeechRequest(text="private words", reference=b"my voice")
    assert "private" not in repr(request)
    assert "my voice" not in repr(request)


def test_a_request_cannot_be_changed_but_can_be_stored() -> None:
    request = SpeechRequest(text="Hello", speed=2)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        request.speed = 1
    assert pickle.loads(pickle.dumps(request)) == request  # noqa: S301 - our own
    assert SpeechRequest.model_validate_json(request.model_dump_json()) == request
