"""The voices of Edge's *Read aloud*, through the package edge-tts: unofficial, and off by default.

Source: edge-tts 7.3.1, communicate.py, data_classes.py and voices.py.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from pydantic import Field
from typing_extensions import override

from ttskit.adapters.base import (
    NATIVE,
    Adapter,
    AdapterOptions,
    AudioSource,
    Capabilities,
    Requirement,
    Runs,
    TimedText,
    Utterance,
)
from ttskit.adapters.options import CallOptions, voice_not_found
from ttskit.errors import (
    ConfigurationError,
    InvalidResponseError,
    ProviderTimeoutError,
    TTSError,
    UnsupportedFeatureError,
    VoiceNotFoundError,
)
from ttskit.request import Timestamps
from ttskit.resources.http.client import FETCH_S
from ttskit.resources.http.pools import HTTPOptions
from ttskit.voices import Gender, Voice

if TYPE_CHECKING:
    from edge_tts import Communicate

    from ttskit.adapters.edge_stream import EdgeStream
    from ttskit.resources.host import Resources

MAX_BYTES = 4_096
"""Of one connection; the package cuts what is longer where it likes."""
_VOICE = re.compile(r"([A-Za-z]+(?:-[A-Za-z0-9]+)+)-([A-Za-z0-9]+)")
_GENDERS = {"Female": Gender.FEMALE, "Male": Gender.MALE}

_logger = logging.getLogger(__name__)


class EdgeOptions(AdapterOptions):
    """The section of tts.yaml."""

    voice: str = Field(
        default="en-US-EmmaMultilingualNeural",
        min_length=1,
        description="Where none is asked for.",
    )
    pitch_hz: int = Field(
        default=0, ge=-200, le=200, description="How much higher the voice speaks, in Hz."
    )


class EdgeCallOptions(CallOptions):
    """What one request may set, as ``provider_options={"edge": {...}}``."""

    pitch_hz: int | None = Field(default=None, ge=-200, le=200)


class EdgeAdapter(Adapter[EdgeOptions]):
    """MP3 as it is made. The package connects, and holds what makes the service take it."""

    name = "edge"
    call_model = EdgeCallOptions
    requires = (Requirement("edge_tts", "edge-tts", "edge"),)
    capabilities = Capabilities(
        formats=("mp3",),
        runs=Runs.CLOUD,
        streaming=NATIVE,
        word_timestamps=NATIVE,
        speed=NATIVE,
        speed_range=(0.5, 2.0),
        max_bytes=MAX_BYTES,
    )
    _way: HTTPOptions

    @override
    async def open(self, resources: Resources) -> None:
        self._require_packages()
        with self._named():
            self._way = way = resources.http_options
            if (way.proxy or "").startswith("socks"):
                raise ConfigurationError("edge-tts knows no SOCKS proxies, only HTTP ones")
        # The package reads certificates when it is imported: not in the event loop.
        await to_thread.run_sync(importlib.import_module, "edge_tts")
        _logger.warning(
            "%s: Microsoft means this service for its browser alone and may end it any day; "
            "the adapter azure is the supported way to the same voices",
            self.provider,
        )

    @override
    async def voices(self) -> list[Voice]:
        first = self.options.voice
        listed = {voice.id: voice for voice in map(self._voice, await self._listing())}
        return list(({first: Voice(first, self.provider, first)} | listed).values())

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        from ttskit.adapters.edge_stream import EdgeStream

        with self._named():
            spoken, words = self._spoken(utterance), list[TimedText]()
            stream = EdgeStream(spoken, utterance.text, words, silence_s=self._way.silence_s)
            try:
                await self._begin(stream, utterance.voice or self.options.voice)
                yield AudioSource(stream, format="mp3", sample_rate=0, words=words)
            finally:
                await stream.aclose()

    @override
    async def check(self) -> None:
        await self._listing()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Put the provider's name on errors; the first of them is that this is no asyncio."""
        try:
            _require_asyncio()
            yield
        except TTSError as error:
            error.provider = error.provider or self.provider
            raise

    async def _begin(self, stream: EdgeStream, voice: str) -> None:
        """Wait for the first chunk; where none comes, find out whether that is the voice's fault.

        Raises:
            VoiceNotFoundError: The service does not list the voice.
        """
        from edge_tts.exceptions import NoAudioReceived

        try:
            await stream.begun()
        except InvalidResponseError as error:
            if isinstance(error.__cause__, NoAudioReceived):
                known = [str(entry["ShortName"]) for entry in await self._listing()]
                if voice not in known:
                    raise voice_not_found(voice, known) from None
            raise

    def _spoken(self, utterance: Utterance) -> Communicate:
        from edge_tts import Communicate

        pitch = self._own(EdgeCallOptions, utterance).pitch_hz
        is_timed = utterance.timestamps is not Timestamps.NONE
        return Communicate(
            utterance.text,
            _full_name(utterance.voice or self.options.voice),
            rate=f"{round(100 * (utterance.speed - 1)):+d}%",
            pitch=f"{self.options.pitch_hz if pitch is None else pitch:+d}Hz",
            boundary="WordBoundary" if is_timed else "SentenceBoundary",
            proxy=self._way.proxy,
            connect_timeout=max(1, round(self._way.connect_s)),
        )

    async def _listing(self) -> Sequence[Mapping[str, object]]:
        with self._named():
            listed = await self._listed()
        voices = [one for one in listed if isinstance(one, dict) and one.get("ShortName")]
        if not voices:
            raise InvalidResponseError("the service lists no voices", provider=self.provider)
        return voices

    async def _listed(self) -> Sequence[object]:
        from edge_tts import list_voices

        from ttskit.adapters.edge_stream import translate

        with anyio.move_on_after(FETCH_S):
            try:
                return await list_voices(proxy=self._way.proxy)
            except Exception as error:  # noqa: BLE001 - whatever the package raises is one of ours
                ours = translate(error)
                raise ours from ours.__cause__
        raise ProviderTimeoutError(f"no reply within {FETCH_S:g} s")

    def _voice(self, entry: Mapping[str, object]) -> Voice:
        short = str(entry["ShortName"])
        tag = entry.get("VoiceTag")
        notes = tag if isinstance(tag, dict) else {}
        kinds = (notes.get("ContentCategories"), notes.get("VoicePersonalities"))
        told = [word for kind in kinds if isinstance(kind, list) for word in kind]
        return Voice(
            short,
            self.provider,
            short.rpartition("-")[2].removesuffix("Neural"),
            languages=tuple(str(one) for one in [entry.get("Locale")] if one),
            gender=_GENDERS.get(str(entry.get("Gender")), Gender.UNKNOWN),
            description=", ".join(map(str, told)),
        )


def _require_asyncio() -> None:
    """Refuse trio, which the package does not run on.

    Raises:
        UnsupportedFeatureError: This is no asyncio.
    """
    native = anyio.lowlevel.current_token().native_token
    if not isinstance(native, asyncio.AbstractEventLoop):
        raise UnsupportedFeatureError("edge-tts runs on asyncio only; azure has the same voices")


def _full_name(voice: str) -> str:
    """Return a voice's name as the browser sends it.

    The package puts it into SSML as it is, and does not know names such as
    ``iu-Cans-CA-SiqiniqNeural``.

    Raises:
        VoiceNotFoundError: It cannot be one.
    """
    named = _VOICE.fullmatch(voice)
    if named is None:
        raise VoiceNotFoundError(f"there can be no voice {voice[:60]!r} here")
    return f"Microsoft Server Speech Text to Speech Voice ({named[1]}, {named[2]})"
