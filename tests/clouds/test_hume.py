"""Hume's endpoints, spoken to over real connections."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typing_extensions import override

from tests.clouds.contract import KEY, CloudContract, audio, spoken
from tests.clouds.opening import JSON, as_json, body_of, last_body, opened, taken
from ttskit.adapters.base import EMULATED, NATIVE, Utterance
from ttskit.adapters.hume import DEFAULT_VOICE, HumeAdapter, HumeOptions
from ttskit.adapters.hume_voices import named
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    InvalidResponseError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TTSError,
    VoiceNotFoundError,
)
from ttskit.request import Timestamps
from ttskit.testing import FaultyServer, Received, Reply, transcribe
from ttskit.testing.modem import Modem

RATE = 48_000
ACTOR = "9e068547-5ba4-4c8e-8e03-69282a008f04"
MINE = "445d65ed-a87f-4140-9820-daf6d4f0a200"
NDJSON = "application/x-ndjson"


def listed(name: str, voice: str, library: str, *models: str) -> dict[str, object]:
    return {
        "id": voice,
        "name": name,
        "provider": library,
        "compatible_octave_models": list(models),
    }


def numbered(number: int) -> str:
    return f"{number:08d}-0000-4000-8000-000000000000"


VOICES = {
    "HUME_AI": [
        *(listed(f"Voice {n}", numbered(n), "HUME_AI", "1", "2") for n in range(149)),
        listed("Old Voice", numbered(999), "HUME_AI", "1"),
        listed(DEFAULT_VOICE, ACTOR, "HUME_AI", "1", "2"),
    ],
    "CUSTOM_VOICE": [{"id": MINE, "name": "Mine", "provider": "CUSTOM_VOICE"}],
}
MEMBERS = {
    "utterances",
    "context",
    "format",
    "version",
    "include_timestamp_types",
    "split_utterances",
    "strip_headers",
    "temperature",
    "instant_mode",
}


def refusal(status: int, code: str = "E0000") -> Reply:
    return as_json({"error": "No", "message": "No.", "code": code}, status)


def is_known(voice: dict[str, str]) -> bool:
    """Whether there is such a voice; one without a library is looked for among one's own."""
    library = VOICES[voice.get("provider", "CUSTOM_VOICE")]
    return any(all(one[key] == voice[key] for key in voice) for one in library)


def refused(received: Received) -> Reply | None:
    """Return what the endpoints say of a request that they do not take."""
    if received.headers.get("x-hume-api-key") != KEY:
        fault = {"faultstring": "Invalid", "detail": {"errorcode": "oauth.v2.InvalidApiKey"}}
        return as_json({"fault": fault}, 401)
    body = body_of(received)
    if received.method != "POST" or not body.keys() <= MEMBERS:
        return as_json({"detail": [{"loc": ["body"], "msg": "no", "type": "extra"}]}, 422)
    said = utterance_of(body)
    voice = said.get("voice")
    if voice is None and body.get("version") == "2":
        return as_json({"detail": [{"loc": ["body", "voice"], "msg": "no", "type": "x"}]}, 422)
    return None if isinstance(voice, dict) and is_known(voice) else refusal(404)


def utterance_of(body: dict[str, object]) -> dict[str, object]:
    utterances = body["utterances"]
    assert isinstance(utterances, list)
    (said,) = utterances
    assert isinstance(said, dict)
    return said


def sound(body: dict[str, object]) -> bytes:
    """Return one file: headers are stripped from all chunks but the first."""
    said, form = utterance_of(body), body.get("format", {"type": "mp3"})
    assert isinstance(form, dict)
    assert body["strip_headers"] is True
    voice, speed = said["voice"], said.get("speed", 1.0)
    assert isinstance(voice, dict)
    assert isinstance(speed, float)
    samples = spoken(str(said["text"]), voice.get("id", voice.get("name")), RATE, speed=speed)
    return audio(samples, form["type"], RATE)


def file(received: Received) -> bytes | Reply:
    return refused(received) or sound(body_of(received))


def line(**members: object) -> bytes:
    told = {"generation_id": "g-1", "snippet_id": "s-1", "request_id": "r-1", **members}
    return json.dumps(told).encode() + b"\n\n"


def lines(received: Received) -> bytes | Reply:
    """Answer as the stream of lines does: times, and audio in pieces, with blank lines between."""
    refusal = refused(received)
    if refusal is not None:
        return refusal
    body = body_of(received)
    said = utterance_of(body)
    text, data = str(said["text"]), sound(body)
    told = []
    if "word" in body.get("include_timestamp_types", []):  # type: ignore[operator]
        told = [line(type="timestamp", timestamp=one) for one in timestamps(text)]
    step = 10_001  # within a sample
    for number, at in enumerate(range(0, len(data), step)):
        told.append(
            line(
                type="audio",
                audio=base64.b64encode(data[at : at + step]).decode(),
                audio_format="pcm",
                chunk_index=number,
                is_last_chunk=at + step >= len(data),
                text=text,
                utterance_index=0,
            )
        )
    return b"".join(told)


def timestamps(text: str) -> list[dict[str, object]]:
    return [
        {
            "type": "word",
            "text": text[slice(*tones.span)],
            "time": {"begin": int(1_000 * tones.start), "end": int(1_000 * tones.end)},
        }
        for tones in Modem(RATE).speak(text, DEFAULT_VOICE)
        if tones.span
    ]


def voices(received: Received) -> Reply:
    """Answer as the list does, page by page."""
    if received.headers.get("x-hume-api-key") != KEY:
        return refusal(401)
    query = {name: one for name, (one,) in parse_qs(urlsplit(received.target).query).items()}
    number, size = int(query["page_number"]), int(query["page_size"])
    library = VOICES[query["provider"]]
    return as_json(
        {
            "page_number": number,
            "page_size": size,
            "total_pages": -(-len(library) // size),
            "voices_page": library[number * size : (number + 1) * size],
        }
    )


def hume() -> FaultyServer:
    server = FaultyServer(b"{}", content_type=JSON)
    server.serve("/v0/tts/stream/file", file, content_type="audio/pcm")
    server.serve("/v0/tts/stream/json", lines, content_type=NDJSON)
    return server.serve("/v0/tts/voices", voices, content_type=JSON)


def adapter_of(server: FaultyServer, **options: object) -> HumeAdapter:
    section = {"base_url": server.url, "api_key": KEY, **options}
    return HumeAdapter(HumeOptions.model_validate(section))


@pytest.fixture
def served() -> Iterator[FaultyServer]:
    with hume() as server:
        yield server


class TestHume(CloudContract):
    @pytest.fixture
    @override
    def server(self) -> Iterator[FaultyServer]:
        with hume() as server:
            yield server

    @pytest.fixture
    @override
    def adapter(self, server: FaultyServer) -> HumeAdapter:
        return adapter_of(server)


pytestmark = pytest.mark.anyio
TIMED = Utterance("One two.", timestamps=Timestamps.WORD)


async def test_both_libraries_are_listed_the_default_first(served: FaultyServer) -> None:
    async with opened(adapter_of(served)) as adapter:
        listed = await adapter.voices()
    assert (listed[0].id, listed[0].name) == (ACTOR, DEFAULT_VOICE)
    assert [one.id for one in listed[1:-1]] == [numbered(n) for n in range(149)]
    assert (listed[-1].id, listed[-1].name, listed[-1].cloned) == (f"custom/{MINE}", "Mine", True)


async def test_a_voice_of_the_older_model_is_listed_with_it(served: FaultyServer) -> None:
    async with opened(adapter_of(served, model="1")) as adapter:
        assert "Old Voice" in [one.name for one in await adapter.voices()]


@pytest.mark.parametrize("name", ["custom/Mine", f"custom/{MINE}"])
async def test_an_own_voice_may_be_the_default(served: FaultyServer, name: str) -> None:
    async with opened(adapter_of(served, voice=name)) as adapter:
        listed = await adapter.voices()
    assert listed[0].id == f"custom/{MINE}"
    assert len({one.id for one in listed}) == len(listed)


async def test_a_default_that_is_not_listed_is_there_all_the_same(served: FaultyServer) -> None:
    async with opened(adapter_of(served, voice="custom/Yours")) as adapter:
        first = (await adapter.voices())[0]
    assert (first.id, first.name) == ("custom/Yours", "Yours")


async def test_a_list_that_ends_before_its_last_page_ends(served: FaultyServer) -> None:
    page = {"total_pages": 99, "voices_page": []}
    served.serve("/v0/tts/voices", json.dumps(page).encode(), content_type=JSON)
    async with opened(adapter_of(served)) as adapter:
        assert len(await adapter.voices()) == 1


@pytest.mark.parametrize("form", ["pcm", "wav", "mp3"])
@pytest.mark.parametrize("timestamps", [Timestamps.NONE, Timestamps.WORD])
async def test_every_format_says_the_text(
    served: FaultyServer, form: str, timestamps: Timestamps
) -> None:
    said = Utterance("One two.", timestamps=timestamps)
    take = await taken(adapter_of(served, format=form), said)
    assert (take.format, take.sample_rate) == (form, RATE)
    assert transcribe((take.samples, take.sample_rate)) == "One two."


async def test_words_and_the_requests_id_come_with_the_lines(served: FaultyServer) -> None:
    take = await taken(adapter_of(served), TIMED)
    assert [TIMED.text[slice(*word.span)] for word in take.words] == ["One", "two."]
    assert 0 < take.words[0].start < take.words[1].end < len(take.samples) / RATE
    assert take.request_id == "r-1"


async def test_phonemes_are_no_words(served: FaultyServer) -> None:
    phoneme = {"type": "phoneme", "text": "One", "time": {"begin": 0, "end": 5}}
    sound = line(type="audio", audio=base64.b64encode(bytes(RATE)).decode())
    body = line(type="timestamp", timestamp=phoneme) + line(type="news") + sound
    served.reply(Reply(body=body, content_type=NDJSON))
    assert (await taken(adapter_of(served), TIMED)).words == []


async def test_an_end_that_is_spelt_otherwise_was_said(served: FaultyServer) -> None:
    said = Utterance("It costs $5.", timestamps=Timestamps.WORD)
    spelt = [
        {"type": "word", "text": word, "time": {"begin": 100 * at, "end": 100 * at + 100}}
        for at, word in enumerate(["It", "costs", "five", "dollars"])
    ]
    told = [line(type="timestamp", timestamp=one) for one in spelt]
    sound = line(type="audio", audio=base64.b64encode(bytes(RATE)).decode())
    served.reply(Reply(body=b"".join([*told, sound]), content_type=NDJSON))
    take = await taken(adapter_of(served), said)
    assert [said.text[slice(*word.span)] for word in take.words] == ["It", "costs", "$5."]
    assert (take.words[-1].start, take.words[-1].end) == (0.2, 0.4)


@pytest.mark.parametrize("step", [1, 7, 1_021])
async def test_lines_may_be_cut_anywhere(served: FaultyServer, step: int) -> None:
    said = Utterance("One.", timestamps=Timestamps.WORD)
    whole = await taken(adapter_of(served), said)
    served.reply(Reply(step=step), times=1)
    pieces = await taken(adapter_of(served), said)
    assert np.array_equal(pieces.samples, whole.samples)
    assert pieces.words == whole.words


@pytest.mark.parametrize(("model", "support"), [("1", EMULATED), ("2", NATIVE)])
async def test_only_the_newer_model_times_words(
    served: FaultyServer, model: str, support: object
) -> None:
    adapter = adapter_of(served, model=model)
    assert adapter.capabilities.word_timestamps is support
    take = await taken(adapter, TIMED)
    assert bool(take.words) is (support is NATIVE)


async def test_only_what_was_set_is_sent(served: FaultyServer) -> None:
    await taken(adapter_of(served), "Hello.")
    assert last_body(served) == {
        "utterances": [{"text": "Hello.", "voice": {"name": DEFAULT_VOICE, "provider": "HUME_AI"}}],
        "format": {"type": "pcm"},
        "version": "2",
        "strip_headers": True,
    }


async def test_everything_that_was_set_is_sent(served: FaultyServer) -> None:
    adapter = adapter_of(
        served,
        format="mp3",
        description="calm",
        trailing_silence=2,
        temperature=0.9,
        split_utterances=True,
        instant_mode=False,
    )
    said = Utterance(
        "Hello.",
        voice=f"custom/{MINE}",
        model="1",
        speed=1.25,
        options={"description": "whispering", "trailing_silence": 0, "temperature": 0.5},
    )
    await taken(adapter, said)
    assert last_body(served) == {
        "utterances": [
            {
                "text": "Hello.",
                "voice": {"id": MINE, "provider": "CUSTOM_VOICE"},
                "description": "whispering",
                "speed": 1.25,
                "trailing_silence": 0,
            }
        ],
        "format": {"type": "mp3"},
        "version": "1",
        "strip_headers": True,
        "split_utterances": True,
        "instant_mode": False,
        "temperature": 0.5,
    }


@pytest.mark.parametrize(
    ("section", "sent"),
    [({}, False), ({"split_utterances": True}, True), ({"split_utterances": False}, False)],
)
async def test_timed_words_are_of_one_snippet(
    served: FaultyServer, section: dict[str, object], sent: object
) -> None:
    await taken(adapter_of(served, **section), TIMED)
    body = last_body(served)
    assert body["split_utterances"] is sent
    assert body["include_timestamp_types"] == ["word"]


async def test_what_was_said_before_is_the_context(served: FaultyServer) -> None:
    said = Utterance("Two.", previous_text='One & "a half".')
    await taken(adapter_of(served), said)
    voice = {"name": DEFAULT_VOICE, "provider": "HUME_AI"}
    context = {"utterances": [{"text": 'One & "a half".', "voice": voice}]}
    assert last_body(served)["context"] == context


async def test_a_generation_goes_before_a_text_as_context(served: FaultyServer) -> None:
    said = Utterance("Two.", previous_text="One.", options={"generation_id": "g-7"})
    await taken(adapter_of(served), said)
    assert last_body(served)["context"] == {"generation_id": "g-7"}


async def test_a_generation_can_be_gone_on_from(served: FaultyServer) -> None:
    first = Utterance("One.", timestamps=Timestamps.WORD)
    async with opened(adapter_of(served)) as adapter:
        async with adapter.synthesize(first) as source:
            assert [chunk async for chunk in source.chunks]
        assert source.continuation == "g-1"
        second = Utterance("Two.", index=1, previous_ids=("g-0", "g-1"), previous_text="One.")
        async with adapter.synthesize(second) as source:
            assert [chunk async for chunk in source.chunks]
    assert last_body(served)["context"] == {"generation_id": "g-1"}


def details(*place: object) -> dict[str, object]:
    return {"detail": [{"loc": ["body", *place], "msg": "No.", "type": "value_error"}]}


FAULT = {"fault": {"faultstring": "No", "detail": {"errorcode": "policies.ratelimit.Quota"}}}
ERROR = {"error": "No", "message": "No.", "code": "E0301"}


@pytest.mark.parametrize(
    ("status", "document", "kind", "code"),
    [
        (400, ERROR, InvalidParameterError, "E0301"),
        (401, FAULT, AuthenticationError, "policies.ratelimit.Quota"),
        (402, ERROR, QuotaExceededError, "E0301"),
        (404, ERROR, VoiceNotFoundError, "E0301"),
        (422, details("utterances", 0, "voice", "id"), VoiceNotFoundError, "voice"),
        (422, details("utterances", 0, "speed"), InvalidParameterError, ""),
        (422, {"detail": "odd"}, InvalidParameterError, ""),
        (422, {"detail": [7, {"loc": "odd"}]}, InvalidParameterError, ""),
        (429, FAULT, RateLimitedError, "policies.ratelimit.Quota"),
        (429, {"fault": {"detail": "odd"}}, RateLimitedError, ""),
        (500, ERROR, ProviderUnavailableError, "E0301"),
    ],
)
@pytest.mark.parametrize("timestamps", [Timestamps.NONE, Timestamps.WORD])
async def test_refusals_have_their_names(
    served: FaultyServer,
    timestamps: Timestamps,
    status: int,
    document: dict[str, object],
    kind: type[TTSError],
    code: str,
) -> None:
    served.reply(as_json(document, status))
    with pytest.raises(kind) as caught:
        await taken(adapter_of(served), Utterance("Hello.", timestamps=timestamps))
    assert type(caught.value) is kind
    assert code in str(caught.value)


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"error": "No", "message": "No.", "code": "E0301"}, ProviderUnavailableError),
        (details("utterances", 0, "voice"), VoiceNotFoundError),
    ],
)
async def test_errors_in_mid_stream_have_their_names(
    served: FaultyServer, document: dict[str, object], kind: type[TTSError]
) -> None:
    error = json.dumps({**document, "request_id": "r-2"}).encode()
    served.reply(Reply(body=line(type="audio", audio="AAAA") + error, content_type=NDJSON))
    async with opened(adapter_of(served)) as adapter, adapter.synthesize(TIMED) as source:
        assert await anext(source.chunks) == bytes(3)
        with pytest.raises(kind) as caught:
            await anext(source.chunks)
    assert type(caught.value) is kind
    assert caught.value.request_id == "r-2"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        line(type="audio", audio="no base64!"),
        line(type="audio", audio=None),
        line(type="timestamp", timestamp={"text": "One", "type": "word", "time": 7}),
    ],
    ids=["empty", "html", "a list", "no base64", "no audio", "no time"],
)
async def test_a_stream_of_nonsense_is_no_speech(served: FaultyServer, body: bytes) -> None:
    served.reply(Reply(body=body, content_type=NDJSON))
    with pytest.raises(InvalidResponseError):
        await taken(adapter_of(served), TIMED)


NAMES = st.text(min_size=1, max_size=30).filter(lambda name: not name.startswith("custom/"))


@given(name=NAMES)
def test_a_name_is_told_with_its_library(name: str) -> None:
    assert named(name) == {"name": name, "provider": "HUME_AI"}
    assert named(f"custom/{name}") == {"name": name, "provider": "CUSTOM_VOICE"}


@given(voice=st.uuids().map(str))
def test_an_id_is_told_with_its_library(voice: str) -> None:
    assert named(voice) == {"id": voice, "provider": "HUME_AI"}
    assert named(f"custom/{voice}") == {"id": voice, "provider": "CUSTOM_VOICE"}


@pytest.mark.parametrize(
    "section",
    [
        {"model": "3"},
        {"trailing_silence": 6},
        {"description": "x" * 101},
        {"format": "opus"},
        {"num_generations": 2},
    ],
    ids=lambda section: next(iter(section)),
)
def test_settings_out_of_range_are_refused(section: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HumeOptions.model_validate({"api_key": KEY, **section})
