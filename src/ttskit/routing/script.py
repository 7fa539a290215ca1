"""The text of a request as passages: whole, marked up, or still arriving."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from itertools import pairwise
from typing import NamedTuple, Protocol, Self

from anyio import to_thread

from ttskit.errors import InvalidParameterError
from ttskit.resources.threads import DaemonThreads, ask
from ttskit.text.limits import check_text
from ttskit.text.plan import Passage, TextPlanner, plan_ssml
from ttskit.text.scenes import scenes

TERMINATORS = (".", "!", "?", "…", "。", "！", "？", "؟", "۔", "।", "॥")  # noqa: RUF001 - sentence ends of other scripts
CLOSERS = "\"'”’»)]}」』）】*_"  # noqa: RUF001 - closing quotes and brackets
QUICK_CHARACTERS = 2_000
FIRST_CHARACTERS = 250
CONTEXT_CHARACTERS = 300
"""Of neighbouring text: some three sentences tell the tone, and longer ones cost time."""
CONTEXT_SOURCE = 2 * CONTEXT_CHARACTERS
"""Of the caller's own text, white space not yet squeezed."""
Text = str | Iterable[str] | AsyncIterable[str]


class Around(NamedTuple):
    """What is spoken before and after a passage, as far as it is known."""

    before: str = ""
    after: str = ""


ALONE = Around()


def context_before(text: str) -> str | None:
    """Return the end of what is spoken before a passage, from a word's start; None: nothing is."""
    text = " ".join(text.split())
    if len(text) > CONTEXT_CHARACTERS:
        text = text[-CONTEXT_CHARACTERS:].partition(" ")[2]
    return text or None


def context_after(text: str) -> str | None:
    """Return the start of what is spoken after a passage, up to a word's end; None: nothing is."""
    text = " ".join(text.split())
    if len(text) > CONTEXT_CHARACTERS:
        text = text[:CONTEXT_CHARACTERS].rpartition(" ")[0]
    return text or None


class Cue(NamedTuple):
    """A passage in its place in the text."""

    passage: Passage
    text: str
    """The passage's span as the caller wrote it; of SSML, what is spoken."""
    is_last: bool
    """It is known to be the last."""
    ends_sentence: bool = True
    """Not a clause that was cut off to be heard early, nor a part of an endless sentence."""
    around: Around = ALONE


class Script(Protocol):
    """Passages, each as soon as it is certain."""

    def __aiter__(self) -> AsyncIterator[Cue]:
        """Return itself."""

    def __anext__(self) -> Awaitable[Cue]:
        """Return the next passage."""

    def aclose(self) -> Awaitable[None]:
        """End whatever the text comes from."""


class Layout(NamedTuple):
    """How text is cut into utterances."""

    language: str | None
    fast_start: bool
    """The first utterance may be a clause."""
    utterance_characters: int
    max_characters: int
    """Of a whole text; text that arrives in pieces has no end and no such limit."""
    scene_characters: int = 0
    """Of what several voices of a document say in one utterance; 0: a sentence is one."""


def whole(text: str | None, ssml: str | None, layout: Layout) -> list[Passage]:
    """Return the passages of a text or an SSML document that is all there.

    It takes up to a second for the longest ones: see ``is_quick``.

    Raises:
        EmptyTextError: Nothing in it can be spoken.
        TextTooLongError: It is over the limit.
        UnsafeTextError: The markup would do harm.
        InvalidParameterError: The markup is malformed.
    """
    if ssml is not None:
        passages = plan_ssml(
            ssml,
            language=layout.language,
            fast_start=layout.fast_start,
            max_characters=layout.utterance_characters,
        )
        return scenes(passages, layout.scene_characters) if layout.scene_characters else passages
    text = text or ""
    check_text(text, max_characters=layout.max_characters)
    return _planner(layout).finish(text)


def is_quick(source: str) -> bool:
    """Whether ``whole`` may be called in the event loop: it takes some 20 ms at most."""
    return len(source) <= QUICK_CHARACTERS


class Recital:
    """Passages that are all known.

    No generator: its hooks cost a short text more than its planning does.

    Args:
        passages: In order.
        text: The caller's own; None: they come from SSML.
    """

    def __init__(self, passages: Sequence[Passage], text: str | None) -> None:
        self._passages = passages
        self._at = 0
        self._text = text

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Cue:
        at = self._at
        if at >= len(self._passages):
            raise StopAsyncIteration
        self._at = at + 1
        passage, is_last = self._passages[at], self._at == len(self._passages)
        if self._text is None:
            before = self._passages[at - 1].text if at else ""
            after = "" if is_last else self._passages[self._at].text
            return Cue(passage, passage.text, is_last, around=Around(before, after))
        start, end = passage.span
        around = ALONE
        if len(self._passages) > 1:
            before = self._text[max(start - CONTEXT_SOURCE, 0) : start]
            around = Around(before, self._text[end : end + CONTEXT_SOURCE])
        return _cue(passage, self._text[start:end], is_last=is_last, around=around)

    async def aclose(self) -> None:
        """Nothing is open."""


async def recite_later(ssml: str, layout: Layout) -> AsyncGenerator[Cue, None]:
    """Yield the passages of a long document, planned in a thread when the first is wanted."""
    passages = await to_thread.run_sync(whole, None, ssml, layout)
    async for cue in Recital(passages, None):
        yield cue


def pieces_of(text: str) -> list[str]:
    """Cut a text that is all there into pieces that the event loop can afford one at a time.

    The first is short: nothing is heard before it is planned.
    """
    starts = [0, *range(FIRST_CHARACTERS, len(text), QUICK_CHARACTERS), len(text)]
    return [text[start:end] for start, end in pairwise(starts)]


async def arriving(
    pieces: Iterable[str] | AsyncIterable[str], layout: Layout, *, whole: str = ""
) -> AsyncGenerator[Cue, None]:
    """Yield passages of text that arrives in pieces, each as soon as it is certain.

    Text of no words is no error: nothing is yielded.

    Args:
        pieces: What is still to come is known to whoever sends it.
        layout: How it is cut.
        whole: All of the text, where it is known nevertheless.

    Raises:
        InvalidParameterError: A piece is no text.
    """
    planner, page, before = _planner(layout), _Page(), ""

    def around(passage: Passage) -> Around:
        end = passage.span[1]
        return Around(before, whole[end : end + CONTEXT_SOURCE])

    async with aclosing(_async(pieces)) as texts:
        async for piece in texts:
            if not isinstance(piece, str):
                raise InvalidParameterError(f"text must come as str, not {type(piece).__name__}")
            page.write(piece)
            for passage in planner.feed(piece):
                text = page.tear(passage.span)
                yield _cue(passage, text, is_last=False, around=around(passage))
                before = f"{before} {passage.text}"[-CONTEXT_SOURCE:]
    rest = planner.finish()
    for passage in rest:
        text = page.tear(passage.span)
        yield _cue(passage, text, is_last=passage is rest[-1], around=around(passage))
        before = f"{before} {passage.text}"[-CONTEXT_SOURCE:]


def _cue(passage: Passage, text: str, *, is_last: bool, around: Around) -> Cue:
    words = text.rstrip()
    ends = "\n" in text[len(words) :] or words.rstrip(CLOSERS).endswith(TERMINATORS)
    return Cue(passage, text, is_last, ends, around)


class _Page:
    """The text that arrived and is not yet in a passage."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._start = 0

    def write(self, piece: str) -> None:
        self._pieces.append(piece)

    def tear(self, span: tuple[int, int]) -> str:
        """Return the text of the span and forget everything up to its end."""
        text, start = "".join(self._pieces), self._start
        self._pieces, self._start = [text[span[1] - start :]], span[1]
        return text[span[0] - start : span[1] - start]


def _planner(layout: Layout) -> TextPlanner:
    return TextPlanner(
        language=layout.language,
        fast_start=layout.fast_start,
        max_characters=layout.utterance_characters,
    )


async def _async(pieces: Iterable[str] | AsyncIterable[str]) -> AsyncGenerator[str, None]:
    if isinstance(pieces, AsyncGenerator):
        # The caller's own, but nobody else would end it in time when the stream is left early.
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece
    elif isinstance(pieces, AsyncIterable):
        async for piece in pieces:
            yield piece
    elif isinstance(pieces, Sequence):
        for piece in pieces:
            yield piece
    else:
        async with aclosing(_blocking(iter(pieces))) as blocking:
            async for piece in blocking:
                yield piece


async def _blocking(pieces: Iterator[str]) -> AsyncGenerator[str, None]:
    """Yield from an iterator that may block, on a model's tokens for instance."""
    # A thread of our own: AnyIO's are no daemons, and a reader that never ends would hold up the
    # interpreter's exit.
    threads = DaemonThreads(1, name="text")
    try:
        while (piece := await ask(threads, lambda: next(pieces, None))) is not None:
            yield piece
    finally:
        threads.close()
