"""What clouds' voices and models can do, where it is not what the configured ones can."""

from __future__ import annotations

import pytest

from tests.clouds.contract import KEY
from ttskit.adapters.base import EMULATED, NATIVE, UNSUPPORTED
from ttskit.registry import Registry

AWS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": KEY}
AZURE = {"region": "westeurope"}
boto = pytest.mark.engine("boto3")


@pytest.mark.parametrize(
    ("name", "section", "asked", "due"),
    [
        ("google", {}, ("en-US-Chirp3-HD-Kore", None), {"pitch": UNSUPPORTED, "ssml": frozenset()}),
        ("google", {}, (None, "gemini-2.5-flash-tts"), {"word_timestamps": EMULATED}),
        ("google", {"voice": "en-US-Studio-O"}, ("en-US-Wavenet-A", None), {"pitch": NATIVE}),
        ("azure", AZURE, ("en-US-Ava:DragonHDLatestNeural", None), {"speed": UNSUPPORTED}),
        ("hume", {}, (None, "1"), {"word_timestamps": EMULATED}),
        ("hume", {"model": "1"}, (None, "2"), {"word_timestamps": NATIVE}),
        ("elevenlabs", {}, (None, "eleven_v3"), {"speed": UNSUPPORTED, "max_characters": 5_000}),
        ("elevenlabs", {"model": "eleven_v3"}, (None, "eleven_flash_v2"), {"max_voices": None}),
        pytest.param("polly", AWS, ("Joanna", "standard"), {"pitch": NATIVE}, marks=boto),
        pytest.param("polly", AWS, ("Ruth", "generative"), {"word_timestamps": EMULATED},
                     marks=boto),
        pytest.param("polly", AWS, ("Ruth", "no engine"), {"pitch": UNSUPPORTED}, marks=boto),
    ],
)  # fmt: skip
def test_a_voice_and_a_model_may_differ_from_the_configured_ones(
    name: str,
    section: dict[str, object],
    asked: tuple[str | None, str | None],
    due: dict[str, object],
) -> None:
    adapter = Registry().find(name)
    key = {} if name == "polly" else {"api_key": KEY}
    made = adapter(adapter.options_model.model_validate({**key, **section}))
    able = made.able(*asked)
    assert {name: getattr(able, name) for name in due} == due
    assert made.able(None, None) == made.capabilities
