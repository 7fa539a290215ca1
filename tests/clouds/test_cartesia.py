"""Cartesia's endpoints, spoken to over real connections."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typing_extensions import override

from tests.clouds.contract import KEY, CloudContract, audio, spoken
from tests.clouds.opening import EVENTS, as_json, body_of, last_body, opened, taken
from ttskit.adapters.base import Utterance
from ttskit.adapters.cartesia import DEFAULT_VOICE, CartesiaAdapter, CartesiaOptions
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    InvalidResponseError,
    PermissionDeniedError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TTSError,
    VoiceNotFoundError,
)
from ttskit.request import Timestamps
from ttskit.testing import FaultyServer, Received, Reply, transcribe
from ttskit.testing.modem import Modem
from ttskit.voices import Gender

KATIE = "6ccbfb76-1fc6-48f7-b71d-91ac6298247b"
LISTED = [
    {
        "id": KATIE,
        "name": "Katie",
        "tagline": "Friendly",
        "description": "A friendly voice.",
        "language": "en",
        "locales": [
            {"locale": "en-US", "is_native": True},
            {"locale": "es-MX", "is_native": False},
        ],
        "gender": "feminine",
        "access": "public",
        "is_owner": False,
    },
    *(
        {
            "id": f"{number:08d}-0000-4000-8000-000000000000",
            "name": f"Voice {number}",
            "tagline": "",
            "description": "",
            "language": "de",
            "locales": [],
            "access": "private",
            "is_owner": True,
        }
        for number in range(103)
    ),
    {
        "id": DEFAULT_VOICE,
        "name": "Blake",
        "tagline": "Helpful",
        "description": "",
        "language": "en",
        "locales": [{"locale": "en-US", "is_native": True}],
        "gender": "masculine",
        "access": "public",
        "is_owner": False,
    },
]
IDS = [str(one["id"]) for one in LISTED]
MEMBERS = {
    "model_id",
    "transcript",
    "voice",
    "output_format",
    "language",
    "locale",
    "generation_config",
    "normalization",
    "pronunciation_dict_id",
    "save",
}
TIMED_MEMBERS = (MEMBERS - {"save"}) | {"add_timestamps", "use_normalized_timestamps"}
RATES = {8000, 16000, 22050, 24000, 44100, 48000}


def refusal(status: int, code: str | None = None) -> Reply:
    error = {"error_code": code, "title": "No", "message": "No.", "request_id": "550e8400"}
    return as_json(error, status)


def is_sound(body: dict[str, object], members: set[str]) -> bool:
    """Whether the endpoint takes the body."""
    form = body["output_format"]
    assert isinstance(form, dict)
    needs = {"container", "sample_rate", "bit_rate" if form["container"] == "mp3" else "encoding"}
    return (
        body.keys() <= members
        and not {"language", "locale"} <= body.keys()
        and form.keys() == needs
        and form["sample_rate"] in RATES
    )


def speech(received: Received) -> bytes | Reply:
    """Answer as both endpoints do."""
    if received.method != "POST" or received.headers.get("cartesia-version") != "2026-08-14":
        return refusal(400)
    if received.headers.get("authorization") != f"Bearer {KEY}":
        return refusal(401)
    body = body_of(received)
    is_timed = received.target == "/tts/sse"
    if not is_sound(body, TIMED_MEMBERS if is_timed else MEMBERS):
        return refusal(400)
    if body["voice"] not in IDS:
        return refusal(404)
    return events(body) if is_timed else sound(body)


def sound(body: dict[str, object]) -> bytes:
    form = body["output_format"]
    assert isinstance(form, dict)
    manner = body.get("generation_config", {})
    assert isinstance(manner, dict)
    rate = form["sample_rate"]
    samples = spoken(
        str(body["transcript"]), str(body["voice"]), rate, speed=manner.get("speed", 1.0)
    )
    if form.get("encoding") == "pcm_f32le":
        return samples.astype("<f4").tobytes()
    raw = {"pcm_s16le": "pcm", "pcm_mulaw": "mulaw", "pcm_alaw": "alaw"}
    kind = raw[form["encoding"]] if form["container"] == "raw" else form["container"]
    return audio(samples, kind, rate)


def event(**members: object) -> bytes:
    kind = members["type"]
    return f"event: {kind}\ndata: {json.dumps(members)}\n\n".encode()


def events(body: dict[str, object]) -> bytes:
    """Return the words' times, each before the audio it is in, and the audio in pieces."""
    form = body["output_format"]
    assert isinstance(form, dict)
    assert form["container"] == "raw"
    text, data = str(body["transcript"]), sound(body)
    told = [event(type="timestamps", done=False, status_code=206, word_timestamps=times(text))]
    step = 10_001  # within a sample
    told += [
        event(
            type="chunk",
            done=False,
            status_code=206,
            step_time=20.0,
            data=base64.b64encode(data[at : at + step]).decode(),
        )
        for at in range(0, len(data), step)
    ]
    return b"".join([*told, event(type="done", done=True, status_code=200)])


def times(text: str) -> dict[str, list[object]]:
    said = [tones for tones in Modem(8_000).speak(text, DEFAULT_VOICE) if tones.span]
    return {
        "words": [text[slice(*tones.span)] for tones in said if tones.span],
        "start": [tones.start for tones in said],
        "end": [tones.end for tones in said],
    }


def voices(received: Received) -> Reply:
    """Answer as the list does, page by page."""
    if received.headers.get("authorization") != f"Bearer {KEY}":
        return refusal(401)
    query = parse_qs(urlsplit(received.target).query)
    start = IDS.index(query["starting_after"][0]) + 1 if "starting_after" in query else 0
    end = start + int(query["limit"][0])
    return as_json({"data": LISTED[start:end], "has_more": end < len(LISTED)})


def cartesia() -> FaultyServer:
    server = FaultyServer(b"{}", content_type="application/json")
    server.serve("/tts/bytes", speech, content_type="audio/pcm")
    server.serve("/tts/sse", speech, content_type=EVENTS)
    return server.serve("/voices", voices, content_type="application/json")


def adapter_of(server: FaultyServer, **options: object) -> CartesiaAdapter:
    section = {"base_url": server.url, "api_key": KEY, **options}
    return CartesiaAdapter(CartesiaOptions.model_validate(section))


@pytest.fixture
def served() -> Iterator[FaultyServer]:
    with cartesia() as server:
        yield server


class TestCartesia(CloudContract):
    @pytest.fixture
    @override
    def server(self) -> Iterator[FaultyServer]:
        with cartesia() as server:
            yield server

    @pytest.fixture
    @override
    def adapter(self, server: FaultyServer) -> CartesiaAdapter:
        return adapter_of(server)


pytestmark = pytest.mark.anyio


async def test_all_pages_of_voices_are_listed_the_default_first(served: FaultyServer) -> None:
    async with opened(adapter_of(served)) as adapter:
        listed = await adapter.voices()
    assert [one.id for one in listed] == [DEFAULT_VOICE, *IDS[:-1]]
    katie = listed[1]
    assert (katie.name, katie.gender, katie.description) == (
        "Katie",
        Gender.FEMALE,
        "A friendly voice.",
    )
    assert katie.languages == ("en-US", "es-MX")
    assert (listed[2].languages, listed[2].cloned) == (("de",), True)


async def test_a_default_voice_that_is_not_listed_is_there_all_the_same(
    served: FaultyServer,
) -> None:
    async with opened(adapter_of(served, voice="mine")) as adapter:
        assert [one.id for one in await adapter.voices()][:2] == ["mine", KATIE]


async def test_a_list_that_goes_round_in_circles_ends(served: FaultyServer) -> None:
    page = {"data": LISTED[:2], "has_more": True}
    served.serve("/voices", json.dumps(page).encode(), content_type="application/json")
    async with opened(adapter_of(served)) as adapter:
        assert len(await adapter.voices()) == 3


@pytest.mark.parametrize("form", ["pcm", "f32", "wav", "mp3", "mulaw", "alaw"])
async def test_every_format_says_the_text(served: FaultyServer, form: str) -> None:
    take = await taken(adapter_of(served, format=form), "One two.")
    assert take.format == form
    assert take.sample_rate == (8_000 if form in ("mulaw", "alaw") else 44_100)
    assert transcribe((take.samples, take.sample_rate)) == "One two."


@pytest.mark.parametrize("form", ["pcm", "f32", "wav", "mp3", "mulaw", "alaw"])
async def test_timed_words_come_with_every_format(served: FaultyServer, form: str) -> None:
    said = Utterance("One two.", timestamps=Timestamps.WORD)
    take = await taken(adapter_of(served, format=form, save=True), said)
    assert take.format == ("pcm" if form in ("wav", "mp3") else form)
    assert [said.text[slice(*word.span)] for word in take.words] == ["One", "two."]
    assert transcribe((take.samples, take.sample_rate)) == "One two."


async def test_words_are_known_before_their_audio(served: FaultyServer) -> None:
    said = Utterance("One two three four.", timestamps=Timestamps.WORD)
    async with opened(adapter_of(served)) as adapter, adapter.synthesize(said) as source:
        await anext(source.chunks)
        assert len(source.words) == 4


async def test_an_end_that_is_spelt_otherwise_was_said(served: FaultyServer) -> None:
    said = Utterance("It costs $5.", timestamps=Timestamps.WORD)
    words = ["It", "costs", "five", "dollars"]
    spelt = {"words": words, "start": [0.0, 0.1, 0.2, 0.3], "end": [0.1, 0.2, 0.3, 0.4]}
    chunk = event(type="chunk", data=base64.b64encode(bytes(44_100)).decode())
    told = event(type="timestamps", word_timestamps=spelt) + chunk + event(type="done")
    served.reply(Reply(body=told, content_type=EVENTS))
    take = await taken(adapter_of(served), said)
    assert [said.text[slice(*word.span)] for word in take.words] == ["It", "costs", "$5."]
    assert (take.words[-1].start, take.words[-1].end) == (0.2, 0.4)


@pytest.mark.parametrize("step", [1, 7, 1_021])
async def test_events_may_be_cut_anywhere(served: FaultyServer, step: int) -> None:
    said = Utterance("One two.", timestamps=Timestamps.WORD)
    whole = await taken(adapter_of(served), said)
    served.reply(Reply(step=step), times=1)
    pieces = await taken(adapter_of(served), said)
    assert np.array_equal(pieces.samples, whole.samples)
    assert pieces.words == whole.words


async def test_only_what_was_set_is_sent(served: FaultyServer) -> None:
    await taken(adapter_of(served), "Hello.")
    assert last_body(served) == {
        "model_id": "sonic-3.5",
        "transcript": "Hello.",
        "voice": DEFAULT_VOICE,
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 44_100},
    }


async def test_everything_that_was_set_is_sent(served: FaultyServer) -> None:
    adapter = adapter_of(
        served,
        format="mp3",
        bit_rate=64_000,
        sample_rate=24_000,
        emotion="calm",
        pronunciation_dict_id="dict",
        normalization="off",
        save=True,
    )
    said = Utterance(
        "Hello.",
        voice=KATIE,
        model="sonic-3",
        speed=1.25,
        language="en-GB",
        options={"emotion": "sad", "volume": 1.5},
    )
    await taken(adapter, said)
    assert last_body(served) == {
        "model_id": "sonic-3",
        "transcript": "Hello.",
        "voice": KATIE,
        "output_format": {"container": "mp3", "sample_rate": 24_000, "bit_rate": 64_000},
        "locale": "en-GB",
        "generation_config": {"speed": 1.25, "volume": 1.5, "emotion": "sad"},
        "normalization": "off",
        "pronunciation_dict_id": "dict",
        "save": True,
    }


@pytest.mark.parametrize(
    ("asked", "configured", "sent"),
    [
        (None, None, {}),
        ("de", None, {"language": "de"}),
        ("pt-BR", "de", {"locale": "pt-BR"}),
        (None, "fr", {"language": "fr"}),
    ],
)
async def test_a_language_is_sent_under_one_name(
    served: FaultyServer, asked: str | None, configured: str | None, sent: dict[str, str]
) -> None:
    await taken(adapter_of(served, language=configured), Utterance("Olá.", language=asked))
    body = last_body(served)
    assert {name: body[name] for name in ("language", "locale") if name in body} == sent


REFUSALS = pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, None, InvalidParameterError),
        (401, None, AuthenticationError),
        (402, None, QuotaExceededError),
        (403, None, PermissionDeniedError),
        (404, None, VoiceNotFoundError),
        (429, "concurrency_limited", RateLimitedError),
        (400, "concurrency_limited", RateLimitedError),
        (500, "something_new", ProviderUnavailableError),
        (503, None, ProviderUnavailableError),
    ],
)


@REFUSALS
@pytest.mark.parametrize("timestamps", [Timestamps.NONE, Timestamps.WORD])
async def test_refusals_have_their_names(
    served: FaultyServer,
    timestamps: Timestamps,
    status: int,
    code: str | None,
    kind: type[TTSError],
) -> None:
    served.reply(refusal(status, code))
    with pytest.raises(kind) as caught:
        await taken(adapter_of(served), Utterance("Hello.", timestamps=timestamps))
    assert type(caught.value) is kind
    assert code is None or code in str(caught.value)


@REFUSALS
async def test_errors_in_mid_stream_have_the_same_names(
    served: FaultyServer, status: int, code: str | None, kind: type[TTSError]
) -> None:
    chunk = event(type="chunk", done=False, status_code=206, data="AAAA")
    told = {"type": "error", "done": True, "status_code": status, "error_code": code}
    error = event(**told, title="No", message="No.", request_id="550e8400")
    served.reply(Reply(body=chunk + error, content_type=EVENTS))
    async with (
        opened(adapter_of(served)) as adapter,
        adapter.synthesize(Utterance("Hello.", timestamps=Timestamps.WORD)) as source,
    ):
        assert await anext(source.chunks) == bytes(3)
        with pytest.raises(kind) as caught:
            await anext(source.chunks)
    assert type(caught.value) is kind
    assert caught.value.request_id == "550e8400"


@pytest.mark.parametrize(
    "body",
    [
        event(type="chunk", done=False, data="AAAA"),
        b"",
        b"data: no JSON\n\n",
        b"data: []\n\n",
        event(type="chunk", data="no base64!"),
        event(type="chunk", data=7),
        event(type="timestamps", word_timestamps={"words": "One"}),
        event(done=True, type=None),
    ],
    ids=["cut short", "empty", "no JSON", "a list", "no base64", "a number", "no words", "no type"],
)
async def test_a_stream_of_nonsense_is_no_speech(served: FaultyServer, body: bytes) -> None:
    served.reply(Reply(body=body, content_type=EVENTS))
    with pytest.raises(InvalidResponseError):
        await taken(adapter_of(served), Utterance("Hello.", timestamps=Timestamps.WORD))


@given(text=st.text(min_size=1, max_size=60).filter(str.strip))
def test_what_is_sent_is_the_text(text: str) -> None:
    adapter = CartesiaAdapter(CartesiaOptions.model_validate({"api_key": KEY}))
    body = adapter._body(Utterance(text), "pcm", is_timed=False)
    assert json.loads(json.dumps(body))["transcript"] == text
    assert body == adapter._body(replace(Utterance(text), speed=1.0), "pcm", is_timed=False)


@pytest.mark.parametrize(
    "section",
    [
        {"sample_rate": 11_025},
        {"bit_rate": 48_000},
        {"volume": 2.1},
        {"format": "opus"},
        {"base_url": "http://api.cartesia.ai"},
        {"surprise": 1},
    ],
    ids=lambda section: next(iter(section)),
)
def test_settings_out_of_range_are_refused(section: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CartesiaOptions.model_validate({"api_key": KEY, **section})
