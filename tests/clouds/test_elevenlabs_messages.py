"""What goes to ElevenLabs' WebSockets and comes back, message by message."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.adapters.base import TimedText
from ttskit.adapters.elevenlabs import ElevenLabsAdapter
from ttskit.adapters.elevenlabs_socket import ContextAudio, Contexts, Said
from ttskit.adapters.timing import CharacterTimes
from ttskit.errors import (
    AuthenticationError,
    InvalidResponseError,
    ProviderUnavailableError,
    QuotaExceededError,
    TTSError,
    VoiceNotFoundError,
)

SPELLINGS = {
    "schema": ("charStartTimesMs", "charDurationsMs", "isFinal", "contextId"),
    "examples": ("charStartTimesMs", "charsDurationsMs", "is_final", "contextId"),
    "dialogue": ("char_start_times_ms", "char_durations_ms", "is_final", "context_id"),
}
RATE = 1_000


class Messages:
    def __init__(self, messages: Sequence[object]) -> None:
        self._left = iter(messages)
        self.is_over = False

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        message = None if self.is_over else next(self._left, None)
        if message is None:
            raise StopAsyncIteration
        return message if isinstance(message, str) else json.dumps(message)

    def end(self) -> None:
        self.is_over = True


def heard(
    messages: Sequence[object], text: str = "", codec: str = "pcm"
) -> tuple[bytes, list[TimedText], bool]:
    """Return the audio and words of context ``c1``, and whether it came to its end."""
    source, words = Messages(messages), list[TimedText]()

    async def main() -> bytes:
        chunks = ContextAudio(source, "c1", refusals=ElevenLabsAdapter.refusals, end=source.end)
        chunks.time(words, CharacterTimes(text), codec=codec, rate=RATE)
        return b"".join([chunk async for chunk in chunks])

    return anyio.run(main), words, source.is_over


def audio(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_an_utterance_has_a_context_of_its_own() -> None:
    contexts = Contexts()
    assert [contexts.begin(), contexts.begin(), contexts.latest] == ["c1", "c2", "c2"]
    said = Said("Grüße! ", "v", {"speed": 1.1}, [{"pronunciation_dictionary_id": "d"}])
    assert [json.loads(one) for one in said.speech("c1")] == [
        {
            "text": " ",
            "voice_settings": {"speed": 1.1},
            "pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "d"}],
            "context_id": "c1",
        },
        {"text": "Grüße! ", "flush": True, "context_id": "c1"},
        {"close_context": True, "context_id": "c1"},
    ]
    assert [json.loads(one) for one in Said("Yes.", "v", {}).dialogue("c2")] == [
        {"voices": ["v"], "context_id": "c2"},
        {"inputs": [{"text": "Yes.", "voice_id": "v"}], "context_id": "c2"},
        {"close_context": True, "context_id": "c2"},
    ]


@given(
    text=st.text(min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40)),
    spelling=st.sampled_from(sorted(SPELLINGS)),
    codec=st.sampled_from(["pcm", "mulaw"]),
)
def test_times_of_chunks_are_times_of_the_utterance(
    text: str, cuts: list[int], spelling: str, codec: str
) -> None:
    """However the text is cut into chunks; here each character takes 10 ms."""
    start, duration, final, context = SPELLINGS[spelling]
    width = 2 if codec == "pcm" else 1
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    messages: list[object] = [{"audio": None, "alignment": None, context: "c1"}]
    for first, end in pairwise(edges):
        alignment = {
            "chars": list(text[first:end]),
            start: [10 * at for at in range(end - first)],
            duration: [10] * (end - first),
        }
        data = bytes(width * 10 * (end - first) * RATE // 1_000)
        messages.append({"audio": audio(data), "alignment": alignment, context: "c1", final: None})
    messages += [{final: True, "audio": None, context: "c1"}, {"audio": audio(b"late")}]
    found, words, is_over = heard(messages, text, codec)
    assert is_over
    assert len(found) == width * 10 * len(text) * RATE // 1_000
    assert [text[slice(*word.span)] for word in words] == text.split()
    for word in words:
        assert word.start == pytest.approx(word.span[0] / 100)
        assert word.end == pytest.approx(word.span[1] / 100)


def test_what_belongs_to_another_context_is_passed_over() -> None:
    messages = [
        {"audio": audio(b"old"), "contextId": "c0"},
        {"isFinal": True, "contextId": "c0"},
        {"audio": audio(b"mine"), "contextId": "c1"},
        {"isFinal": True, "contextId": "c1"},
    ]
    assert heard(messages) == (b"mine", [], True)


def test_a_space_before_the_text_puts_no_word_in_the_wrong_place() -> None:
    alignment = {
        "chars": list(" One two "),
        "charStartTimesMs": [10 * at for at in range(9)],
        "charDurationsMs": [10] * 9,
    }
    _, words, _ = heard([{"audio": "", "alignment": alignment}, {"isFinal": True}], "One two")
    assert [word.span for word in words] == [(0, 3), (4, 7)]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"message": "x", "error": "authentication_required", "code": 1008}, AuthenticationError),
        ({"message": "x", "error": "quota_exceeded", "code": 1008}, QuotaExceededError),
        ({"message": "x", "error": "voice_id_does_not_exist", "code": 1008}, VoiceNotFoundError),
        ({"message": "x", "error": "something", "code": 1008}, ProviderUnavailableError),
        ({"message": "x", "code": 1008}, ProviderUnavailableError),
        ("no JSON", InvalidResponseError),
        ([1], InvalidResponseError),
        ({"audio": "no base64!", "contextId": "c1"}, InvalidResponseError),
        ({"audio": "", "alignment": 3, "contextId": "c1"}, InvalidResponseError),
    ],
)
def test_each_refusal_has_its_name(message: object, kind: type[TTSError]) -> None:
    with pytest.raises(kind) as caught:
        heard([message])
    assert type(caught.value) is kind
