"""Google's SDK and our adapter ask the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.clouds.contract import KEY
from tests.clouds.opening import opened, taken
from tests.clouds.parity import meaning
from tests.clouds.test_gemini import OLDER, adapter_of, camel, gemini
from ttskit.adapters.base import Utterance
from ttskit.testing import FaultyServer, Received

if TYPE_CHECKING:
    from google.genai import Client

pytestmark = [pytest.mark.engine("google-genai"), pytest.mark.anyio]
HEADERS = ("x-goog-api-key",)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with gemini() as server:
        yield server


def asked(received: Received) -> dict[str, object]:
    """Return what a request says; Google takes names in both spellings."""
    return {**meaning(received, HEADERS), "body": camel(meaning(received, ())["body"])}


def by_sdk(server: FaultyServer, call: Callable[[Client], object]) -> dict[str, object]:
    from google import genai

    client = genai.Client(api_key=KEY, http_options={"base_url": server.url})
    call(client)
    client.close()
    return asked(server.requests[-1])


async def test_speech(server: FaultyServer) -> None:
    from google.genai import types

    part = types.Part(
        text="Olá & <adeus>.", speech_metadata=types.SpeechMetadata(style="cheerful and fast")
    )
    voice = types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name="Puck"))
    theirs = by_sdk(
        server,
        lambda client: list(
            client.models.generate_content_stream(
                model="gemini-3.8-flash-tts",
                contents=types.Content(role="user", parts=[part]),
                config=types.GenerateContentConfig(
                    response_modalities=["AUDIO"],
                    speech_config=types.SpeechConfig(voice_config=voice, language_code="pt-BR"),
                ),
            )
        ),
    )
    said = Utterance("Olá & <adeus>.", voice="Puck", language="pt-BR")
    await taken(adapter_of(server, instructions="cheerful and fast"), said)
    assert asked(server.requests[-1]) == theirs


async def test_whole_speech_of_an_older_model(server: FaultyServer) -> None:
    from google.genai import types

    voice = types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name="Kore"))
    theirs = by_sdk(
        server,
        lambda client: client.models.generate_content(
            model=OLDER,
            contents="Say cheerfully: Hello.",
            config=types.GenerateContentConfig(
                response_modalities=["AUDIO"],
                speech_config=types.SpeechConfig(voice_config=voice),
                temperature=1.0,
            ),
        ),
    )
    adapter = adapter_of(
        server, model=OLDER, stream=False, instructions="Say cheerfully", temperature=1.0
    )
    await taken(adapter, "Hello.")
    assert asked(server.requests[-1]) == theirs


async def test_an_own_voice(server: FaultyServer) -> None:
    from google.genai import types

    theirs = by_sdk(
        server,
        lambda client: list(
            client.models.generate_content_stream(
                model="gemini-3.8-flash-lite-tts",
                contents="Hello.",
                config=types.GenerateContentConfig(
                    response_modalities=["AUDIO"],
                    speech_config=types.SpeechConfig(
                        voice_config=types.VoiceConfig(voice="voice_abc")
                    ),
                ),
            )
        ),
    )
    await taken(adapter_of(server, model="gemini-3.8-flash-lite-tts", voice="voice_abc"), "Hello.")
    assert asked(server.requests[-1]) == theirs


async def test_the_check(server: FaultyServer) -> None:
    theirs = by_sdk(server, lambda client: client.models.get(model="gemini-3.8-flash-tts"))
    async with opened(adapter_of(server)) as adapter:
        await adapter.check()
    assert asked(server.requests[-1]) == theirs
