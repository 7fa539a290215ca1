"""Google Cloud Text-to-Speech, spoken to over real connections."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from html import unescape
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typing_extensions import override

from tests.clouds.contract import KEY, CloudContract, audio, spoken
from tests.clouds.opening import opened
from tests.clouds.telephony import telephony_wav
from ttskit.adapters.base import EMULATED, NATIVE, UNSUPPORTED, AudioSource, Utterance
from ttskit.adapters.google import MAX_BYTES, GoogleAdapter
from ttskit.adapters.google_marks import marked, timed
from ttskit.adapters.google_options import GoogleOptions
from ttskit.codecs.decode import decode
from ttskit.codecs.resample import resample
from ttskit.config import load_settings
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    InvalidResponseError,
    PermissionDeniedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    TextTooLongError,
    TTSError,
    UnsupportedFeatureError,
    VoiceNotFoundError,
)
from ttskit.registry import Registry
from ttskit.request import Timestamps
from ttskit.testing import FaultyServer, Received, Reply
from ttskit.testing.markup import read_markup
from ttskit.text.passage import Run
from ttskit.text.spans import Offsets
from ttskit.text.ssml.parse import parse
from ttskit.text.ssml.render import render
from ttskit.text.style import Style
from ttskit.text.words import words

RATE = 24_000
VOICES = [
    {"languageCodes": ["de-DE"], "name": "de-DE-Wavenet-B", "ssmlGender": "MALE"},
    {"languageCodes": ["en-US"], "name": "en-US-Chirp3-HD-Kore", "ssmlGender": "FEMALE"},
    {"languageCodes": ["en-US"], "name": "en-US-Neural2-F", "ssmlGender": "FEMALE"},
    {"languageCodes": ["cmn-CN"], "name": "cmn-CN-Standard-A", "ssmlGender": "FEMALE"},
]
MARK = re.compile(r'<mark name="([^"]*)"/>')
ENCODED = {"LINEAR16": "wav", "MP3": "mp3", "OGG_OPUS": "opus", "M4A": "m4a"}


def refusal(
    status: int, code: str, message: str = "no", details: list[dict[str, object]] | None = None
) -> Reply:
    """Answer as Google's front end refuses."""
    error = {"code": status, "message": message, "status": code, "details": details or []}
    return Reply(
        status, body=json.dumps({"error": error}).encode(), content_type="application/json"
    )


def info(reason: str) -> list[dict[str, object]]:
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    return [{"@type": kind, "reason": reason, "domain": "googleapis.com"}]


def synthesized(received: Received) -> Reply:
    """Answer ``text:synthesize`` as the service does."""
    if received.headers.get("x-goog-api-key") != KEY:
        return refusal(400, "INVALID_ARGUMENT", "API key not valid.", info("API_KEY_INVALID"))
    asked = json.loads(received.body)
    (kind, said), *more = [pair for pair in asked["input"].items() if pair[0] in ("text", "ssml")]
    if more or not asked["voice"].get("languageCode"):
        return refusal(400, "INVALID_ARGUMENT")
    if len(said.encode()) > MAX_BYTES:
        told = f"Either `input.text` or `input.ssml` is longer than the limit of {MAX_BYTES} bytes."
        return refusal(400, "INVALID_ARGUMENT", told)
    name = asked["voice"].get("name", "en-US-Neural2-F")
    if name not in [voice["name"] for voice in VOICES]:
        told = f"Voice '{name}' does not exist. Is it misspelled?"
        return refusal(400, "INVALID_ARGUMENT", told)
    return answer(asked, kind, said, name)


def answer(asked: dict[str, dict[str, object]], kind: str, said: str, name: str) -> Reply:
    settings = asked["audioConfig"]
    speed = float(str(settings.get("speakingRate", 1.0)))
    parts, times = [np.zeros(0, np.float32)], []
    for text, mark in pieces(said) if kind == "ssml" else [(said, None)]:
        if kind == "ssml":
            for run in read_markup(text):
                parts.append(np.zeros(round(run.pause_s * RATE), np.float32))
                if run.text:
                    parts.append(spoken(run.text, name, RATE, speed=speed))
        else:
            parts.append(spoken(text, name, RATE, speed=speed))
        if mark is not None:
            times.append({"markName": mark, "timeSeconds": sum(map(len, parts)) / RATE})
    samples = np.concatenate(parts) * 10 ** (float(str(settings.get("volumeGainDb", 0))) / 20)
    rate = int(str(settings.get("sampleRateHertz", RATE)))
    if rate != RATE:
        samples = resample(samples, source_rate=RATE, target_rate=rate)
    data = audio(samples, ENCODED.get(str(settings["audioEncoding"]), "pcm"), rate)
    if settings["audioEncoding"] in ("MULAW", "ALAW"):  # within a WAV, as the service sends it
        data = telephony_wav(samples, str(settings["audioEncoding"]).lower(), rate)
    document: dict[str, object] = {"audioContent": base64.b64encode(data).decode()}
    if "enableTimePointing" in asked:
        document["timepoints"] = times
    return Reply(body=json.dumps(document).encode(), content_type="application/json")


def pieces(document: str) -> list[tuple[str, str | None]]:
    """Return what stands before each mark, with its name, and what is after the last."""
    cut = MARK.split(document)
    return [*zip(cut[::2], cut[1::2], strict=False), (cut[-1], None)]


def voices(received: Received) -> bytes:
    language = parse_qs(urlsplit(received.target).query).get("languageCode", [""])[0]
    found = [one for one in VOICES if language in ("", *one["languageCodes"])]
    return json.dumps({"voices": found}).encode()


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    yield from serving()


def serving() -> Iterator[FaultyServer]:
    json_type = "application/json"
    with (
        FaultyServer(b"not found", content_type="text/plain")
        .serve("/v1/text:synthesize", synthesized, content_type=json_type)
        .serve("/v1beta1/text:synthesize", synthesized, content_type=json_type)
        .serve("/v1/voices", voices, content_type=json_type) as server
    ):
        yield server


class TestGoogle(CloudContract):
    speech_path = "/v1"

    @pytest.fixture
    @override
    def server(self) -> Iterator[FaultyServer]:
        yield from serving()

    @pytest.fixture
    @override
    def adapter(self, server: FaultyServer) -> GoogleAdapter:
        return GoogleAdapter(GoogleOptions(base_url=server.url, api_key=KEY))


async def said(
    server: FaultyServer, utterance: Utterance, **options: object
) -> tuple[AudioSource, bytes]:
    """Return an utterance's source and its audio."""
    async with speaker(server, **options) as adapter, adapter.synthesize(utterance) as source:
        return source, b"".join([chunk async for chunk in source.chunks])  # type: ignore[misc]


@asynccontextmanager
async def speaker(server: FaultyServer, **options: object) -> AsyncIterator[GoogleAdapter]:
    given: dict[str, object] = {"base_url": server.url, "api_key": KEY, **options}
    adapter = GoogleAdapter(GoogleOptions.model_validate(given))
    async with opened(adapter):
        yield adapter


def body(server: FaultyServer) -> dict[str, dict[str, object]]:
    asked: dict[str, dict[str, object]] = json.loads(server.requests[-1].body)
    return asked


@pytest.mark.anyio
async def test_only_what_was_set_is_sent(server: FaultyServer) -> None:
    await said(server, Utterance("One."))
    assert server.requests[-1].target == "/v1/text:synthesize"
    assert body(server) == {
        "input": {"text": "One."},
        "voice": {"languageCode": "en-US", "name": "en-US-Neural2-F"},
        "audioConfig": {"audioEncoding": "PCM", "sampleRateHertz": RATE},
    }


@pytest.mark.anyio
async def test_every_setting_has_its_place(server: FaultyServer) -> None:
    utterance = Utterance(
        "One.",
        voice="de-DE-Wavenet-B",
        speed=1.5,
        pitch=-3.0,
        volume=2.0,
        options={"effects_profile": ["handset-class-device"]},
    )
    await said(
        server,
        utterance,
        sample_rate=16_000,
        normalise_text=True,
        low_latency_journey=False,
        safety={"harassment": "only_high"},
        pronunciations=[{"phrase": "one", "pronunciation": "wʌn"}],
    )
    assert body(server) == {
        "input": {
            "text": "One.",
            "customPronunciations": {
                "pronunciations": [
                    {
                        "phrase": "one",
                        "phoneticEncoding": "PHONETIC_ENCODING_IPA",
                        "pronunciation": "wʌn",
                    }
                ]
            },
        },
        "voice": {"languageCode": "de-DE", "name": "de-DE-Wavenet-B"},
        "audioConfig": {
            "audioEncoding": "PCM",
            "sampleRateHertz": 16_000,
            "speakingRate": 1.5,
            "pitch": -3.0,
            "volumeGainDb": 2.0,
            "effectsProfileId": ["handset-class-device"],
        },
        "advancedVoiceOptions": {
            "enableTextnorm": True,
            "lowLatencyJourneySynthesis": False,
            "safetySettings": {
                "settings": [
                    {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}
                ]
            },
        },
    }


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "settings", "expected"),
    [
        ({}, {"language": "en"}, {"languageCode": "en-US", "name": "en-US-Neural2-F"}),
        ({}, {"language": "de-DE"}, {"languageCode": "de-DE"}),
        (
            {"gender": "male"},
            {"language": "de-DE"},
            {"languageCode": "de-DE", "ssmlGender": "MALE"},
        ),
        ({"gender": "male"}, {}, {"languageCode": "en-US", "name": "en-US-Neural2-F"}),
        (
            {"model": "gemini-2.5-flash-tts", "voice": "Kore"},
            {"language": "sv-SE"},
            {"languageCode": "sv-SE", "name": "Kore", "modelName": "gemini-2.5-flash-tts"},
        ),
        (
            {"voice": "me", "cloned_voices": {"me": "k"}},
            {},
            {"languageCode": "en-US", "voiceClone": {"voiceCloningKey": "k"}},
        ),
        (
            {"voice": "us", "custom_voices": {"us": "projects/p/locations/l/models/m"}},
            {"language": "fr-FR"},
            {
                "languageCode": "fr-FR",
                "customVoice": {"model": "projects/p/locations/l/models/m"},
            },
        ),
    ],
    ids=["wide language", "other language", "gender", "named", "gemini", "cloned", "custom"],
)
async def test_who_speaks(
    server: FaultyServer,
    options: dict[str, object],
    settings: dict[str, str],
    expected: dict[str, object],
) -> None:
    server.serve("/v1/text:synthesize", b'{"audioContent": "AAAA"}', content_type="text/json")
    await said(server, Utterance("One.", language=settings.get("language")), **options)
    assert body(server)["voice"] == expected


@pytest.mark.anyio
async def test_a_prompt_and_markup_are_for_one_request(server: FaultyServer) -> None:
    server.serve("/v1/text:synthesize", b'{"audioContent": "AAAA"}', content_type="text/json")
    await said(server, Utterance("One [pause] two.", options={"markup": True, "prompt": "Low."}))
    assert body(server)["input"] == {"markup": "One [pause] two.", "prompt": "Low."}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "form",
    [
        "pcm",
        "wav",
        "mp3",
        "opus",
        "mulaw",
        "alaw",
        pytest.param("m4a", marks=pytest.mark.engine("av")),
    ],
)
async def test_every_format_is_what_it_is_said_to_be(server: FaultyServer, form: str) -> None:
    source, data = await said(server, Utterance("One two."), format=form)
    heard = decode(data, source.format, sample_rate=source.sample_rate)
    expected = len(spoken("One two.", "en-US-Neural2-F", RATE)) / RATE
    assert len(heard.samples) / heard.sample_rate == pytest.approx(expected, abs=0.2)


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["pcm", "wav"])
async def test_words_are_timed_by_marks(server: FaultyServer, form: str) -> None:
    text = "R&B < C++, isn't it?"
    source, data = await said(server, Utterance(text, timestamps=Timestamps.WORD), format=form)
    assert server.requests[-1].target == "/v1beta1/text:synthesize"
    assert body(server)["enableTimePointing"] == ["SSML_MARK"]
    assert parse(str(body(server)["input"]["ssml"])).text == text
    assert [text[slice(*word.span)] for word in source.words] == ["R&B", "<", "C++", "isn't", "it"]
    whole = decode(data, source.format, sample_rate=source.sample_rate)
    assert source.words[0].start == 0
    assert source.words[-1].end == pytest.approx(len(whole.samples) / RATE, abs=0.2)
    assert all(
        one.end <= two.start for one, two in zip(source.words, source.words[1:], strict=False)
    )


@pytest.mark.anyio
async def test_words_of_ssml_are_timed_too(server: FaultyServer) -> None:
    document = (
        '<speak version="1.1">One &amp; <emphasis level="strong">two</emphasis>'
        '<break time="500ms"/> <say-as interpret-as="date" format="ymd">2025-01-02</say-as>'
        '<sub alias="for example">e.g.</sub> three.</speak>'
    )
    utterance = Utterance(document, is_ssml=True, timestamps=Timestamps.WORD)
    source, _ = await said(server, utterance)
    heard = [document[slice(*word.span)] for word in source.words]
    assert heard == ["One", "&amp;", "two", "2025-01-02", "e.g.", "three"]
    assert source.words[3].start - source.words[2].start > 0.5


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("voice", "text"),
    [("en-US-Chirp3-HD-Kore", "One two."), ("en-US-Neural2-F", "a " * 600)],
    ids=["no marks", "no room for marks"],
)
async def test_what_cannot_be_marked_is_spoken_without_times(
    server: FaultyServer, voice: str, text: str
) -> None:
    source, _ = await said(server, Utterance(text, voice=voice, timestamps=Timestamps.WORD))
    assert body(server)["input"] == {"text": text}
    assert source.words == []


def test_capabilities_are_those_of_the_voice() -> None:
    neural = GoogleAdapter(GoogleOptions(api_key=KEY)).capabilities
    chirp = GoogleAdapter(GoogleOptions(api_key=KEY, voice="en-US-Chirp3-HD-Kore")).capabilities
    gemini = GoogleAdapter(GoogleOptions(api_key=KEY, model="gemini-2.5-pro-tts")).capabilities
    assert (neural.word_timestamps, neural.pitch) == (NATIVE, NATIVE)
    assert "break" in neural.ssml
    for able in (chirp, gemini):
        assert (able.word_timestamps, able.pitch, able.ssml) == (EMULATED, UNSUPPORTED, frozenset())


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refusal(400, "INVALID_ARGUMENT", details=info("API_KEY_INVALID")), AuthenticationError),
        (refusal(400, "INVALID_ARGUMENT"), InvalidParameterError),
        (
            refusal(400, "INVALID_ARGUMENT", "Voice 'x' does not exist. Is it misspelled?"),
            VoiceNotFoundError,
        ),
        (
            refusal(400, "INVALID_ARGUMENT", "This request contains sentences that are too long."),
            TextTooLongError,
        ),
        (refusal(401, "UNAUTHENTICATED"), AuthenticationError),
        (
            refusal(403, "PERMISSION_DENIED", details=info("SERVICE_DISABLED")),
            PermissionDeniedError,
        ),
        (refusal(429, "RESOURCE_EXHAUSTED"), RateLimitedError),
        (refusal(500, "INTERNAL"), ProviderUnavailableError),
        (refusal(501, "UNIMPLEMENTED"), UnsupportedFeatureError),
        (refusal(503, "UNAVAILABLE"), ProviderUnavailableError),
        (refusal(504, "DEADLINE_EXCEEDED"), ProviderTimeoutError),
        (Reply(400, body=b""), InvalidParameterError),
        (Reply(403, body=b'{"error": "odd"}'), PermissionDeniedError),
    ],
    ids=["bad key", "argument", "voice", "sentence", "token", "disabled", "quota", "internal",
         "unimplemented", "unavailable", "deadline", "no body", "odd body"],
)  # fmt: skip
async def test_refusals_have_their_names(
    server: FaultyServer, reply: Reply, kind: type[TTSError]
) -> None:
    server.reply(reply)
    with pytest.raises(kind) as caught:
        await said(server, Utterance("One."))
    assert type(caught.value) is kind


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("17s", 17.0), ("0.250s", 0.25), ("-1s", None), ("soon", None), (7, None)],
)
async def test_the_pause_is_told_in_the_body(
    server: FaultyServer, delay: object, seconds: float | None
) -> None:
    retry: dict[str, object] = {
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": delay,
    }
    details = [*info("RATE_LIMIT_EXCEEDED"), retry]
    server.reply(refusal(429, "RESOURCE_EXHAUSTED", details=details))
    with pytest.raises(RateLimitedError) as caught:
        await said(server, Utterance("One."))
    assert caught.value.retry_after == seconds


@pytest.mark.anyio
@pytest.mark.parametrize(
    "content",
    [b"{}", b'{"audioContent": ""}', b'{"audioContent": "A*"}', b'{"audioContent": 1}', b"[]"],
)
async def test_a_reply_without_audio_is_no_speech(server: FaultyServer, content: bytes) -> None:
    server.reply(Reply(body=content, content_type="application/json"))
    with pytest.raises(InvalidResponseError):
        await said(server, Utterance("One."))


@pytest.mark.anyio
@pytest.mark.parametrize(
    "points",
    [None, 1, [1, "x", {}], [{"markName": "w0", "timeSeconds": "soon"}]],
    ids=["none", "a number", "junk", "no time"],
)
async def test_times_that_cannot_be_read_are_none(server: FaultyServer, points: object) -> None:
    document = {"audioContent": "AAAA", "timepoints": points}
    server.reply(Reply(body=json.dumps(document).encode(), content_type="application/json"))
    source, _ = await said(server, Utterance("One.", timestamps=Timestamps.WORD))
    assert source.words == []


@pytest.mark.anyio
async def test_a_token_takes_the_place_of_the_key(server: FaultyServer) -> None:
    token = {"api_key": None, "access_token": "ya29.t", "quota_project": "p-1"}
    server.reply(refusal(401, "UNAUTHENTICATED"))
    with pytest.raises(AuthenticationError):
        await said(server, Utterance("."), **token)
    sent = server.requests[-1].headers
    assert sent["authorization"] == "Bearer ya29.t"
    assert sent["x-goog-user-project"] == "p-1"
    assert "x-goog-api-key" not in sent


@pytest.mark.parametrize("given", [{}, {"api_key": "a", "access_token": "b"}])
def test_one_credential_is_needed(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="api_key"):
        GoogleOptions.model_validate(given)


def test_a_token_in_the_settings_is_not_joined_by_the_environments_key() -> None:
    section = {"adapter": "google", "access_token": "t"}
    settings = load_settings(
        {"providers": {"cloud": section}}, environ={"GOOGLE_CLOUD_API_KEY": "k"}
    )
    (provider,) = Registry().build(settings)
    assert isinstance(provider.options, GoogleOptions)
    assert provider.options.api_key is None


@pytest.mark.anyio
async def test_voices_tell_language_gender_and_family(server: FaultyServer) -> None:
    async with speaker(server, custom_voices={"us": "m"}) as adapter:
        listed = await adapter.voices()
    assert [voice.id for voice in listed] == [
        "en-US-Neural2-F",
        "us",
        "de-DE-Wavenet-B",
        "en-US-Chirp3-HD-Kore",
        "cmn-CN-Standard-A",
    ]
    assert listed[2].languages == ("de-DE",)
    assert listed[2].gender == "male"
    assert listed[3].description == "Chirp3-HD"


@pytest.mark.anyio
async def test_the_price_is_the_familys(server: FaultyServer) -> None:
    source, _ = await said(server, Utterance("x" * 1_000))
    assert source.cost == pytest.approx(0.016)
    source, _ = await said(server, Utterance("x" * 1_000, voice="en-US-Chirp3-HD-Kore"))
    assert source.cost == pytest.approx(0.030)


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co"]), max_size=60
)


@given(text=TEXTS)
def test_a_marked_text_reads_as_it_did(text: str) -> None:
    document, spans = marked(text, is_ssml=False)
    assert parse(document).text == text
    assert spans == words(text)
    assert [name for _, name in pieces(document)] == [
        *(f"w{at}" for at in range(len(spans))),
        "end",
        None,
    ]
    before = ""
    for (piece, _), (start, _) in zip(pieces(document), spans, strict=False):
        before += unescape(piece.removeprefix("<speak>"))
        assert before == text[:start]


@given(text=TEXTS.filter(str.strip))
def test_a_document_has_the_words_of_its_text(text: str) -> None:
    before, _ = render([Run(text, Offsets.identity(len(text)), Style())])
    document, spans = marked(before, is_ssml=True)
    assert parse(document).text == text
    assert [unescape(before[slice(*span)]) for span in spans] == [text[a:b] for a, b in words(text)]


@given(times=st.dictionaries(st.sampled_from(["w0", "w1", "w2", "end"]), st.floats(0, 9)))
def test_timed_words_are_those_with_times(times: dict[str, float]) -> None:
    spans = [(0, 3), (4, 7), (8, 9)]
    found = list(timed(times, spans, end=9.0))
    assert [word.span for word in found] == [
        span for at, span in enumerate(spans) if f"w{at}" in times
    ]
    assert all(word.start <= word.end for word in found)
