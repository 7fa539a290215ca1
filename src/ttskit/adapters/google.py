"""Google Cloud Text-to-Speech over REST.

Source: google-cloud-texttospeech 2.37.0, types/cloud_tts.py and transports/rest_base.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType

from typing_extensions import override

from ttskit.adapters.base import (
    EMULATED,
    NATIVE,
    UNSUPPORTED,
    AudioSource,
    Capabilities,
    Runs,
    Utterance,
)
from ttskit.adapters.cloud import CloudAdapter, default_first, first_of_all, revealed
from ttskit.adapters.google_marks import Span, marked, timed
from ttskit.adapters.google_options import GoogleCallOptions, GoogleOptions
from ttskit.adapters.google_replies import (
    MARKING,
    PLAIN,
    Speech,
    VoiceList,
    family_of,
    language_of,
)
from ttskit.adapters.models import cost
from ttskit.adapters.options import given
from ttskit.adapters.replies import Once, pieces
from ttskit.adapters.rpc_errors import rpc_refusals
from ttskit.errors import TextTooLongError, VoiceNotFoundError
from ttskit.languages import speaks
from ttskit.request import Timestamps
from ttskit.voices import Voice

MAX_BYTES = 5_000
"""Of one request, markup included."""


class GoogleAdapter(CloudAdapter[GoogleOptions]):
    """Whole utterances; words are timed for voices that time marks."""

    name = "google"
    secrets = MappingProxyType({"api_key": "GOOGLE_CLOUD_API_KEY"})
    capabilities = Capabilities(
        formats=("pcm", "wav", "mp3", "opus", "m4a"),
        runs=Runs.CLOUD,
        word_timestamps=NATIVE,
        ssml=frozenset(
            {"speak", "break", "say-as", "p", "s", "sub", "prosody", "emphasis", "phoneme", "lang"}
        ),
        speed=NATIVE,
        speed_range=(0.25, 2.0),
        pitch=NATIVE,
        pitch_range=(-20.0, 20.0),
        volume=NATIVE,
        volume_range=(-96.0, 16.0),
        models=NATIVE,
        styles=NATIVE,
        max_bytes=MAX_BYTES,
    )
    call_model = GoogleCallOptions
    refusals = rpc_refusals(
        {},
        {  # Source: replies quoted in reports to googleapis/google-cloud-node and others.
            "does not exist. is it misspelled": VoiceNotFoundError,
            "longer than the limit of": TextTooLongError,
            "sentences that are too long": TextTooLongError,
        },
    )

    def __init__(self, options: GoogleOptions, *, provider: str | None = None) -> None:
        super().__init__(options, provider=provider)
        self.capabilities = self.able(None, None)

    @override
    def able(self, voice: str | None, model: str | None) -> Capabilities:
        is_model = (model or self.options.model) is not None
        family = "" if is_model else family_of(voice or self.options.voice)
        is_plain = not family or family.startswith(PLAIN)
        able = type(self).capabilities
        return replace(
            able,
            formats=first_of_all(self.options.sent_as, able.formats),
            word_timestamps=NATIVE if family in MARKING else EMULATED,
            ssml=frozenset() if is_plain else able.ssml,
            pitch=UNSUPPORTED if is_plain else NATIVE,
        )

    @classmethod
    @override
    def variables(cls, section: Mapping[str, object]) -> Mapping[str, str]:
        return {} if section.get("access_token") else super().variables(section)

    @override
    def headers(self) -> Mapping[str, str]:
        options = self.options
        return given(
            {
                "x-goog-api-key": revealed(options.api_key),
                "Authorization": revealed(options.access_token, "Bearer {}"),
                "x-goog-user-project": options.quota_project,
            }
        )

    @override
    async def voices(self) -> list[Voice]:
        listing = VoiceList.read(await self._http.fetch("GET", "/v1/voices"))
        known = [*self._own_voices(), *listing.of(self.provider)]
        first = self.options.voice
        return known if first is None else default_first(Voice(first, self.provider, first), known)

    @override
    @asynccontextmanager
    async def synthesize(self, utterance: Utterance) -> AsyncIterator[AudioSource]:
        model = utterance.model or self.options.model
        voice = self._chosen(utterance, model)
        text, spans = self._input(utterance, voice, model)
        language = language_of(voice) or utterance.language or self.options.language
        body = given(
            input=text,
            voice={"languageCode": language} | self.options.voice_member(voice, model),
            audioConfig=self._audio(utterance),
            advancedVoiceOptions=self.options.advanced() or None,
            enableTimePointing=["SSML_MARK"] if spans else None,
        )
        path = "/v1beta1/text:synthesize" if spans else "/v1/text:synthesize"
        async with self._http.stream("POST", path, json=body) as reply:
            speech = Speech.read(await reply.read())
            audio = speech.audio_content
            rate = (self.options.rate or 0) if self.options.is_bare else 0
            end = len(audio) / (2 * rate) if rate else None
            yield AudioSource(
                Once(*pieces(audio)),
                format=self.options.sent_as,
                sample_rate=rate,
                words=list(timed(speech.times, spans, end=end)),
                cost=cost(self.name, model or family_of(voice), len(utterance.text)),
            )

    @override
    async def check(self) -> None:
        language = language_of(self.options.voice) or self.options.language
        await self._http.fetch("GET", "/v1/voices", query={"languageCode": language})

    @property
    @override
    def billed_as(self) -> str | None:
        return self.options.model or family_of(self.options.voice)

    def _chosen(self, utterance: Utterance, model: str | None) -> str | None:
        """Return the voice to ask for; None: Google's own choice for the language."""
        default, wanted = self.options.voice, utterance.language
        tongue = None if model else language_of(default)
        if utterance.voice is None and wanted and tongue and not speaks(wanted, [tongue]):
            return None
        return utterance.voice or default

    def _input(
        self, utterance: Utterance, voice: str | None, model: str | None
    ) -> tuple[dict[str, object], list[Span]]:
        """Return what to speak, and the words that are marked in it."""
        markup = self._own(GoogleCallOptions, utterance).markup
        kind = "ssml" if utterance.is_ssml else "markup" if markup else "text"
        said, spans = {kind: utterance.text}, []
        is_timed = utterance.timestamps is not Timestamps.NONE and not markup
        if is_timed and model is None and family_of(voice) in MARKING:
            document, found = marked(utterance.text, is_ssml=utterance.is_ssml)
            if len(document.encode()) <= MAX_BYTES:
                said, spans = {"ssml": document}, found
        return {**said, **self._settings(utterance).prompting()}, spans

    def _audio(self, utterance: Utterance) -> dict[str, object]:
        return self._settings(utterance).audio_config() | given(
            speakingRate=None if utterance.speed == 1 else utterance.speed,
            pitch=utterance.pitch or None,
            volumeGainDb=utterance.volume or None,
        )

    def _own_voices(self) -> Iterator[Voice]:
        for name in self.options.cloned_voices:
            yield Voice(name, self.provider, name, cloned=True)
        for name in self.options.custom_voices:
            yield Voice(name, self.provider, name)
