"""Our requests to ElevenLabs and those of its own SDK mean the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.clouds import opening
from tests.clouds.contract import KEY
from ttskit.adapters.base import TimedText, Turn, Utterance
from ttskit.adapters.elevenlabs import ElevenLabsAdapter
from ttskit.adapters.elevenlabs_options import ElevenLabsOptions
from ttskit.adapters.elevenlabs_socket import ContextAudio, Said
from ttskit.adapters.timing import CharacterTimes
from ttskit.request import Timestamps
from ttskit.testing import FaultyServer, Received, Reply

if TYPE_CHECKING:
    from elevenlabs.client import ElevenLabs

pytestmark = [pytest.mark.engine("elevenlabs sdk"), pytest.mark.anyio]
VOICE = "JBFqnCBsd6RMkjVDRZzb"
TEXT = "Grüße, “world” & <all>."


@dataclass(frozen=True)
class Meaning:
    """What a request means to the server."""

    method: str
    path: str
    query: Mapping[str, str]
    key: str
    body: object


def meaning(received: Received) -> Meaning:
    url = urlsplit(received.target)
    return Meaning(
        received.method,
        url.path,
        dict(parse_qsl(url.query)),
        received.headers["xi-api-key"],
        json.loads(received.body) if received.body else None,
    )


def answer(received: Received) -> Reply:
    if received.target.startswith("/v2/voices"):
        body: object = {"voices": [], "has_more": False, "total_count": 0}
    elif received.target.startswith("/v1/models"):
        body = []
    else:
        body = {"audio_base64": "AAAA", "alignment": None, "normalized_alignment": None}
    return Reply(body=json.dumps(body).encode(), content_type="application/octet-stream")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer(answer) as server:
        yield server


@pytest.fixture
def sdk(server: FaultyServer) -> Iterator[ElevenLabs]:
    from elevenlabs.client import ElevenLabs

    with httpx.Client() as client:
        yield ElevenLabs(base_url=server.url, api_key=KEY, httpx_client=client)


def exhaust(reply: object) -> None:
    """Read a reply of the SDK to its end, where it comes piece by piece."""
    if isinstance(reply, Iterator):
        list(reply)


async def speak(server: FaultyServer, utterance: Utterance, **section: object) -> None:
    async with opened(server, **section) as adapter, adapter.synthesize(utterance) as source:
        async for _ in source.chunks:
            pass


@asynccontextmanager
async def opened(server: FaultyServer, **section: object) -> AsyncIterator[ElevenLabsAdapter]:
    options = {"base_url": server.url, "api_key": KEY, "voice": VOICE, **section}
    adapter = ElevenLabsAdapter(ElevenLabsOptions.model_validate(options))
    async with opening.opened(adapter):
        yield adapter


SETTINGS = {
    "stability": 0.3,
    "similarity_boost": 0.9,
    "style": 0.1,
    "use_speaker_boost": True,
    "clone_strength": 0.0,
}
EFFECTS = {"filter_preset_id": "phone", "distance": 0.5, "pan": 0.0}
MEMBERS: Mapping[str, object] = {
    "apply_text_normalization": "on",
    "apply_language_text_normalization": False,
    "use_pvc_as_ivc": True,
    "pronunciation_dictionary_locators": [
        {"pronunciation_dictionary_id": "d", "version_id": "v"},
        {"pronunciation_dictionary_id": "e"},
    ],
    "audio_effects": EFFECTS,
}
QUERY: Mapping[str, object] = {"enable_logging": True, "optimize_streaming_latency": 3}
CALLS = pytest.mark.parametrize(
    ("form", "timestamps", "call"),
    [
        ("pcm_24000", Timestamps.NONE, "stream"),
        ("mp3_44100_128", Timestamps.WORD, "stream_with_timestamps"),
        ("wav_16000", Timestamps.NONE, "convert"),
        ("wav_16000", Timestamps.WORD, "convert_with_timestamps"),
    ],
)
"""Of the SDK, with what has us ask the same."""


@CALLS
async def test_speech(
    server: FaultyServer, sdk: ElevenLabs, form: str, timestamps: Timestamps, call: str
) -> None:
    exhaust(getattr(sdk.text_to_speech, call)(VOICE, text=TEXT, output_format=form))
    await speak(server, Utterance(TEXT, timestamps=timestamps), format=form)
    theirs, ours = map(meaning, server.requests)
    assert ours == theirs


async def test_everything_that_can_be_set(server: FaultyServer, sdk: ElevenLabs) -> None:
    from elevenlabs import VoiceSettings
    from elevenlabs.types import EffectsSpecInput

    theirs = sdk.text_to_speech.stream(
        VOICE,
        text=TEXT,
        output_format="mp3_22050_32",
        model_id="eleven_flash_v2_5",
        language_code="de",
        seed=4_294_967_295,
        voice_settings=VoiceSettings(**SETTINGS, speed=1.15),
        previous_text="Before.",
        next_text="After.",
        previous_request_ids=["p"],
        next_request_ids=["n1", "n2"],
        **{**MEMBERS, "audio_effects": EffectsSpecInput(**EFFECTS)},
        **QUERY,
    )
    exhaust(theirs)
    utterance = Utterance(
        TEXT,
        speed=1.15,
        seed=4_294_967_295,
        language="de-AT",
        previous_text="Before.",
        next_text="After.",
        options={"previous_request_ids": ["p"], "next_request_ids": ["n1", "n2"]},
    )
    section = {"model": "eleven_flash_v2_5", **SETTINGS, **MEMBERS, **QUERY}
    await speak(server, utterance, format="mp3_22050_32", **section)
    their_request, our_request = map(meaning, server.requests)
    assert our_request == their_request


async def test_lists(server: FaultyServer, sdk: ElevenLabs) -> None:
    sdk.models.list()
    sdk.voices.search(page_size=100)
    theirs = [meaning(one) for one in server.requests]
    async with opened(server) as adapter:
        await adapter.voices()
    assert [meaning(one) for one in server.requests[len(theirs) :]] == theirs


@CALLS
async def test_dialogue(
    server: FaultyServer, sdk: ElevenLabs, form: str, timestamps: Timestamps, call: str
) -> None:
    from elevenlabs import DialogueInput, PronunciationDictionaryVersionLocator
    from elevenlabs.types import EffectsSpecInput, ToDialogueSettingsResponseModel

    theirs = getattr(sdk.text_to_dialogue, call)(
        inputs=[
            DialogueInput(text="Grüße!", voice_id=VOICE),
            DialogueInput(text="Ja?", voice_id="b"),
        ],
        output_format=form,
        enable_logging=True,
        model_id="eleven_v4",
        language_code="de",
        settings=ToDialogueSettingsResponseModel(stability=0.3, similarity=0.9, clone_strength=0.0),
        previous_text="Before.",
        future_text="After.",
        pronunciation_dictionary_locators=[
            PronunciationDictionaryVersionLocator(pronunciation_dictionary_id="d", version_id="v")
        ],
        seed=7,
        apply_text_normalization="on",
        use_pvc_as_ivc=True,
        previous_request_ids=["p"],
        next_request_ids=["n"],
        audio_effects=EffectsSpecInput(**{**EFFECTS, "pan": 0.0}),
    )
    exhaust(theirs)
    utterance = Utterance(
        "Grüße!\nJa?",
        turns=(Turn((0, 6), None), Turn((7, 10), "b")),
        language="de",
        previous_text="Before.",
        next_text="After.",
        previous_ids=("p",),
        seed=7,
        timestamps=timestamps,
        options={"next_request_ids": ["n"]},
    )
    section = {
        **SETTINGS,
        **MEMBERS,
        "pronunciation_dictionary_locators": [
            {"pronunciation_dictionary_id": "d", "version_id": "v"}
        ],
        "enable_logging": True,
        "model": "eleven_v4",
    }
    await speak(server, utterance, format=form, **section)
    their_request, our_request = map(meaning, server.requests)
    assert our_request == their_request


def test_messages_to_the_socket_for_speech() -> None:
    from elevenlabs.types import CloseContext, InitializeConnectionMulti, SendTextMulti

    dictionaries = [{"pronunciation_dictionary_id": "d", "version_id": "v"}]
    said = Said("Grüße!", VOICE, {**SETTINGS_OF_SOCKETS, "speed": 1.1}, dictionaries)
    first, text, last = map(json.loads, said.speech("c1"))
    assert first == sent(
        InitializeConnectionMulti(
            voice_settings={**SETTINGS_OF_SOCKETS, "speed": 1.1},
            pronunciation_dictionary_locators=dictionaries,
            context_id="c1",
        )
    )
    assert text == sent(SendTextMulti(text="Grüße! ", context_id="c1", flush=True))
    assert last == sent(CloseContext(context_id="c1", close_context=True))


def test_messages_to_the_socket_for_dialogues() -> None:
    from elevenlabs.types import (
        TextToDialogueWebsocketClientMessageMulti,
        TextToDialogueWebsocketVoiceInput,
    )

    said = Said("Grüße!", VOICE, {"stability": 0.5, "clone_strength": 0.1}, None)
    assert [json.loads(one) for one in said.dialogue("c1")] == [
        sent(TextToDialogueWebsocketClientMessageMulti(**members, context_id="c1"))
        for members in (
            {"voices": [VOICE], "voice_settings": {"stability": 0.5, "clone_strength": 0.1}},
            {"inputs": [TextToDialogueWebsocketVoiceInput(text="Grüße!", voice_id=VOICE)]},
            {"close_context": True},
        )
    ]


async def test_answers_of_both_sockets() -> None:
    from elevenlabs.types import (
        Alignment,
        DialogueTextAlignment,
        TextToDialogueWebsocketAudioChunkMulti,
        TextToDialogueWebsocketFinalMulti,
        WebsocketTtsServerMessageMulti,
    )

    times = {"chars": ["H", "i"], "char_start_times_ms": [0, 10], "char_durations_ms": [10, 10]}
    speech = [
        WebsocketTtsServerMessageMulti(
            audio="AAAA", alignment=Alignment(**times), context_id="c1"
        ).json(by_alias=True),
        WebsocketTtsServerMessageMulti(is_final=True, context_id="c1").json(by_alias=True),
    ]
    dialogue = [
        TextToDialogueWebsocketAudioChunkMulti(
            audio="AAAA", alignment=DialogueTextAlignment(**times), context_id="c1"
        ).json(),
        TextToDialogueWebsocketFinalMulti(context_id="c1").json(),
    ]
    for messages in (speech, dialogue):
        ended: list[bool] = []
        chunks = ContextAudio(
            _messages(messages),
            "c1",
            refusals=ElevenLabsAdapter.refusals,
            end=lambda ended=ended: ended.append(True),
        )
        words: list[TimedText] = []
        chunks.time(words, CharacterTimes("Hi"), codec="pcm", rate=24_000)
        assert b"".join([chunk async for chunk in chunks]) == bytes(3)
        assert ended == [True]
        assert [(word.span, word.start, word.end) for word in words] == [((0, 2), 0.0, 0.02)]


async def _messages(messages: list[str]) -> AsyncIterator[str]:
    for message in messages:
        yield message


SETTINGS_OF_SOCKETS = {name: value for name, value in SETTINGS.items() if name != "clone_strength"}


def sent(message: object) -> object:
    """Return a message of the SDK as it goes over the wire: what was not set is not sent."""
    return json.loads(message.json(exclude_none=True))  # type: ignore[attr-defined] # pydantic's
