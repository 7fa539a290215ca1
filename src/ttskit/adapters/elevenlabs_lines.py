"""ElevenLabs over WebSockets that stay open from one utterance to the next.

Source: as ``elevenlabs_socket``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ttskit.adapters import elevenlabs_dialogue as dialogue
from ttskit.adapters.base import AudioSource, TimedText, Utterance
from ttskit.adapters.elevenlabs_options import RAW, ElevenLabsOptions, Knobs
from ttskit.adapters.elevenlabs_socket import TIMED, ContextAudio, Contexts, Said
from ttskit.adapters.timing import CharacterTimes
from ttskit.request import Timestamps
from ttskit.resources.http.address import Query, path
from ttskit.resources.http.lines import Keeping

if TYPE_CHECKING:
    from ttskit.adapters.refusals import Refusals
    from ttskit.resources.http.lines import Line

KEEPING = Keeping(idle_s=15.0)
"""ElevenLabs closes a socket after 20 seconds without a word."""
_NOWHERE = frozenset({"mp3_24000_48", "pcm_32000", "pcm_48000"})
"""Formats that the socket for speech lacks."""


@dataclass(frozen=True, slots=True)
class Call:
    """An utterance with all that is set for it."""

    utterance: Utterance
    model: str | None
    """None: ElevenLabs' own."""
    voice: str
    language: str | None
    """Its code at ElevenLabs."""
    knobs: Knobs

    @property
    def is_timed(self) -> bool:
        """Whether times are wanted."""
        return self.utterance.timestamps is not Timestamps.NONE

    @property
    def is_dialogue(self) -> bool:
        """Whether the model speaks over the socket for dialogues."""
        return dialogue.is_late(self.model or "")

    @property
    def dictionaries(self) -> list[object] | None:
        """Pronunciation dictionaries, as JSON."""
        given = self.knobs.model_dump(
            include={"pronunciation_dictionary_locators"}, exclude_none=True, mode="json"
        )
        return given.get("pronunciation_dictionary_locators")

    @property
    def settings(self) -> dict[str, object]:
        """Of the voice, as JSON."""
        settings = self.knobs.voice_settings()
        if self.utterance.speed != 1:
            settings["speed"] = self.utterance.speed
        return settings


_SPEECH = frozenset({
    "stability", "similarity_boost", "style", "use_speaker_boost", "apply_text_normalization",
    "pronunciation_dictionary_locators", "enable_logging",
})  # fmt: skip
_DIALOGUE = frozenset({
    "stability", "clone_strength", "apply_text_normalization", "pronunciation_dictionary_locators",
})  # fmt: skip


def suits(call: Call, options: ElevenLabsOptions) -> bool:
    """Whether all that is set can be said over a socket, and the audio comes as it is wanted."""
    return not call.utterance.turns and _is_told(call) and _comes(call, options)


def target(call: Call, options: ElevenLabsOptions) -> tuple[str, Query]:
    """Return the path and the query of the socket."""
    normalization = call.knobs.apply_text_normalization
    query: dict[str, str | int | bool | None] = {
        "model_id": call.model,
        "output_format": options.format,
        "language_code": call.language,
        "sync_alignment": call.is_timed or None,
    }
    if call.is_dialogue:
        # Of the three it knows two, and the third is what it does.
        query["apply_text_normalization"] = None if normalization == "auto" else normalization
        return "/v1/text-to-dialogue/multi-stream-input", query
    query |= {
        "apply_text_normalization": normalization,
        "enable_logging": call.knobs.enable_logging,
        "seed": call.utterance.seed,
        "auto_mode": True,
    }
    return path("/v1/text-to-speech/{}/multi-stream-input", call.voice), query


def opening(call: Call, contexts: Contexts) -> Iterator[str]:
    """Yield the messages that have an utterance spoken in a context of its own."""
    said = Said(call.utterance.text, call.voice, call.settings, call.dictionaries)
    context = contexts.begin()
    return said.dialogue(context) if call.is_dialogue else said.speech(context)


def heard(
    call: Call, options: ElevenLabsOptions, line: Line[Contexts], refusals: Refusals
) -> AudioSource:
    """Return the audio of the context that was begun last."""
    words: list[TimedText] = []
    chunks = ContextAudio(line, line.memory.latest, refusals=refusals, end=line.end)
    if call.is_timed:
        by_character = call.utterance.timestamps is Timestamps.CHARACTER
        times = CharacterTimes(call.utterance.text, keeps=by_character)
        chunks.time(words, times, codec=options.codec, rate=options.sample_rate)
    return AudioSource(
        chunks,
        format=options.codec,
        sample_rate=options.sample_rate if options.codec in RAW else 0,
        words=words,
    )


def _is_told(call: Call) -> bool:
    told = _DIALOGUE if call.is_dialogue else _SPEECH
    others = (getattr(call.knobs, name) for name in Knobs.model_fields if name not in told)
    is_plain = call.utterance.speed == 1 and call.utterance.seed is None
    return all(one is None for one in others) and (is_plain or not call.is_dialogue)


def _comes(call: Call, options: ElevenLabsOptions) -> bool:
    """Whether the format comes over the socket, with times where they are wanted."""
    is_there = options.codec != "wav" and (call.is_dialogue or options.format not in _NOWHERE)
    return is_there and (not call.is_timed or options.codec in TIMED)
