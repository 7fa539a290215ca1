"""ElevenLabs' endpoints, spoken to over real connections."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import get_args
from urllib.parse import parse_qsl, unquote, urlsplit

import anyio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typing_extensions import override

from tests.clouds import opening
from tests.clouds.contract import KEY, CloudContract, audio, spoken
from ttskit import AsyncTTSService
from ttskit.adapters.base import NATIVE, UNSUPPORTED, TimedText, Turn, Utterance
from ttskit.adapters.elevenlabs import ElevenLabsAdapter
from ttskit.adapters.elevenlabs_options import DEFAULT_VOICE, ElevenLabsOptions, Format
from ttskit.audio import TimingSource
from ttskit.codecs.decode import decode
from ttskit.errors import (
    AuthenticationError,
    InvalidParameterError,
    InvalidResponseError,
    PermissionDeniedError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    TextTooLongError,
    TTSError,
    UnsupportedFeatureError,
    VoiceNotFoundError,
)
from ttskit.request import Timestamps
from ttskit.testing import FaultyServer, Framing, Received, Reply, transcribe
from ttskit.voices import Gender, Voice

TTS = "/v1/text-to-speech/"
OURS = {"ulaw": "mulaw"}
DIALOGUE = "/v1/text-to-dialogue"
DIALOGUE_MEMBERS = {
    "inputs", "model_id", "language_code", "settings", "seed", "previous_text", "future_text",
    "previous_request_ids", "next_request_ids", "pronunciation_dictionary_locators",
    "apply_text_normalization", "use_pvc_as_ivc", "audio_effects",
}  # fmt: skip
PER_PAGE = 100
VOICES = [
    {
        "voice_id": "pNInz6obpgDQGcFmaJgB",
        "name": "Adam",
        "category": "premade",
        "labels": {"gender": "male", "accent": "american", "language": "en", "age": "middle-aged"},
        "description": "A firm voice.",
        "verified_languages": [
            {"language": "en", "model_id": "eleven_flash_v2_5", "locale": "en-US"},
            {"language": "pt", "model_id": "eleven_flash_v2_5", "locale": "pt_BR"},
            {"language": "xx", "model_id": "eleven_flash_v2_5", "locale": None},
        ],
    },
    {"voice_id": DEFAULT_VOICE, "name": "George", "labels": {"gender": "male"}},
    {
        "voice_id": "my clone/1",
        "name": None,
        "category": "cloned",
        "labels": {"language": "English", "gender": "who knows"},
        "verified_languages": None,
    },
    *({"voice_id": f"library-{place}", "name": f"Library {place}"} for place in range(230)),
]
MODELS = [
    {
        "model_id": "eleven_multilingual_v2",
        "languages": [{"language_id": code} for code in ("en", "pt", "sv")],
    },
    {"model_id": "eleven_flash_v2", "languages": [{"language_id": "en"}]},
    {"model_id": "scribe_v1", "languages": None},
]


def noise() -> bytes:
    """Return a second of what may be speech: 24 kHz PCM."""
    return audio(spoken("One two.", DEFAULT_VOICE, 24_000), "pcm", 24_000)


def refusal(status: int, word: str, **more: object) -> Reply:
    """Return a refusal as ElevenLabs words it."""
    detail = {"status": word, "message": "a message that may quote the text", **more}
    return document({"detail": detail}, status)


def document(content: object, status: int = 200) -> Reply:
    return Reply(
        status,
        (("request-id", "req-refused"),),
        json.dumps(content).encode(),
        content_type="application/json",
    )


def answer(received: Received) -> Reply:
    """Answer as ElevenLabs does."""
    url = urlsplit(received.target)
    query = dict(parse_qsl(url.query))
    if received.headers.get("xi-api-key") != KEY:
        return refusal(401, "invalid_api_key")
    if received.method == "POST" and url.path.startswith(TTS):
        return speech(url.path.removeprefix(TTS).split("/"), query, json.loads(received.body))
    if received.method == "POST" and url.path.startswith(DIALOGUE):
        kind = url.path.removeprefix(DIALOGUE).strip("/").split("/")
        return conversation(kind, query, json.loads(received.body))
    if (received.method, url.path) == ("GET", "/v2/voices"):
        return page(query)
    if (received.method, url.path) == ("GET", "/v1/models"):
        return document(MODELS)
    return document({"detail": "Not Found"}, 404)


def speech(path: Sequence[str], query: Mapping[str, str], asked: Mapping[str, object]) -> Reply:
    voice, *kind = path
    text, form = asked["text"], query.get("output_format", "mp3_44100_128")
    assert isinstance(text, str)
    assert kind in ([], ["stream"], ["with-timestamps"], ["stream", "with-timestamps"])
    if unquote(voice) not in {one["voice_id"] for one in VOICES}:
        return refusal(404, "voice_not_found")
    if form not in get_args(Format) or (form.startswith("wav") and "stream" in kind):
        return document({"detail": [{"loc": ["query"], "msg": form, "type": "enum"}]}, 422)
    codec, rate = form.split("_")[:2]
    settings = asked.get("voice_settings", {})
    assert isinstance(settings, dict)
    samples = spoken(text, unquote(voice), int(rate), speed=settings.get("speed", 1.0))
    data = audio(samples, OURS.get(codec, codec), int(rate))
    headers = (("request-id", "req-1"), ("character-cost", str(len(text))))
    if "with-timestamps" not in kind:
        return Reply(headers=headers, body=data, content_type="audio/mpeg")
    chunks = timed(text, data, len(samples) / int(rate), 7 if "stream" in kind else 1)
    return Reply(
        headers=headers,
        body=b"\n\n".join(json.dumps(chunk).encode() for chunk in chunks) + b"\n",
        content_type="application/json",
    )


def conversation(
    kind: Sequence[str], query: Mapping[str, str], asked: Mapping[str, object]
) -> Reply:
    """Answer for several voices; what is missing or too much is refused."""
    assert kind in ([""], ["stream"], ["with-timestamps"], ["stream", "with-timestamps"])
    assert not asked.keys() - DIALOGUE_MEMBERS
    assert str(asked["model_id"]).startswith(("eleven_v3", "eleven_v4"))
    turns = asked["inputs"]
    assert isinstance(turns, list)
    voices = {turn["voice_id"] for turn in turns}
    if not voices <= {one["voice_id"] for one in VOICES}:
        return refusal(404, "voice_not_found")
    assert len(voices) <= 10
    assert sum(len(turn["text"]) for turn in turns) <= 2_000
    form = query.get("output_format", "mp3_44100_128")
    codec, rate = form.split("_")[0], int(form.split("_")[1])
    samples = np.concatenate([spoken(one["text"], one["voice_id"], rate) for one in turns])
    data = audio(samples, OURS.get(codec, codec), rate)
    text = "".join(one["text"] for one in turns)
    headers = (("request-id", "req-d"), ("character-cost", str(len(text))))
    if "with-timestamps" not in kind:
        return Reply(headers=headers, body=data, content_type="audio/mpeg")
    chunks = timed(text, data, len(samples) / rate, 5 if "stream" in kind else 1)
    lines = [json.dumps({**chunk, "voice_segments": []}).encode() for chunk in chunks]
    return Reply(headers=headers, body=b"\n\n".join(lines), content_type="application/json")


def timed(text: str, data: bytes, seconds: float, parts: int) -> Iterator[dict[str, object]]:
    """Yield the audio in parts, each with the times of its share of the characters."""
    edges = [round(len(data) * part / parts) for part in range(parts + 1)]
    cuts = [round(len(text) * part / parts) for part in range(parts + 1)]
    each = seconds / len(text)
    for part in range(parts):
        places = range(cuts[part], cuts[part + 1])
        alignment = {
            "characters": [text[place] for place in places],
            "character_start_times_seconds": [place * each for place in places],
            "character_end_times_seconds": [(place + 1) * each for place in places],
        }
        yield {
            "audio_base64": base64.b64encode(data[edges[part] : edges[part + 1]]).decode(),
            "alignment": alignment if places else None,
            "normalized_alignment": None,
        }


def page(query: Mapping[str, str]) -> Reply:
    start, size = int(query.get("next_page_token", "0")), int(query.get("page_size", "10"))
    assert size <= PER_PAGE
    more = start + size < len(VOICES)
    listing = {
        "voices": VOICES[start : start + size],
        "has_more": more,
        "total_count": len(VOICES),
        "next_page_token": str(start + size) if more else None,
    }
    return document(listing)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer(answer) as server:
        yield server


@asynccontextmanager
async def opened(server: FaultyServer, **section: object) -> AsyncIterator[ElevenLabsAdapter]:
    """Open an adapter that speaks to the server, with the rest of its section."""
    options = {"base_url": server.url, "api_key": KEY, **section}
    adapter = ElevenLabsAdapter(ElevenLabsOptions.model_validate(options))
    async with opening.opened(adapter):
        yield adapter


async def heard(adapter: ElevenLabsAdapter, utterance: Utterance) -> tuple[bytes, list[TimedText]]:
    async with adapter.synthesize(utterance) as source:
        chunks = [chunk async for chunk in source.chunks]
        assert all(isinstance(chunk, bytes) for chunk in chunks)
        return b"".join(chunks), source.words  # type: ignore[arg-type] # checked above


def asked(server: FaultyServer) -> tuple[str, dict[str, str], dict[str, object]]:
    """Return the path, the query and the body of the last request."""
    last = server.requests[-1]
    url = urlsplit(last.target)
    return url.path, dict(parse_qsl(url.query)), json.loads(last.body)


class TestElevenLabs(CloudContract):
    @pytest.fixture
    @override
    def server(self) -> Iterator[FaultyServer]:
        with FaultyServer(answer) as server:
            yield server

    @pytest.fixture
    @override
    def adapter(self, server: FaultyServer) -> ElevenLabsAdapter:
        return ElevenLabsAdapter(
            ElevenLabsOptions.model_validate({"base_url": server.url, "api_key": KEY})
        )


@pytest.mark.anyio
class TestWhatIsSent:
    async def test_what_is_not_set_is_not_sent(self, server: FaultyServer) -> None:
        async with opened(server) as adapter:
            await heard(adapter, Utterance("Hello."))
        assert asked(server) == (
            f"{TTS}{DEFAULT_VOICE}/stream",
            {"output_format": "pcm_24000"},
            {"text": "Hello."},
        )

    async def test_what_is_set_is_sent_where_it_belongs(self, server: FaultyServer) -> None:
        settings = {
            "stability": 0.4,
            "similarity_boost": 0.8,
            "style": 0,
            "use_speaker_boost": False,
            "clone_strength": 0.5,
        }
        members = {
            "apply_text_normalization": "off",
            "apply_language_text_normalization": True,
            "use_pvc_as_ivc": False,
            "pronunciation_dictionary_locators": [
                {"pronunciation_dictionary_id": "d1", "version_id": "v1"},
                {"pronunciation_dictionary_id": "d2"},
            ],
            "audio_effects": {"filter_preset_id": "phone", "distance": 0.25},
        }
        utterance = Utterance(
            "Bonjour.",
            language="fr-CA",
            speed=1.1,
            seed=7,
            previous_text="Salut.",
            next_text="Adieu.",
            options={"previous_request_ids": ["a", "b"], "next_request_ids": ["c"]},
        )
        async with opened(
            server,
            model="eleven_flash_v2_5",
            enable_logging=True,
            optimize_streaming_latency=0,
            **settings,
            **members,
        ) as adapter:
            await heard(adapter, utterance)
        _, query, body = asked(server)
        assert query == {
            "output_format": "pcm_24000",
            "enable_logging": "true",
            "optimize_streaming_latency": "0",
        }
        assert body == {
            "text": "Bonjour.",
            "model_id": "eleven_flash_v2_5",
            "language_code": "fr",
            "voice_settings": {**settings, "speed": 1.1},
            "seed": 7,
            "previous_text": "Salut.",
            "next_text": "Adieu.",
            "previous_request_ids": ["a", "b"],
            "next_request_ids": ["c"],
            **members,
        }

    async def test_a_request_overrides_the_section_setting_by_setting(
        self, server: FaultyServer
    ) -> None:
        async with opened(server, stability=0.2, style=0.3) as adapter:
            await heard(adapter, Utterance("Hi.", options={"style": 0, "enable_logging": False}))
        _, query, body = asked(server)
        assert body["voice_settings"] == {"stability": 0.2, "style": 0}
        assert query["enable_logging"] == "false"

    @pytest.mark.parametrize(
        ("model", "language", "code"),
        [
            ("eleven_flash_v2_5", "sv", "sv"),
            ("eleven_flash_v2_5", "pt-BR", "pt"),
            ("eleven_v3", "nb-NO", "no"),
            ("eleven_v3", "cmn-Hans-CN", "zh"),
            ("eleven_multilingual_v2", "sv", None),
            (None, "sv", None),
        ],
    )
    async def test_languages_go_by_their_own_codes(
        self, server: FaultyServer, model: str | None, language: str, code: str | None
    ) -> None:
        async with opened(server, model=model) as adapter:
            await heard(adapter, Utterance("Hej.", language=language))
        assert asked(server)[2].get("language_code") == code

    async def test_v3_gets_neither_speed_nor_context(self, server: FaultyServer) -> None:
        utterance = Utterance(
            "Now.", model="eleven_v3", speed=1.2, previous_text="Then.", next_text="Later."
        )
        async with opened(server) as adapter:
            await heard(adapter, utterance)
        assert asked(server)[2] == {"text": "Now.", "model_id": "eleven_v3"}

    async def test_what_ttskit_cut_goes_on_from_the_requests_before(
        self, server: FaultyServer
    ) -> None:
        server.reply(Reply(headers=(("request-id", "r-1"),), body=noise()), times=1)
        server.reply(Reply(headers=(("request-id", "r-2"),), body=noise()), times=1)
        options = {"base_url": server.url, "api_key": KEY, "max_characters": 9}
        adapter = ElevenLabsAdapter(ElevenLabsOptions.model_validate(options))
        own = {"elevenlabs": {"previous_request_ids": ["earlier"]}}
        async with AsyncTTSService(providers=[adapter]) as tts:
            await tts.synthesize("One two three four.", provider_options=own)
        bodies = [json.loads(request.body) for request in server.requests]
        assert [(body["text"], body.get("previous_request_ids")) for body in bodies] == [
            ("One two", ["earlier"]),
            ("three", ["r-1"]),
            ("four.", ["r-1", "r-2"]),
        ]

    @pytest.mark.parametrize(
        ("section", "call"),
        [
            ({"model": "eleven_v3"}, {}),
            ({"model": "eleven_v3_conversational"}, {}),
            ({"enable_logging": False}, {}),
            ({}, {"enable_logging": False}),
        ],
    )
    async def test_where_nothing_is_stitched_nothing_is_gone_on_from(
        self, server: FaultyServer, section: Mapping[str, object], call: Mapping[str, object]
    ) -> None:
        asks = {"previous_request_ids": ["a"], "next_request_ids": ["b"]}
        utterance = Utterance("Now.", previous_ids=("c",), options={**asks, **call})
        async with opened(server, **section) as adapter, adapter.synthesize(utterance) as source:
            assert source.request_id == "req-1"
            assert source.continuation is None
        assert not {"previous_request_ids", "next_request_ids"} & asked(server)[2].keys()

    async def test_nothing_is_stitched_where_nothing_may_be_kept(
        self, server: FaultyServer
    ) -> None:
        async with opened(server, enable_logging=False) as adapter:
            assert adapter.capabilities.context is UNSUPPORTED
            await heard(adapter, Utterance("Now.", previous_text="Then."))
        assert asked(server)[2] == {"text": "Now."}

    async def test_an_id_stays_one_part_of_the_path(self, server: FaultyServer) -> None:
        async with opened(server) as adapter:
            await heard(adapter, Utterance("Hi.", voice="my clone/1"))
            with pytest.raises(VoiceNotFoundError):
                await heard(adapter, Utterance("Hi.", voice=".."))
        assert asked(server)[0] == f"{TTS}my%20clone%2F1/stream"

    @pytest.mark.parametrize(
        "options",
        [
            {"stability": 1.1},
            {"style": -0.1},
            {"optimize_streaming_latency": 5},
            {"apply_text_normalization": "maybe"},
            {"previous_request_ids": ["1", "2", "3", "4"]},
            {"pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "d"}] * 4},
            {"audio_effects": {"pan": 2}},
            {"stabillity": 0.5},
        ],
        ids=lambda options: next(iter(options)),
    )
    async def test_what_is_out_of_range_is_not_sent(
        self, server: FaultyServer, options: Mapping[str, object]
    ) -> None:
        async with opened(server) as adapter:
            with pytest.raises(InvalidParameterError):
                await heard(adapter, Utterance("Hi.", options=options))
        assert not server.requests


ADAM = "pNInz6obpgDQGcFmaJgB"
TALK = Utterance("Who is it?\nNobody.", turns=(Turn((0, 10), None), Turn((11, 18), ADAM)))


class TestElevenLabsV3(TestElevenLabs):
    """The model with dialogues."""

    @pytest.fixture
    @override
    def adapter(self, server: FaultyServer) -> ElevenLabsAdapter:
        return ElevenLabsAdapter(
            ElevenLabsOptions.model_validate(
                {"base_url": server.url, "api_key": KEY, "model": "eleven_v3"}
            )
        )


@pytest.mark.anyio
class TestDialogue:
    @pytest.mark.parametrize(
        ("form", "timestamps", "path"),
        [
            ("pcm_24000", Timestamps.NONE, "/stream"),
            ("mp3_44100_128", Timestamps.WORD, "/stream/with-timestamps"),
            ("wav_16000", Timestamps.NONE, ""),
            ("wav_16000", Timestamps.WORD, "/with-timestamps"),
        ],
    )
    async def test_voices_speak_in_one_request(
        self, server: FaultyServer, form: str, timestamps: Timestamps, path: str
    ) -> None:
        async with opened(server, format=form, model="eleven_v3") as adapter:
            said = replace(TALK, timestamps=timestamps)
            async with adapter.synthesize(said) as source:
                data = b"".join([chunk async for chunk in source.chunks])  # type: ignore[misc] # bytes
        assert asked(server)[:2] == (f"{DIALOGUE}{path}", {"output_format": form})
        assert asked(server)[2] == {
            "inputs": [
                {"text": "Who is it?", "voice_id": DEFAULT_VOICE},
                {"text": "Nobody.", "voice_id": ADAM},
            ],
            "model_id": "eleven_v3",
        }
        heard = decode(data, source.format, sample_rate=source.sample_rate)
        assert transcribe((heard.samples, heard.sample_rate)) == "Who is it? Nobody."
        words = [TALK.text[slice(*word.span)] for word in source.words]
        assert words == (["Who", "is", "it?", "Nobody."] if timestamps is Timestamps.WORD else [])

    async def test_what_is_set_is_sent_by_the_names_of_dialogues(
        self, server: FaultyServer
    ) -> None:
        section = {
            "stability": 0.5,
            "similarity_boost": 0.9,
            "clone_strength": 0.1,
            "style": 0.2,
            "use_speaker_boost": True,
            "apply_language_text_normalization": True,
            "apply_text_normalization": "off",
            "use_pvc_as_ivc": True,
            "optimize_streaming_latency": 1,
            "enable_logging": True,
            "pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "d"}],
            "audio_effects": {"filter_preset_id": "phone"},
        }
        said = replace(
            TALK,
            language="de-AT",
            seed=3,
            previous_text="word " * 30,
            next_text=" word" * 30,
            previous_ids=("r-1",),
            options={"next_request_ids": ["r-3"]},
        )
        async with opened(server, model="eleven_v4", **section) as adapter:
            await heard(adapter, said)
        _, query, body = asked(server)
        assert query == {"output_format": "pcm_24000", "enable_logging": "true"}
        assert body.pop("inputs")
        assert body == {
            "model_id": "eleven_v4",
            "language_code": "de",
            "settings": {"stability": 0.5, "similarity": 0.9, "clone_strength": 0.1},
            "seed": 3,
            "previous_text": "word " * 19,
            "future_text": " word" * 19,
            "previous_request_ids": ["r-1"],
            "next_request_ids": ["r-3"],
            "pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "d"}],
            "apply_text_normalization": "off",
            "use_pvc_as_ivc": True,
            "audio_effects": {"filter_preset_id": "phone"},
        }

    @pytest.mark.parametrize(
        ("model", "voices"),
        [
            ("eleven_v3", 10),
            ("eleven_v4", 10),
            ("eleven_v3_conversational", None),
            ("eleven_v4_turbo", None),
            ("eleven_flash_v2_5", None),
            (None, None),
        ],
    )
    def test_only_some_models_have_several_voices(
        self, model: str | None, voices: int | None
    ) -> None:
        options = ElevenLabsOptions.model_validate({"api_key": KEY, "model": model})
        able = ElevenLabsAdapter(options).capabilities
        assert able.max_voices == voices
        assert able.max_dialogue_characters == (2_000 if voices else None)

    @pytest.mark.parametrize("step", [1, 7, 1_021])
    @pytest.mark.parametrize("timestamps", [Timestamps.NONE, Timestamps.WORD])
    async def test_it_may_come_in_any_pieces(
        self, server: FaultyServer, timestamps: Timestamps, step: int
    ) -> None:
        said = replace(TALK, text="Zoë, who?\nNobody.", timestamps=timestamps)
        said = replace(said, turns=(Turn((0, 9), None), Turn((10, 17), ADAM)))
        async with opened(server, model="eleven_v3") as adapter:
            whole = await heard(adapter, said)
            server.reply(Reply(step=step, framing=Framing.CHUNKED))
            assert await heard(adapter, said) == whole

    @pytest.mark.parametrize("timestamps", [Timestamps.NONE, Timestamps.CHARACTER])
    async def test_its_refusals_have_their_names(
        self, server: FaultyServer, timestamps: Timestamps
    ) -> None:
        said = replace(TALK, timestamps=timestamps, turns=(Turn((0, 10), "nobody"),))
        async with opened(server, model="eleven_v3") as adapter:
            with pytest.raises(VoiceNotFoundError):
                await heard(adapter, said)
            server.fail(429)
            with pytest.raises(RateLimitedError):
                await heard(adapter, TALK)

    async def test_a_document_of_voices_is_a_dialogue(self, server: FaultyServer) -> None:
        section = {"base_url": server.url, "api_key": KEY, "model": "eleven_v3"}
        adapter = ElevenLabsAdapter(ElevenLabsOptions.model_validate(section))
        ssml = (
            "<speak><voice name='George'>[laughs] Who is it? You?</voice>"
            "<voice name='Adam'>Nobody &amp; nothing.</voice></speak>"
        )
        async with AsyncTTSService(providers=[adapter]) as tts:
            told = await tts.synthesize(ssml=ssml, timestamps="character")
        posts = [json.loads(one.body) for one in server.requests if one.method == "POST"]
        assert [post["inputs"] for post in posts] == [
            [
                {"text": "[laughs] Who is it? You?", "voice_id": DEFAULT_VOICE},
                {"text": "Nobody & nothing.", "voice_id": ADAM},
            ]
        ]
        said = "".join(ssml[slice(*entry.span)] for entry in told.words)
        assert said == "[laughs]Whoisit?You?Nobody&amp;nothing."


@pytest.mark.anyio
class TestFormats:
    @pytest.mark.parametrize("form", get_args(Format))
    @pytest.mark.parametrize("timestamps", [Timestamps.NONE, Timestamps.WORD])
    async def test_every_format_is_heard(
        self, server: FaultyServer, form: str, timestamps: Timestamps
    ) -> None:
        rate = int(form.split("_")[1])
        async with opened(server, format=form) as adapter:
            utterance = Utterance("One two three.", timestamps=timestamps)
            async with adapter.synthesize(utterance) as source:
                data = b"".join([chunk async for chunk in source.chunks])  # type: ignore[misc] # bytes
            assert adapter.capabilities.formats == (source.format,)
        path, query, _ = asked(server)
        assert query["output_format"] == form
        assert ("/stream" in path) is not form.startswith("wav")
        assert ("with-timestamps" in path) is (timestamps is Timestamps.WORD)
        found = decode(data, source.format, sample_rate=source.sample_rate)
        due = spoken("One two three.", DEFAULT_VOICE, rate)
        assert found.sample_rate == rate
        assert len(found.samples) / rate == pytest.approx(len(due) / rate, abs=0.1)
        assert len(source.words) == (3 if timestamps is Timestamps.WORD else 0)

    def test_wav_does_not_come_as_a_stream(self) -> None:
        def streaming(form: str) -> object:
            section = {"api_key": KEY, "format": form}
            options = ElevenLabsOptions.model_validate(section)
            return ElevenLabsAdapter(options).capabilities.streaming

        assert (streaming("wav_24000"), streaming("mp3_44100_128")) == (UNSUPPORTED, NATIVE)

    @pytest.mark.parametrize("effects", [{"pan": -0.5}, {"environment_id": "hall"}])
    def test_stereo_effects_need_a_container(self, effects: Mapping[str, object]) -> None:
        section = {"api_key": KEY, "audio_effects": effects}
        with pytest.raises(ValidationError, match="need an mp3"):
            ElevenLabsOptions.model_validate({**section, "format": "ulaw_8000"})
        ElevenLabsOptions.model_validate({**section, "format": "mp3_44100_64"})

    @pytest.mark.parametrize("effects", [{"pan": 0}, {"environment_id": "hall", "send_level": 0}])
    def test_effects_without_stereo_go_with_pcm(self, effects: Mapping[str, object]) -> None:
        ElevenLabsOptions.model_validate({"api_key": KEY, "audio_effects": effects})


class TestModels:
    @pytest.mark.parametrize(
        ("model", "most"),
        [
            (None, 10_000),
            ("eleven_flash_v2_5", 40_000),
            ("eleven_turbo_v2", 30_000),
            ("eleven_v3", 5_000),
            ("eleven_v9", None),
        ],
    )
    def test_the_limit_is_the_models(self, model: str | None, most: int | None) -> None:
        options = ElevenLabsOptions.model_validate({"api_key": KEY, "model": model})
        assert ElevenLabsAdapter(options).capabilities.max_characters == most

    def test_the_limit_can_be_told(self) -> None:
        section = {"api_key": KEY, "model": "eleven_v9", "max_characters": 700}
        options = ElevenLabsOptions.model_validate(section)
        assert ElevenLabsAdapter(options).capabilities.max_characters == 700

    @pytest.mark.parametrize("model", ["eleven_v3", "eleven_v3_conversational"])
    def test_v3_has_neither_speed_nor_context(self, model: str) -> None:
        options = ElevenLabsOptions.model_validate({"api_key": KEY, "model": model})
        able = ElevenLabsAdapter(options).capabilities
        assert (able.speed, able.context) == (UNSUPPORTED, UNSUPPORTED)
        assert (able.seed, able.word_timestamps) == (NATIVE, NATIVE)


@pytest.mark.anyio
class TestTimes:
    async def test_words_are_told_before_their_audio_ends(self, server: FaultyServer) -> None:
        text = "One two three four five six."
        async with opened(server) as adapter:
            utterance = Utterance(text, timestamps=Timestamps.WORD)
            async with adapter.synthesize(utterance) as source:
                told = [len(source.words) async for _ in source.chunks]
        assert told == sorted(told)
        assert 0 < told[2] < told[-1]
        assert [text[slice(*word.span)] for word in source.words] == text.split()
        whole = spoken(text, DEFAULT_VOICE, 24_000)
        seconds = len(whole) / 24_000
        for word in source.words:
            first, end = word.span
            assert word.start == pytest.approx(first * seconds / len(text))
            assert word.end == pytest.approx(end * seconds / len(text))

    @given(
        text=st.text(
            st.characters(categories=("L", "N", "P", "Zs")), min_size=1, max_size=60
        ).filter(str.strip),
        parts=st.integers(1, 9),
    )
    def test_words_are_the_texts_however_it_is_cut(self, text: str, parts: int) -> None:
        data = bytes(2 * 2_400)
        body = b"\n".join(json.dumps(chunk).encode() for chunk in timed(text, data, 0.1, parts))

        async def words() -> list[str]:
            async with opened(server) as adapter:
                utterance = Utterance(text, timestamps=Timestamps.WORD)
                heard_data, found = await heard(adapter, utterance)
            assert heard_data == data
            return [text[slice(*word.span)] for word in found]

        with FaultyServer(body, content_type="application/json") as server:
            assert anyio.run(words) == text.split()

    @pytest.mark.parametrize(
        ("line", "kind"),
        [
            ({"detail": {"status": "quota_exceeded", "message": "x"}}, QuotaExceededError),
            ({"detail": {"status": "system_busy"}}, ProviderUnavailableError),
            ({"message": "x", "code": "too_many_concurrent_requests"}, RateLimitedError),
            ({"detail": "something broke"}, ProviderUnavailableError),
            ({"audio_base64": "%%%"}, InvalidResponseError),
            ({"audio_base64": "AAAA", "alignment": {"characters": ["a"]}}, InvalidResponseError),
            ({"audio_base64": 5}, InvalidResponseError),
            (
                {
                    "audio_base64": "AAAA",
                    "alignment": {
                        "characters": ["H"],
                        "character_start_times_seconds": [float("nan")],
                        "character_end_times_seconds": [0.1],
                    },
                },
                InvalidResponseError,
            ),
        ],
    )
    async def test_an_error_after_audio_has_its_name(
        self, server: FaultyServer, line: object, kind: type[TTSError]
    ) -> None:
        first = {"audio_base64": "AAAA", "alignment": None}
        body = f"{json.dumps(first)}\n\n{json.dumps(line)}\n".encode()
        server.reply(Reply(body=body, content_type="application/json"))
        async with opened(server) as adapter:
            utterance = Utterance("Hi.", timestamps=Timestamps.WORD)
            async with adapter.synthesize(utterance) as source:
                assert await anext(source.chunks) == bytes(3)
                with pytest.raises(kind):
                    await anext(source.chunks)

    async def test_a_chunk_may_hold_times_alone(self, server: FaultyServer) -> None:
        alignment = {
            "characters": list("Hi."),
            "character_start_times_seconds": [0, 0.1, 0.2],
            "character_end_times_seconds": [0.1, 0.2, 0.3],
        }
        lines = [
            {"audio_base64": "", "alignment": alignment, "normalized_alignment": alignment},
            {"audio_base64": "AAAA", "alignment": None},
        ]
        body = "\n".join(map(json.dumps, lines)).encode()
        server.reply(Reply(body=body, content_type="application/json"))
        async with opened(server) as adapter:
            data, words = await heard(adapter, Utterance("Hi.", timestamps=Timestamps.CHARACTER))
        assert data == bytes(3)
        each = (TimedText(0, 0.1, (0, 1)), TimedText(0.1, 0.2, (1, 2)), TimedText(0.2, 0.3, (2, 3)))
        assert words == [TimedText(0, 0.3, (0, 3), each)]

    async def test_a_word_that_is_told_after_its_audio_is_not_lost_live(
        self, server: FaultyServer
    ) -> None:
        options = {"base_url": server.url, "api_key": KEY}
        adapter = ElevenLabsAdapter(ElevenLabsOptions.model_validate(options))
        async with (
            AsyncTTSService(providers=[adapter]) as tts,
            tts.stream("One two three.", timestamps="word", delivery="live") as speech,
        ):
            audio = await speech.collect()
        assert [entry.word for entry in audio.words] == ["One", "two", "three."]

    @pytest.mark.parametrize("delivery", ["exact", "live"])
    async def test_characters_have_the_times_that_elevenlabs_gives_them(
        self, server: FaultyServer, delivery: str
    ) -> None:
        text = "Zoë  said:\u00a0“x < 3 & y”. Then\tshe left!"
        options = {"base_url": server.url, "api_key": KEY}
        adapter = ElevenLabsAdapter(ElevenLabsOptions.model_validate(options))
        async with (
            AsyncTTSService(providers=[adapter]) as tts,
            tts.stream(text, timestamps="character", delivery=delivery) as speech,
        ):
            audio = await speech.collect()
        assert audio.warnings == []
        assert {entry.source for entry in audio.words} == {TimingSource.NATIVE}
        assert [text[slice(*entry.span)] for entry in audio.words] == list("".join(text.split()))
        lengths = {round(entry.end - entry.start, 4) for entry in audio.words}
        assert len(lengths) < len(audio.ledger) + 1  # each of a call's takes as long, here
        assert audio.words[-1].end == pytest.approx(audio.duration, abs=0.01)


@pytest.mark.anyio
class TestVoices:
    async def test_all_pages_are_read_and_the_default_is_first(self, server: FaultyServer) -> None:
        async with opened(server) as adapter:
            voices = await adapter.voices()
        pages = [one.target for one in server.requests if one.target.startswith("/v2/voices")]
        assert pages == [
            "/v2/voices?page_size=100",
            "/v2/voices?page_size=100&next_page_token=100",
            "/v2/voices?page_size=100&next_page_token=200",
        ]
        assert len(voices) == len(VOICES)
        assert voices[0].id == DEFAULT_VOICE

    async def test_what_is_listed_is_told(self, server: FaultyServer) -> None:
        async with opened(server, voice="pNInz6obpgDQGcFmaJgB") as adapter:
            adam, george, clone, *_ = await adapter.voices()
        assert adam == Voice(
            "pNInz6obpgDQGcFmaJgB",
            "elevenlabs",
            "Adam",
            languages=("en", "en-US", "pt-BR", "pt", "sv"),
            gender=Gender.MALE,
            description="A firm voice., american, middle-aged",
        )
        assert (george.name, george.languages) == ("George", ("en", "pt", "sv"))
        assert (clone.id, clone.name, clone.cloned) == ("my clone/1", "my clone/1", True)
        assert (clone.gender, clone.languages) == (Gender.UNKNOWN, ("en", "pt", "sv"))

    async def test_languages_are_the_configured_models(self, server: FaultyServer) -> None:
        async with opened(server, model="eleven_flash_v2") as adapter:
            assert {one.languages for one in await adapter.voices()} == {("en", "en-US"), ("en",)}

    async def test_of_an_unknown_model_only_the_voices_own_are_known(
        self, server: FaultyServer
    ) -> None:
        async with opened(server, model="eleven_v9") as adapter:
            george, adam, *_ = await adapter.voices()
        assert george.languages == ()
        assert adam.languages == ("en", "en-US", "pt-BR", "xx")

    async def test_a_default_that_is_not_listed_is_one_of_them(self, server: FaultyServer) -> None:
        async with opened(server, voice="shared by id") as adapter:
            voices = await adapter.voices()
        assert (voices[0].id, len(voices)) == ("shared by id", len(VOICES) + 1)

    async def test_a_server_that_repeats_its_token_is_not_asked_for_ever(
        self, server: FaultyServer
    ) -> None:
        listing = {"voices": VOICES[:2], "has_more": True, "next_page_token": "again"}
        server.serve("/v2/voices", json.dumps(listing).encode(), content_type="application/json")
        async with opened(server) as adapter:
            assert len(await adapter.voices()) == 2
        assert len(server.requests) == 3

    @pytest.mark.parametrize("listing", [b"[]", b'{"voices": [{"name": "x"}]}', b"<html>", b""])
    async def test_what_is_no_list_of_voices_is_refused(
        self, server: FaultyServer, listing: bytes
    ) -> None:
        server.serve("/v2/voices", listing, content_type="application/json")
        async with opened(server) as adapter:
            with pytest.raises(InvalidResponseError):
                await adapter.voices()


@pytest.mark.anyio
class TestKeys:
    async def test_a_key_for_speech_alone_will_do(self, server: FaultyServer) -> None:
        forbidden = refusal(401, "missing_permissions")
        server.serve("/v1/models", lambda _: forbidden, content_type="application/json")
        async with opened(server) as adapter:
            await adapter.check()
            assert (await adapter.voices())[0].languages == ()

    async def test_a_key_that_may_do_nothing_is_found_by_the_check(
        self, server: FaultyServer
    ) -> None:
        server.reply(document({"detail": "Forbidden"}, 403))
        async with opened(server) as adapter:
            with pytest.raises(PermissionDeniedError):
                await adapter.check()

    async def test_a_wrong_key_is_found_by_the_check(self, server: FaultyServer) -> None:
        async with opened(server, api_key="wrong") as adapter:
            with pytest.raises(AuthenticationError):
                await adapter.check()

    @pytest.mark.parametrize(
        ("reply", "kind"),
        [
            (refusal(401, "invalid_api_key"), AuthenticationError),
            (refusal(401, "missing_permissions"), PermissionDeniedError),
            (refusal(401, "quota_exceeded"), QuotaExceededError),
            (refusal(400, "voice_not_found"), VoiceNotFoundError),
            (refusal(404, "voice_not_found"), VoiceNotFoundError),
            (refusal(400, "model_not_found"), UnsupportedFeatureError),
            (refusal(400, "max_character_limit_exceeded"), TextTooLongError),
            (refusal(403, "only_for_creator+"), PermissionDeniedError),
            (refusal(429, "too_many_concurrent_requests"), RateLimitedError),
            (refusal(429, "concurrent_limit_exceeded"), RateLimitedError),
            (refusal(429, "system_busy"), ProviderUnavailableError),
            (refusal(400, "invalid_uid"), VoiceNotFoundError),
            (refusal(401, "detected_unusual_activity"), AuthenticationError),
            (refusal(404, "not_found", param="audio_effects.environment_id"),
             UnsupportedFeatureError),
            (refusal(401, "something", code="quota_exceeded"), QuotaExceededError),
            (refusal(400, "something"), InvalidParameterError),
            (document({"detail": [{"loc": ["body"], "msg": "x", "type": "int"}]}, 422),
             InvalidParameterError),
            (document({"detail": "Unauthorized"}, 401), AuthenticationError),
            (document({"detail": "Not Found"}, 404), ProviderUnavailableError),
            (document({}, 429), RateLimitedError),
            (Reply(503, body=b"<html>", content_type="text/html"), ProviderUnavailableError),
            (Reply(500, body=b""), ProviderUnavailableError),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("timestamps", [Timestamps.NONE, Timestamps.WORD])
    async def test_each_refusal_has_its_name(
        self, server: FaultyServer, reply: Reply, kind: type[TTSError], timestamps: Timestamps
    ) -> None:
        server.reply(reply)
        async with opened(server) as adapter:
            with pytest.raises(kind) as caught:
                await heard(adapter, Utterance("Hi.", timestamps=timestamps))
        assert type(caught.value) is kind
        assert "quote" not in str(caught.value)
        assert caught.value.request_id == dict(reply.headers).get("request-id")


@pytest.mark.anyio
class TestBills:
    @pytest.mark.parametrize(
        ("section", "headers", "due"),
        [
            ({"model": "eleven_flash_v2"}, {"character-cost": "500"}, 3 * 20 / 1e6),
            ({"usd_per_million_credits": 100}, {"character-cost": "500"}, 0.05),
            ({"usd_per_million_credits": 100}, {"character-cost": "0"}, 0.0),
            ({"usd_per_million_credits": 100}, {"character-cost": "soon"}, None),
            ({"usd_per_million_credits": 100, "model": "eleven_flash_v2"}, {}, 3 * 20 / 1e6),
            ({}, {"character-cost": "500"}, None),
        ],
    )
    async def test_the_cost_is_what_is_known(
        self,
        server: FaultyServer,
        section: Mapping[str, object],
        headers: Mapping[str, str],
        due: float | None,
    ) -> None:
        server.reply(
            Reply(headers=tuple(headers.items()), body=bytes(48), content_type="audio/pcm")
        )
        async with opened(server, **section) as adapter, adapter.synthesize(Utterance("Hi.")) as it:
            assert it.cost == (None if due is None else pytest.approx(due))

    async def test_the_request_can_be_told_to_support(self, server: FaultyServer) -> None:
        async with opened(server) as adapter, adapter.synthesize(Utterance("Hi.")) as source:
            assert source.request_id == "req-1"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("header", "told"), [("5", 5), ("many", None), ("", None), ("9" * 9, None)]
)
async def test_how_many_calls_the_account_bears_is_passed_on(header: str, told: int | None) -> None:
    reply = Reply(headers=(("maximum-concurrent-requests", header),), body=bytes(4_800))
    with FaultyServer().reply(reply) as server:
        async with (
            opened(server) as adapter,
            adapter.synthesize(Utterance("Hello.")) as source,
        ):
            assert source.concurrency == told
