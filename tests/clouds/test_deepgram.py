"""Deepgram's speech endpoint, spoken to over real connections."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typing_extensions import override

from tests.clouds.contract import KEY, CloudContract, audio, spoken
from ttskit.adapters.base import Utterance
from ttskit.adapters.deepgram import DEFAULT_VOICE, DeepgramAdapter, DeepgramOptions
from ttskit.codecs.decode import decode
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    PermissionDeniedError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TextTooLongError,
    TTSError,
    VoiceNotFoundError,
)
from ttskit.resources.host import Resources
from ttskit.testing import FaultyServer, Framing, Received, Reply
from ttskit.voices import Gender

OLD = "aura-zeus-en"
SPANISH = "aura-2-nestor-es"
FLUX = "flux-alexis-en"
SHORT = Utterance("One two.")
REQUEST_ID = "b2c5e7a0-7a41-4a6e-8f9d-3f1a0c6f1b52"
RATES = {
    "linear16": (8_000, 16_000, 24_000, 32_000, 48_000),
    "flac": (8_000, 16_000, 22_050, 32_000, 48_000),
    "mulaw": (8_000, 16_000),
    "alaw": (8_000, 16_000),
    "mp3": (),
    "opus": (),
    "aac": (),
}
CONTAINERS = {
    "linear16": ("none", "wav"),
    "mulaw": ("none", "wav"),
    "alaw": ("none", "wav"),
    "opus": ("ogg",),
    "mp3": (None,),
    "flac": (None,),
    "aac": (None,),
}
KNOWN = {
    "model", "encoding", "container", "sample_rate", "bit_rate", "speed", "tag", "mip_opt_out",
}  # fmt: skip


def entry(ident: str, languages: list[str], tags: list[str]) -> dict[str, object]:
    return {
        "name": ident.split("-")[-2],
        "canonical_name": ident,
        "architecture": "aura-2",
        "languages": languages,
        "version": "2025-04-07.0",
        "uuid": REQUEST_ID,
        "metadata": {
            "accent": "American",
            "age": "Adult",
            "tags": tags,
            "use_cases": ["Casual chat"],
            "sample": "https://static.deepgram.com/examples/voice.wav",
        },
    }


LISTING = {
    "stt": [{"name": "nova-3", "canonical_name": "nova-3", "languages": ["en"]}],
    "tts": [
        entry(OLD, ["en", "en-US"], ["masculine", "Deep"]),
        entry(SPANISH, ["es", "es-ES"], ["masculine"]),
        entry(DEFAULT_VOICE, ["en", "en-US"], ["feminine", "Clear", "Confident"]),
    ],
}
VOICES = (OLD, SPANISH, DEFAULT_VOICE)


def refusal(status: int, code: str, message: str) -> Reply:
    body = {"err_code": code, "err_msg": message, "request_id": REQUEST_ID}
    return Reply(
        status,
        (("dg-request-id", REQUEST_ID),),
        json.dumps(body).encode(),
        content_type="application/json",
    )


def is_let_in(received: Received) -> bool:
    return received.headers.get("authorization") == f"Token {KEY}"


def models(received: Received) -> bytes | Reply:
    if received.method != "GET":
        return Reply(405, body=b"")
    if not is_let_in(received):
        return refusal(401, "INVALID_AUTH", "Invalid credentials.")
    return json.dumps(LISTING).encode()


def asked(received: Received) -> dict[str, str]:
    query = parse_qs(urlsplit(received.target).query, strict_parsing=True)
    return {name: values[0] for name, values in query.items()}


def complaint(query: Mapping[str, str]) -> str:
    """Return what is wrong with a query; empty: nothing."""
    encoding = query.get("encoding", "mp3")
    if unknown := query.keys() - KNOWN:
        return f"unknown query parameters: {unknown}"
    if encoding not in RATES or query.get("container") not in CONTAINERS[encoding]:
        return "unsupported encoding or container"
    if "sample_rate" in query and int(query["sample_rate"]) not in RATES[encoding]:
        return "unsupported sample_rate"
    if not 0.7 <= float(query.get("speed", "1")) <= 1.5:
        return "speed is out of range"
    return ""


def speech(received: Received) -> bytes | Reply:
    """Answer as the endpoint does."""
    body, query = json.loads(received.body), asked(received)
    if received.method != "POST" or received.headers["content-type"] != "application/json":
        return Reply(405, body=b"")
    if not is_let_in(received):
        return refusal(401, "INVALID_AUTH", "Invalid credentials.")
    if query["model"] not in VOICES:
        return refusal(400, "Bad Request", "No such model/version combination found.")
    if body.keys() != {"text"} or complaint(query):
        return refusal(400, "INVALID_QUERY_PARAMETER", complaint(query))
    encoding, rate = query["encoding"], int(query.get("sample_rate", "24000"))
    form = {"none": "pcm", "wav": "wav"}[query["container"]] if encoding == "linear16" else encoding
    samples = spoken(body["text"], query["model"], rate, speed=float(query.get("speed", "1")))
    counted = (("dg-char-count", str(len(body["text"]))), ("dg-model-name", query["model"]))
    return Reply(
        headers=(("dg-request-id", REQUEST_ID), *counted),
        body=audio(samples, form, rate),
        framing=Framing.CHUNKED,
    )


def flux_speech(received: Received) -> bytes | Reply:
    """Answer as the endpoint of Flux voices does."""
    query = asked(received)
    speed, expressivity = query.get("speed", "1"), query.get("expressivity", "0")
    if not is_let_in(received):
        return refusal(401, "INVALID_AUTH", "Invalid credentials.")
    if not query["model"].startswith("flux-"):
        return refusal(400, "Bad Request", "No such model/version combination found.")
    if query.keys() - {*KNOWN, "expressivity"} or expressivity not in {"-2", "-1", "0", "1", "2"}:
        return refusal(400, "EXPRESSIVITY_OUT_OF_RANGE", "no")
    if not re.fullmatch(r"[01](\.\d[05]?)?", speed) or not 0.5 <= float(speed) <= 1.5:
        return refusal(400, "SPEED_INCREMENT_INVALID", "no")
    samples = spoken(json.loads(received.body)["text"], query["model"], int(query["sample_rate"]))
    return audio(samples, "pcm", int(query["sample_rate"]))


def well() -> FaultyServer:
    server = FaultyServer(b"{}", content_type="application/json")
    server.serve("/v1/models", models, content_type="application/json")
    server.serve("/v1/speak", speech, content_type="audio/l16")
    return server.serve("/v2/speak", flux_speech, content_type="audio/l16")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with well() as server:
        yield server


class TestDeepgram(CloudContract):
    @pytest.fixture
    @override
    def server(self) -> Iterator[FaultyServer]:
        with well() as server:
            yield server

    @pytest.fixture
    @override
    def adapter(self, server: FaultyServer) -> DeepgramAdapter:
        return made(server)


def made(server: FaultyServer, **options: object) -> DeepgramAdapter:
    given = {"base_url": server.url, "api_key": KEY, **options}
    return DeepgramAdapter(DeepgramOptions.model_validate(given))


async def said(
    adapter: DeepgramAdapter, utterance: Utterance = SHORT
) -> tuple[bytes, str, int, float | None, str | None]:
    """Return an utterance's bytes, format, sample rate, cost and id."""
    resources = Resources()
    await adapter.open(resources)
    try:
        async with adapter.synthesize(utterance) as source:
            parts = [bytes(chunk) async for chunk in source.chunks]  # type: ignore[call-overload] # bytes all
            rate, price = source.sample_rate, source.cost
            return b"".join(parts), source.format, rate, price, source.request_id
    finally:
        await resources.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({}, 24_000),
        ({"sample_rate": 48_000}, 48_000),
        ({"format": "mulaw"}, 8_000),
        ({"format": "mulaw", "sample_rate": 16_000}, 16_000),
        ({"format": "alaw"}, 8_000),
        ({"format": "alaw", "sample_rate": 16_000}, 16_000),
        ({"format": "wav"}, 24_000),
        ({"format": "wav", "sample_rate": 16_000}, 16_000),
        ({"format": "flac", "sample_rate": 22_050}, 22_050),
        ({"format": "mp3", "bit_rate": 32_000}, 24_000),
        ({"format": "opus"}, 24_000),
    ],
    ids=str,
)
async def test_every_format_is_the_same_speech(
    server: FaultyServer, options: dict[str, object], rate: int
) -> None:
    data, form, told, _, _ = await said(made(server, **options))
    heard = decode(data, form, sample_rate=told)
    assert form == options.get("format", "pcm")
    assert len(heard.samples) / heard.sample_rate == pytest.approx(
        len(spoken("One two.", DEFAULT_VOICE, rate)) / rate, abs=0.15
    )


@pytest.mark.anyio
async def test_what_is_asked_for_is_in_the_query_and_nothing_else(server: FaultyServer) -> None:
    own = {"tag": ["a b", "c&d"], "mip_opt_out": True}
    await said(made(server), Utterance("One.", voice=SPANISH, speed=1.2, options=own))
    (received,) = server.requests
    assert parse_qs(urlsplit(received.target).query) == {
        "model": [SPANISH],
        "encoding": ["linear16"],
        "container": ["none"],
        "sample_rate": ["24000"],
        "speed": ["1.2"],
        "tag": ["a b", "c&d"],
        "mip_opt_out": ["true"],
    }
    assert json.loads(received.body) == {"text": "One."}


@pytest.mark.anyio
@pytest.mark.parametrize("speed", [0.7, 0.72, 1.0, 1.234, 1.5])
async def test_a_flux_voice_speaks_where_flux_voices_do(server: FaultyServer, speed: float) -> None:
    adapter = made(server, voice=FLUX, expressivity=2)
    own = {"expressivity": 0}
    _, _, _, cost, _ = await said(adapter, Utterance("One two.", speed=speed, options=own))
    query = asked(server.requests[-1])
    assert server.requests[-1].target.startswith("/v2/speak?")
    assert (query["model"], query["expressivity"]) == (FLUX, "0")
    assert float(query.get("speed", "1")) == pytest.approx(speed, abs=0.025)
    assert cost is None


@pytest.mark.anyio
async def test_an_aura_voice_is_not_asked_for_expressivity(server: FaultyServer) -> None:
    data, *_ = await said(made(server, expressivity=2))
    assert data
    assert "expressivity" not in asked(server.requests[-1])


@pytest.mark.anyio
async def test_labels_of_the_request_replace_those_of_the_settings(server: FaultyServer) -> None:
    options = {"tag": ["always"], "mip_opt_out": True}
    await said(made(server, **options))
    await said(
        made(server, **options), Utterance("One.", options={"tag": [], "mip_opt_out": False})
    )
    first, second = (parse_qs(urlsplit(one.target).query) for one in server.requests)
    assert (first["tag"], first["mip_opt_out"]) == (["always"], ["true"])
    assert ("tag" in second, second["mip_opt_out"]) == (False, ["false"])


@pytest.mark.anyio
@pytest.mark.parametrize(("voice", "price"), [(None, 30), (OLD, 15)])
async def test_characters_cost_what_the_generation_costs(
    server: FaultyServer, voice: str | None, price: int
) -> None:
    _, _, _, cost, request_id = await said(made(server), Utterance("Four", voice=voice))
    assert cost == pytest.approx(4 * price / 1_000_000)
    assert request_id == REQUEST_ID


@pytest.mark.anyio
@pytest.mark.parametrize("option", ["voice", "model"])
async def test_voices_come_with_all_that_deepgram_tells(server: FaultyServer, option: str) -> None:
    adapter, resources = made(server, **{option: SPANISH}), Resources()
    await adapter.open(resources)
    spanish, old, thalia = await adapter.voices()
    await resources.aclose()
    assert (spanish.id, old.id, thalia.id) == (SPANISH, OLD, DEFAULT_VOICE)
    assert (spanish.languages, old.gender, thalia.gender) == (
        ("es", "es-ES"),
        Gender.MALE,
        Gender.FEMALE,
    )
    assert thalia.description == "American, Adult, clear, confident, Casual chat"


@pytest.mark.anyio
async def test_a_voice_that_is_not_listed_can_still_be_the_default(server: FaultyServer) -> None:
    adapter, resources = made(server, voice="aura-2-new-fr"), Resources()
    await adapter.open(resources)
    first, *others = await adapter.voices()
    await resources.aclose()
    assert (first.id, first.languages, len(others)) == ("aura-2-new-fr", ("fr",), 3)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "listing", [b"{}", b'{"tts": null}', b'{"tts": [1, {}, {"canonical_name": 7, "metadata": []}]}']
)
async def test_a_strange_list_of_voices_leaves_the_default(
    server: FaultyServer, listing: bytes
) -> None:
    server.reply(Reply(body=listing, content_type="application/json"))
    adapter, resources = made(server), Resources()
    await adapter.open(resources)
    voices = await adapter.voices()
    await resources.aclose()
    assert voices[0].id == DEFAULT_VOICE
    assert all(isinstance(voice.id, str) for voice in voices)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"err_code": "INVALID_AUTH", "err_msg": "Invalid credentials."}, AuthenticationError),
        (400, {"err_code": "INVALID_AUTH"}, AuthenticationError),
        (403, {"err_code": "INSUFFICIENT_PERMISSIONS"}, PermissionDeniedError),
        (429, {"err_code": "TOO_MANY_REQUESTS"}, RateLimitedError),
        (503, {"err_code": "TOO_MANY_REQUESTS"}, RateLimitedError),
        (402, {"category": "PAYMENT_REQUIRED", "message": "no credits"}, QuotaExceededError),
        (400, {"category": "INVALID_REQUEST", "message": "bad encoding"}, InvalidParameterError),
        (400, {"category": "INVALID_REQUEST", "message": "No such model"}, VoiceNotFoundError),
        (413, {"err_code": "PAYLOAD_TOO_LARGE"}, TextTooLongError),
        (422, {"err_code": "UNPROCESSABLE_ENTITY"}, InvalidParameterError),
        (500, {"err_code": "INTERNAL_SERVER_ERROR"}, ProviderUnavailableError),
        (400, "Bad Request: failed to parse", InvalidParameterError),
        (503, "upstream connect error", ProviderUnavailableError),
    ],
    ids=str,
)
async def test_a_refusal_has_its_name(
    server: FaultyServer, status: int, body: object, kind: type[TTSError]
) -> None:
    written = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    kind_sent = "text/plain" if isinstance(body, str) else "application/json"
    headers = (("dg-request-id", REQUEST_ID),)
    server.reply(Reply(status, headers, written, content_type=kind_sent))
    with pytest.raises(TTSError) as caught:
        await said(made(server))
    assert type(caught.value) is kind
    assert caught.value.request_id == REQUEST_ID


@pytest.mark.anyio
async def test_a_wrong_key_is_noticed_by_a_check(server: FaultyServer) -> None:
    adapter, resources = made(server, api_key="another"), Resources()
    await adapter.open(resources)
    with pytest.raises(AuthenticationError):
        await adapter.check()
    await resources.aclose()


@pytest.mark.parametrize(
    "options",
    [
        {"sample_rate": 44_100},
        {"format": "mulaw", "sample_rate": 24_000},
        {"format": "mp3", "sample_rate": 22_050},
        {"format": "opus", "sample_rate": 48_000},
        {"bit_rate": 48_000},
        {"format": "mp3", "bit_rate": 64_000},
        {"format": "aac", "bit_rate": 100},
        {"format": "alaw", "sample_rate": 24_000},
        {"voice": OLD, "model": SPANISH},
        {"api_key": "two words"},
        {"base_url": "http://api.deepgram.com"},
        {"expressivity": 3},
        {"callback": "https://example.com"},
    ],
    ids=str,
)
def test_settings_that_deepgram_would_refuse_are_refused_here(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DeepgramOptions.model_validate({"api_key": KEY, **options})


@given(
    form=st.sampled_from(["pcm", "wav", "mp3", "opus", "flac", "aac", "mulaw", "alaw"]),
    rate=st.none() | st.sampled_from([8_000, 16_000, 22_050, 24_000, 32_000, 48_000]),
    bit_rate=st.none() | st.sampled_from([4_000, 32_000, 48_000]),
    speed=st.floats(0.7, 1.5),
)
def test_settings_that_pass_make_a_query_that_deepgram_takes(
    form: str, rate: int | None, bit_rate: int | None, speed: float
) -> None:
    given = {"api_key": KEY, "format": form, "sample_rate": rate, "bit_rate": bit_rate}
    try:
        adapter = DeepgramAdapter(DeepgramOptions.model_validate(given))
    except ValidationError:
        return
    query = adapter._query(OLD, Utterance("One.", speed=speed))
    assert complaint({name: str(one) for name, one in query.items() if one is not None}) == ""
