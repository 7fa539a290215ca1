"""ElevenLabs over HTTP: audio as it is made, with the times of its characters where asked for.

Source of all facts: ElevenLabs API reference (text to speech, voices, models, errors), its
documents on request stitching and models, and the Python SDK 2.78.0.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import ConfigDict
from typing_extensions import override

from ttskit.adapters import elevenlabs_dialogue as dialogue
from ttskit.adapters.base import (
    NATIVE,
    UNSUPPORTED,
    AudioSource,
    Capabilities,
    Runs,
    TimedText,
    Utterance,
)
from ttskit.adapters.cloud import default_first
from ttskit.adapters.elevenlabs_options import RAW, ElevenLabsCallOptions, ElevenLabsOptions
from ttskit.adapters.elevenlabs_voices import (
    ListedModel,
    ListedVoice,
    VoicePage,
    language_code,
    tags,
    voice,
)
from ttskit.adapters.models import MILLION, cost, models
from ttskit.adapters.options import given
from ttskit.adapters.refusals import Refusals
from ttskit.adapters.replies import Base64, InlineAudio, Once, Shape
from ttskit.adapters.streamed import StreamedAdapter
from ttskit.adapters.timing import CharacterTimes
from ttskit.errors import (
    AuthenticationError,
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
from ttskit.resources.http.address import Query, path
from ttskit.resources.http.framing import Json
from ttskit.voices import Voice

if TYPE_CHECKING:
    from ttskit.adapters.elevenlabs_lines import Call
    from ttskit.adapters.elevenlabs_socket import Contexts
    from ttskit.resources.http.client import Reply
    from ttskit.resources.http.lines import Lines

DEFAULT_MODEL = "eleven_multilingual_v2"
"""What ElevenLabs takes where no model is named."""
PAGE_VOICES = 100
"""The most of one page."""
SPEEDS = (0.7, 1.2)
_NOT_FOR_THIS = "missing_permissions"

_KINDS: Mapping[str, type[TTSError]] = MappingProxyType(
    {
        "invalid_api_key": AuthenticationError,
        _NOT_FOR_THIS: PermissionDeniedError,
        "quota_exceeded": QuotaExceededError,
        "voice_not_found": VoiceNotFoundError,
        "authentication_required": AuthenticationError,
        "model_not_found": UnsupportedFeatureError,
        "max_character_limit_exceeded": TextTooLongError,
        "too_many_concurrent_requests": RateLimitedError,
        "concurrent_limit_exceeded": RateLimitedError,
        "system_busy": ProviderUnavailableError,
        "filter_preset_id": UnsupportedFeatureError,
        "environment_id": UnsupportedFeatureError,
        "background_noise_id": UnsupportedFeatureError,
        # These are in no document of ElevenLabs, but in many users' reports.
        "invalid_uid": VoiceNotFoundError,
        "voice_id_does_not_exist": VoiceNotFoundError,
        "detected_unusual_activity": AuthenticationError,
        "invalid_output_format": UnsupportedFormatError,
        "language_not_supported": UnsupportedLanguageError,
    }
)


def _codes(document: Mapping[str, object]) -> Iterable[object]:
    """Return ``detail.status``, and where newer replies and WebSockets say the same."""
    detail = document.get("detail", document)
    if isinstance(detail, Mapping):
        yield detail.get("status")
        yield detail.get("error")
        yield detail.get("code")
        param = detail.get("param")
        yield param.rpartition(".")[2] if isinstance(param, str) else None


class ElevenLabsAdapter(StreamedAdapter[ElevenLabsOptions, "Contexts"]):
    """Speech as it is made; word times from those of its characters."""

    name = "elevenlabs"
    secrets = MappingProxyType({"api_key": "ELEVENLABS_API_KEY"})
    capabilities = Capabilities(
        formats=("pcm", "mp3", "opus", "wav", "mulaw", "alaw"),
        runs=Runs.CLOUD,
        streaming=NATIVE,
        word_timestamps=NATIVE,
        character_timestamps=NATIVE,
        speed=NATIVE,
        speed_range=SPEEDS,
        seed=NATIVE,
        models=NATIVE,
        context=NATIVE,
        max_voices=dialogue.MAX_VOICES,
        max_dialogue_characters=dialogue.MAX_CHARACTERS,
        max_characters=models("elevenlabs")[DEFAULT_MODEL].max_characters,
    )
    call_model = ElevenLabsCallOptions
    default_model = DEFAULT_MODEL
    refusals = Refusals(_KINDS, _codes, request_id="request-id")

    def __init__(self, options: ElevenLabsOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        self._codec = options.codec
        self.capabilities = self.able(None, None)

    @override
    def able(self, voice: str | None, model: str | None) -> Capabilities:
        options, model = self.options, model or self.options.model or DEFAULT_MODEL
        known = models(self.name).get(model)
        is_v3, has_dialogue = _is_v3(model), dialogue.speaks_dialogue(model)
        return replace(
            type(self).capabilities,
            formats=(self._codec,),
            streaming=UNSUPPORTED if self._codec == "wav" else NATIVE,
            speed=UNSUPPORTED if is_v3 else NATIVE,
            context=UNSUPPORTED if is_v3 or options.enable_logging is False else NATIVE,
            max_voices=dialogue.MAX_VOICES if has_dialogue else None,
            max_dialogue_characters=dialogue.MAX_CHARACTERS if has_dialogue else None,
            max_characters=options.max_characters or (known.max_characters if known else None),
        )

    @override
    def headers(self) -> Mapping[str, str]:
        return {"xi-api-key": self.options.api_key.get_secret_value()}

    @override
    async def voices(self) -> list[Voice]:
        spoken = await self._spoken()
        listed = [voice(one, self.provider, spoken) for one in await self._listed()]
        default = self.options.voice
        return default_first(
            Voice(default, self.provider, default, languages=tuple(spoken)), listed
        )

    @override
    def synthesize(self, utterance: Utterance) -> AbstractAsyncContextManager[AudioSource]:
        if self._by_socket(utterance):
            from ttskit.adapters.elevenlabs_lines import Call, suits  # with HTTP below it

            model, voice = self._model(utterance), utterance.voice or self.options.voice
            knobs = self._settings(utterance)
            call = Call(utterance, model, voice, self._language(utterance), knobs)
            if suits(call, self.options):
                return self._over_socket(call)
        return self._over_http(utterance)

    @asynccontextmanager
    async def _over_socket(self, call: Call) -> AsyncIterator[AudioSource]:
        from ttskit.adapters.elevenlabs_lines import heard, opening, target

        path, query = target(call, self.options)
        socket = self._http.websocket(path, query=query)
        begin, lane = partial(opening, call), call.utterance.lane
        async with self._lines.ask(socket, begin, lane=lane) as line:
            source = heard(call, self.options, line, self.refusals)
            source.cost = cost(self.name, call.model or DEFAULT_MODEL, len(call.utterance.text))
            yield source

    @asynccontextmanager
    async def _over_http(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        is_timed = utterance.timestamps is not Timestamps.NONE
        body, query = self._dialogue(utterance) if utterance.turns else self._asked(utterance)
        target = self._target(utterance, is_timed=is_timed)
        async with self._http.stream("POST", target, query=query, json=body) as reply:
            words: list[TimedText] = []
            chunks: AsyncIterator[bytes] = reply
            if is_timed:
                chunks = _TimedChunks(
                    await self._items(reply),
                    utterance.text,
                    words,
                    by_character=utterance.timestamps is Timestamps.CHARACTER,
                )
            else:
                await self._expect_audio(reply)
            request_id = reply.headers.get(self.refusals.request_id)
            yield AudioSource(
                chunks,
                format=self._codec,
                sample_rate=self.options.sample_rate if self._codec in RAW else 0,
                words=words,
                request_id=request_id,
                continuation=request_id if self._is_stitched(utterance) else None,
                cost=self._cost(utterance, reply),
                concurrency=_count(reply.headers.get("maximum-concurrent-requests", "")),
            )

    @override
    async def check(self) -> None:
        await self._models()

    @override
    def _by_socket(self, utterance: Utterance) -> bool:
        # With other models than those for agents a request knows what was said before it, and is
        # as soon there: its text is whole.
        is_for_agents = dialogue.is_for_agents(self._model(utterance) or DEFAULT_MODEL)
        is_wanted = is_for_agents or self.options.websocket == "always"
        return is_wanted and super()._by_socket(utterance)

    @override
    def _sockets(self) -> Lines[Contexts]:
        from ttskit.adapters.elevenlabs_lines import KEEPING
        from ttskit.adapters.elevenlabs_socket import Contexts
        from ttskit.resources.http.lines import Lines

        return Lines(self._http, KEEPING, remember=Contexts)

    def _model(self, utterance: Utterance) -> str | None:
        return utterance.model or self.options.model

    def _target(self, utterance: Utterance, *, is_timed: bool) -> str:
        """Return the path of the endpoint; those that stream have no WAV."""
        kind = "" if self._codec == "wav" else "/stream"
        kind += "/with-timestamps" if is_timed else ""
        if utterance.turns:
            return f"/v1/text-to-dialogue{kind}"
        return path("/v1/text-to-speech/{}" + kind, utterance.voice or self.options.voice)

    def _asked(self, utterance: Utterance) -> tuple[Json, Query]:
        """Return the body and the query: what was set, and nothing else."""
        own, knobs = self._own(ElevenLabsCallOptions, utterance), self._settings(utterance)
        is_v3, is_stitched = _is_v3(self._model(utterance)), self._is_stitched(utterance)
        settings = knobs.voice_settings()
        if utterance.speed != 1 and not is_v3:
            settings["speed"] = utterance.speed
        body = given(
            text=utterance.text,
            model_id=self._model(utterance),
            language_code=self._language(utterance),
            voice_settings=settings or None,
            seed=utterance.seed,
            previous_text=utterance.previous_text if is_stitched else None,
            next_text=utterance.next_text if is_stitched else None,
            previous_request_ids=self._before(own, utterance) if is_stitched else None,
            next_request_ids=own.next_request_ids if is_stitched else None,
            **knobs.members(),
        )
        query = {
            "output_format": self.options.format,
            "enable_logging": knobs.enable_logging,
            "optimize_streaming_latency": knobs.optimize_streaming_latency,
        }
        return body, query

    def _dialogue(self, utterance: Utterance) -> tuple[Json, Query]:
        """Return the body and the query of a dialogue."""
        own, knobs = self._own(ElevenLabsCallOptions, utterance), self._settings(utterance)
        is_stitched = self._is_stitched(utterance)
        body = given(
            inputs=dialogue.inputs(utterance, self.options.voice),
            model_id=self._model(utterance),
            language_code=self._language(utterance),
            settings=dialogue.settings(knobs) or None,
            seed=utterance.seed,
            previous_text=dialogue.before(utterance.previous_text) if is_stitched else None,
            future_text=dialogue.after(utterance.next_text) if is_stitched else None,
            previous_request_ids=self._before(own, utterance) if is_stitched else None,
            next_request_ids=own.next_request_ids if is_stitched else None,
            **dialogue.members(knobs),
        )
        query = {"output_format": self.options.format, "enable_logging": knobs.enable_logging}
        return body, query

    def _is_stitched(self, utterance: Utterance) -> bool:
        """Whether a request may go on from others: v3 cannot, nor where nothing may be kept."""
        is_kept = self._settings(utterance).enable_logging is not False
        return is_kept and not _is_v3(self._model(utterance))

    def _before(self, own: ElevenLabsCallOptions, utterance: Utterance) -> tuple[str, ...] | None:
        """Return the requests that this one goes on from; the caller's are before the first."""
        return utterance.previous_ids or (None if utterance.index else own.previous_request_ids)

    def _language(self, utterance: Utterance) -> str | None:
        """Return the language's code; multilingual_v2 hears the language from the text alone."""
        if utterance.language is None or "multilingual" in (
            self._model(utterance) or DEFAULT_MODEL
        ):
            return None
        return language_code(utterance.language)

    def _cost(self, utterance: Utterance, reply: Reply) -> float | None:
        """Return the US dollars: by the credits billed where their price is known, else by list."""
        credits_billed = reply.headers.get("character-cost", "")
        price = self.options.usd_per_million_credits
        if price is not None and credits_billed.isdecimal():
            return int(credits_billed) * price / MILLION
        return cost(self.name, self._model(utterance) or DEFAULT_MODEL, len(utterance.text))

    async def _items(self, reply: Reply) -> AsyncIterator[Json]:
        """Return the timed chunks; where nothing is streamed there is one."""
        return Once(await reply.json()) if self._codec == "wav" else reply.json_lines()

    async def _listed(self) -> list[ListedVoice]:
        found: list[ListedVoice] = []
        token: str | None = None
        seen: set[str | None] = set()
        while token not in seen:
            seen.add(token)
            query = {"page_size": PAGE_VOICES, "next_page_token": token}
            reply = await self._http.fetch("GET", "/v2/voices", query=query)
            page = VoicePage.read(reply)
            found += page.voices
            token = page.next_page_token if page.has_more else None
        return found

    async def _spoken(self) -> list[str]:
        """Return the languages of the configured model, as far as they are known."""
        model = self.options.model or DEFAULT_MODEL
        return tags(next((one for one in await self._models() if one.model_id == model), None))

    async def _models(self) -> Sequence[ListedModel]:
        """Return the models; none where the key is for speech alone, and good for that."""
        try:
            reply = await self._http.fetch("GET", "/v1/models")
        except PermissionDeniedError as error:
            if _NOT_FOR_THIS not in error.message:
                raise
            return ()
        return ListedModel.read_all(reply)


class _Alignment(Shape):
    """When the characters of the text are spoken, in seconds from the start of the request."""

    model_config = ConfigDict(allow_inf_nan=False)

    characters: tuple[str, ...]
    character_start_times_seconds: tuple[float, ...]
    character_end_times_seconds: tuple[float, ...]


class _Timed(Shape):
    """A chunk of audio and the characters that it holds; either may be missing."""

    audio_base64: Base64 | None
    alignment: _Alignment | None = None


class _TimedChunks(InlineAudio[Json]):
    """The audio of timed chunks.

    Args:
        items: The chunks as they come.
        text: As it was sent.
        words: Grows as chunks are read. A word is told of when the character after it is, which may
            be one chunk later.
        by_character: The words keep their characters' times.
    """

    def __init__(
        self, items: AsyncIterator[Json], text: str, words: list[TimedText], *, by_character: bool
    ) -> None:
        super().__init__(items)
        self._times = CharacterTimes(text, keeps=by_character)
        self._words = words

    @override
    async def audio(self, item: Json) -> bytes:
        if "audio_base64" not in item:
            raise ElevenLabsAdapter.refusals.of(item)
        chunk = _Timed.take(item)
        if told := chunk.alignment:
            self._words += self._times.add(
                told.characters,
                told.character_start_times_seconds,
                told.character_end_times_seconds,
            )
        return chunk.audio_base64 or b""

    @override
    def finish(self) -> None:
        self._words += self._times.finish()


def _is_v3(model: str | None) -> bool:
    """Whether the model has neither speed nor stitching."""
    return (model or DEFAULT_MODEL).startswith("eleven_v3")


def _count(value: str) -> int | None:
    return int(value) if value.isdecimal() and len(value) < 6 else None  # noqa: PLR2004 - no account has more
