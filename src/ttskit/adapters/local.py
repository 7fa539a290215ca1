"""What adapters over a local engine share: the engine's host, jobs from utterances, chunks back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

from typing_extensions import override

from ttskit.adapters.base import (
    Adapter,
    AdapterOptions,
    AudioSource,
    Conversion,
    TimedText,
    Utterance,
)
from ttskit.adapters.options import checked_options
from ttskit.errors import InvalidResponseError
from ttskit.request import Timestamps
from ttskit.resources.engine import EngineChunk, EngineJob, JsonValue, Recipe

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples
    from ttskit.resources.host import Host, Resources
    from ttskit.resources.reference_shelf import Reference
    from ttskit.voices import Voice

LocalOptionsT = TypeVar("LocalOptionsT", bound=AdapterOptions)


class LocalAdapter(Adapter[LocalOptionsT]):
    """An adapter over a blocking engine: it says which engine, the rest is here.

    ``open`` takes a host and looks whether the packages are there; the engine is loaded by
    ``check`` or by the first utterance, whichever comes first.
    """

    isolation: ClassVar[str] = "thread"
    """Where the engine runs unless tts.yaml says so: ``process`` for what could take the
    application along, ``thread`` for what is light."""

    _host: Host

    @abstractmethod
    def engine(self, *, downloads: bool) -> Recipe:
        """Return how the engine for these options is made; ``downloads``: voices may be fetched."""

    @override
    async def open(self, resources: Resources) -> None:
        self._require_packages()
        self._host = resources.engine(
            self.engine(downloads=resources.downloads),
            provider=self.provider,
            isolation=self.isolation,
        )

    @override
    async def voices(self) -> list[Voice]:
        return [replace(voice, provider=self.provider) for voice in await self._host.voices()]

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        async with self._made(self._job(utterance), "the text") as source:
            yield source

    @override
    @asynccontextmanager
    async def convert(self, conversion: Conversion) -> AsyncIterator[AudioSource]:
        job = EngineJob(
            text="",
            voice=conversion.voice,
            options=self._call_options(conversion.options),
            reference=_path(conversion.reference),
            request_id=conversion.request_id,
            recording=str(conversion.recording.path),
        )
        async with self._made(job, "the recording") as source:
            yield source

    @override
    async def check(self) -> None:
        await self._host.start()

    @override
    async def close(self) -> None:
        await self._host.aclose()

    @asynccontextmanager
    async def _made(self, job: EngineJob, given: str) -> AsyncIterator[AudioSource]:
        async with self._host.stream(job) as chunks:
            first = await anext(chunks, None)
            if first is None:
                raise InvalidResponseError(f"no audio came for {given}", provider=self.provider)
            source = AudioSource(chunks, format="f32", sample_rate=first.sample_rate)
            source.chunks = _Samples(first, chunks, source.words)
            yield source

    def _job(self, utterance: Utterance) -> EngineJob:
        return EngineJob(
            text=utterance.text,
            voice=utterance.voice,
            language=utterance.language,
            speed=utterance.speed,
            pitch=utterance.pitch,
            volume=utterance.volume,
            seed=utterance.seed,
            want_words=utterance.timestamps is not Timestamps.NONE,
            is_ssml=utterance.is_ssml,
            options=self._call_options(utterance.options),
            lane=utterance.lane,
            is_live=utterance.is_live,
            request_id=utterance.request_id,
            reference=_path(utterance.reference),
        )

    def _call_options(self, given: Mapping[str, object]) -> dict[str, JsonValue]:
        """Return the request's own options as plain data, checked.

        Raises:
            InvalidParameterError: One is unknown, of the wrong type or out of range.
        """
        options = checked_options(self.call_model, given, provider=self.provider)
        return {} if options is None else options.model_dump(mode="json", exclude_unset=True)


def _path(reference: Reference | None) -> str | None:
    return None if reference is None else str(reference.path)


class _Samples:
    """The samples of an engine's chunks; each chunk's words are noted before they are given."""

    def __init__(
        self,
        first: EngineChunk,
        rest: AsyncIterator[EngineChunk],
        words: list[TimedText],
    ) -> None:
        self._first: EngineChunk | None = first
        self._rest = rest
        self._words = words

    def __aiter__(self) -> _Samples:
        return self

    async def __anext__(self) -> Samples:
        while True:
            chunk = await anext(self._rest) if self._first is None else self._first
            self._first = None
            self._words += [TimedText(word.start, word.end, word.span) for word in chunk.words]
            if chunk.samples.size:
                return chunk.samples
