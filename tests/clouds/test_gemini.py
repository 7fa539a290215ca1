"""Gemini's speech models, spoken to over real connections."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from typing_extensions import override

from tests.clouds.contract import KEY, CloudContract, audio, spoken
from tests.clouds.opening import EVENTS, JSON, as_json, body_of, last_body, opened, taken
from ttskit.adapters.base import NATIVE, UNSUPPORTED, Utterance
from ttskit.adapters.gemini import GeminiAdapter, GeminiOptions
from ttskit.adapters.gemini_voices import PREBUILT
from ttskit.errors import (
    AuthenticationError,
    ContentRejectedError,
    InvalidParameterError,
    InvalidResponseError,
    PermissionDeniedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TextTooLongError,
    TTSError,
    UnsupportedFeatureError,
    UnsupportedLanguageError,
    VoiceNotFoundError,
)
from ttskit.testing import FaultyServer, Received, Reply, transcribe
from ttskit.voices import Gender

RATE = 24_000
OLDER = "gemini-2.5-flash-preview-tts"
MODELS = ("gemini-3.8-flash-tts", "gemini-3.8-flash-lite-tts", OLDER)
NAMES = [one.name for one in PREBUILT]
TARGET = re.compile(r"/v1/models/([\w.-]+):(streamGenerateContent\?alt=sse|generateContent)")
PCM = f"audio/L16;codec=pcm;rate={RATE}"


def refusal(code: int, status: str, *details: dict[str, object], message: str = "No.") -> Reply:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return as_json({"error": error}, code)


def reason(name: str) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": name}


def retry(delay: str) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def quota(name: str) -> dict[str, object]:
    kind = "type.googleapis.com/google.rpc.QuotaFailure"
    return {"@type": kind, "violations": [{"quotaId": name}]}


def camel(value: object) -> object:
    """Return JSON with its names as Google documents them; it takes ``snake_case``, too."""
    if isinstance(value, dict):
        return {to_camel(name): camel(one) for name, one in value.items()}
    return [camel(one) for one in value] if isinstance(value, list) else value


def speech(received: Received) -> Reply:
    """Answer as the methods do, streamed or whole."""
    if received.headers.get("x-goog-api-key") != KEY:
        return refusal(400, "INVALID_ARGUMENT", reason("API_KEY_INVALID"))
    target = TARGET.fullmatch(received.target)
    if received.method != "POST" or target is None:
        return refusal(404, "NOT_FOUND")
    model, method = target.groups()
    if model not in MODELS:
        return refusal(404, "NOT_FOUND")
    body = camel(body_of(received))
    assert isinstance(body, dict)
    config = body["generationConfig"]
    assert isinstance(config, dict)
    is_older = model == OLDER
    if config["responseModalities"] != ["AUDIO"] or ("temperature" in config and not is_older):
        return refusal(400, "INVALID_ARGUMENT")
    voice = config["speechConfig"]["voiceConfig"]
    name = voice["voice"] if "voice" in voice else voice["prebuiltVoiceConfig"]["voiceName"]
    samples = spoken(said(body, is_older=is_older), name, RATE)
    if method == "generateContent":
        return whole(audio(samples, "pcm" if is_older else "wav", RATE), is_older=is_older)
    return streamed(audio(samples, "pcm", RATE))


def said(body: dict[str, object], *, is_older: bool) -> str:
    """Return what the model reads: an older one takes what is before a colon for direction."""
    contents = body["contents"]
    assert isinstance(contents, list)
    ((part,),) = [content["parts"] for content in contents]
    text = part["text"]
    assert isinstance(text, str)
    return text.partition(": ")[2] if is_older else text


def answer(data: bytes = b"", mime: str = PCM, **candidate: object) -> dict[str, object]:
    inline = {"mimeType": mime, "data": base64.b64encode(data).decode()}
    parts = [{"inlineData": inline}] if data else []
    content = {"role": "model", "parts": parts}
    return {"candidates": [{"content": content, **candidate}], "responseId": "r-1"}


def events(*answers: dict[str, object]) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in answers)


def streamed(data: bytes) -> Reply:
    step = 10_001  # within a sample
    pieces = [answer(data[at : at + step]) for at in range(0, len(data), step)]
    last = answer(finishReason="STOP") | {"usageMetadata": {"totalTokenCount": 7}}
    return Reply(body=events(*pieces, last), content_type=EVENTS)


def whole(data: bytes, *, is_older: bool) -> Reply:
    return as_json(answer(data, PCM if is_older else "audio/wav", finishReason="STOP"))


def model(received: Received) -> Reply:
    if received.method != "GET":
        return speech(received)
    if received.headers.get("x-goog-api-key") != KEY:
        return refusal(400, "INVALID_ARGUMENT", reason("API_KEY_INVALID"))
    name = received.target.removeprefix("/v1/models/")
    return as_json({"name": f"models/{name}"}) if name in MODELS else refusal(404, "NOT_FOUND")


def gemini() -> FaultyServer:
    return FaultyServer(b"{}", content_type=JSON).serve("/v1/models/", model, content_type=EVENTS)


def adapter_of(server: FaultyServer, **options: object) -> GeminiAdapter:
    section = {"base_url": f"{server.url}/v1", "api_key": KEY, **options}
    return GeminiAdapter(GeminiOptions.model_validate(section))


@pytest.fixture
def served() -> Iterator[FaultyServer]:
    with gemini() as server:
        yield server


class TestGemini(CloudContract):
    @pytest.fixture
    @override
    def server(self) -> Iterator[FaultyServer]:
        with gemini() as server:
            yield server

    @pytest.fixture
    @override
    def adapter(self, server: FaultyServer) -> GeminiAdapter:
        return adapter_of(server)


pytestmark = pytest.mark.anyio


async def test_thirty_voices_are_listed_the_default_first(served: FaultyServer) -> None:
    async with opened(adapter_of(served, voice="Puck")) as adapter:
        listed = await adapter.voices()
    assert len(listed) == 30
    assert (listed[0].name, listed[0].gender, listed[0].description) == (
        "Puck",
        Gender.MALE,
        "upbeat",
    )
    assert {one.id for one in listed} == set(NAMES)


@pytest.mark.parametrize("voice", ["voice_abc", "voicekey_abc"])
async def test_an_own_voice_is_told_by_its_id(served: FaultyServer, voice: str) -> None:
    adapter = adapter_of(served, voice=voice)
    await taken(adapter, "Hello.")
    config = last_body(served)["generationConfig"]
    assert isinstance(config, dict)
    assert config["speechConfig"] == {"voiceConfig": {"voice": voice}}
    async with opened(adapter_of(served, voice=voice)) as adapter:
        assert [one.id for one in await adapter.voices()] == [voice, *NAMES]


async def test_a_newer_voice_can_be_configured(served: FaultyServer) -> None:
    take = await taken(adapter_of(served, voice="Betelgeuse"), "Hello.")
    assert transcribe((take.samples, take.sample_rate)) == "Hello."


async def test_an_unknown_voice_is_refused_with_the_nearest_names(served: FaultyServer) -> None:
    with pytest.raises(VoiceNotFoundError, match="Sulafat"):
        await taken(adapter_of(served), Utterance("Hello.", voice="Sulafad"))
    assert served.requests == []


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("is_streamed", ["true", "false"])
async def test_each_model_says_the_text(served: FaultyServer, model: str, is_streamed: str) -> None:
    take = await taken(adapter_of(served, model=model, stream=is_streamed), "One: two.")
    is_wav = is_streamed == "false" and model != OLDER
    assert (take.format, take.sample_rate) == ("wav" if is_wav else "pcm", RATE)
    assert transcribe((take.samples, take.sample_rate)) == "One: two."
    assert take.request_id == "r-1"


def test_what_comes_whole_is_not_declared_to_stream(served: FaultyServer) -> None:
    assert adapter_of(served).capabilities.streaming is NATIVE
    assert adapter_of(served, stream=False).capabilities.streaming is UNSUPPORTED


@pytest.mark.parametrize("mime", ["audio/L16; rate=16000; channels=1", "audio/pcm;rate=16000"])
async def test_the_rate_is_the_one_that_comes(served: FaultyServer, mime: str) -> None:
    data = audio(spoken("One.", "Kore", 16_000), "pcm", 16_000)
    body = events(answer(data, mime, finishReason="STOP"))
    served.reply(Reply(body=body, content_type=EVENTS))
    take = await taken(adapter_of(served), "One.")
    assert take.sample_rate == 16_000
    assert transcribe((take.samples, take.sample_rate)) == "One."


async def test_a_rate_that_is_not_told_is_the_usual_one(served: FaultyServer) -> None:
    data = audio(spoken("One.", "Kore", RATE), "pcm", RATE)
    body = events(answer(data, "audio/L16", finishReason="STOP"))
    served.reply(Reply(body=body, content_type=EVENTS))
    assert (await taken(adapter_of(served), "One.")).sample_rate == RATE


@pytest.mark.parametrize("step", [1, 7, 1_021])
async def test_events_may_be_cut_anywhere(served: FaultyServer, step: int) -> None:
    whole = await taken(adapter_of(served), "One.")
    served.reply(Reply(step=step), times=1)
    assert np.array_equal((await taken(adapter_of(served), "One.")).samples, whole.samples)


async def test_only_what_was_set_is_sent(served: FaultyServer) -> None:
    await taken(adapter_of(served), "Hello.")
    speech = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}
    assert last_body(served) == {
        "contents": [{"role": "user", "parts": [{"text": "Hello."}]}],
        "generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": speech},
    }


async def test_everything_that_was_set_is_sent(served: FaultyServer) -> None:
    adapter = adapter_of(served, instructions="calm", temperature=1.5, language="de")
    said = Utterance(
        "Hello.",
        voice="Puck",
        model=OLDER,
        language="en-GB",
        options={"instructions": "Say cheerfully", "temperature": 0.0},
    )
    await taken(adapter, said)
    speech = {
        "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}},
        "languageCode": "en-GB",
    }
    assert last_body(served) == {
        "contents": [{"role": "user", "parts": [{"text": "Say cheerfully: Hello."}]}],
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "speechConfig": speech,
            "temperature": 0.0,
        },
    }


@pytest.mark.parametrize(
    ("model", "instructions", "part"),
    [
        (OLDER, None, {"text": "Say: Hello."}),
        (OLDER, "Whisper", {"text": "Whisper: Hello."}),
        ("gemini-3.1-flash-tts-preview", None, {"text": "Say: Hello."}),
        ("gemini-3.8-flash-tts", None, {"text": "Hello."}),
        ("gemini-3.8-flash-tts", "calm", {"text": "Hello.", "speechMetadata": {"style": "calm"}}),
        ("gemini-4-tts", "calm", {"text": "Hello.", "speechMetadata": {"style": "calm"}}),
    ],
)
def test_direction_stands_where_the_model_looks_for_it(
    model: str, instructions: str | None, part: dict[str, object]
) -> None:
    options = GeminiOptions.model_validate({"api_key": KEY, "instructions": instructions})
    body = GeminiAdapter(options)._body(Utterance("Hello."), model)
    assert body["contents"] == [{"role": "user", "parts": [part]}]


@given(text=st.text(min_size=1, max_size=60).filter(str.strip))
def test_later_models_are_sent_the_text_alone(text: str) -> None:
    adapter = GeminiAdapter(GeminiOptions.model_validate({"api_key": KEY}))
    body = json.loads(json.dumps(adapter._body(Utterance(text), "gemini-3.8-flash-tts")))
    assert body["contents"][0]["parts"] == [{"text": text}]


REFUSALS = [
    (400, "INVALID_ARGUMENT", (), InvalidParameterError),
    (400, "INVALID_ARGUMENT", (reason("API_KEY_INVALID"),), AuthenticationError),
    (401, "UNAUTHENTICATED", (), AuthenticationError),
    (403, "PERMISSION_DENIED", (), PermissionDeniedError),
    (403, "PERMISSION_DENIED", (reason("SERVICE_DISABLED"),), PermissionDeniedError),
    (404, "NOT_FOUND", (), UnsupportedFeatureError),
    (429, "RESOURCE_EXHAUSTED", (), RateLimitedError),
    (429, "RESOURCE_EXHAUSTED", (quota("RequestsPerMinutePerProject"),), RateLimitedError),
    (429, "RESOURCE_EXHAUSTED", (quota("RequestsPerDayPerProject"),), QuotaExceededError),
    (500, "INTERNAL", (), ProviderUnavailableError),
    (503, "UNAVAILABLE", (reason("SOMETHING_NEW"),), ProviderUnavailableError),
    (504, "DEADLINE_EXCEEDED", (), ProviderTimeoutError),
]


@pytest.mark.parametrize(("code", "status", "details", "kind"), REFUSALS)
@pytest.mark.parametrize("is_streamed", ["true", "false"])
async def test_refusals_have_their_names(
    served: FaultyServer,
    is_streamed: str,
    code: int,
    status: str,
    details: tuple[dict[str, object], ...],
    kind: type[TTSError],
) -> None:
    served.reply(refusal(code, status, *details))
    with pytest.raises(kind) as caught:
        await taken(adapter_of(served, stream=is_streamed), "Hello.")
    assert type(caught.value) is kind


@pytest.mark.parametrize(("code", "status", "details", "kind"), REFUSALS)
async def test_errors_in_mid_stream_have_the_same_names(
    served: FaultyServer,
    code: int,
    status: str,
    details: tuple[dict[str, object], ...],
    kind: type[TTSError],
) -> None:
    error = json.loads(refusal(code, status, *details).body or b"")
    served.reply(Reply(body=events(answer(bytes(3)), error), content_type=EVENTS))
    async with opened(adapter_of(served)) as adapter, adapter.synthesize(Utterance("One.")) as one:
        assert await anext(one.chunks) == bytes(3)
        with pytest.raises(kind) as caught:
            await anext(one.chunks)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("details", "wait"),
    [
        ((retry("17s"),), 17.0),
        ((quota("RequestsPerMinute"), retry("0.5s")), 0.5),
        ((retry("soon"),), None),
        ((), None),
        ((7,), None),
    ],
)
async def test_it_reads_how_long_to_wait(
    served: FaultyServer, details: tuple[dict[str, object], ...], wait: float | None
) -> None:
    served.reply(refusal(429, "RESOURCE_EXHAUSTED", *details))
    with pytest.raises(RateLimitedError) as caught:
        await taken(adapter_of(served), "Hello.")
    assert caught.value.retry_after == wait


async def test_a_model_that_wrote_instead_may_be_asked_again(served: FaultyServer) -> None:
    message = "Model tried to generate text, but it should only be used for TTS."
    served.reply(refusal(400, "INVALID_ARGUMENT", message=message))
    with pytest.raises(InvalidResponseError) as caught:
        await taken(adapter_of(served), "Hello.")
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([answer(finishReason="OTHER")], InvalidResponseError),
        ([answer(finishReason="STOP")], InvalidResponseError),
        ([answer(bytes(9), finishReason="OTHER")], InvalidResponseError),
        ([answer(bytes(9))], InvalidResponseError),
        ([], InvalidResponseError),
        ([answer(bytes(9), "text/plain", finishReason="STOP")], InvalidResponseError),
        ([answer(bytes(8)), answer(bytes(8), "audio/L16;rate=8000")], InvalidResponseError),
        ([answer(bytes(9), finishReason="MAX_TOKENS")], TextTooLongError),
        ([answer(bytes(9), finishReason="LANGUAGE")], UnsupportedLanguageError),
        ([answer(finishReason="SAFETY")], ContentRejectedError),
        ([answer(bytes(9)), answer(finishReason="PROHIBITED_CONTENT")], ContentRejectedError),
        ([{"promptFeedback": {"blockReason": "SAFETY"}}], ContentRejectedError),
    ],
)
async def test_an_answer_that_is_no_whole_speech_has_its_name(
    served: FaultyServer, answers: list[dict[str, object]], kind: type[TTSError]
) -> None:
    served.reply(Reply(body=events(*answers), content_type=EVENTS))
    with pytest.raises(kind) as caught:
        await taken(adapter_of(served), "Hello.")
    assert type(caught.value) is kind


async def test_an_answer_in_writing_is_no_speech(served: FaultyServer) -> None:
    content = {"parts": [{"text": "Hello to you, too."}]}
    written = {"candidates": [{"content": content, "finishReason": "STOP"}]}
    served.reply(Reply(body=events(written), content_type=EVENTS))
    with pytest.raises(InvalidResponseError) as caught:
        await taken(adapter_of(served), "Hello.")
    assert "Hello" not in str(caught.value)


@pytest.mark.parametrize("name", ["../models", "a/b", "", "x" * 200, "a b"])
async def test_what_can_be_no_model_is_not_asked_for(served: FaultyServer, name: str) -> None:
    said = Utterance("Hello.", model=name)
    if name:
        with pytest.raises(UnsupportedFeatureError):
            await taken(adapter_of(served), said)
        assert served.requests == []
    else:
        assert (await taken(adapter_of(served), said)).format == "pcm"


async def test_a_model_that_ended_is_found_by_the_check(served: FaultyServer) -> None:
    async with opened(adapter_of(served, model="gemini-1.0-tts")) as adapter:
        with pytest.raises(UnsupportedFeatureError):
            await adapter.check()


@pytest.mark.parametrize(
    "section",
    [{"temperature": 3}, {"format": "mp3"}, {"instructions": ""}, {"base_url": "http://a.example"}],
    ids=lambda section: next(iter(section)),
)
def test_settings_out_of_range_are_refused(section: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GeminiOptions.model_validate({"api_key": KEY, **section})
