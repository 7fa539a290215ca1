"""Lines of JSON and server-sent events, however their bytes are cut."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.errors import InvalidResponseError
from ttskit.resources.http.framing import (
    MAX_ITEM_BYTES,
    Framed,
    Framing,
    JsonLines,
    ServerEvent,
    ServerEvents,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
DOCUMENTS = st.dictionaries(TEXTS, TEXTS | st.integers() | st.none(), max_size=3)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Draw where the wire cuts the bytes."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    starts, ends = [0, *places], [*places, len(data)]
    return [data[start:end] for start, end in zip(starts, ends, strict=True)]


def items(framing: Framing[object], pieces: list[bytes]) -> list[object]:
    found = [item for piece in pieces for item in framing.feed(piece)]
    return [*found, *framing.finish()]


@given(st.lists(DOCUMENTS, max_size=6), st.data())
def test_objects_come_out_as_they_went_in(
    documents: list[dict[str, object]], data: st.DataObject
) -> None:
    ends = [data.draw(ENDS) * data.draw(st.integers(1, 3)) for _ in documents]
    raw = b""
    for document, end in zip(documents, ends, strict=True):
        raw += json.dumps(document, ensure_ascii=data.draw(st.booleans())).encode() + end.encode()
    if data.draw(st.booleans()):
        raw = raw.rstrip(b"\r\n")
    assert items(JsonLines(), data.draw(cuts(raw))) == documents


@given(
    st.lists(
        st.tuples(TEXTS.map(lambda text: text.replace("\r", "\n")), st.booleans()), max_size=5
    ),
    st.data(),
)
def test_events_come_out_as_they_went_in(sent: list[tuple[str, bool]], data: st.DataObject) -> None:
    end = data.draw(ENDS)
    lines = []
    for text, is_named in sent:
        lines += [": a comment", "id: 7", "retry: 1000"]
        lines += ["event: audio"] if is_named else []
        lines += [f"data: {line}" for line in text.split("\n")] + [""]
    raw = "".join(line + end for line in lines).encode()
    if data.draw(st.booleans()):
        raw = b"\xef\xbb\xbf" + raw
    expected = [ServerEvent(text, "audio" if named else "message") for text, named in sent]
    assert items(ServerEvents(), data.draw(cuts(raw))) == expected


@given(st.data())
def test_any_cut_of_any_bytes_gives_the_same(data: st.DataObject) -> None:
    raw = data.draw(
        st.lists(st.sampled_from([b"data:", b"a", b"\n", b"\r", b":", b" ", "é".encode()])).map(
            b"".join
        )
    )
    assert items(ServerEvents(), data.draw(cuts(raw))) == items(ServerEvents(), [raw])


def test_a_last_event_without_an_end_is_one() -> None:
    assert items(ServerEvents(), [b"data: a\n\ndata: b"]) == [ServerEvent("a"), ServerEvent("b")]


@pytest.mark.parametrize("raw", [b"nonsense\n", b"[1]\n", b'{"a": 1', b'"a"', b"[" * 100_000])
def test_what_is_no_object_is_refused_without_being_quoted(raw: bytes) -> None:
    with pytest.raises(InvalidResponseError) as caught:
        items(JsonLines(), [raw])
    assert "nonsense" not in str(caught.value)


@pytest.mark.parametrize("framing", [JsonLines, ServerEvents])
def test_a_line_without_end_is_not_kept(framing: type[JsonLines | ServerEvents]) -> None:
    one = framing()
    for _ in range(MAX_ITEM_BYTES // 2**20):
        assert not list(one.feed(b"x" * 2**20))
    with pytest.raises(InvalidResponseError, match="without an end"):
        list(one.feed(b"x"))


def test_data_that_is_no_utf_8_is_refused() -> None:
    with pytest.raises(InvalidResponseError, match="UTF-8"):
        items(ServerEvents(), [b"data: \xff\n\n"])


def test_items_are_there_as_soon_as_their_bytes_are() -> None:
    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b'{"a": 1}\n{"a": 2}\n{"a"'
        read.append(2)
        yield b": 3}\n"

    async def main() -> None:
        framed = Framed(body(), JsonLines())
        assert [await anext(framed), await anext(framed)] == [{"a": 1}, {"a": 2}]
        assert read == [1]
        assert [one async for one in framed] == [{"a": 3}]

    read: list[int] = []
    anyio.run(main)
