"""OpenAI's endpoint and its copies, spoken to over real connections."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from typing_extensions import override

from tests.clouds.contract import KEY, CloudContract, audio, spoken
from tests.clouds.opening import opened
from ttskit.adapters.base import AudioSource, Utterance
from ttskit.adapters.openai import OpenAIAdapter, OpenAIOptions
from ttskit.codecs.decode import open_decoder
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    PermissionDeniedError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TextTooLongError,
    TTSError,
    UnsupportedFeatureError,
    VoiceNotFoundError,
)
from ttskit.testing import FaultyServer, Received, Reply, transcribe

RATE = 24_000
VOICES = ("alloy", "ash", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "ballad")


def speech(received: Received) -> bytes | Reply:
    """Answer as the endpoint does."""
    asked = json.loads(received.body)
    if asked["voice"] not in VOICES:
        error = {"message": "no such voice", "type": "invalid_request_error", "param": "voice"}
        return Reply(
            400, body=json.dumps({"error": error}).encode(), content_type="application/json"
        )
    samples = spoken(asked["input"], asked["voice"], RATE, speed=asked.get("speed", 1.0))
    return audio(samples, asked["response_format"], RATE)


class TestOpenAI(CloudContract):
    @pytest.fixture
    @override
    def server(self) -> Iterator[FaultyServer]:
        server = FaultyServer(b'{"data": []}', content_type="application/json")
        with server.serve("/v1/audio/speech", speech, content_type="audio/pcm"):
            yield server

    @pytest.fixture
    @override
    def adapter(self, server: FaultyServer) -> OpenAIAdapter:
        return OpenAIAdapter(OpenAIOptions(base_url=f"{server.url}/v1", api_key=KEY))


def served(
    answer: Callable[[Received], bytes | Reply] = speech, *, listing: bytes = b'{"data": []}'
) -> FaultyServer:
    server = FaultyServer(listing, content_type="application/json")
    return server.serve("/v1/audio/speech", answer, content_type="audio/pcm")


@asynccontextmanager
async def speaking_to(server: FaultyServer, **options: object) -> AsyncIterator[OpenAIAdapter]:
    """Open an adapter for a server that is entered here."""
    with server:
        given = {"base_url": f"{server.url}/v1", "api_key": KEY, **options}
        adapter = OpenAIAdapter(OpenAIOptions.model_validate(given))
        async with opened(adapter):
            yield adapter


async def hear(adapter: OpenAIAdapter, **settings: object) -> tuple[AudioSource, str]:
    """Return the source and what it says."""
    utterance = Utterance("One two.", **settings)  # type: ignore[arg-type]
    async with adapter.synthesize(utterance) as source:
        decoder = open_decoder(source.format, sample_rate=source.sample_rate)
        parts = [decoder.decode(chunk) async for chunk in source.chunks]  # type: ignore[arg-type]
        samples = np.concatenate([*parts, decoder.finish()])
    return source, transcribe((samples, decoder.sample_rate))


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["pcm", "wav", "mp3", "opus", "flac"])
async def test_every_format_is_heard_as_the_text(form: str) -> None:
    async with speaking_to(served(), format=form) as adapter:
        source, heard = await hear(adapter)
    assert (source.format, heard) == (form, "One two.")


@pytest.mark.anyio
@pytest.mark.parametrize("sent", ["wav", "mp3", "flac"])
@pytest.mark.parametrize("asked", ["pcm", "opus"])
async def test_what_a_server_sends_counts_and_not_what_it_was_asked(asked: str, sent: str) -> None:
    def stubborn(received: Received) -> bytes:
        asked = json.loads(received.body)
        return audio(spoken(asked["input"], "v", 22_050), sent, 22_050)

    async with speaking_to(served(stubborn), preset="kokoro-fastapi", format=asked) as adapter:
        if (asked, sent) == ("pcm", "mp3"):
            return  # raw PCM may begin as an MP3 does
        source, heard = await hear(adapter)
    assert (source.format, heard) == (sent, "One two.")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "error", "kind", "waits"),
    [
        (401, {"error": {"code": "invalid_api_key"}}, AuthenticationError, False),
        (429, {"error": {"code": "insufficient_quota"}}, QuotaExceededError, False),
        (429, {"error": {"code": "rate_limit_exceeded"}}, RateLimitedError, True),
        (400, {"error": {"code": "string_above_max_length"}}, TextTooLongError, False),
        (404, {"error": {"code": "model_not_found"}}, UnsupportedFeatureError, False),
        (400, {"error": {"param": "voice", "type": "invalid"}}, VoiceNotFoundError, False),
        (400, {"error": {"message": "no"}}, InvalidParameterError, False),
        (403, {"error": {"code": None}}, PermissionDeniedError, False),
        (500, {"error": {"code": 500, "message": "", "type": ""}}, ProviderUnavailableError, True),
        (498, {"error": {"code": "capacity"}}, ProviderUnavailableError, True),
        (400, {"detail": {"error": "invalid_voice"}}, VoiceNotFoundError, False),
        (404, {"detail": "Model 'x' is not installed"}, ProviderUnavailableError, True),
        (422, {"detail": [{"loc": ["body"]}]}, UnsupportedFeatureError, False),
        (400, {"object": "error", "code": 400}, InvalidParameterError, False),
        (200, {"error": {"code": "insufficient_quota"}}, QuotaExceededError, False),
    ],
)
async def test_errors_are_told_by_code_first(
    status: int, error: object, kind: type[TTSError], *, waits: bool
) -> None:
    body = json.dumps(error).encode()
    reply = Reply(status, (("x-request-id", "r1"),), body, content_type="application/json")
    async with speaking_to(served(lambda _: reply)) as adapter:
        with pytest.raises(kind) as caught:
            await hear(adapter)
    assert (type(caught.value), caught.value.retryable) == (kind, waits)
    assert caught.value.request_id == "r1"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "listing",
    [
        {"voices": ["af_heart", "bf_emma"]},
        {"voices": [{"id": "af_heart", "name": "af_heart"}, {"id": "bf_emma"}]},
        {"voices": [{"name": "bf_emma", "language": "en"}], "object": "list"},
    ],
)
async def test_voices_are_listed_in_every_shape(listing: object) -> None:
    server = served(listing=json.dumps(listing).encode())
    async with speaking_to(server, preset="kokoro-fastapi") as adapter:
        voices = await adapter.voices()
    assert [(voice.id, voice.languages) for voice in voices] == [
        ("af_heart", ("en-US",)),
        ("bf_emma", ("en-GB",)),
    ]


@pytest.mark.anyio
async def test_a_server_of_your_own_needs_no_key_and_gets_its_own_knobs() -> None:
    server = served()
    async with speaking_to(server, preset="compatible", api_key=None, voice="ash") as adapter:
        extra = {"lang_code": "a"}
        await hear(adapter, options={"extra": extra})
    assert "authorization" not in server.requests[0].headers
    assert json.loads(server.requests[0].body) == {
        "input": "One two.",
        "voice": "ash",
        "response_format": "wav",
        "lang_code": "a",
    }


def test_a_key_of_the_environment_stays_with_its_provider() -> None:
    variables = OpenAIAdapter.variables
    assert variables({}) == {"api_key": "OPENAI_API_KEY"}
    assert variables({"preset": "groq"}) == {"api_key": "GROQ_API_KEY"}
    assert variables({"base_url": "https://elsewhere.example"}) == {}
    assert variables({"preset": "localai"}) == {}


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({}, "OPENAI_API_KEY"),
        ({"preset": "compatible"}, "base_url"),
        ({"base_url": "http://speech.example/v1"}, "https"),
        ({"base_url": "speech.example"}, "URL"),
        ({"api_key": "two words"}, "key alone"),
        ({"api_key": "sk-ü"}, "key alone"),
        ({"api_key": "a\nb"}, "key alone"),
        ({"api_key": " "}, "key alone"),
    ],
)
def test_settings_that_cannot_work_are_refused(section: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        OpenAIOptions.model_validate(section)


def test_white_space_around_a_key_is_dropped() -> None:
    options = OpenAIOptions.model_validate({"api_key": " sk-1\n"})
    assert options.api_key is not None
    assert options.api_key.get_secret_value() == "sk-1"
