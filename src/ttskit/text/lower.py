"""Fits a passage to an engine: markup it reads is handed on, the rest is had by other means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

from ttskit.text.passage import Loss, Passage, Run
from ttskit.text.sanitise import is_speakable
from ttskit.text.spans import Offsets, Span
from ttskit.text.ssml.render import render
from ttskit.text.ssml.say_as import is_spelled, spelled
from ttskit.text.style import PLAIN, Style, VoiceChoice

__all__ = ["Loss", "Lowered", "Piece", "Silence", "Speech", "lower"]


class _Settings(NamedTuple):
    """What is set for a whole call of the engine: the last fields of ``Speech``."""

    voice: VoiceChoice | None = None
    language: str | None = None
    speed: float = 1.0
    pitch: float = 0.0
    volume: float = 0.0


class Speech(NamedTuple):
    """One call of the engine."""

    text: str
    offsets: Offsets
    """From ``text``, markup included, to the caller's own text."""
    is_ssml: bool = False
    """``text`` is a whole SSML document."""
    voice: VoiceChoice | None = None
    language: str | None = None
    """BCP 47; None: the request's."""
    speed: float = 1.0
    """Factor, upon the request's."""
    pitch: float = 0.0
    """Semitones, upon the request's."""
    volume: float = 0.0
    """dB, upon the request's."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A pause, for which no engine is needed."""

    seconds: float


Piece: TypeAlias = Speech | Silence


class Lowered(NamedTuple):
    """What to play for a passage, in order, and what of its markup the engine does not read."""

    pieces: tuple[Piece, ...]
    losses: tuple[Loss, ...]


def lower(
    passage: Passage,
    *,
    elements: frozenset[str],
    speed: bool,
    pitch: bool,
    volume: bool,
    language: str | None = None,
) -> Lowered:
    """Return the passage as an engine with these abilities can speak it.

    Args:
        passage: What to speak.
        elements: SSML elements that the engine reads; empty: it takes plain text only.
        speed: Whether the speed of a call can be set.
        pitch: Likewise the pitch.
        volume: Likewise the volume.
        language: BCP 47, the request's: what a document is in whose passage names none.
    """
    if len(passage.runs) == 1 and _is_plain(passage.runs[0]):
        text, offsets = _trimmed(passage.runs)
        return Lowered((Speech(text, offsets),), passage.losses)
    engine = _Engine(elements, speed, pitch, volume, language)
    runs = list(_with_pauses_before_text(passage.runs))
    home = _home(runs)
    parts = [engine.part(run, home) for run in runs]
    losses = _merged((run.span, engine.complaints(run, home)) for run in runs)
    return Lowered(tuple(engine.pieces(_settled(parts))), (*passage.losses, *losses))


@dataclass(frozen=True, slots=True)
class _Part:
    """A run fitted to an engine: what its style still says is markup that the engine reads."""

    run: Run
    settings: _Settings

    @property
    def is_speakable(self) -> bool:
        return is_speakable(self.run.text)


@dataclass(frozen=True, slots=True)
class _Complaint:
    code: Literal["emulated", "ignored"]
    element: str
    message: str


_PAUSE = _Complaint("emulated", "break", "inserted as silence")
_VOICE = _Complaint("emulated", "voice", "had by a call of its own")
_LANG = _Complaint("emulated", "lang", "had by a call of its own")
_SUB = _Complaint("emulated", "sub", "the alias is spoken as plain text")
_SPELLED = _Complaint("emulated", "say-as", "spoken with spaces in between")
_SAY_AS = _Complaint("ignored", "say-as", "how the text is read is left to the engine")
_PHONEME = _Complaint("ignored", "phoneme", "the text is spoken as it is written")
_EMPHASIS = _Complaint("ignored", "emphasis", "the text is spoken without emphasis")


@dataclass(frozen=True, slots=True)
class _Engine:
    elements: frozenset[str]
    speed: bool
    pitch: bool
    volume: bool
    language: str | None

    def reads(self, element: str) -> bool:
        return element in self.elements

    def part(self, run: Run, home: str | None) -> _Part:
        """Divide the run's style in what stays markup and what is set for the call."""
        if not self.reads("say-as"):
            run = spelled(run)
        marked = run._replace(
            style=self._markup(run.style, home),
            marks=run.marks if self.reads("mark") else (),
        )
        return _Part(marked, self._settings(run.style, home))

    def _markup(self, style: Style, home: str | None) -> Style:
        reads = self.reads
        return Style(
            language=style.language if reads("lang") and style.language != home else None,
            speed=style.speed if reads("prosody") else 1.0,
            pitch=style.pitch if reads("prosody") else 0.0,
            volume=style.volume if reads("prosody") else 0.0,
            emphasis=style.emphasis if reads("emphasis") else None,
            say_as=style.say_as if reads("say-as") else None,
            phoneme=style.phoneme if reads("phoneme") else None,
            written=style.written if reads("sub") else None,
        )

    def _settings(self, style: Style, home: str | None) -> _Settings:
        as_markup = self.reads("prosody")
        return _Settings(
            # Never markup: the name is the caller's, and only routing knows whom it stands for.
            voice=style.voice,
            language=home if self.reads("lang") else style.language,
            speed=style.speed if self.speed and not as_markup else 1.0,
            pitch=style.pitch if self.pitch and not as_markup else 0.0,
            volume=style.volume if self.volume and not as_markup else 0.0,
        )

    def complaints(self, run: Run, home: str | None) -> list[_Complaint]:
        """Return what of the run's markup the engine does not read."""
        found = [_PAUSE] if run.pause else []
        if is_speakable(run.text):
            found += self._unread(run.style, home)
        return [complaint for complaint in found if not self.reads(complaint.element)]

    def _unread(self, style: Style, home: str | None) -> Iterator[_Complaint]:
        if style.voice is not None:
            yield _VOICE
        if style.language != home:
            yield _LANG
        if style.written is not None:
            yield _SUB
        if style.say_as is not None:
            yield _SPELLED if is_spelled(style.say_as) else _SAY_AS
        if style.phoneme is not None:
            yield _PHONEME
        if style.emphasis not in {None, "none"}:
            yield _EMPHASIS
        yield from self._prosody(style)

    def _prosody(self, style: Style) -> Iterator[_Complaint]:
        for changed, can, what in (
            (style.speed != 1, self.speed, "rate"),
            (style.pitch != 0, self.pitch, "pitch"),
            (style.volume != 0, self.volume, "volume"),
        ):
            if changed and can:
                yield _Complaint("emulated", "prosody", f"{what}: had by a call of its own")
            elif changed:
                yield _Complaint("ignored", "prosody", f"{what}: cannot be set here")

    def pieces(self, parts: Iterable[_Part]) -> Iterator[Piece]:
        """Yield one speech for each stretch under the same settings, and silence between them."""
        group: list[_Part] = []
        for part in parts:
            if self._continues(group, part):
                group.append(part)
                continue
            yield from _speech(group, self.language)
            if part.run.pause:
                yield Silence(part.run.pause)
            group = [replace(part, run=part.run._replace(pause=0.0))]
        yield from _speech(group, self.language)

    def _continues(self, group: list[_Part], part: _Part) -> bool:
        """Whether one call can go on from the group to this part."""
        if not group or part.settings != group[0].settings:
            return False
        if not part.run.pause:
            return True
        # At the edges of a call silence is exact; engines trim their own.
        spoken = any(member.is_speakable for member in group)
        return self.reads("break") and spoken and bool(part.run.text)


def _speech(parts: list[_Part], language: str | None) -> Iterator[Speech]:
    if not any(part.is_speakable for part in parts):
        return
    runs, settings = [part.run for part in parts], parts[0].settings
    is_ssml = any(run.pause or run.marks or run.style != PLAIN for run in runs)
    if is_ssml:
        text, offsets = render(runs, language=settings.language or language)
    else:
        text, offsets = _trimmed(runs)
    yield Speech(text, offsets, is_ssml, *settings)


def _is_plain(run: Run) -> bool:
    """Whether any engine can speak it as it is."""
    is_plain = run.style is PLAIN or run.style == PLAIN  # comparing every field is slow
    return is_plain and not run.pause and not run.marks and is_speakable(run.text)


def _trimmed(runs: Sequence[Run]) -> tuple[str, Offsets]:
    if len(runs) == 1 and runs[0].text == runs[0].text.strip():
        return runs[0].text, runs[0].offsets
    text = "".join(run.text for run in runs)
    offsets = Offsets.concat((run.offsets, len(run.text)) for run in runs)
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    return text[start:end], offsets.slice(start, end)


def _with_pauses_before_text(runs: Iterable[Run]) -> Iterator[Run]:
    """Move each pause over white space, so that what is left after the last text ends it."""
    pause, end = 0.0, 0
    for run in runs:
        pause, end = pause + run.pause, run.span[1]
        if run.text.strip():
            yield run._replace(pause=pause)
            pause = 0.0
        else:
            yield run._replace(pause=0.0)
    if pause:
        yield Run("", Offsets.identity(end), pause=pause)


def _home(runs: Sequence[Run]) -> str | None:
    """Return the language the passage is in: the request's where any of it is."""
    languages = [run.style.language for run in runs if is_speakable(run.text)]
    return None if None in languages or not languages else languages[0]


def _settled(parts: Sequence[_Part]) -> Iterator[_Part]:
    """Give what cannot be spoken by itself, such as a full stop, to the call beside it."""
    settings = next((part.settings for part in parts if part.is_speakable), _Settings())
    for part in parts:
        if part.is_speakable:
            settings = part.settings
        yield replace(part, settings=settings)


def _merged(found: Iterable[tuple[Span, Iterable[_Complaint]]]) -> list[Loss]:
    """Return one loss for each stretch of text with the same complaint."""
    losses: list[Loss] = []
    before: dict[_Complaint, int] = {}
    for span, complaints in found:
        now: dict[_Complaint, int] = {}
        for it in complaints:
            index = before.get(it, len(losses))
            if index == len(losses):
                losses.append(Loss(it.code, it.element, it.message, span))
            losses[index] = replace(losses[index], span=(losses[index].span[0], span[1]))
            now[it] = index
        before = now
    return losses
