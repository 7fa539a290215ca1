"""LMNT's endpoints, spoken to over real connections."""

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
from typing_extensions import override

from tests.clouds.contract import KEY, CloudContract, audio, spoken
from tests.clouds.opening import JSON, as_json, body_of, last_body, opened, taken
from ttskit.adapters.base import NATIVE, UNSUPPORTED, Utterance
from ttskit.adapters.lmnt import LMNTAdapter, LMNTOptions
from ttskit.adapters.lmnt_replies import Speech
from ttskit.codecs.wav import wav_header
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

LISTED = [
    {"id": "ava", "name": "Ava", "owner": "system", "state": "ready", "gender": "female"},
    {"id": "half", "name": "Half", "owner": "me", "state": "training"},
    {"id": "mine", "name": "Mine", "owner": "me", "state": "ready", "gender": "nonbinary"},
    {
        "id": "leah",
        "name": "Leah",
        "owner": "system",
        "state": "ready",
        "gender": "female",
        "description": "Warm.",
        "tags": ["warm"],
    },
]
IDS = [one["id"] for one in LISTED]
FORMATS = {"pcm_s16le": "pcm", "ulaw": "mulaw", "mp3": "mp3", "wav": "wav", "aac": "aac"}
MEMBERS = {
    "text",
    "voice",
    "model",
    "format",
    "language",
    "sample_rate",
    "temperature",
    "top_p",
    "debug",
}


def refusal(status: int, kind: str) -> Reply:
    return as_json({"error": {"type": kind, "message": "No."}, "request_id": "r-1"}, status)


def refused(received: Received) -> Reply | None:
    """Return what the endpoints say of a request that they do not take."""
    if received.headers.get("x-api-key") != KEY or received.headers.get("lmnt-version") != "1.2":
        return refusal(401, "authentication_error")
    if received.method != "POST":
        return None
    body = body_of(received)
    is_detailed = received.target == "/v1/ai/speech"
    members = MEMBERS | ({"return_timestamps"} if is_detailed else set())
    if not body.keys() <= members or len(str(body["text"])) > 5_000:
        return refusal(400, "invalid_request_error")
    return None if body["voice"] in IDS else refusal(404, "not_found_error")


def sound(body: dict[str, object]) -> bytes:
    kind = str(body.get("format", "mp3"))
    rate = int(str(body.get("sample_rate", 8_000 if kind == "ulaw" else 24_000)))
    samples = spoken(str(body["text"]), str(body["voice"]), rate)
    if kind == "pcm_f32le":
        return samples.astype("<f4").tobytes()
    data = audio(samples, FORMATS[kind], rate)
    return mulaw_header(rate) + data if kind == "ulaw" else data


def mulaw_header(rate: int) -> bytes:
    """Return the header of a streamed WAV that holds µ-law: tag 7, a byte a frame."""
    header = bytearray(wav_header(rate, 1, None))
    at = header.index(b"fmt ") + 8
    header[at : at + 2] = (7).to_bytes(2, "little")
    header[at + 8 : at + 12] = rate.to_bytes(4, "little")
    header[at + 12 : at + 16] = b"\1\0\x08\0"
    return bytes(header)


def speech(received: Received) -> bytes | Reply:
    return refused(received) or sound(body_of(received))


def detailed(received: Received) -> Reply:
    refusal = refused(received)
    if refusal is not None:
        return refusal
    body = body_of(received)
    told: dict[str, object] = {"audio": base64.b64encode(sound(body)).decode()}
    if body.get("return_timestamps"):
        told["timestamps"] = elements(str(body["text"]))
    return as_json(told)


def elements(text: str) -> list[dict[str, object]]:
    """Return words, white space and punctuation one by one, between two silences."""
    told: list[dict[str, object]] = [{"text": "", "start": 0.0, "duration": 0.08}]
    at = 0.08
    for tones in Modem(8_000).speak(text, "leah"):
        parts = re.findall(r"\w+|\W", text[slice(*tones.span)]) if tones.span else []
        for number, part in enumerate(parts):
            width = (tones.end - tones.start) / len(parts)
            told.append(
                {"text": part, "start": tones.start + number * width, "duration": width * 0.99}
            )
        at = max(at, tones.end)
        told.append({"text": " ", "start": at, "duration": 0.0})
    return [*told, {"text": "", "start": at, "duration": 0.02}]


def voices(received: Received) -> Reply:
    return refused(received) or as_json(LISTED)


def account(received: Received) -> Reply:
    plan = {"type": "free", "character_limit": 15_000, "commercial_use_allowed": False}
    return refused(received) or as_json({"plan": plan, "usage": {"characters": 12}})


def lmnt() -> FaultyServer:
    server = FaultyServer(b"{}", content_type=JSON)
    server.serve("/v1/ai/speech", detailed, content_type=JSON)
    server.serve("/v1/ai/speech/bytes", speech, content_type="application/octet-stream")
    server.serve("/v1/ai/voice/list?owner=all", voices, content_type=JSON)
    return server.serve("/v1/account", account, content_type=JSON)


def adapter_of(server: FaultyServer, **options: object) -> LMNTAdapter:
    section = {"base_url": server.url, "api_key": KEY, **options}
    return LMNTAdapter(LMNTOptions.model_validate(section))


@pytest.fixture
def served() -> Iterator[FaultyServer]:
    with lmnt() as server:
        yield server


class TestLMNT(CloudContract):
    @pytest.fixture
    @override
    def server(self) -> Iterator[FaultyServer]:
        with lmnt() as server:
            yield server

    @pytest.fixture
    @override
    def adapter(self, server: FaultyServer) -> LMNTAdapter:
        return adapter_of(server)


pytestmark = pytest.mark.anyio


async def test_voices_that_are_ready_are_listed_the_default_first(served: FaultyServer) -> None:
    async with opened(adapter_of(served)) as adapter:
        leah, ava, mine = await adapter.voices()
    assert (leah.id, leah.name, leah.gender) == ("leah", "Leah", Gender.FEMALE)
    assert leah.description == "Warm."
    assert (ava.id, ava.cloned) == ("ava", False)
    assert (mine.id, mine.cloned, mine.gender) == ("mine", True, Gender.NEUTRAL)


async def test_a_key_that_is_not_accepted_is_found_by_the_check(served: FaultyServer) -> None:
    async with opened(adapter_of(served, api_key="another")) as adapter:
        with pytest.raises(AuthenticationError):
            await adapter.check()


@pytest.mark.parametrize("form", ["pcm", "f32", "mulaw", "wav", "mp3"])
@pytest.mark.parametrize("timestamps", [Timestamps.NONE, Timestamps.WORD])
async def test_every_format_says_the_text(
    served: FaultyServer, form: str, timestamps: Timestamps
) -> None:
    said = Utterance("One two.", timestamps=timestamps)
    take = await taken(adapter_of(served, format=form), said)
    assert take.format == ("wav" if form == "mulaw" else form)
    assert take.sample_rate == (8_000 if form == "mulaw" else 24_000)
    assert transcribe((take.samples, take.sample_rate)) == "One two."


@pytest.mark.engine("av")
async def test_aac_says_the_text(served: FaultyServer) -> None:
    take = await taken(adapter_of(served, format="aac"), "One two.")
    assert transcribe((take.samples, take.sample_rate)) == "One two."


@pytest.mark.parametrize(
    ("form", "support"),
    [("pcm", NATIVE), ("mulaw", NATIVE), ("wav", UNSUPPORTED), ("aac", UNSUPPORTED)],
)
def test_what_comes_only_when_whole_is_not_declared_to_stream(form: str, support: object) -> None:
    options = LMNTOptions.model_validate({"api_key": KEY, "format": form})
    assert LMNTAdapter(options).capabilities.streaming is support


async def test_a_rate_that_was_asked_for_is_the_audios(served: FaultyServer) -> None:
    take = await taken(adapter_of(served, sample_rate=16_000), "One two.")
    assert take.sample_rate == 16_000
    assert transcribe((take.samples, take.sample_rate)) == "One two."


async def test_timed_and_untimed_audio_are_the_same(served: FaultyServer) -> None:
    plain = await taken(adapter_of(served), "One two.")
    timed = await taken(adapter_of(served), Utterance("One two.", timestamps=Timestamps.WORD))
    assert np.array_equal(plain.samples, timed.samples)
    assert plain.words == []


async def test_punctuation_and_silence_are_no_words(served: FaultyServer) -> None:
    said = Utterance("Well, 3 o'clock - yes!", timestamps=Timestamps.WORD)
    take = await taken(adapter_of(served), said)
    heard = [said.text[slice(*word.span)] for word in take.words]
    assert heard == ["Well", "3", "o", "clock", "yes"]


def test_an_end_that_is_spelt_otherwise_was_said() -> None:
    told = [
        {"text": word, "start": at / 10, "duration": 0.1}
        for at, word in enumerate(["It", " ", "costs", " ", "five", " ", "dollars", "."])
    ]
    words = Speech.read(json.dumps({"audio": "", "timestamps": told})).words("It costs $5.")
    assert [word.span for word in words] == [(0, 2), (3, 8), (9, 12)]
    assert words[-1].end == pytest.approx(0.7)


async def test_only_what_was_set_is_sent(served: FaultyServer) -> None:
    await taken(adapter_of(served), "Hello.")
    assert last_body(served) == {"text": "Hello.", "voice": "leah", "format": "pcm_s16le"}


async def test_everything_that_was_set_is_sent(served: FaultyServer) -> None:
    adapter = adapter_of(
        served,
        model="blizzard",
        language="de",
        format="f32",
        sample_rate=16_000,
        temperature=0.7,
        top_p=0.5,
        debug=True,
    )
    said = Utterance(
        "Hello.", voice="ava", language="en-GB", options={"temperature": 0.0, "top_p": 0.9}
    )
    await taken(adapter, said)
    assert last_body(served) == {
        "text": "Hello.",
        "voice": "ava",
        "model": "blizzard",
        "format": "pcm_f32le",
        "language": "en",
        "sample_rate": 16_000,
        "temperature": 0.0,
        "top_p": 0.9,
        "debug": True,
    }


async def test_one_request_may_be_kept_out_of_the_library(served: FaultyServer) -> None:
    await taken(adapter_of(served, debug=True), Utterance("Hello.", options={"debug": False}))
    assert "debug" not in last_body(served)


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "invalid_request_error", InvalidParameterError),
        (401, "authentication_error", AuthenticationError),
        (402, "payment_required_error", QuotaExceededError),
        (403, "permission_error", PermissionDeniedError),
        (404, "not_found_error", VoiceNotFoundError),
        (429, "rate_limit_error", RateLimitedError),
        (500, "internal_server_error", ProviderUnavailableError),
        (400, "rate_limit_error", RateLimitedError),
    ],
)
@pytest.mark.parametrize("timestamps", [Timestamps.NONE, Timestamps.WORD])
async def test_refusals_have_their_names(
    served: FaultyServer, timestamps: Timestamps, status: int, kind: str, error: type[TTSError]
) -> None:
    served.reply(refusal(status, kind))
    with pytest.raises(error) as caught:
        await taken(adapter_of(served), Utterance("Hello.", timestamps=timestamps))
    assert type(caught.value) is error
    assert kind in str(caught.value)


async def test_an_older_refusal_is_known_by_its_status(served: FaultyServer) -> None:
    served.reply(as_json({"error": "no such thing"}, 402))
    with pytest.raises(QuotaExceededError):
        await taken(adapter_of(served), "Hello.")


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", '{"audio": 1}', '{"audio": "a"}', '{"audio": "AAAA", "timestamps": [{}]}'],
)
async def test_a_reply_of_nonsense_is_no_speech(served: FaultyServer, body: str) -> None:
    served.reply(Reply(body=body.encode(), content_type=JSON))
    with pytest.raises(InvalidResponseError):
        await taken(adapter_of(served), Utterance("Hello.", timestamps=Timestamps.WORD))


@given(words=st.lists(st.text("abcdefghij", min_size=1, max_size=8), min_size=1, max_size=12))
def test_every_word_is_timed_where_it_stands(words: list[str]) -> None:
    text = ", ".join(words) + "."
    told = json.dumps({"audio": "", "timestamps": elements(text)})
    timed = Speech.read(told).words(text)
    assert [text[slice(*one.span)] for one in timed] == words
    assert [one.start for one in timed] == sorted(one.start for one in timed)


@pytest.mark.parametrize(
    "section",
    [
        {"sample_rate": 44_100},
        {"temperature": -1},
        {"top_p": 1.5},
        {"format": "webm"},
        {"speed": 1},
    ],
    ids=lambda section: next(iter(section)),
)
def test_settings_out_of_range_are_refused(section: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LMNTOptions.model_validate({"api_key": KEY, **section})
