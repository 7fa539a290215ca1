"""Writes SSML: one whole, escaped document for engines that read it themselves.

Source: W3C SSML 1.1; what is written here, ``parse`` reads back as the same text and styles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from ttskit.text.passage import Mark, Run
from ttskit.text.spans import Offsets
from ttskit.text.ssml.escape import SPECIAL, attributes, escape
from ttskit.text.style import Style, VoiceChoice

# Amazon Polly takes no longer break; more of them add up.
_LONGEST_BREAK_MS = 10_000


def render(runs: Sequence[Run], *, language: str | None = None) -> tuple[str, Offsets]:
    """Return an SSML document that says the runs, and the way from it to the caller's text.

    Every style is written; an engine that lacks an element must not be given runs that use it.

    Args:
        runs: Voice names are written as they stand.
        language: BCP 47, of the whole document.
    """
    writer = _Writer(language)
    for run in runs:
        writer.run(run)
    return writer.finish(Offsets.concat((run.offsets, len(run.text)) for run in runs))


@dataclass(frozen=True, slots=True)
class _Tag:
    name: str
    attributes: str

    @property
    def opening(self) -> str:
        return f"<{self.name}{self.attributes}>"


class _Writer:
    """The document so far; places are characters of all runs' text."""

    def __init__(self, language: str | None) -> None:
        self._language = language
        self._texts: list[str] = []
        self._pieces: list[tuple[int, int, int]] = []
        self._open: list[_Tag] = []
        self._place = 0
        tongue = attributes({"xml:lang": language})
        self._markup(f'<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis"{tongue}>')

    def run(self, run: Run) -> None:
        """Write one run: its pause, its marks, its text in its style."""
        tags = list(_tags(run.style, self._language))
        shared = list(
            takewhile(lambda pair: pair[0] == pair[1], zip(self._open, tags, strict=False))
        )
        self._close(len(shared))
        self._markup("".join(_breaks(run.pause)))
        for tag in tags[len(shared) :]:
            self._markup(tag.opening)
            self._open.append(tag)
        self._content(run)

    def finish(self, offsets: Offsets) -> tuple[str, Offsets]:
        """Close what is open and return the document with its way back through ``offsets``."""
        self._close(0)
        self._markup("</speak>")
        return "".join(self._texts), Offsets.of(self._pieces).through(offsets)

    def _content(self, run: Run) -> None:
        whole = _whole(run)
        if whole is None:
            self._marked(run.text, run.marks)
            return
        self._marked("", run.marks)
        self._markup(whole.opening)
        if run.style.written is None:
            self._text(run.text)
        else:
            self._write(escape(run.style.written), len(run.text))
        self._markup(f"</{whole.name}>")

    def _marked(self, text: str, marks: Iterable[Mark]) -> None:
        start = 0
        for mark in marks:
            self._text(text[start : mark.index])
            self._markup(f"<mark{attributes({'name': mark.name})}/>")
            start = mark.index
        self._text(text[start:])

    def _close(self, depth: int) -> None:
        while len(self._open) > depth:
            self._markup(f"</{self._open.pop().name}>")

    def _markup(self, markup: str) -> None:
        self._write(markup, 0)

    def _text(self, text: str) -> None:
        start = 0
        for match in SPECIAL.finditer(text):
            self._write(text[start : match.start()], match.start() - start)
            self._write(escape(match[0]), len(match[0]))
            start = match.end()
        self._write(text[start:], len(text) - start)

    def _write(self, text: str, length: int) -> None:
        """Write text that stands for so many characters of the runs."""
        self._texts.append(text)
        self._pieces.append((len(text), self._place, self._place + length))
        self._place += length


def _tags(style: Style, language: str | None) -> Iterator[_Tag]:
    """Yield the elements around the text, the outermost first."""
    if style.voice is not None:
        yield _Tag("voice", _voice(style.voice))
    if style.language not in {None, language}:
        yield _Tag("lang", attributes({"xml:lang": style.language}))
    prosody = _prosody(style)
    if prosody:
        yield _Tag("prosody", prosody)
    if style.emphasis is not None:
        yield _Tag("emphasis", attributes({"level": style.emphasis}))


def _voice(voice: VoiceChoice) -> str:
    languages = " ".join(voice.languages) or None
    return attributes({"name": voice.name, "languages": languages, "gender": voice.gender})


def _prosody(style: Style) -> str:
    return attributes(
        {
            "rate": None if style.speed == 1 else f"{style.speed * 100:.2f}%",
            "pitch": f"{style.pitch:+.3f}st" if style.pitch else None,
            "volume": f"{style.volume:+.3f}dB" if style.volume else None,
        }
    )


def _whole(run: Run) -> _Tag | None:
    """Return the element of which the text is the one and whole content."""
    style = run.style
    if style.phoneme is not None:
        phoneme = {"alphabet": style.phoneme.alphabet, "ph": style.phoneme.phonemes}
        return _Tag("phoneme", attributes(phoneme))
    if style.written is not None:
        return _Tag("sub", attributes({"alias": run.text}))
    if style.say_as is None:
        return None
    hint = style.say_as
    return _Tag(
        "say-as",
        attributes(
            {"interpret-as": hint.interpret_as, "format": hint.format, "detail": hint.detail}
        ),
    )


def _breaks(seconds: float) -> Iterator[str]:
    left = round(seconds * 1000)
    while left > 0:
        yield f'<break time="{min(left, _LONGEST_BREAK_MS)}ms"/>'
        left -= _LONGEST_BREAK_MS
