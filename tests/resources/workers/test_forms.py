"""Jobs, audio, voices and errors as plain data, and back."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit import errors
from ttskit.errors import GenerationError, ProviderError, TTSError, VoiceNotFoundError
from ttskit.resources.engine import EngineChunk, EngineJob, EngineWord
from ttskit.resources.workers.forms import (
    audio_from_plain,
    audio_to_plain,
    error_from_plain,
    error_to_plain,
    job_from_plain,
    job_to_plain,
    voice_to_plain,
    voices_from_plain,
)
from ttskit.resources.workers.wire import PAYLOAD_LIMIT, Decoder, Frame, FrameError, Kind, encode
from ttskit.voices import Gender, Voice

TIMES = st.floats(0, 1e6)
WORDS = st.builds(EngineWord, TIMES, TIMES, st.tuples(st.integers(0, 999), st.integers(0, 999)))
ABOVE_ENGINES = {"all_providers_failed", "stream_interrupted"}
FAMILY = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, TTSError) and kind.code not in ABOVE_ENGINES
]


def sent(frames: list[tuple[dict[str, object], bytes]]) -> list[Frame]:
    data = b"".join(encode(Kind.AUDIO, head, len(body)) + body for head, body in frames)  # type: ignore[arg-type] # plain
    return list(Decoder().feed(data))


@given(
    st.builds(
        EngineJob,
        text=st.text(),
        voice=st.none() | st.text(),
        speed=st.floats(0.25, 4),
        seed=st.none() | st.integers(0, 2**63),
        want_words=st.booleans(),
        options=st.dictionaries(st.text(), st.none() | st.integers() | st.text()),
        lane=st.none() | st.text(),
        reference=st.none() | st.text(),
        request_id=st.text(),
    )
)
def test_a_job_is_the_same_after_the_trip(job: EngineJob) -> None:
    assert job_from_plain(json.loads(json.dumps(job_to_plain(job)))) == job


@given(st.lists(st.floats(-1, 1, width=32)), st.integers(1, 192_000), st.lists(WORDS, max_size=3))
def test_audio_is_the_same_after_the_trip(
    values: list[float], rate: int, words: list[EngineWord]
) -> None:
    chunk = EngineChunk(np.array(values, np.float32), rate, tuple(words))
    (frame,) = sent([*audio_to_plain(chunk)])
    again = audio_from_plain(frame)
    assert (again.sample_rate, again.words) == (chunk.sample_rate, chunk.words)
    assert np.array_equal(again.samples, chunk.samples)


def test_a_chunk_that_is_too_large_for_a_frame_goes_in_several() -> None:
    samples = np.random.default_rng(0).random(PAYLOAD_LIMIT // 2, np.float32)
    word = EngineWord(0, 1, (0, 1))
    parts = [*map(audio_from_plain, sent([*audio_to_plain(EngineChunk(samples, 8_000, (word,)))]))]
    assert [part.words for part in parts] == [(word,), ()]
    assert np.array_equal(np.concatenate([part.samples for part in parts]), samples)


def test_samples_of_another_type_become_float32() -> None:
    chunk = EngineChunk(np.arange(6, dtype=">f8")[::2], 8_000)  # type: ignore[arg-type] # as engines do
    (frame,) = sent([*audio_to_plain(chunk)])
    assert audio_from_plain(frame).samples.tolist() == [0, 2, 4]


def test_samples_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        list(audio_to_plain(EngineChunk(np.zeros((2, 2), np.float32), 8_000)))


@pytest.mark.parametrize(
    ("head", "payload"),
    [
        ({"rate": 8_000}, b"abc"),
        ({}, b""),
        ({"rate": "x"}, b""),
        ({"rate": 1, "words": 5}, b""),
        ({"rate": 1, "words": [[1, 2]]}, b""),
        ({"rate": 1, "words": [[1, 2, 3, float("inf")]]}, b""),
    ],
)
def test_audio_that_makes_no_sense_is_refused(head: dict[str, object], payload: bytes) -> None:
    with pytest.raises(FrameError):
        audio_from_plain(Frame(Kind.AUDIO, head, payload))  # type: ignore[arg-type] # wrong


def test_voices_are_the_same_after_the_trip() -> None:
    voices = [
        Voice("a", "", "A", ("en", "de"), Gender.FEMALE, ("sad",), 8_000, "words", cloned=True),
        Voice("b", "", "B"),
    ]
    plain = json.loads(json.dumps([voice_to_plain(voice) for voice in voices]))
    assert voices_from_plain(plain) == voices


@pytest.mark.parametrize("plain", [None, 5, [5], [{}], [{"languages": 1, "styles": []}]])
def test_voices_that_make_no_sense_are_refused(plain: object) -> None:
    with pytest.raises(FrameError):
        voices_from_plain(plain)  # type: ignore[arg-type] # wrong on purpose


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.code)
def test_every_error_is_of_its_class_after_the_trip(kind: type[TTSError]) -> None:
    error = kind("it happened", retry_after=2.5, request_id="7")
    again = error_from_plain(json.loads(json.dumps(error_to_plain(error))), "acme")
    assert type(again).code == kind.code
    assert again.to_dict() == error.to_dict() | {"provider": "acme", "message": str(again)}


def test_what_an_instance_overrides_goes_with_it() -> None:
    error = VoiceNotFoundError("no", category="odd", retryable=True, http_status=418)
    again = error_from_plain(error_to_plain(error), "acme")
    assert (again.category, again.retryable, again.http_status) == ("odd", True, 418)


def test_an_error_class_that_is_not_known_here_is_its_nearest_relative() -> None:
    plain = error_to_plain(ProviderError("no")) | {"codes": ["acme_broke", "provider_error"]}
    assert type(error_from_plain(plain, "acme")) is ProviderError
    assert type(error_from_plain({"message": "?"}, "acme")) is GenerationError
