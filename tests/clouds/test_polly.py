"""Amazon Polly, spoken to over real connections; signatures are checked as AWS checks them."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import anyio
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from typing_extensions import override

from tests.clouds.contract import KEY, CloudContract, audio, spoken
from ttskit.adapters.base import EMULATED, NATIVE, AudioSource, Utterance
from ttskit.adapters.polly import PollyAdapter
from ttskit.adapters.polly_options import PollyOptions
from ttskit.adapters.polly_words import prepared
from ttskit.codecs.decode import decode
from ttskit.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidParameterError,
    PermissionDeniedError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TextTooLongError,
    TTSError,
    UnsupportedFeatureError,
    UnsupportedFormatError,
    UnsupportedLanguageError,
    VoiceNotFoundError,
)
from ttskit.request import Timestamps
from ttskit.resources.host import Resources
from ttskit.testing import FaultyServer, Framing, Received, Reply
from ttskit.testing.modem import Modem
from ttskit.voices import Gender, Voice

pytestmark = pytest.mark.engine("boto3")

ACCESS_KEY = "AKIDEXAMPLE"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE-token/+="  # noqa: S105 - made up
REGION = "eu-central-1"
SHORT = Utterance("One two.")
REQUEST_ID = "c3d4e5f6-0000-4b6e-9d57-7f6a2c1f9e10"
TYPES = {
    "pcm": "audio/pcm",
    "mp3": "audio/mpeg",
    "ogg_vorbis": "audio/ogg",
    "ogg_opus": "audio/ogg",
    "mulaw": "audio/mulaw",
    "alaw": "audio/alaw",
    "json": "application/x-json-stream",
}
FORMS = {"ogg_vorbis": "ogg", "ogg_opus": "opus"}
WIDE = {"8000", "16000", "22050", "24000", "44100", "48000"}
RATES = {
    "pcm": {"8000", "16000"},
    "mp3": WIDE,
    "ogg_vorbis": WIDE,
    "ogg_opus": {"48000"},
    "mulaw": {"8000"},
    "alaw": {"8000"},
    "json": set(),
}
MEMBERS = {
    "Text", "TextType", "VoiceId", "OutputFormat", "SampleRate", "Engine", "LanguageCode",
    "LexiconNames", "SpeechMarkTypes",
}  # fmt: skip


def entry(ident: str, gender: str, codes: list[str], engines: list[str]) -> dict[str, object]:
    more = {"AdditionalLanguageCodes": codes[1:]} if codes[1:] else {}
    return {
        "Id": ident,
        "Name": ident,
        "Gender": gender,
        "LanguageCode": codes[0],
        "LanguageName": codes[0].upper(),
        "SupportedEngines": engines,
        **more,
    }


VOICES = {
    "Zeina": entry("Zeina", "Female", ["arb"], ["standard"]),
    "Aditi": entry("Aditi", "Female", ["en-IN", "hi-IN"], ["standard"]),
    "Joanna": entry("Joanna", "Female", ["en-US"], ["generative", "neural", "standard"]),
    "Ruth": entry("Ruth", "Female", ["en-US"], ["long-form", "generative"]),
    "Geraint": entry("Geraint", "Male", ["en-GB-WLS"], ["standard"]),
    "Zhiyu": entry("Zhiyu", "Female", ["cmn-CN"], ["neural", "standard"]),
}
PAGES = {"": "Ruth", "to/ken+2=": ""}
"""Tokens of the pages of the list, and the voice each but the last ends before."""


def failure(status: int, name: str, message: str = "no") -> Reply:
    headers = (
        ("x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/com.amazonaws.polly/"),
        ("x-amzn-requestid", REQUEST_ID),
    )
    body = json.dumps({"message": message}).encode()
    return Reply(status, headers, body, content_type="application/json")


def digest(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def is_signed(received: Received, secret: str = KEY) -> bool:
    """Whether the signature is the one of AWS Signature Version 4.

    Source: AWS documentation, "Create a signed AWS API request".
    """
    parts = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})",
        received.headers.get("authorization", ""),
    )
    if parts is None:
        return False
    key_id, *scope = parts[1].split("/")
    target = urlsplit(received.target)
    names = parts[2].split(";")
    canonical = [
        received.method,
        target.path,
        "&".join(sorted(target.query.split("&"))),
        *(f"{name}:{received.headers[name]}" for name in names),
        "",
        parts[2],
        hashlib.sha256(received.body).hexdigest(),
    ]
    hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", received.headers["x-amz-date"], "/".join(scope), hashed])
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = digest(key, part)
    is_whole = {"host", "x-amz-date"} <= {*names} and scope[1:] == [
        REGION,
        "polly",
        "aws4_request",
    ]
    return key_id == ACCESS_KEY and is_whole and digest(key, text).hex() == parts[3]


def described(received: Received) -> bytes | Reply:
    """Answer DescribeVoices, page by page."""
    if received.method != "GET" or not is_signed(received):
        return failure(403, "InvalidSignatureException")
    query = {name: one for name, (one,) in parse_qs(urlsplit(received.target).query).items()}
    if query.keys() - {"Engine", "NextToken"}:
        return failure(400, "ValidationException")
    engine, token = query.get("Engine"), query.get("NextToken", "")
    names = list(VOICES)
    until = PAGES[token]
    page = names[: names.index(until)] if until else names[names.index("Ruth") :]
    listed = [
        VOICES[one]
        for one in page
        if engine is None or engine in VOICES[one]["SupportedEngines"]  # type: ignore[operator] # a list
    ]
    following = {"NextToken": "to/ken+2="} if until else {}
    return json.dumps({"Voices": listed, **following}).encode()


def complaint(asked: Mapping[str, object]) -> Reply | None:
    """Return how Polly refuses a request; None where it does not."""
    voice = VOICES.get(str(asked.get("VoiceId")))
    if asked.keys() - MEMBERS or not isinstance(asked.get("Text"), str):
        return failure(400, "ValidationException")
    if voice is None:
        told = (
            "1 validation error detected: Value 'x' at 'voiceId' failed to satisfy constraint: "
            "Member must satisfy enum value set: [Joanna]"
        )
        return failure(400, "ValidationException", told)
    form = str(asked["OutputFormat"])
    if form not in TYPES or asked.get("SampleRate", next(iter(RATES[form]), None)) not in {
        None,
        *RATES[form],
    }:
        return failure(400, "InvalidSampleRateException")
    if asked.get("Engine", "standard") not in voice["SupportedEngines"]:  # type: ignore[operator] # a list
        return failure(400, "EngineNotSupportedException")
    if "SpeechMarkTypes" in asked and form != "json":
        return failure(400, "MarksNotSupportedForFormatException")
    return None


def speech(received: Received) -> bytes | Reply:
    """Answer SynthesizeSpeech."""
    if received.method != "POST" or not is_signed(received):
        return failure(403, "InvalidSignatureException")
    asked = json.loads(received.body)
    if refused := complaint(asked):
        return refused
    try:
        text, speed, pause = read(asked)
    except (ET.ParseError, ValueError):
        return failure(400, "InvalidSsmlException")
    voice, form = asked["VoiceId"], asked["OutputFormat"]
    headers = (("x-amzn-RequestCharacters", str(len(text))), ("x-amzn-requestid", REQUEST_ID))
    if form == "json":
        body = "".join(json.dumps(mark) + "\n" for mark in marks(asked["Text"], text, voice, speed))
        return Reply(headers=headers, body=body.encode(), content_type=TYPES[form])
    rate = int(
        asked.get("SampleRate", {"pcm": 16_000, "mulaw": 8_000, "alaw": 8_000}.get(form, 24_000))
    )
    samples = np.concatenate(
        [spoken(text, voice, rate, speed=speed), np.zeros(int(pause * rate), np.float32)]
    )
    return Reply(
        headers=headers,
        body=audio(samples, FORMS.get(form, form), rate),
        content_type=TYPES[form],
        framing=Framing.CHUNKED,
    )


def read(asked: Mapping[str, str]) -> tuple[str, float, float]:
    """Return what is to be said, how fast, and for how long nothing is said."""
    if asked.get("TextType", "text") == "text":
        return asked["Text"], 1.0, 0.0
    root = ET.fromstring(asked["Text"])  # noqa: S314 - our own client's
    if root.tag != "speak" or root.attrib:
        raise ValueError(root.tag)
    rates = [one.get("rate", "100%") for one in root.iter("prosody")]
    pitched = any(one.get("pitch") for one in root.iter("prosody"))
    if pitched and asked.get("Engine", "standard") != "standard":
        raise ValueError("pitch")
    speed = int(next(iter(rates), "100%").removesuffix("%")) / 100
    if not 0.2 <= speed <= 2:
        raise ValueError(speed)
    pauses = [int((one.get("time") or "0ms").removesuffix("ms")) for one in root.iter("break")]
    return "".join(root.itertext()), speed, sum(pauses) / 1000


def marks(sent: str, text: str, voice: str, speed: float) -> Iterator[dict[str, object]]:
    """Yield the speech marks of the modem voice: words by their bytes in what was sent."""
    tones = [one for one in Modem(16_000, speed=speed).speak(text, voice) if one.span]
    tokens = [one for one in re.finditer(r"<[^>]*>|[^\s<.,!?]+", sent) if one[0][0] != "<"]
    end = 0.0
    for tone, token in zip(tones, tokens, strict=True):
        time = round(1000 * tone.start)
        start, stop = (len(sent[:at].encode()) for at in token.span())
        yield {"time": time, "type": "word", "start": start, "end": stop, "value": token[0]}
        yield {"time": time, "type": "viseme", "value": "p"}
        end = tone.end
    yield {"time": int(1000 * end), "type": "viseme", "value": "sil"}


def well() -> FaultyServer:
    server = FaultyServer(b"{}", content_type="application/json", faults_on="/v1/speech")
    server.serve("/v1/voices", described, content_type="application/json")
    return server.serve("/v1/speech", speech, content_type="audio/pcm")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with well() as server:
        yield server


def made(server: FaultyServer, **options: object) -> PollyAdapter:
    usual = {"access_key_id": ACCESS_KEY, "secret_access_key": KEY, "region": REGION}
    return PollyAdapter(PollyOptions.model_validate({"base_url": server.url, **usual, **options}))


class TestPolly(CloudContract):
    @pytest.fixture
    @override
    def server(self) -> Iterator[FaultyServer]:
        with well() as server:
            yield server

    @pytest.fixture
    @override
    def adapter(self, server: FaultyServer) -> PollyAdapter:
        return made(server)


async def said(adapter: PollyAdapter, *utterances: Utterance) -> tuple[AudioSource, bytes]:
    """Return the last one's source and bytes."""
    resources = Resources()
    await adapter.open(resources)
    try:
        for utterance in utterances or (SHORT,):
            async with adapter.synthesize(utterance) as source:
                parts = [bytes(chunk) async for chunk in source.chunks]  # type: ignore[call-overload] # bytes all
        return source, b"".join(parts)
    finally:
        await resources.aclose()


async def listed(adapter: PollyAdapter) -> list[Voice]:
    resources = Resources()
    await adapter.open(resources)
    try:
        return await adapter.voices()
    finally:
        await resources.aclose()


def bodies(server: FaultyServer) -> list[dict[str, object]]:
    return [json.loads(one.body) for one in server.requests if one.body]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({}, 16_000),
        ({"sample_rate": 8_000}, 8_000),
        ({"format": "mulaw"}, 8_000),
        ({"format": "alaw"}, 8_000),
        ({"format": "mp3"}, 24_000),
        ({"format": "mp3", "sample_rate": 48_000}, 48_000),
        ({"format": "ogg", "sample_rate": 22_050}, 22_050),
        ({"format": "opus"}, 48_000),
    ],
    ids=str,
)
async def test_every_format_is_the_same_speech(
    server: FaultyServer, options: dict[str, object], rate: int
) -> None:
    source, data = await said(made(server, **options))
    heard = decode(data, source.format, sample_rate=source.sample_rate)
    assert source.format == options.get("format", "pcm")
    assert len(heard.samples) / heard.sample_rate == pytest.approx(
        len(spoken("One two.", "Joanna", rate)) / rate, abs=0.15
    )


@pytest.mark.anyio
async def test_only_what_was_set_is_sent(server: FaultyServer) -> None:
    await said(made(server, model="neural"))
    usual = {"Text": "One two.", "VoiceId": "Joanna", "OutputFormat": "pcm", "Engine": "neural"}
    assert bodies(server) == [usual]
    own = {"lexicons": ["names", "places"]}
    await said(made(server, sample_rate=8_000, lexicons=["x"]), Utterance("One.", options=own))
    last = bodies(server)[-1]
    assert (last["SampleRate"], last["LexiconNames"]) == ("8000", ["names", "places"])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("voice", "engine"),
    [("Joanna", "neural"), ("Zeina", "standard"), ("Ruth", "generative")],
)
async def test_a_voice_speaks_with_an_engine_it_has(
    server: FaultyServer, voice: str, engine: str
) -> None:
    await said(made(server), Utterance("One.", voice=voice))
    assert bodies(server)[-1]["Engine"] == engine


@pytest.mark.anyio
async def test_engines_are_asked_for_once(server: FaultyServer) -> None:
    await said(made(server), SHORT, SHORT, SHORT)
    assert [one.method for one in server.requests] == ["GET", "GET", "POST", "POST", "POST"]


@pytest.mark.anyio
async def test_a_model_of_the_request_goes_before_all(server: FaultyServer) -> None:
    await said(made(server, model="neural"), Utterance("One.", model="generative"))
    assert bodies(server)[-1]["Engine"] == "generative"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("voice", "language", "code"),
    [
        ("Aditi", "hi", "hi-IN"),
        ("Aditi", "hi-IN", "hi-IN"),
        ("Aditi", "en", None),
        ("Aditi", None, None),
        ("Aditi", "fr", None),
        ("Zhiyu", "zh", None),
    ],
)
async def test_a_bilingual_voice_is_told_its_second_language(
    server: FaultyServer, voice: str, language: str | None, code: str | None
) -> None:
    adapter = made(server, model="standard")
    await said(adapter, Utterance("One.", voice=voice, language=language))
    assert bodies(server)[-1].get("LanguageCode") == code


@pytest.mark.anyio
async def test_voices_of_all_pages_come_with_what_polly_tells(server: FaultyServer) -> None:
    voices = {voice.id: voice for voice in await listed(made(server, voice="Geraint"))}
    assert list(voices) == ["Geraint", "Zeina", "Aditi", "Joanna", "Ruth", "Zhiyu"]
    assert {voice.languages for voice in voices.values()} == {
        ("en-GB",), ("ar",), ("en-IN", "hi-IN"), ("en-US",), ("zh-CN",),
    }  # fmt: skip
    assert (voices["Geraint"].gender, voices["Ruth"].gender) == (Gender.MALE, Gender.FEMALE)
    assert voices["Ruth"].description == "EN-US (long-form, generative)"


@pytest.mark.anyio
async def test_an_engine_has_only_its_own_voices(server: FaultyServer) -> None:
    assert [voice.id for voice in await listed(made(server, model="neural"))] == ["Joanna", "Zhiyu"]


@pytest.mark.anyio
async def test_a_list_that_never_ends_ends() -> None:
    endless = json.dumps({"Voices": [7, {"Id": 3}, {"Id": "Amy"}], "NextToken": "again"}).encode()
    with FaultyServer(endless, content_type="application/json") as server:
        voices = await listed(made(server))
    assert [voice.id for voice in voices] == ["Joanna", "Amy"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("Åse fears, naïve café 🦊 Müller!", 1.0),
        ("Åse said R&B > naïve 🦊 Müller", 1.5),
        ("<speak>Åse <sub alias='x'>naïve</sub> 🦊 fox</speak>", 1.0),
        ('<speak version="1.1" xml:lang="sv">Åse R&amp;B 🦊 fox</speak>', 1.25),
    ],
)
async def test_words_are_timed_where_they_stand_in_the_text(
    server: FaultyServer, text: str, speed: float
) -> None:
    is_ssml = text.startswith("<speak")
    utterance = Utterance(text, is_ssml=is_ssml, speed=speed, timestamps=Timestamps.WORD)
    source, data = await said(made(server), utterance)
    timed = [text[slice(*word.span)] for word in source.words]
    plain = re.sub(r"<[^ ][^>]*>", " ", text) if is_ssml else text
    assert timed == [word.strip(",!") for word in plain.split()]
    times = [time for word in source.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[-1] <= len(data) / 2 / 16_000


@pytest.mark.anyio
async def test_times_are_paid_for_as_speech_is(server: FaultyServer) -> None:
    source, _ = await said(made(server))
    timed, _ = await said(made(server), Utterance("One two.", timestamps=Timestamps.WORD))
    assert source.cost == pytest.approx(8 * 16 / 1_000_000)
    assert timed.cost == pytest.approx(2 * 8 * 16 / 1_000_000)
    assert source.request_id == REQUEST_ID


@pytest.mark.anyio
@pytest.mark.parametrize("engine", ["generative", "long-form"])
async def test_an_engine_that_varies_is_not_timed(server: FaultyServer, engine: str) -> None:
    adapter = made(server, voice="Ruth", model=engine)
    source, _ = await said(adapter, Utterance("One two.", timestamps=Timestamps.WORD))
    assert (source.words, len(bodies(server))) == ([], 1)
    assert adapter.capabilities.word_timestamps is EMULATED


def test_capabilities_are_those_of_the_engine(server: FaultyServer) -> None:
    able = {engine: made(server, model=engine).capabilities for engine in (
        "standard", "neural", "long-form", "generative"
    )}  # fmt: skip
    assert [one.pitch is NATIVE for one in able.values()] == [True, False, False, False]
    assert ["emphasis" in one.ssml for one in able.values()] == [True, False, False, False]
    assert ["phoneme" in one.ssml for one in able.values()] == [True, True, True, False]
    assert made(server).capabilities == PollyAdapter.capabilities


@pytest.mark.anyio
async def test_pitch_is_in_percent(server: FaultyServer) -> None:
    await said(made(server, model="standard"), Utterance("R&B <3", pitch=7.0, speed=0.5))
    assert bodies(server)[-1]["Text"] == (
        '<speak><prosody rate="50%" pitch="+49.8%">R&amp;B &lt;3</prosody></speak>'
    )


@given(
    words=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1)),
    speed=st.sampled_from([1.0, 1.5]),
)
def test_every_byte_of_a_mark_leads_back_to_its_character(words: list[str], speed: float) -> None:
    text = " ".join(["go", *words])
    out = prepared(Utterance(text, speed=speed))
    legal = "".join(ET.fromstring(out.text).itertext()) if out.is_ssml else text  # noqa: S314
    at, told, expected = 0, [], []
    body = out.text.partition('%">')[2].removesuffix("</prosody></speak>") if out.is_ssml else text
    offset = len(out.text) - len(body) - (len("</prosody></speak>") if out.is_ssml else 0)
    for number, word in enumerate(body.split(" ")):
        start = len(out.text[: offset + at].encode())
        end = start + len(word.encode())
        at += len(word) + 1
        if word:
            told.append({"time": number, "type": "word", "start": start, "end": end})
            expected.append(legal.split(" ")[number])
    spans = [word.span for word in out.words(told)]
    assert all(start < end for start, end in spans)
    kept = set(legal)
    heard = ["".join(one for one in text[slice(*span)] if one in kept) for span in spans]
    assert heard == expected


@example(marks=[{"type": "word", "start": 7, "end": 9}, {"type": "word", "start": 9, "end": 11}])
@given(
    marks=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "time": st.integers(-9, 10**12) | st.floats() | st.text(),
                "type": st.sampled_from(["word", "viseme", "sentence", 3]),
                "start": st.integers(-2, 12) | st.none(),
                "end": st.integers(-2, 12) | st.text(),
                "value": st.sampled_from(["sil", "p", None]),
            },
        )
    )
)
def test_marks_that_make_no_sense_do_no_harm(marks: list[dict[str, object]]) -> None:
    words = prepared(Utterance("Åse, 🦊!")).words(marks)
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(0 <= start < end <= 7 for start, end in (word.span for word in words))


def test_a_word_ends_before_a_pause() -> None:
    marks = [
        {"time": 6, "type": "word", "start": 0, "end": 3, "value": "One"},
        {"time": 6, "type": "viseme", "value": "u"},
        {"time": 400, "type": "viseme", "value": "sil"},
        {"time": 900, "type": "word", "start": 5, "end": 8, "value": "two"},
        {"time": 1200, "type": "word", "start": 9, "end": 14, "value": "three"},
        {"time": 1500, "type": "viseme", "value": "i"},
    ]
    words = prepared(Utterance("One. two three")).words(marks)
    assert [(word.start, word.end) for word in words] == [(0.006, 0.4), (0.9, 1.2), (1.2, 1.5)]


@pytest.mark.anyio
@pytest.mark.parametrize("place", ["header", "body"])
@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "TextLengthExceededException", TextTooLongError),
        (400, "InvalidSsmlException", UnsupportedFeatureError),
        (400, "InvalidSampleRateException", UnsupportedFormatError),
        (400, "EngineNotSupportedException", UnsupportedFeatureError),
        (400, "LanguageNotSupportedException", UnsupportedLanguageError),
        (400, "MarksNotSupportedForFormatException", UnsupportedFeatureError),
        (400, "SsmlMarksNotSupportedForTextTypeException", UnsupportedFeatureError),
        (404, "LexiconNotFoundException", InvalidParameterError),
        (400, "ValidationException", InvalidParameterError),
        (400, "ThrottlingException", RateLimitedError),
        (429, "TooManyRequestsException", RateLimitedError),
        (402, "ServiceQuotaExceededException", QuotaExceededError),
        (500, "ServiceFailureException", ProviderUnavailableError),
        (503, "ServiceUnavailable", ProviderUnavailableError),
        (403, "UnrecognizedClientException", AuthenticationError),
        (403, "InvalidSignatureException", AuthenticationError),
        (400, "ExpiredTokenException", AuthenticationError),
        (403, "AccessDeniedException", PermissionDeniedError),
    ],
)
async def test_a_refusal_has_its_name(
    server: FaultyServer, place: str, status: int, name: str, kind: type[TTSError]
) -> None:
    refused = failure(status, name)
    if place == "body":
        body = json.dumps({"__type": f"com.amazonaws.polly#{name}", "message": "no"}).encode()
        refused = Reply(
            status, (("x-amzn-requestid", REQUEST_ID),), body, content_type="application/json"
        )
    server.reply(refused)
    with pytest.raises(TTSError) as caught:
        await said(made(server))
    assert type(caught.value) is kind
    assert caught.value.request_id == REQUEST_ID


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("member", "kind"),
    [
        ("voiceId", VoiceNotFoundError),
        ("engine", UnsupportedFeatureError),
        ("languageCode", UnsupportedLanguageError),
        ("lexiconNames", InvalidParameterError),
    ],
)
async def test_a_wrong_value_is_refused_for_what_it_is_of(
    server: FaultyServer, member: str, kind: type[TTSError]
) -> None:
    told = f"1 validation error detected: Value 'x' at '{member}' failed to satisfy constraint: …"
    server.reply(failure(400, "ValidationException", told))
    with pytest.raises(kind):
        await said(made(server))


@pytest.mark.anyio
@pytest.mark.parametrize("what", ["one of the used SSML features", "the selected engine: neural"])
async def test_what_a_voice_does_not_support_another_provider_may(
    server: FaultyServer, what: str
) -> None:
    told = f"This voice does not support {what}"
    server.reply(failure(400, "ValidationException", told))
    with pytest.raises(UnsupportedFeatureError) as caught:
        await said(made(server))
    assert caught.value.failover


@pytest.mark.anyio
async def test_a_broken_list_of_times_is_an_error(server: FaultyServer) -> None:
    server.reset(at=20, times=1)
    with pytest.raises(TTSError) as caught:
        await said(made(server), Utterance("One two.", timestamps=Timestamps.WORD))
    assert caught.value.retryable


@pytest.mark.anyio
async def test_a_token_is_sent_and_signed_and_never_logged(
    server: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await said(made(server, session_token=TOKEN))
    assert {one.headers["x-amz-security-token"] for one in server.requests} == {TOKEN}
    assert all("x-amz-security-token" in one.headers["authorization"] for one in server.requests)
    assert TOKEN not in caplog.text
    assert KEY not in caplog.text


@pytest.mark.anyio
async def test_a_wrong_secret_is_an_authentication_error(server: FaultyServer) -> None:
    with pytest.raises(AuthenticationError) as caught:
        await said(made(server, secret_access_key=TOKEN, model="neural"))
    assert (caught.value.provider, caught.value.request_id) == ("polly", REQUEST_ID)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without AWS; its files are those in the folder returned."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "REGION",
                 "DEFAULT_REGION", "DEFAULT_PROFILE"):  # fmt: skip
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def keyless(server: FaultyServer, **options: object) -> PollyAdapter:
    return PollyAdapter(PollyOptions.model_validate({"base_url": server.url, **options}))


@pytest.mark.anyio
async def test_credentials_and_region_are_found_in_a_profile(
    server: FaultyServer, bare: Path
) -> None:
    keys = f"aws_access_key_id={ACCESS_KEY}\naws_secret_access_key={KEY}\n"
    (bare / "credentials").write_text(f"[speech]\n{keys}")
    (bare / "config").write_text(f"[profile speech]\nregion={REGION}\n")
    _, data = await said(keyless(server, profile="speech"))
    assert data


@pytest.mark.anyio
async def test_credentials_and_region_are_found_in_the_environment(
    server: FaultyServer, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del bare
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    _, data = await said(keyless(server))
    assert data
    assert server.requests[-1].headers["x-amz-security-token"] == TOKEN


@pytest.mark.anyio
async def test_credentials_that_end_are_fetched_anew_off_the_loop(
    server: FaultyServer, bare: Path
) -> None:
    told = {
        "Version": 1,
        "AccessKeyId": ACCESS_KEY,
        "SecretAccessKey": KEY,
        "SessionToken": TOKEN,
        "Expiration": "2019-01-01T00:00:00Z",
    }
    (bare / "told").write_text(json.dumps(told))
    (bare / "config").write_text(
        f"[default]\nregion={REGION}\ncredential_process=cat {bare / 'told'}\n"
    )
    with pytest.raises(AuthenticationError, match="cannot be had"):  # they ended long ago
        await said(keyless(server))
    (bare / "told").write_text(json.dumps(told | {"Expiration": "2999-01-01T00:00:00Z"}))
    _, data = await said(keyless(server))
    assert data


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"region": REGION}, AuthenticationError),
        ({"region": REGION, "profile": "nobody"}, AuthenticationError),
        ({"access_key_id": ACCESS_KEY, "secret_access_key": KEY}, ConfigurationError),
    ],
    ids=["no keys", "no such profile", "no region"],
)
async def test_what_is_missing_is_told_at_once(
    server: FaultyServer, bare: Path, options: dict[str, object], kind: type[TTSError]
) -> None:
    del bare
    with anyio.fail_after(20), pytest.raises(kind) as caught:
        await said(keyless(server, **options))
    assert caught.value.provider == "polly"
    assert not server.requests


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ({"region": "eu-central-1"}, "polly.eu-central-1.amazonaws.com"),
        ({"region": "cn-north-1"}, "polly.cn-north-1.amazonaws.com.cn"),
        ({"base_url": "https://polly-fips.us-east-1.amazonaws.com"},
         "polly-fips.us-east-1.amazonaws.com"),
    ],
)  # fmt: skip
def test_each_region_has_its_own_address(options: dict[str, object], host: str) -> None:
    assert PollyOptions.model_validate(options).address.origin.host == host


@pytest.mark.parametrize(
    "options",
    [
        {"access_key_id": ACCESS_KEY},
        {"secret_access_key": KEY},
        {"session_token": TOKEN},
        {"access_key_id": ACCESS_KEY, "secret_access_key": KEY, "profile": "x"},
        {"sample_rate": 24_000},
        {"format": "mulaw", "sample_rate": 16_000},
        {"format": "opus", "sample_rate": 24_000},
        {"format": "alaw", "sample_rate": 16_000},
        {"model": "aura"},
        {"region": "evil.example/"},
        {"lexicons": ["one", "two", "three", "four", "five", "six"]},
        {"base_url": "http://polly.us-east-1.amazonaws.com"},
    ],
    ids=str,
)
def test_settings_that_polly_would_refuse_are_refused_here(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PollyOptions.model_validate(options)
