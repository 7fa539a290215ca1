"""Azure Speech, spoken to over real connections."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import get_args
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typing_extensions import override

from tests.clouds.azure_turns import BothServer, Turns
from tests.clouds.contract import KEY, CloudContract, audio, spoken
from tests.clouds.opening import opened
from tests.clouds.telephony import TAGS, telephony_wav
from tests.listening import listening
from ttskit.adapters.azure import AzureAdapter, AzureOptions
from ttskit.adapters.azure_formats import Format, azure_id, bare_rate, ours
from ttskit.adapters.azure_ssml import billed, document, element, inner
from ttskit.adapters.base import EMULATED, UNSUPPORTED, AudioSource, Utterance
from ttskit.codecs.decode import decode
from ttskit.config import load_settings
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    InvalidResponseError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TTSError,
    UnsupportedFormatError,
    VoiceNotFoundError,
)
from ttskit.registry import Registry
from ttskit.testing import FaultyServer, Received, Reply
from ttskit.testing.markup import read_markup
from ttskit.text.passage import Run
from ttskit.text.spans import Offsets
from ttskit.text.ssml.escape import escape
from ttskit.text.ssml.render import render
from ttskit.text.style import Style

RATE = 24_000
SPEECH = "/cognitiveservices/v1"
LIST = "/cognitiveservices/voices/list"
SYNTHESIS = "{http://www.w3.org/2001/10/synthesis}"
MSTTS = "{http://www.w3.org/2001/mstts}"
VOICES = [
    {
        "Name": "Microsoft Server Speech Text to Speech Voice (en-US, JennyNeural)",
        "DisplayName": "Jenny",
        "LocalName": "Jenny",
        "ShortName": "en-US-JennyNeural",
        "Gender": "Female",
        "Locale": "en-US",
        "LocaleName": "English (United States)",
        "StyleList": ["cheerful", "sad"],
        "RolePlayList": ["Girl", "Boy"],
        "SampleRateHertz": "24000",
        "VoiceType": "Neural",
        "Status": "GA",
        "WordsPerMinute": "152",
    },
    {
        "DisplayName": "Ava Multilingual",
        "ShortName": "en-US-AvaMultilingualNeural",
        "Gender": "Female",
        "Locale": "en-US",
        "SecondaryLocaleList": ["en-US", "de-DE", "zh-CN-liaoning"],
        "Status": "GA",
    },
    {"ShortName": "en-US-Ava:DragonHDLatestNeural", "Gender": "Odd", "Locale": "en-US"},
    {"DisplayName": "without an id"},
]
NAMES = [voice["ShortName"] for voice in VOICES if "ShortName" in voice]


def speech(received: Received) -> bytes | Reply:
    """Answer as the service does: what it refuses has no body."""
    asked = received.headers
    if asked.get("ocp-apim-subscription-key") != KEY:
        return Reply(401, body=b"")
    if asked.get("content-type") != "application/ssml+xml":
        return Reply(415, body=b"")
    form = asked.get("x-microsoft-outputformat", "")
    if form not in IDS or not 0 < len(asked.get("user-agent", "")) < 255:
        return Reply(400, body=b"")
    try:
        root = ET.fromstring(received.body)  # noqa: S314 - our own
    except ET.ParseError:
        return Reply(400, body=b"")
    voice = root.find(f"{SYNTHESIS}voice")
    if root.tag != f"{SYNTHESIS}speak" or voice is None or voice.get("name") not in NAMES:
        return Reply(400, body=b"")
    prosody = voice.find(f"{SYNTHESIS}prosody")
    speed = 1.0 if prosody is None else float(prosody.get("rate", "1"))
    kind, rate = ours(form), int(form.split("hz")[0].rpartition("-")[2].replace("k", "000"))
    parts = [np.zeros(0, np.float32)]
    for run in read_markup(received.body.decode()):
        parts.append(np.zeros(round(run.pause_s * rate), np.float32))
        if run.text:
            parts.append(spoken(run.text, str(voice.get("name")), rate, speed=speed))
    samples = np.concatenate(parts)
    law = form.rpartition("-")[2]
    is_headed = form.startswith("riff-") and law in TAGS
    return telephony_wav(samples, law, rate) if is_headed else audio(samples, kind, rate)


IDS = {azure_id(form) for form in get_args(Format)}


def voices(received: Received) -> bytes | Reply:
    if received.headers.get("ocp-apim-subscription-key") != KEY:
        return Reply(401, body=b"")
    return json.dumps(VOICES).encode()


def serving() -> Iterator[FaultyServer]:
    turns = Turns(NAMES)
    with (
        listening(turns, turns.judge) as sockets,
        BothServer(sockets)
        .serve(SPEECH, speech, content_type="audio/basic")
        .serve(LIST, voices, content_type="application/json") as server,
    ):
        yield server
    assert not turns.complaints


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    yield from serving()


class TestAzure(CloudContract):
    speech_path = SPEECH

    @pytest.fixture
    @override
    def server(self) -> Iterator[FaultyServer]:
        yield from serving()

    @pytest.fixture
    @override
    def adapter(self, server: FaultyServer) -> AzureAdapter:
        return AzureAdapter(AzureOptions(base_url=server.url, api_key=KEY))


@asynccontextmanager
async def speaker(server: FaultyServer, **options: object) -> AsyncIterator[AzureAdapter]:
    given: dict[str, object] = {"base_url": server.url, "api_key": KEY, **options}
    adapter = AzureAdapter(AzureOptions.model_validate(given))
    async with opened(adapter):
        yield adapter


async def said(
    server: FaultyServer, utterance: Utterance, **options: object
) -> tuple[AudioSource, bytes]:
    """Return an utterance's source and its audio."""
    async with speaker(server, **options) as adapter, adapter.synthesize(utterance) as source:
        return source, b"".join([chunk async for chunk in source.chunks])  # type: ignore[misc]


def sent(server: FaultyServer) -> ET.Element:
    return ET.fromstring(server.requests[-1].body)  # noqa: S314 - our own


@pytest.mark.anyio
async def test_a_plain_text_goes_into_the_smallest_envelope(server: FaultyServer) -> None:
    await said(server, Utterance("x < 3 & \"y\" > 'z'"))
    (received,) = server.requests
    assert (received.method, received.target) == ("POST", SPEECH)
    assert received.headers["x-microsoft-outputformat"] == "raw-24khz-16bit-mono-pcm"
    assert received.body.decode() == (
        '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis"'
        ' xmlns:mstts="http://www.w3.org/2001/mstts" xml:lang="en-US">'
        '<voice name="en-US-AvaMultilingualNeural">'
        "x &lt; 3 &amp; \"y\" &gt; 'z'</voice></speak>"
    )


@pytest.mark.anyio
async def test_every_setting_has_its_place(server: FaultyServer) -> None:
    utterance = Utterance(
        "One.",
        voice="en-US-JennyNeural",
        language="en-GB",
        speed=1.25,
        pitch=-2.5,
        options={"style": "sad", "role": "Girl"},
    )
    await said(
        server, utterance, style="cheerful", style_degree=1.5, lexicon="https://x.example/l?a&b"
    )
    root = sent(server)
    assert root.get("{http://www.w3.org/XML/1998/namespace}lang") == "en-GB"
    (voice,) = root
    lexicon, manner = voice
    (prosody,) = manner
    assert voice.attrib == {"name": "en-US-JennyNeural"}
    assert lexicon.attrib == {"uri": "https://x.example/l?a&b"}
    assert manner.tag == f"{MSTTS}express-as"
    assert manner.attrib == {"style": "sad", "styledegree": "1.5", "role": "Girl"}
    assert prosody.attrib == {"rate": "1.25", "pitch": "-2.5st"}
    assert prosody.text == "One."


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "utterance", "language"),
    [
        ({}, Utterance("Ja."), "en-US"),
        ({}, Utterance("Ja.", language="de-DE"), "de-DE"),
        ({"voice": "en-US-JennyNeural", "language": "fr-FR"}, Utterance("Ja."), "en-US"),
        ({"voice": "Nobody", "language": "fr-FR"}, Utterance("Ja."), "fr-FR"),
    ],
    ids=["voice", "request", "voice before settings", "settings"],
)
async def test_the_language_of_the_document(
    server: FaultyServer, options: dict[str, object], utterance: Utterance, language: str
) -> None:
    server.serve(SPEECH, b"\0\0", content_type="audio/basic")
    await said(server, utterance, **options)
    assert sent(server).get("{http://www.w3.org/XML/1998/namespace}lang") == language


@pytest.mark.anyio
@pytest.mark.parametrize("form", get_args(Format))
async def test_every_format_is_what_it_is_said_to_be(server: FaultyServer, form: Format) -> None:
    source, data = await said(server, Utterance("One two."), format=form)
    assert server.requests[-1].headers["x-microsoft-outputformat"] == azure_id(form)
    heard = decode(data, source.format, sample_rate=source.sample_rate)
    expected = len(spoken("One two.", "en-US-AvaMultilingualNeural", RATE)) / RATE
    assert len(heard.samples) / heard.sample_rate == pytest.approx(expected, abs=0.2)


@pytest.mark.anyio
async def test_a_custom_voice_is_asked_for_by_its_deployment(server: FaultyServer) -> None:
    server.serve(SPEECH, b"\0\0", content_type="audio/basic")
    async with speaker(server, deployment_id="a/b c", voice="OursNeural") as adapter:
        assert [voice.id for voice in await adapter.voices()] == ["OursNeural"]
        async with adapter.synthesize(Utterance("One.")) as source:
            assert source.cost is None
    target = urlsplit(server.requests[-1].target)
    assert (target.path, parse_qs(target.query)) == (SPEECH, {"deploymentId": ["a/b c"]})


@pytest.mark.anyio
async def test_who_refuses_a_custom_voice_is_believed(server: FaultyServer) -> None:
    server.serve(SPEECH, lambda _: Reply(400, body=b""), content_type="audio/basic")
    with pytest.raises(InvalidParameterError):
        await said(server, Utterance("One."), deployment_id="d", voice="OursNeural")


@pytest.mark.parametrize(
    ("given", "listing", "speaking"),
    [
        ({"region": "westeurope"}, "westeurope.tts.speech.microsoft.com", None),
        ({"region": "chinaeast2"}, "chinaeast2.tts.speech.azure.cn", None),
        (
            {"region": "westeurope", "deployment_id": "d"},
            "westeurope.tts.speech.microsoft.com",
            "westeurope.voice.speech.microsoft.com",
        ),
        (
            {"region": "westeurope", "deployment_id": "d", "base_url": "https://r.example"},
            "r.example",
            None,
        ),
    ],
    ids=["region", "china", "custom", "own resource"],
)
def test_the_region_is_the_address(
    given: dict[str, str], listing: str, speaking: str | None
) -> None:
    options = AzureOptions.model_validate({"api_key": KEY, **given})
    assert options.address.origin.netloc == listing
    assert options.speech_address.origin.netloc == (speaking or listing)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"api_key": KEY}, "AZURE_SPEECH_REGION"),
        ({"region": "westeurope"}, "AZURE_SPEECH_KEY"),
        ({"region": "westeurope", "api_key": KEY, "access_token": "t"}, "not both"),
        ({"region": "evil.example/", "api_key": KEY}, "region"),
        ({"region": "westeurope", "api_key": KEY, "model": "neural"}, "model"),
    ],
    ids=["no region", "no key", "two", "no word", "a model"],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, str], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        AzureOptions.model_validate(given)


def test_key_and_region_come_from_the_environment() -> None:
    environ = {"AZURE_SPEECH_KEY": KEY, "AZURE_SPEECH_REGION": "northeurope"}
    settings = load_settings({"providers": {"azure": {}}}, environ=environ)
    (provider,) = Registry().build(settings)
    assert isinstance(provider.options, AzureOptions)
    assert provider.options.base_url == "https://northeurope.tts.speech.microsoft.com"
    assert provider.options.api_key is not None
    with_token = {"adapter": "azure", "access_token": "t"}
    settings = load_settings({"providers": {"azure": with_token}}, environ=environ)
    (provider,) = Registry().build(settings)
    assert isinstance(provider.options, AzureOptions)
    assert provider.options.api_key is None


@pytest.mark.anyio
async def test_a_token_takes_the_place_of_the_key(server: FaultyServer) -> None:
    token = {"api_key": None, "access_token": "aad#/subscriptions/1#ey"}
    with pytest.raises(AuthenticationError):
        await said(server, Utterance("One."), **token)
    headers = server.requests[-1].headers
    assert headers["authorization"] == "Bearer aad#/subscriptions/1#ey"
    assert "ocp-apim-subscription-key" not in headers


@pytest.mark.anyio
async def test_voices_tell_languages_styles_and_roles(server: FaultyServer) -> None:
    async with speaker(server) as adapter:
        ava, jenny, hd = await adapter.voices()
    assert ava.id == "en-US-AvaMultilingualNeural"
    assert ava.languages == ("en-US", "de-DE", "zh-CN-liaoning")
    assert (jenny.name, jenny.gender, jenny.styles) == ("Jenny", "female", ("cheerful", "sad"))
    assert jenny.description == "English (United States); GA; roles: Girl, Boy"
    assert (hd.name, hd.gender) == ("en-US-Ava:DragonHDLatestNeural", "unknown")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(400, body=b""), InvalidParameterError),
        (Reply(401, body=b""), AuthenticationError),
        (Reply(403, body=b"Quota"), QuotaExceededError),
        (Reply(415, body=b""), UnsupportedFormatError),
        (Reply(429, body=b""), RateLimitedError),
        (Reply(500, body=b""), ProviderUnavailableError),
        (Reply(502, body=b"bad gateway"), ProviderUnavailableError),
        (Reply(503, body=b""), ProviderUnavailableError),
        (Reply(504, body=b""), ProviderTimeoutError),
        (Reply(200, body=b"sorry", content_type="text/plain"), InvalidResponseError),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
async def test_refusals_have_their_names(
    server: FaultyServer, reply: Reply, kind: type[TTSError]
) -> None:
    server.reply(reply)
    with pytest.raises(kind) as caught:
        await said(server, Utterance("One."))
    assert type(caught.value) is kind


@pytest.mark.anyio
async def test_a_code_in_the_body_is_told(server: FaultyServer) -> None:
    body = b'{"error": {"code": "InvalidKey", "message": "no"}}'
    server.reply(Reply(401, body=body, content_type="application/json"))
    with pytest.raises(AuthenticationError, match="HTTP 401, InvalidKey"):
        await said(server, Utterance("One."))


@pytest.mark.anyio
async def test_the_nearest_voice_is_told(server: FaultyServer) -> None:
    with pytest.raises(VoiceNotFoundError, match="en-US-JennyNeural") as caught:
        await said(server, Utterance("One.", voice="en-US-JenyNeural"))
    assert caught.value.provider == "azure"


@pytest.mark.anyio
async def test_a_refusal_stands_where_voices_cannot_be_listed(server: FaultyServer) -> None:
    server.serve(LIST, lambda _: Reply(500, body=b""), content_type="application/json")
    with pytest.raises(InvalidParameterError):
        await said(server, Utterance("One.", voice="nobody"))


def test_hd_voices_have_no_prosody_and_time_no_words() -> None:
    options = AzureOptions(region="eastus", api_key=KEY, voice="en-US-Ava:DragonHDLatestNeural")
    able = AzureAdapter(options).capabilities
    assert (able.speed, able.pitch) == (UNSUPPORTED, UNSUPPORTED)
    assert able.word_timestamps is EMULATED
    assert "prosody" not in able.ssml
    assert "break" in able.ssml


def run(text: str, style: Style, pause: float = 0.0) -> Run:
    return Run(text, Offsets.identity(len(text)), style, pause)


@pytest.mark.anyio
async def test_a_document_keeps_its_markup_in_azures_dialect(server: FaultyServer) -> None:
    runs = [
        run("One & ", Style()),
        run("two", Style(speed=1.5, pitch=2.0, volume=-6.0), 0.5),
        run("three", Style(speed=0.8, volume=6.0)),
    ]
    text, _ = render(runs, language="en-GB")
    await said(server, Utterance(text, is_ssml=True, speed=1.1, language="en-GB"))
    root = sent(server)
    around = root[0][0]
    assert around.attrib == {"rate": "1.1"}
    assert "".join(root.itertext()) == "One & twothree"
    pause, two, three = around
    assert pause.attrib == {"time": "500ms"}
    assert two.attrib == {"rate": "1.5", "pitch": "+2.000st", "volume": "50.1"}
    assert three.attrib == {"rate": "0.8", "volume": "+99.5%"}


FORBIDDEN = {*map(chr, range(32)), "\ufffe", "\uffff"}
"""By XML 1.0, section 2.2."""
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


@given(text=TEXTS, voice=TEXTS)
def test_an_envelope_says_its_text_whatever_that_is(text: str, voice: str) -> None:
    root = ET.fromstring(document(voice, "en-US", escape(text)))  # noqa: S314
    said = "".join(root.itertext())
    assert said == "".join(
        one for one in text if one in "\t\n\r" or (one >= " " and one not in "\ufffe\uffff")
    )


@given(
    speed=st.floats(0.1, 10).map(lambda value: round(value, 4)),
    volume=st.floats(-90, 40).map(lambda value: round(value, 3)),
)
def test_prosody_means_the_same_in_azures_dialect(speed: float, volume: float) -> None:
    text, _ = render([run("one", Style(speed=speed, volume=volume))])
    root = ET.fromstring(f"<voice>{inner(text)}</voice>")  # noqa: S314 - our own
    given = root[0].attrib if len(root) else {}
    assert float(given.get("rate", "1")) == pytest.approx(speed, rel=1e-3, abs=1e-4)
    told = given.get("volume", "100")
    percent = 100 + float(told[1:-1]) if told.startswith("+") else float(told)
    assert percent == pytest.approx(100 * 10 ** (volume / 20), rel=1e-3, abs=0.06)


def test_an_element_without_attributes_is_none() -> None:
    assert element("prosody", {"rate": None}, "one") == "one"


def test_chinese_characters_are_billed_twice() -> None:
    assert billed("你好, x") == 7


@pytest.mark.anyio
async def test_the_price_counts_markup(server: FaultyServer) -> None:
    source, _ = await said(server, Utterance("x" * 1_000))
    assert source.cost == pytest.approx(0.015)
    source, _ = await said(server, Utterance("x" * 1_000, speed=1.5))
    markup = len('<prosody rate="1.5"></prosody>')
    assert source.cost == pytest.approx(0.000_015 * (1_000 + markup))


def test_only_bare_audio_has_a_rate() -> None:
    assert bare_rate("raw-22050hz-16bit-mono-pcm") == 22_050
    assert bare_rate("mulaw") == bare_rate("alaw") == 8_000
    assert bare_rate("riff-8khz-16bit-mono-pcm") == bare_rate("mp3") == 0
