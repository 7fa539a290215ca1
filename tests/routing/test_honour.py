from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.adapters.base import NATIVE, Capabilities
from ttskit.errors import UnsupportedFeatureError
from ttskit.request import SpeechOptions
from ttskit.routing.honour import prosody, unmet

PLAIN = Capabilities()
ABLE = Capabilities(
    speed=NATIVE, pitch=NATIVE, volume=NATIVE, seed=NATIVE, models=NATIVE, word_timestamps=NATIVE
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"speed": 1.5}, [("ignored", "speed")], id="speed"),
        pytest.param({"pitch": 2}, [("ignored", "pitch")], id="pitch"),
        pytest.param({"seed": 1}, [("ignored", "seed")], id="seed"),
        pytest.param({"model": "x"}, [("ignored", "model")], id="model"),
        pytest.param({"timestamps": "word"}, [("emulated", "timestamps")], id="timestamps"),
        pytest.param({"delivery": "live"}, [("emulated", "delivery")], id="delivery"),
        pytest.param({"volume": -6}, [], id="volume is emulated as it should be heard"),
        pytest.param({}, [], id="nothing asked"),
    ],
)
def test_what_a_plain_engine_cannot_do_is_told(
    options: dict[str, object], expected: list[tuple[str, str]]
) -> None:
    notices = unmet("p", PLAIN, SpeechOptions.build(**options))
    assert [(notice.code, notice.feature) for notice in notices] == expected


def test_an_able_engine_gives_no_notice() -> None:
    options = SpeechOptions(speed=2, pitch=-3, volume=3, seed=1, model="m", timestamps="word")
    assert unmet("p", ABLE, options) == []


def test_a_speed_beyond_the_engines_range_is_limited_and_told() -> None:
    able = Capabilities(speed=NATIVE, speed_range=(0.5, 2.0))
    (notice,) = unmet("p", able, SpeechOptions(speed=3))
    assert notice.code == "limited"
    assert prosody(able, speed=3, pitch=0, volume=0).speed == 2.0


def test_a_pitch_beyond_the_engines_range_is_limited_and_told() -> None:
    able = Capabilities(pitch=NATIVE, pitch_range=(-8.0, 9.0))
    (notice,) = unmet("p", able, SpeechOptions(pitch=12))
    assert (notice.code, notice.feature) == ("limited", "pitch")
    assert prosody(able, speed=1, pitch=12, volume=0).pitch == 9.0


def test_a_volume_beyond_the_engines_range_is_limited_and_told() -> None:
    able = Capabilities(volume=NATIVE, volume_range=(-96.0, 16.0))
    (notice,) = unmet("p", able, SpeechOptions(volume=20))
    assert (notice.code, notice.feature) == ("limited", "volume")
    assert prosody(able, speed=1, pitch=0, volume=20).volume == 16.0


def test_an_emulated_volume_is_not_limited() -> None:
    able = Capabilities(volume_range=(-6.0, 6.0))
    assert unmet("p", able, SpeechOptions(volume=20)) == []
    assert prosody(able, speed=1, pitch=0, volume=20).gain == 20


def test_another_persons_voice_never_stands_in_for_a_clone() -> None:
    with pytest.raises(UnsupportedFeatureError):
        unmet("p", PLAIN, SpeechOptions(reference=b"RIFF"))


@given(st.floats(0.25, 4), st.floats(-12, 12), st.floats(-40, 20))
def test_volume_is_applied_exactly_once(speed: float, pitch: float, volume: float) -> None:
    for able in (PLAIN, ABLE):
        shared = prosody(able, speed=speed, pitch=pitch, volume=volume)
        assert shared.volume + shared.gain == volume
        assert 0 in (shared.volume, shared.gain)
