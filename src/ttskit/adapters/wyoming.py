"""Servers that speak the Wyoming protocol, as Home Assistant's do, over TCP.

Source: package wyoming 1.10.2 (event.py, tts.py, audio.py, error.py) and wyoming-piper's
handler.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import anyio
from pydantic import ConfigDict, Field, field_validator, model_validator
from typing_extensions import override

from ttskit.adapters.base import (
    NATIVE,
    Adapter,
    AdapterOptions,
    AudioSource,
    Capabilities,
    Runs,
    Utterance,
)
from ttskit.adapters.options import CallOptions
from ttskit.adapters.replies import Shape
from ttskit.adapters.wyoming_events import Event, read_event
from ttskit.adapters.wyoming_voices import SERVERS_OWN, Choice, Offer
from ttskit.codecs.wav import PCM_BYTES, wav_header
from ttskit.errors import (
    GenerationError,
    InvalidParameterError,
    InvalidResponseError,
    ProviderTimeoutError,
    TTSError,
    VoiceNotFoundError,
)
from ttskit.request import check_language
from ttskit.resources.http.address import is_loopback
from ttskit.resources.http.client import FETCH_S, MAX_AUDIO_BYTES
from ttskit.resources.sockets import Connection
from ttskit.voices import Voice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ttskit.resources.host import Resources
    from ttskit.resources.sockets import SocketClient

LONGEST_CODE = 60


class WyomingOptions(AdapterOptions):
    """The section of tts.yaml."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Where the server is.")
    port: int = Field(default=10_200, ge=1, le=65_535, description="Its port.")
    uri: str | None = Field(
        default=None, description="`tcp://host:port`, in place of `host` and `port`."
    )
    allow_unencrypted: bool = Field(
        default=False,
        description="Texts may go over a wire that others can read: Wyoming has no encryption. "
        "Needed for a server on another machine.",
    )
    voice: str | None = Field(
        default=None,
        min_length=1,
        description="Where none is asked for; None: one for `language`, or the server's own.",
    )
    speaker: str | None = Field(
        default=None, min_length=1, description="Of `voice`, where it has several."
    )
    language: str | None = Field(
        default=None, description="Where neither a voice nor a language is asked for."
    )
    streaming: bool = Field(
        default=True,
        description="The text is sent as a stream to servers that announce that they take it.",
    )

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        if self.uri is None:
            return self.host, self.port
        parts = urlsplit(self.uri)
        return parts.hostname or "", parts.port or 0

    @field_validator("uri")
    @classmethod
    def _tcp(cls, uri: str | None) -> str | None:
        parts = urlsplit(uri or "tcp://host:1")
        rest = (parts.path, parts.query, parts.fragment, parts.username)
        if parts.scheme != "tcp" or not parts.hostname or not parts.port or any(rest):
            raise ValueError("must be like tcp://127.0.0.1:10200")
        return uri

    @field_validator("language")
    @classmethod
    def _well_formed(cls, language: str | None) -> str | None:
        try:
            return None if language is None else check_language(language)
        except TTSError as error:
            raise ValueError(error.message) from None

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if self.uri is not None and self.model_fields_set & {"host", "port"}:
            raise ValueError("give uri, or host and port, not both")
        if self.speaker is not None and self.voice is None:
            raise ValueError("speaker is one of a voice's: voice is missing")
        if not self.allow_unencrypted and not is_loopback(self.place[0]):
            raise ValueError("others can read what is sent there; set allow_unencrypted: true")
        return self


class WyomingCallOptions(CallOptions):
    """What one request may set, as ``provider_options={"wyoming": {...}}``."""

    speaker: str | None = Field(default=None, min_length=1)


class WyomingAdapter(Adapter[WyomingOptions]):
    """Audio as it comes, over one connection for each utterance."""

    name = "wyoming"
    call_model = WyomingCallOptions
    capabilities = Capabilities(formats=("pcm", "wav"), runs=Runs.CLOUD, streaming=NATIVE)
    _socket: SocketClient
    _offer: Offer | None = None

    @override
    async def open(self, resources: Resources) -> None:
        host, port = self.options.place
        self._socket = resources.socket(host, port, provider=self.provider)

    @override
    async def voices(self) -> list[Voice]:
        async with self._socket.connect() as connection:
            offer = await self._ask(connection)
        default = self.options.voice
        if default is None and self.options.language is not None:
            default = offer.choose(None, speaker=None, language=self.options.language).name
        first = default or SERVERS_OWN
        tags = () if default else ("und",)  # it speaks a language, but nobody says which
        voices = {first: Voice(first, self.provider, first, languages=tags)}
        return list((voices | {one.id: one for one in offer.voices(self.provider)}).values())

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        own = self._own(WyomingCallOptions, utterance)
        async with self._socket.connect() as connection:
            speech = await self._begun(connection, utterance, own)
            yield AudioSource(
                speech,
                format=speech.format,
                sample_rate=speech.layout.rate,
                channels=speech.layout.channels,
            )

    @override
    async def check(self) -> None:
        async with self._socket.connect() as connection:
            options = self.options
            offer = await self._ask(connection)
            offer.choose(options.voice, speaker=options.speaker, language=options.language)

    async def _begun(
        self, connection: Connection, utterance: Utterance, own: WyomingCallOptions
    ) -> _Speech:
        """Ask for the utterance and return its audio, which has begun."""
        try:
            choice = await self._choice(connection, utterance, own)
            engine, is_streamed = (self._offer or await self._ask(connection)).engine(choice)
            is_streamed = is_streamed and self.options.streaming
            events = _asked(utterance.text, choice, is_streamed=is_streamed)
            if engine is not None:
                events = [Event("select-program", {"name": engine}), *events]
            await connection.send(b"".join(event.packed() for event in events))
            return await _Speech.begun(connection, is_streamed=is_streamed)
        except TTSError:
            self._offer = None  # another server may be there by now
            raise

    async def _choice(
        self, connection: Connection, utterance: Utterance, own: WyomingCallOptions
    ) -> Choice:
        """Return who is to speak; a voice that is not known may be there by now."""
        known, options = self._offer, self.options
        voice = utterance.voice or options.voice
        speaker = own.speaker or (options.speaker if voice == options.voice else None)
        language = utterance.language or options.language
        if own.speaker is not None and voice in (None, SERVERS_OWN):
            raise InvalidParameterError("a speaker is one of a voice's: name the voice")
        if known is not None:
            with suppress(VoiceNotFoundError):
                return known.choose(voice, speaker=speaker, language=language)
        offer = await self._ask(connection)
        return offer.choose(voice, speaker=speaker, language=language)

    async def _ask(self, connection: Connection) -> Offer:
        """Have the server describe itself, and keep what it says."""
        with anyio.move_on_after(FETCH_S):
            await connection.send(Event("describe").packed())
            while (event := await read_event(connection)).type != "info":
                _check(event)
            self._offer = offer = Offer(event.data)
            return offer
        raise ProviderTimeoutError(f"the server does not describe itself within {FETCH_S:g} s")


def _asked(text: str, choice: Choice, *, is_streamed: bool) -> list[Event]:
    """Return what asks for a text: one event, or the whole text as a stream of one piece."""
    voice = choice.data()
    given = {} if voice is None else {"voice": voice}
    if not is_streamed:
        return [Event("synthesize", {"text": text, **given})]
    return [
        Event("synthesize-start", given),
        Event("synthesize-chunk", {"text": text}),
        Event("synthesize-stop"),
    ]


class _Layout(Shape):
    """What every event of audio says of it."""

    model_config = ConfigDict(frozen=True)

    rate: int = Field(ge=1_000, le=384_000)
    """Hz."""
    width: int = Field(ge=1, le=4)
    """Bytes a sample."""
    channels: int = Field(ge=1, le=8)


class _Speech:
    """The audio of an utterance, as it comes. A stream of text is answered sentence by sentence.

    Args:
        connection: On which the utterance was asked for.
        layout: Of the audio.
        is_streamed: It is over when the server says so, not with the first ``audio-stop``.
    """

    def __init__(self, connection: Connection, layout: _Layout, *, is_streamed: bool) -> None:
        self.layout = layout
        # WAV can say how wide samples are.
        self.format = "pcm" if layout.width == PCM_BYTES else "wav"
        self._connection = connection
        self._last = "synthesize-stopped" if is_streamed else "audio-stop"
        self._head = b""
        if self.format == "wav":
            self._head = wav_header(layout.rate, layout.channels, None, width=layout.width)
        self._ready = b""
        self._left = MAX_AUDIO_BYTES

    @classmethod
    async def begun(cls, connection: Connection, *, is_streamed: bool) -> _Speech:
        """Wait for the first audio.

        Raises:
            GenerationError: The server failed.
            InvalidResponseError: No audio comes.
        """
        while True:
            event = await read_event(connection)
            if event.type in _AUDIO:
                speech = cls(connection, _layout(event.data), is_streamed=is_streamed)
                speech._take(event)
                return speech
            if event.type == "synthesize-stopped" or (
                event.type == "audio-stop" and not is_streamed
            ):
                raise InvalidResponseError("no audio came for the text")
            _check(event)

    def __aiter__(self) -> _Speech:
        return self

    async def __anext__(self) -> bytes:
        while not self._ready:
            event = await read_event(self._connection)
            if event.type == self._last:
                raise StopAsyncIteration
            if event.type in _AUDIO:
                self._take(event)
            _check(event)
        data = self._head + self._ready
        self._head = self._ready = b""
        return data

    def _take(self, event: Event) -> None:
        if _layout(event.data) != self.layout:
            raise InvalidResponseError("the server changes the audio's format on the way")
        self._ready = event.payload
        self._left -= len(event.payload)
        if self._left < 0:
            raise InvalidResponseError("the reply is larger than any speech")


_AUDIO = frozenset({"audio-start", "audio-chunk"})


def _layout(data: Mapping[str, object]) -> _Layout:
    return _Layout.take(data)


def _check(event: Event) -> None:
    """Raise what an ``error`` event means; its text is left out, as it may quote ours."""
    if event.type != "error":
        return
    code = event.data.get("code")
    is_plain = isinstance(code, str) and code.isascii() and code.isidentifier()
    told = f" ({code})" if is_plain and len(str(code)) <= LONGEST_CODE else ""
    raise GenerationError(f"the server failed{told}")
