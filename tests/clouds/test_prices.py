"""What a provider costs is known before it is asked, so that the cheapest can be."""

from __future__ import annotations

import pytest

from tests.clouds.contract import KEY
from ttskit.adapters.cloud import CloudAdapter, CloudOptions
from ttskit.registry import Registry

AWS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": KEY}


@pytest.mark.parametrize(
    ("name", "section", "price"),
    [
        ("elevenlabs", {}, None),
        ("elevenlabs", {"model": "eleven_flash_v2"}, 20),
        ("openai", {"model": "tts-1"}, 15),
        ("openai", {"preset": "groq", "model": "tts-1"}, None),
        ("azure", {"region": "westeurope"}, 15),
        ("azure", {"region": "westeurope", "voice": "en-US-Ava:DragonHDLatestNeural"}, None),
        ("azure", {"region": "westeurope", "deployment_id": "d"}, None),
        ("google", {}, 16),
        ("google", {"voice": "en-US-Studio-O"}, 160),
        ("google", {"voice": "en-US-Chirp3-HD-Kore"}, 30),
        ("google", {"model": "gemini-2.5-flash-tts", "voice": "Kore"}, None),
        ("deepgram", {}, 30),
        ("deepgram", {"voice": "aura-zeus-en"}, 15),
        pytest.param("polly", AWS, 16, marks=pytest.mark.engine("boto3")),
        pytest.param("polly", {**AWS, "model": "standard"}, 4, marks=pytest.mark.engine("boto3")),
        pytest.param("polly", {**AWS, "voice": "Ruth"}, None, marks=pytest.mark.engine("boto3")),
        ("lmnt", {}, None),
    ],
)
def test_the_list_price_is_that_of_the_default_voice_and_model(
    name: str, section: dict[str, object], price: float | None
) -> None:
    adapter = Registry().find(name)
    assert issubclass(adapter, CloudAdapter)
    key = {} if name == "polly" else {"api_key": KEY}
    options = adapter.options_model.model_validate({**key, **section})
    assert isinstance(options, CloudOptions)
    assert adapter(options).list_price == price
