"""What Gemini answers: audio in pieces, how it ended, and errors in Google's shape.

Source of all facts: Gemini API reference, and google-genai 3.6.1.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

from typing_extensions import override

from ttskit.adapters.replies import Base64, Camel, InlineAudio
from ttskit.adapters.rpc_errors import rpc_refusals
from ttskit.errors import (
    ContentRejectedError,
    InvalidResponseError,
    TextTooLongError,
    TTSError,
    UnsupportedFeatureError,
    UnsupportedLanguageError,
)
from ttskit.resources.http.framing import ServerEvent, json_object

SAMPLE_RATE = 24_000
"""Hz, where the reply does not say."""
_RATE = re.compile(r"\brate=([0-9]{4,6})\b")


_ENDINGS: Mapping[str, type[TTSError]] = MappingProxyType(
    {
        "SAFETY": ContentRejectedError,
        "RECITATION": ContentRejectedError,
        "BLOCKLIST": ContentRejectedError,
        "PROHIBITED_CONTENT": ContentRejectedError,
        "SPII": ContentRejectedError,
        "LANGUAGE": UnsupportedLanguageError,
        "MAX_TOKENS": TextTooLongError,
    }
)
"""What a ``finishReason`` other than STOP means; the others: that it failed, this time."""

REFUSALS = rpc_refusals(
    {"NOT_FOUND": UnsupportedFeatureError},
    {"tried to generate text": InvalidResponseError},  # it does not do so every time
)


class _Inline(Camel):
    mime_type: str
    data: Base64

    @property
    def sound(self) -> tuple[str, int]:
        """The format, and the sample rate in Hz where the audio itself does not say it.

        ``audio/L16`` is little-endian here, other than RFC 2586 has it.
        """
        kind, _, parameters = self.mime_type.lower().partition(";")
        if kind in ("audio/l16", "audio/pcm"):
            rate = _RATE.search(parameters)
            return "pcm", int(rate[1]) if rate else SAMPLE_RATE
        if kind in ("audio/wav", "audio/x-wav"):
            return "wav", 0
        raise InvalidResponseError(f"the server sent {kind[:40]} in place of audio")


class _Part(Camel):
    inline_data: _Inline | None = None


class _Content(Camel):
    parts: tuple[_Part, ...] = ()


class _Candidate(Camel):
    content: _Content = _Content()
    finish_reason: str | None = None


class _Feedback(Camel):
    block_reason: str | None = None


class _Failure(Camel):
    code: int = 500


class _Answer(Camel):
    candidates: tuple[_Candidate, ...] = ()
    prompt_feedback: _Feedback = _Feedback()
    response_id: str | None = None
    error: _Failure | None = None


class Answers(InlineAudio[ServerEvent]):
    """The audio of one answer, in pieces; ``begin`` finds out what it is."""

    def __init__(self, items: AsyncIterator[ServerEvent]) -> None:
        super().__init__(items)
        self._ending: str | None = None
        self.sound: tuple[str, int] | None = None
        """Format and sample rate, once there was audio."""
        self.response_id: str | None = None

    @override
    async def audio(self, item: ServerEvent) -> bytes:
        answer = _Answer.read(item.data)
        if answer.error is not None:
            raise REFUSALS.of(json_object(item.data), status=answer.error.code)
        if answer.prompt_feedback.block_reason is not None:
            raise ContentRejectedError("the provider's policy refuses the text")
        self.response_id = answer.response_id or self.response_id
        return b"".join(map(self._piece, answer.candidates[:1]))

    def _piece(self, candidate: _Candidate) -> bytes:
        self._ending = candidate.finish_reason or self._ending
        pieces = [part.inline_data for part in candidate.content.parts if part.inline_data]
        for piece in pieces:
            if piece.sound != (self.sound or piece.sound):
                raise InvalidResponseError("the audio changes its format on the way")
            self.sound = piece.sound
        return b"".join(piece.data for piece in pieces)

    @override
    def finish(self) -> None:
        if self._ending is None:
            raise InvalidResponseError("the stream ended before the speech did")
        if self._ending != "STOP":
            kind = _ENDINGS.get(self._ending, InvalidResponseError)
            raise kind(f"the speech ended before the text did ({self._ending[:40]})")
        if self.sound is None:
            raise InvalidResponseError("the model answered without audio")
