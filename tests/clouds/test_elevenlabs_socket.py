"""ElevenLabs over WebSockets that stay open, spoken to over real connections."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlsplit

import anyio
import pytest
from websockets.sync.server import ServerConnection

from tests.clouds.contract import KEY
from tests.clouds.elevenlabs_contexts import Contexts, send
from tests.listening import listening
from ttskit import AsyncTTSService
from ttskit.adapters.base import AudioSource, TimedText, Utterance
from ttskit.adapters.elevenlabs import ElevenLabsAdapter
from ttskit.adapters.elevenlabs_options import DEFAULT_VOICE, ElevenLabsOptions
from ttskit.codecs.decode import decode
from ttskit.errors import (
    AuthenticationError,
    InvalidResponseError,
    NetworkError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExceededError,
    TTSError,
    VoiceNotFoundError,
)
from ttskit.request import Timestamps
from ttskit.resources.host import Resources
from ttskit.resources.http.pools import HTTPOptions
from ttskit.testing import transcribe

pytestmark = pytest.mark.anyio
AGENT = "eleven_v3_conversational"
MODELS = pytest.mark.parametrize("model", [None, "eleven_flash_v2_5", AGENT, "eleven_v4_turbo"])
SAID = Utterance("Zoë said: “x < 3”.", lane="lane")


@dataclass
class Service:
    contexts: Contexts
    url: str


@pytest.fixture
def service() -> Iterator[Service]:
    contexts = Contexts({DEFAULT_VOICE, "my clone/1"})
    with listening(contexts, contexts.judge) as url:
        yield Service(contexts, url)
    assert not contexts.complaints


def adapter_of(service: Service, **section: object) -> ElevenLabsAdapter:
    options = {"base_url": service.url, "api_key": KEY, "websocket": "always", **section}
    return ElevenLabsAdapter(ElevenLabsOptions.model_validate(options))


@asynccontextmanager
async def opened(
    service: Service, *, silence_s: float = 5.0, **section: object
) -> AsyncIterator[ElevenLabsAdapter]:
    adapter = adapter_of(service, **section)
    resources = Resources(http=HTTPOptions(silence_s=silence_s))
    await adapter.open(resources)
    try:
        yield adapter
    finally:
        await adapter.close()
        await resources.aclose()


async def heard(
    adapter: ElevenLabsAdapter, utterance: Utterance
) -> tuple[str, list[TimedText], AudioSource]:
    """Return what is heard, read in the tone code, and the words."""
    async with adapter.synthesize(utterance) as source:
        data = b"".join([chunk async for chunk in source.chunks])  # type: ignore[misc] # bytes
    found = decode(data, source.format, sample_rate=source.sample_rate)
    return transcribe((found.samples, found.sample_rate)), source.words, source


@MODELS
async def test_an_utterance_is_heard_whole(service: Service, model: str | None) -> None:
    async with opened(service, model=model) as adapter:
        for timestamps in Timestamps:
            text, words, _ = await heard(adapter, replace(SAID, timestamps=timestamps))
            assert text == SAID.text
            timed = [SAID.text[slice(*word.span)] for word in words]
            assert timed == (SAID.text.split() if timestamps is not Timestamps.NONE else [])
            ends = [word.end for word in words]
            assert ends == sorted(ends)
            assert all(word.characters for word in words) is (timestamps is not Timestamps.WORD)


@pytest.mark.parametrize("form", ["pcm_8000", "ulaw_8000", "alaw_8000", "mp3_44100_128"])
@pytest.mark.parametrize("model", ["eleven_flash_v2_5", AGENT])
async def test_formats_come_as_they_are_asked_for(service: Service, form: str, model: str) -> None:
    async with opened(service, model=model, format=form) as adapter:
        text, _, source = await heard(adapter, SAID)
    assert text == SAID.text
    codec = form.partition("_")[0]
    assert source.format == {"ulaw": "mulaw"}.get(codec, codec)
    assert source.cost == (None if model == "eleven_flash_v2_5" else pytest.approx(18 * 20 / 1e6))


@MODELS
async def test_utterances_of_a_stream_share_a_socket(service: Service, model: str | None) -> None:
    async with opened(service, model=model) as adapter:
        for text in ("One two.", "Three.", "Four five."):
            assert (await heard(adapter, replace(SAID, text=text)))[0] == text
        adapter.release("lane")
        assert (await heard(adapter, replace(SAID, text="Six.", lane="other")))[0] == "Six."
    assert service.contexts.texts == [["One two.", "Three.", "Four five.", "Six."]]
    names = {str(one["context_id"]) for one in service.contexts.said[0]}
    assert len(names) == 4


async def test_what_is_set_is_said_where_it_belongs(service: Service) -> None:
    dictionaries = [{"pronunciation_dictionary_id": "d", "version_id": "v"}]
    section = {
        "model": "eleven_flash_v2_5",
        "stability": 0.4,
        "similarity_boost": 0.8,
        "style": 0,
        "use_speaker_boost": False,
        "apply_text_normalization": "on",
        "enable_logging": False,
        "pronunciation_dictionary_locators": dictionaries,
    }
    said = replace(SAID, voice="my clone/1", language="sv-SE", speed=1.1, seed=7)
    async with opened(service, **section) as adapter:
        await heard(adapter, replace(said, timestamps=Timestamps.WORD))
    url = urlsplit(service.contexts.paths[0])
    assert url.path == "/v1/text-to-speech/my%20clone%2F1/multi-stream-input"
    assert dict(parse_qsl(url.query)) == {
        "model_id": "eleven_flash_v2_5",
        "output_format": "pcm_24000",
        "language_code": "sv",
        "sync_alignment": "true",
        "apply_text_normalization": "on",
        "enable_logging": "false",
        "seed": "7",
        "auto_mode": "true",
    }
    assert service.contexts.said[0][0] == {
        "text": " ",
        "voice_settings": {
            "stability": 0.4,
            "similarity_boost": 0.8,
            "style": 0,
            "use_speaker_boost": False,
            "speed": 1.1,
        },
        "pronunciation_dictionary_locators": dictionaries,
        "context_id": "c1",
    }


async def test_an_agents_model_is_told_less(service: Service) -> None:
    section = {"model": AGENT, "stability": 0.5, "apply_text_normalization": "auto"}
    async with opened(service, **section) as adapter:
        await heard(adapter, replace(SAID, language="de"))
    url = urlsplit(service.contexts.paths[0])
    assert url.path == "/v1/text-to-dialogue/multi-stream-input"
    assert dict(parse_qsl(url.query)) == {
        "model_id": AGENT,
        "output_format": "pcm_24000",
        "language_code": "de",
    }
    assert service.contexts.said[0][0] == {
        "voices": [DEFAULT_VOICE],
        "voice_settings": {"stability": 0.5},
        "context_id": "c1",
    }


@pytest.mark.parametrize(
    ("section", "said", "is_socket"),
    [
        ({"websocket": "auto", "model": AGENT}, {}, True),
        ({"websocket": "auto", "model": AGENT}, {"lane": None}, False),
        ({"websocket": "auto", "model": "eleven_flash_v2_5"}, {}, False),
        ({"websocket": "auto"}, {"model": "eleven_v4_turbo"}, True),
        ({"websocket": "never", "model": AGENT}, {}, False),
        ({}, {"lane": None}, True),
        ({"model": "eleven_v3"}, {}, True),
        ({"format": "wav_16000"}, {}, False),
        ({"format": "pcm_48000"}, {}, False),
        ({"format": "pcm_48000", "model": AGENT}, {}, True),
        ({"format": "mp3_44100_128"}, {"timestamps": Timestamps.WORD}, False),
        ({"audio_effects": {"filter_preset_id": "phone"}}, {}, False),
        ({}, {"options": {"use_pvc_as_ivc": True}}, False),
        ({"clone_strength": 0.5}, {}, False),
        ({"model": AGENT, "similarity_boost": 0.5}, {}, False),
        ({"model": AGENT, "enable_logging": False}, {}, False),
        ({"model": AGENT}, {"seed": 1}, False),
        ({"model": "eleven_v4_turbo"}, {"speed": 1.1}, False),
    ],
)
async def test_a_socket_is_taken_where_it_is_wanted_and_can_be_told_all(
    service: Service,
    section: dict[str, object],
    said: dict[str, object],
    is_socket: bool,  # noqa: FBT001 - parametrised
) -> None:
    async with opened(service, **section) as adapter:
        asking = adapter.synthesize(replace(SAID, **said))  # type: ignore[arg-type] # its fields
        if is_socket:
            async with asking as source:
                assert [chunk async for chunk in source.chunks]
        else:
            with pytest.raises(TTSError):  # there are only sockets here
                async with asking:
                    pass
    assert bool(service.contexts.said) is is_socket


@MODELS
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("quota_exceeded", QuotaExceededError),
        ("authentication_required", AuthenticationError),
        ("something_else", ProviderUnavailableError),
    ],
)
@pytest.mark.parametrize("after", [0, 2])
async def test_each_error_has_its_name(
    service: Service, model: str | None, code: str, kind: type[TTSError], after: int
) -> None:
    def refuse(connection: ServerConnection, good: list[dict[str, object]]) -> None:
        send(connection, [*good[:after], {"message": "may quote", "error": code, "code": 1008}])
        connection.close(1008)

    service.contexts.script = refuse
    async with opened(service, model=model) as adapter:
        with pytest.raises(kind) as caught:
            await heard(adapter, SAID)
        assert type(caught.value) is kind
        assert caught.value.provider == "elevenlabs"
        assert "quote" not in str(caught.value)
        service.contexts.script = None
        assert (await heard(adapter, SAID))[0] == SAID.text


async def test_what_goes_wrong_on_the_wire_has_its_name(service: Service) -> None:
    async with opened(service, model=AGENT) as adapter:
        with pytest.raises(VoiceNotFoundError):
            await heard(adapter, replace(SAID, voice="nobody"))
        service.contexts.script = lambda connection, _: connection.close(1000)
        with pytest.raises(NetworkError):
            await heard(adapter, SAID)
        service.contexts.script = lambda connection, good: (
            send(connection, good[:2]),
            connection.socket.close(),
        )
        with pytest.raises(NetworkError):
            await heard(adapter, SAID)
        service.contexts.script = lambda connection, _: connection.send("no JSON")
        with pytest.raises(InvalidResponseError):
            await heard(adapter, SAID)
        service.contexts.script = None
        service.contexts.status = 401
        with pytest.raises(QuotaExceededError):
            await heard(adapter, replace(SAID, lane="new"))


async def test_a_wrong_key_is_found_by_the_handshake(service: Service) -> None:
    async with opened(service, api_key="wrong") as adapter:
        with pytest.raises(AuthenticationError):
            await heard(adapter, SAID)


async def test_a_server_that_falls_silent_is_left(service: Service) -> None:
    service.contexts.script = lambda connection, good: send(connection, good[:2])
    async with opened(service, silence_s=0.2) as adapter:
        with anyio.fail_after(10), pytest.raises(ProviderTimeoutError):
            await heard(adapter, SAID)


async def test_who_is_left_early_tells_nothing_in_the_next_utterance(service: Service) -> None:
    async with opened(service, model=AGENT) as adapter:
        async with adapter.synthesize(replace(SAID, text="Never heard to its end.")) as source:
            await anext(source.chunks)
        assert (await heard(adapter, replace(SAID, text="Afterwards.")))[0] == "Afterwards."


@MODELS
@pytest.mark.parametrize("delivery", ["exact", "live"])
async def test_arriving_text_is_spoken_over_sockets(
    service: Service, model: str | None, delivery: str
) -> None:
    async def pieces() -> AsyncIterator[str]:
        for piece in ("One tw", "o three. Four ", "five, si", "x. Seven!"):
            yield piece

    async with (
        AsyncTTSService(providers=[adapter_of(service, model=model)]) as tts,
        tts.stream(pieces(), delivery=delivery, timestamps="word") as speech,
    ):
        audio = await speech.collect()
    assert transcribe(audio) == "One two three. Four five, six. Seven!"
    assert "".join(entry.word for entry in audio.words) == "Onetwothree.Fourfive,six.Seven!"
    said = [text for texts in service.contexts.texts for text in texts]
    assert sorted(said) == ["Four five, six.", "One two three.", "Seven!"]


async def test_the_key_is_in_no_message_or_target(service: Service) -> None:
    async with opened(service) as adapter:
        await heard(adapter, SAID)
    assert KEY not in json.dumps([service.contexts.said, service.contexts.paths])


@pytest.mark.parametrize("model", ["eleven_flash_v2_5", AGENT])
async def test_wherever_it_is_left_the_next_utterance_is_whole(
    service: Service, model: str
) -> None:
    async with opened(service, model=model) as adapter:
        for pieces in range(4):
            for _ in range(2):
                with anyio.CancelScope() as scope:
                    async with adapter.synthesize(SAID) as source:
                        for _ in range(pieces):
                            await anext(source.chunks)
                        scope.cancel()
                        await anyio.sleep_forever()
            assert (await heard(adapter, replace(SAID, text="Next.")))[0] == "Next."


@pytest.mark.parametrize("fault", ["quota_exceeded", "no JSON"])
async def test_key_and_text_are_in_no_log_record_or_error(
    service: Service, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    caplog.set_level(logging.DEBUG)
    service.contexts.script = lambda connection, _: connection.send(
        json.dumps({"message": SAID.text, "error": fault, "code": 1008}) if "_" in fault else fault
    )
    async with opened(service) as adapter:
        with pytest.raises(TTSError) as caught:
            await heard(adapter, SAID)
        told = [str(vars(record)) for record in caplog.records]
        told += [repr(adapter), repr(vars(adapter)), str(caught.value), repr(caught.value)]
        for secret in (KEY, SAID.text):
            assert not [line for line in told if secret in line]


@pytest.mark.parametrize("delivery", ["exact", "live"])
@pytest.mark.parametrize("sent", [0, 1, 3])
async def test_a_socket_that_dies_in_mid_utterance_loses_no_sentence(
    service: Service, sent: int, delivery: str
) -> None:
    def die(connection: ServerConnection, good: list[dict[str, object]]) -> None:
        service.contexts.script = None
        send(connection, good[:sent])
        connection.socket.shutdown(socket.SHUT_RDWR)

    service.contexts.script = die
    config = {"providers": {"elevenlabs": {"retry": {"base_wait_s": 0.01}}}}
    async with (
        AsyncTTSService(config, providers=[adapter_of(service, model=AGENT)]) as tts,
        tts.stream("One two three. Four five six.", delivery=delivery) as speech,
    ):
        audio = await speech.collect()
    assert transcribe(audio) == "One two three. Four five six."


async def test_a_socket_that_died_while_it_waited_costs_nobody_anything(service: Service) -> None:
    async with opened(service, model=AGENT) as adapter:
        assert (await heard(adapter, SAID))[0] == SAID.text
        service.contexts.hang_up()
        assert (await heard(adapter, SAID))[0] == SAID.text
    assert len(service.contexts.said) == 2
