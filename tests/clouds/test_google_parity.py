"""What Google's own SDK sends is what the adapter sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.clouds.contract import KEY
from ttskit.adapters.base import Utterance
from ttskit.adapters.google import GoogleAdapter
from ttskit.adapters.google_options import GoogleOptions
from ttskit.request import Timestamps
from ttskit.resources.host import Resources
from ttskit.testing import FaultyServer, Received

pytestmark = [pytest.mark.anyio, pytest.mark.engine("google sdk")]


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    def answer(received: Received) -> bytes:
        is_speech = "synthesize" in received.target
        return b'{"audioContent": "AAAA"}' if is_speech else b'{"voices": []}'

    with FaultyServer(answer, content_type="application/json") as server:
        yield server


def client(server: FaultyServer) -> Any:  # noqa: ANN401 - the SDK may be missing
    from google.auth.api_key import Credentials
    from google.cloud import texttospeech_v1 as tts

    transport = tts.TextToSpeechClient.get_transport_class("rest")(
        host=server.url.removeprefix("http://"),
        credentials=Credentials(KEY),
        url_scheme="http",
    )
    return tts.TextToSpeechClient(transport=transport)


async def ours(server: FaultyServer, utterance: Utterance, **options: object) -> None:
    given: dict[str, object] = {"base_url": server.url, "api_key": KEY, **options}
    adapter, resources = GoogleAdapter(GoogleOptions.model_validate(given)), Resources()
    await adapter.open(resources)
    async with adapter.synthesize(utterance) as source:
        async for _ in source.chunks:
            pass
    await adapter.close()
    await resources.aclose()


def meaning(received: Received) -> dict[str, object]:
    """Return what a request asks for; of the query, what is no option of Google's JSON."""
    target = urlsplit(received.target)
    query = dict(parse_qsl(target.query))
    assert query.pop("$alt", "json;enum-encoding=int").startswith("json")
    return {
        "method": received.method,
        "path": target.path,
        "query": query,
        "key": received.headers.get("x-goog-api-key"),
        "type": received.headers.get("content-type") if received.body else None,
        "body": named(json.loads(received.body)) if received.body else None,
    }


def named(node: object) -> object:
    """Return the body with the enums as names, for the SDK sends their numbers."""
    from google.cloud import texttospeech_v1 as tts

    enums: dict[str, Any] = {
        "audioEncoding": tts.AudioEncoding,
        "ssmlGender": tts.SsmlVoiceGender,
        "category": tts.AdvancedVoiceOptions.HarmCategory,
        "threshold": tts.AdvancedVoiceOptions.HarmBlockThreshold,
        "phoneticEncoding": tts.CustomPronunciationParams.PhoneticEncoding,
    }
    if isinstance(node, dict):
        return {
            key: enums[key](value).name if key in enums and isinstance(value, int) else named(value)
            for key, value in node.items()
        }
    return [named(one) for one in node] if isinstance(node, list) else node


async def test_a_plain_request(server: FaultyServer) -> None:
    from google.cloud import texttospeech_v1 as tts

    client(server).synthesize_speech(
        input=tts.SynthesisInput(text="Grüße & <b>"),
        voice=tts.VoiceSelectionParams(language_code="en-US", name="en-US-Neural2-F"),
        audio_config=tts.AudioConfig(audio_encoding="PCM", sample_rate_hertz=24_000),
    )
    await ours(server, Utterance("Grüße & <b>"))
    theirs, own = map(meaning, server.requests)
    assert own == theirs


async def test_a_request_with_everything_set(server: FaultyServer) -> None:
    from google.cloud import texttospeech_v1 as tts

    client(server).synthesize_speech(
        request=tts.SynthesizeSpeechRequest(
            input=tts.SynthesisInput(
                ssml="<speak>One.</speak>",
                custom_pronunciations=tts.CustomPronunciations(
                    pronunciations=[
                        tts.CustomPronunciationParams(
                            phrase="one",
                            phonetic_encoding="PHONETIC_ENCODING_X_SAMPA",
                            pronunciation="wVn",
                        )
                    ]
                ),
            ),
            voice=tts.VoiceSelectionParams(language_code="de-DE", ssml_gender="MALE"),
            audio_config=tts.AudioConfig(
                audio_encoding="OGG_OPUS",
                speaking_rate=1.25,
                pitch=-2.0,
                volume_gain_db=3.5,
                sample_rate_hertz=48_000,
                effects_profile_id=["handset-class-device"],
            ),
            advanced_voice_options=tts.AdvancedVoiceOptions(
                low_latency_journey_synthesis=True,
                safety_settings={
                    "settings": [
                        {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}
                    ]
                },
                enable_textnorm=True,
            ),
        )
    )
    await ours(
        server,
        Utterance(
            "<speak>One.</speak>",
            is_ssml=True,
            language="de-DE",
            speed=1.25,
            pitch=-2.0,
            volume=3.5,
        ),
        gender="male",
        format="opus",
        sample_rate=48_000,
        effects_profile=["handset-class-device"],
        pronunciations=[{"phrase": "one", "pronunciation": "wVn", "alphabet": "x-sampa"}],
        low_latency_journey=True,
        safety={"harassment": "only_high"},
        normalise_text=True,
    )
    theirs, own = map(meaning, server.requests)
    assert own == theirs


async def test_a_request_of_a_gemini_voice(server: FaultyServer) -> None:
    from google.cloud import texttospeech_v1 as tts

    client(server).synthesize_speech(
        input=tts.SynthesisInput(text="One.", prompt="Warmly."),
        voice=tts.VoiceSelectionParams(
            language_code="en-US", name="Kore", model_name="gemini-2.5-flash-tts"
        ),
        audio_config=tts.AudioConfig(audio_encoding="MP3"),
    )
    await ours(
        server,
        Utterance("One."),
        voice="Kore",
        model="gemini-2.5-flash-tts",
        prompt="Warmly.",
        format="mp3",
    )
    theirs, own = map(meaning, server.requests)
    assert own == theirs


async def test_a_request_with_timed_words(server: FaultyServer) -> None:
    from google.cloud import texttospeech_v1beta1 as beta

    transport = beta.TextToSpeechClient.get_transport_class("rest")(
        host=server.url.removeprefix("http://"),
        credentials=client(server).transport._credentials,
        url_scheme="http",
    )
    beta.TextToSpeechClient(transport=transport).synthesize_speech(
        request=beta.SynthesizeSpeechRequest(
            input=beta.SynthesisInput(
                ssml='<speak><mark name="w0"/>One <mark name="w1"/>&lt;2.<mark name="end"/></speak>'
            ),
            voice=beta.VoiceSelectionParams(language_code="en-US", name="en-US-Neural2-F"),
            audio_config=beta.AudioConfig(audio_encoding="PCM", sample_rate_hertz=24_000),
            enable_time_pointing=["SSML_MARK"],
        )
    )
    await ours(server, Utterance("One <2.", timestamps=Timestamps.WORD))
    theirs, own = map(meaning, server.requests)
    assert own == theirs


async def test_the_list_of_voices(server: FaultyServer) -> None:
    client(server).list_voices(language_code="en-US")
    adapter, resources = (
        GoogleAdapter(GoogleOptions(base_url=server.url, api_key=KEY)),
        Resources(),
    )
    await adapter.open(resources)
    await adapter.check()
    await resources.aclose()
    theirs, own = map(meaning, server.requests)
    assert own == theirs
