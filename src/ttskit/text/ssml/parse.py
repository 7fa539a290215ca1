"""Reads SSML: text, styles, pauses and borders, each with its place in the caller's own string.

Markup is read once, as a stream, within fixed limits; text is always data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from xml.parsers import expat

from ttskit.errors import UnsafeTextError
from ttskit.text.passage import Loss, Run
from ttskit.text.sanitise import Change
from ttskit.text.ssml import values
from ttskit.text.ssml.collect import Collector
from ttskit.text.ssml.elements import Attributes, style_of
from ttskit.text.ssml.source import Source
from ttskit.text.style import Style

MAX_DEPTH = 32
MAX_ELEMENTS = 10_000
MAX_SILENCE_S = 3600.0
"""All breaks of a document together."""

# Expat reads what it was fed to the end even after a limit was hit, so it is fed little at once.
_PIECE = 8192

ELEMENTS = frozenset(
    {"speak", "p", "s", "break", "prosody", "emphasis", "say-as", "sub", "phoneme", "voice"}
    | {"lang", "mark"}
)
"""The portable subset."""

_WHOLE = frozenset({"say-as", "phoneme", "sub"})
_BORDERS = frozenset({"p", "s"})
# Elements of SSML 1.1 whose text is about the document and was never meant to be heard.
_UNSPOKEN = frozenset({"metadata", "desc"})


@dataclass(frozen=True, slots=True)
class Document:
    """What a document says."""

    runs: tuple[Run, ...]
    borders: tuple[int, ...]
    """Characters of ``text`` before each start and end of a sentence or paragraph."""
    losses: tuple[Loss, ...]
    """Markup outside the subset, in the order of the document."""
    changes: tuple[Change, ...] = ()
    """Characters that XML forbids, taken out."""

    @property
    def text(self) -> str:
        """All that is spoken."""
        return "".join(run.text for run in self.runs)


def parse(ssml: str) -> Document:
    """Read an SSML document.

    Elements outside the subset are reported; their text is spoken.

    Raises:
        UnsafeTextError: It has a DTD or a processing instruction, or is over a limit.
        InvalidParameterError: It is no well-formed SSML; the message tells line and column.
    """
    source = Source(ssml)
    reader = _Reader(source)
    parser = reader.parser
    try:
        for start in range(0, len(source.data), _PIECE):
            parser.Parse(source.data[start : start + _PIECE], False)  # noqa: FBT003 - expat's way
        parser.Parse(b"", True)  # noqa: FBT003 - expat's way
    except expat.ExpatError as error:
        position = source.character(parser.ErrorByteIndex)
        raise source.malformed(position, expat.ErrorString(error.code)) from None
    return reader.document()


class _Role(Enum):
    PLAIN = auto()
    BORDER = auto()
    WHOLE = auto()
    """Its text is one thing, of which no part has markup of its own."""
    INSIDE = auto()
    """Stands in a whole, where no element belongs."""
    UNSPOKEN = auto()


@dataclass(frozen=True, slots=True)
class _Open:
    """An element that is not closed yet."""

    name: str
    start: int
    style: Style
    role: _Role = _Role.PLAIN
    alias: str | None = None
    """What is spoken in place of the text."""
    complaints: tuple[str, ...] = ()
    """What to report about it once its end is known."""


class _Reader:
    """Hears expat's events and tells the collector."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._collector = Collector(source.offsets)
        self._stack: list[_Open] = []
        self._elements = 0
        self._silence = 0.0
        self._in_cdata = False
        self._written: list[tuple[str, int]] = []
        self._losses: list[Loss] = []
        self.parser = self._parser()

    def document(self) -> Document:
        """Return what was read."""
        runs, borders = self._collector.finish()
        losses = sorted(self._losses, key=lambda loss: loss.span)
        return Document(runs, borders, tuple(losses), self._source.changes)

    def _parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartCdataSectionHandler = lambda: self._cdata(inside=True)
        parser.EndCdataSectionHandler = lambda: self._cdata(inside=False)
        parser.ProcessingInstructionHandler = _refuse_instruction
        return parser

    def _here(self) -> int:
        return self._source.character(self.parser.CurrentByteIndex)

    def _cdata(self, *, inside: bool) -> None:
        self._in_cdata = inside

    def _start(self, name: str, given: dict[str, str]) -> None:
        position = self._here()
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._stack) >= MAX_DEPTH:
            raise UnsafeTextError(
                f"SSML may have {MAX_ELEMENTS} elements, nested {MAX_DEPTH} deep; this has more"
            )
        if self._stack:
            self._stack.append(self._inner(name, given, position))
        elif name == "speak":
            self._stack.append(self._known(name, given, Style(), position))
        else:
            raise self._source.malformed(position, "the outermost element must be <speak>")

    def _inner(self, name: str, given: dict[str, str], position: int) -> _Open:
        around = self._stack[-1]
        outsider = _outsider(name, around.role)
        if outsider is None:
            return self._known(name, given, around.style, position)
        role, complaint = outsider
        return _Open(name, position, around.style, role, around.alias, complaint)

    def _known(self, name: str, given: dict[str, str], style: Style, position: int) -> _Open:
        attributes = Attributes(name, given)
        try:
            style = style_of(name, attributes, style)
            alias = attributes.required("alias") if name == "sub" else None
            self._point(name, attributes, position)
        except ValueError as error:
            raise self._source.malformed(position, str(error)) from None
        if name in _WHOLE:
            self._collector.split()
        if name in _BORDERS:
            self._collector.border()
        return _Open(
            name=name,
            start=position,
            style=style,
            role=_role(name),
            alias=alias,
            complaints=tuple(f"{it[:40]} of <{name}> is ignored" for it in attributes.leftover()),
        )

    def _point(self, name: str, attributes: Attributes, position: int) -> None:
        """Take what happens at one point of the text."""
        if name == "mark":
            self._collector.mark(attributes.required("name"), position)
        if name != "break":
            return
        time, strength = attributes.read("time", str), attributes.read("strength", str)
        seconds = values.pause(time, strength)
        self._silence += seconds
        if self._silence > MAX_SILENCE_S:
            raise UnsafeTextError(f"all breaks together may last {MAX_SILENCE_S:g} s")
        self._collector.pause(seconds)

    def _end(self, _name: str) -> None:
        position = self._here()
        element = self._stack.pop()
        if element.role is _Role.BORDER:
            self._collector.border()
        if element.role is _Role.WHOLE:
            self._close_whole(element, position)
        for complaint in element.complaints:
            span = self._source.offsets.span(element.start, position)
            self._losses.append(Loss("ignored", element.name[:40], complaint, span))

    def _close_whole(self, element: _Open, position: int) -> None:
        if element.alias is not None:
            start = self._written[0][1] if self._written else element.start
            written = "".join(text for text, _ in self._written)
            self._written = []
            style = replace(element.style, written=written)
            self._collector.text(element.alias, start, position, style)
        self._collector.split()

    def _text(self, text: str) -> None:
        start = self._here()
        element = self._stack[-1]
        if element.role is _Role.UNSPOKEN:
            return
        if element.alias is not None:
            self._written.append((text, start))
            return
        self._collector.text(text, start, self._text_end(text, start), element.style)

    def _text_end(self, text: str, start: int) -> int:
        """Return where the source of this text ends; expat tells only where it starts."""
        source = self._source.text
        if source[start] == "&" and not self._in_cdata:
            return source.index(";", start) + 1
        # Expat hands over a line end by itself, as one "\n" whatever it was (XML 1.0, 2.11).
        return start + 2 if source.startswith("\r\n", start) else start + len(text)


def _outsider(name: str, within: _Role) -> tuple[_Role, tuple[str, ...]] | None:
    """Return the role of an element that does nothing here, and why; None for any other."""
    if within is _Role.UNSPOKEN:
        return within, ()
    if within is _Role.WHOLE or within is _Role.INSIDE:
        return _Role.INSIDE, (f"{_tag(name)} has no place in say-as, sub or phoneme",)
    if name in _UNSPOKEN:
        return _Role.UNSPOKEN, (f"{_tag(name)} is not spoken",)
    if name not in ELEMENTS or name == "speak":
        return _Role.PLAIN, (f"{_tag(name)} is outside the portable subset; its text is spoken",)
    return None


def _role(name: str) -> _Role:
    if name in _WHOLE:
        return _Role.WHOLE
    return _Role.BORDER if name in _BORDERS else _Role.PLAIN


def _tag(name: str) -> str:
    return f"<{name[:40]}>"


def _refuse_instruction(_target: str, _data: str) -> None:
    raise UnsafeTextError("SSML with a processing instruction is refused")
