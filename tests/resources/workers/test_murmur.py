"""What a worker says beside its speech, as it arrives in the application's logging."""

from __future__ import annotations

import json
import logging
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.resources.workers.murmur import BURST, LEFT_OUT, LONGEST, Murmur, quotes

TEXT = "The secret plans are under the kitchen table."


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def murmur(clock: Clock, caplog: pytest.LogCaptureFixture) -> Murmur:
    caplog.set_level(logging.DEBUG, "ttskit.worker")
    return Murmur("acme", texts=lambda: [TEXT], request=lambda: "r7", clock=clock)


def test_lines_arrive_whole_with_provider_and_request(
    murmur: Murmur, caplog: pytest.LogCaptureFixture
) -> None:
    for piece in (b"one li", b"ne\r50 %\r100 %\nand", b" another\n", b"the rest"):
        murmur.write(piece)
    murmur.close()
    assert caplog.messages == [
        f"acme r7: {line}" for line in ("one line", "50 %", "100 %", "and another", "the rest")
    ]
    assert {record.name for record in caplog.records} == {"ttskit.worker"}
    assert {vars(record)["request_id"] for record in caplog.records} == {"r7"}
    assert {vars(record)["provider"] for record in caplog.records} == {"acme"}


def test_records_keep_their_level_and_name(
    murmur: Murmur, caplog: pytest.LogCaptureFixture
) -> None:
    murmur.record(logging.ERROR, "some.library", "all is lost", "r8")
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (40, "acme r8: some.library: all is lost")


def test_a_line_that_quotes_the_text_is_cut_out(
    murmur: Murmur, caplog: pytest.LogCaptureFixture
) -> None:
    murmur.write(f"cannot say {TEXT!r}\nharmless\n".encode())
    murmur.record(logging.INFO, "x", f"text: {TEXT}", "")
    assert caplog.messages == [f"acme r7: {LEFT_OUT}", "acme r7: harmless", f"acme: x: {LEFT_OUT}"]


def test_a_flood_is_cut_and_counted(
    murmur: Murmur, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1_000):
        murmur.write(b"complaint\n" * 1_000)
    clock.now = 10.0
    murmur.write(b"quiet again\n")
    assert len(caplog.messages) == BURST + 2
    assert caplog.messages[-2] == f"acme: {1_000_000 - int(BURST)} lines were left out"
    assert caplog.messages[-1] == "acme r7: quiet again"


def test_a_flood_does_not_drown_records(murmur: Murmur, caplog: pytest.LogCaptureFixture) -> None:
    murmur.write(b"complaint\n" * 1_000)
    murmur.record(logging.WARNING, "x", "important", "")
    assert "acme: x: important" in caplog.messages


def test_a_line_without_an_end_is_not_held(murmur: Murmur) -> None:
    for _ in range(1_000):
        murmur.write(b"x" * 65_536)
    assert len(murmur._rest) <= 4_096


def test_long_lines_and_control_characters_are_cut(
    murmur: Murmur, caplog: pytest.LogCaptureFixture
) -> None:
    murmur.write(b"\x1b[31mred\x00" + b"y" * 10_000 + b"\n")
    (message,) = caplog.messages
    assert len(message) <= LONGEST + len("acme r7: ")
    assert message.isprintable()


def test_a_filter_of_the_application_that_fails_stops_nothing(murmur: Murmur) -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise LookupError(record.name)

    logger = logging.getLogger("ttskit.worker")
    logger.addFilter(broken)
    try:
        murmur.write(b"one\ntwo\n")
    finally:
        logger.removeFilter(broken)


@pytest.mark.parametrize(
    "line",
    [
        b"terminate called after throwing an instance of 'std::bad_alloc'",
        b"RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory",
        b"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB",
    ],
)
def test_last_words_about_memory_are_noted_even_in_a_flood(murmur: Murmur, line: bytes) -> None:
    assert not murmur.found_no_memory
    murmur.write(b"complaint\n" * 100)
    murmur.write(b"complaint\n" * 100 + line + b"\n")
    assert murmur.found_no_memory


def test_words_about_memory_that_are_the_text_s_are_not_taken_for_a_library_s(
    caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    caplog.set_level(logging.INFO, "ttskit.worker")
    text = "The shop is out of memory cards."
    murmur = Murmur("acme", texts=lambda: [text], request=lambda: "", clock=clock)
    for _ in range(100):
        murmur.write(f"cannot say {text}\n".encode())
    assert not murmur.found_no_memory
    murmur.write(f"{text}\nstd::bad_alloc\n{text}\n".encode())
    assert murmur.found_no_memory


@pytest.mark.parametrize(
    "line",
    [
        "under the kitchen table",
        "UNDERTHEKITCHEN",
        "under\\x20the\\u0020kitchen",
        "['under', 'the', 'kitchen', 'table']",
        "zzz kitchen t zzz",
    ],
)
def test_a_quote_is_seen_however_it_is_written(line: str) -> None:
    assert quotes(line, TEXT)


def test_a_line_that_has_little_in_common_with_the_text_is_no_quote() -> None:
    assert not quotes("loading the table of phonemes", TEXT)


@given(st.text(min_size=1), st.text(), st.text())
def test_the_whole_text_is_a_quote_of_it(text: str, before: str, after: str) -> None:
    if any(map(str.isalnum, text)):
        assert quotes(f"{before} {text} {after}", text)


WRITTEN: list[Callable[[str], str]] = [
    repr,
    ascii,
    json.dumps,
    quote,
    lambda text: repr(text.encode()),
    lambda text: repr(ValueError(f"cannot say {text!r}")),
    lambda text: json.dumps(ascii(text)),
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: unicodedata.normalize("NFKD", text),
    lambda text: unicodedata.normalize("NFKC", text),
]
LIVELY = st.text(
    st.sampled_from("aZ7\n\t\\%'\"éßüé\u0301\u200bĐ제日ﬁ😀\U0001d400")
    | st.characters(codec="utf-8")
)


@pytest.mark.parametrize("written", WRITTEN)
@given(text=LIVELY)
def test_the_text_is_known_again_in_every_way_to_write_it(
    written: Callable[[str], str], text: str
) -> None:
    if any(map(str.isalnum, text)):
        assert quotes(f"cannot say {written(text)}.", text)


@pytest.mark.parametrize("written", WRITTEN)
def test_a_part_of_a_line_by_line_text_is_known_again(written: Callable[[str], str]) -> None:
    text = "the cat\nsat on\nmy mat\nPIN 4711"
    assert quotes(written(text)[9:-2], text)
