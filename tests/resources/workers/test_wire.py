"""Frames between the application and a worker, whole, cut, damaged and made up."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.resources.workers.wire import (
    HEAD_LIMIT,
    HEADER,
    LARGE_PAYLOAD,
    MAGIC,
    NOISE_LIMIT,
    PAYLOAD_LIMIT,
    START,
    Decoder,
    Frame,
    FrameError,
    Kind,
    encode,
)

KINDS = st.sampled_from(Kind)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Half a surrogate pair, too.
    | st.text(st.characters(codec=None, exclude_categories=())),
    lambda plain: st.lists(plain, max_size=3) | st.dictionaries(st.text(), plain, max_size=3),
    max_leaves=8,
)
HEADS = st.dictionaries(st.text(max_size=8), PLAIN, max_size=4)
SMALL = st.binary(max_size=300)
LARGE = st.builds(
    lambda seed, more: (seed * LARGE_PAYLOAD)[: LARGE_PAYLOAD + more],
    st.binary(min_size=2, max_size=9),
    st.integers(-1, 100),
)
FRAMES = st.lists(st.builds(Frame, KINDS, HEADS, SMALL), max_size=5)
OF_ANY_SIZE = st.lists(st.builds(Frame, KINDS, HEADS, SMALL | LARGE), max_size=5)


def written(frames: list[Frame]) -> bytes:
    parts = (encode(each.kind, each.head, len(each.payload)) + each.payload for each in frames)
    return b"".join(parts)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


@given(OF_ANY_SIZE, st.lists(st.integers(0, 400_000)))
def test_frames_survive_the_pipe_however_their_bytes_are_cut(
    frames: list[Frame], cuts: list[int]
) -> None:
    decoder = Decoder()
    read = [frame for piece in pieces(written(frames), cuts) for frame in decoder.feed(piece)]
    assert read == frames
    assert not decoder.is_amid


@given(OF_ANY_SIZE.filter(bool), st.data())
def test_a_truncated_stream_gives_the_frames_before_the_cut(
    frames: list[Frame], data: st.DataObject
) -> None:
    whole = written(frames)
    cut = data.draw(st.integers(0, len(whole) - 1))
    decoder = Decoder()
    read = list(decoder.feed(whole[:cut]))
    assert read == frames[: len(read)]
    assert len(read) < len(frames)
    assert decoder.is_amid == (cut > len(written(read)))


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_garbage_is_refused_or_waited_for_and_never_held_for_long(parts: list[bytes]) -> None:
    decoder = Decoder()
    try:
        for part in parts:
            assert all(isinstance(frame, Frame) for frame in decoder.feed(part))
    except FrameError:
        return
    assert b"".join(parts).startswith(MAGIC[: len(b"".join(parts))])


@given(FRAMES.filter(bool), st.data())
def test_a_damaged_byte_gives_frames_or_an_error_and_nothing_else(
    frames: list[Frame], data: st.DataObject
) -> None:
    whole = bytearray(written(frames))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with suppress(FrameError):
        assert len(list(Decoder().feed(whole))) <= len(frames)


@given(st.binary(max_size=500).filter(lambda noise: START not in noise), FRAMES)
def test_what_an_interpreter_prints_before_the_start_is_passed_over(
    noise: bytes, frames: list[Frame]
) -> None:
    data = noise + START + written(frames)
    byte_by_byte = Decoder(START)
    assert list(Decoder(START).feed(data)) == frames
    assert [f for n in range(len(data)) for f in byte_by_byte.feed(data[n : n + 1])] == frames


def test_noise_without_an_end_is_refused() -> None:
    decoder = Decoder(START)
    list(decoder.feed(b"x" * NOISE_LIMIT))
    with pytest.raises(FrameError):
        list(decoder.feed(b"x" * len(START)))


@pytest.mark.parametrize(
    ("head", "payload"),
    [(HEAD_LIMIT + 1, 0), (0, PAYLOAD_LIMIT + 1), (2**32 - 1, 2**32 - 1)],
    ids=["head", "payload", "both"],
)
def test_a_frame_that_claims_to_be_huge_is_refused_by_its_header(head: int, payload: int) -> None:
    header = HEADER.pack(MAGIC, Kind.AUDIO, head, payload)
    with pytest.raises(FrameError, match="too large"):
        list(Decoder().feed(header))


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        (99, b"{}"),
        (Kind.AUDIO, b"[]"),
        (Kind.AUDIO, b"no"),
        (Kind.AUDIO, b"\xff"),
        (Kind.AUDIO, b"[" * 100_000),
        (Kind.AUDIO, b'{"a":' + b"9" * 10_000 + b"}"),
    ],
    ids=["unknown kind", "a list", "no JSON", "no UTF-8", "nested without end", "endless number"],
)
def test_what_makes_no_sense_is_refused(kind: int, head: bytes) -> None:
    with pytest.raises(FrameError):
        list(Decoder().feed(HEADER.pack(MAGIC, kind, len(head), 0) + head))


@pytest.mark.parametrize("head", [{"a": float("nan")}, {"a": object()}, {"a": "x" * HEAD_LIMIT}])
def test_what_is_no_plain_data_is_not_written(head: dict[str, object]) -> None:
    with pytest.raises(FrameError):
        encode(Kind.JOB, head)  # type: ignore[arg-type] # wrong on purpose


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_its_own_copy_of_a_large_payload() -> None:
    (frame,) = Decoder().feed(written([Frame(Kind.AUDIO, {}, bytes(LARGE_PAYLOAD))]))
    assert isinstance(frame.payload, memoryview)
    child = os.fork()
    if not child:
        frame.payload[:] = b"x" * LARGE_PAYLOAD
        os._exit(0)
    os.waitpid(child, 0)
    assert bytes(frame.payload) == bytes(LARGE_PAYLOAD)
