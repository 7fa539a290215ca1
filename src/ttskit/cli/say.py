"""``ttskit say``: a text of any length becomes a file, a stream on stdout, or sound."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Protocol

from ttskit.audio import Audio, AudioChunk, WordTiming
from ttskit.cli.config import open_service, provider_names
from ttskit.cli.loudspeaker import Loudspeaker
from ttskit.cli.options import Arguments
from ttskit.cli.progress import Progress
from ttskit.cli.source import Source, opened
from ttskit.cli.tables import print_json
from ttskit.cli.target import FileOutlet, StdoutOutlet, Target
from ttskit.codecs.formats import format_info
from ttskit.errors import EmptyTextError
from ttskit.files import write_atomically
from ttskit.request import AudioFormat
from ttskit.service import TTSService

LONG_CHARACTERS = 2_000
"""About two minutes of speech. Longer texts are streamed: their progress shows, and they need not
fit into memory. Shorter ones are made at once, with all of the machine."""

_SSML_CHARACTERS = 256 * 1024
"""A document with more is over the library's limit for certain."""
_WARNINGS_SHOWN = 5


class Outlet(Protocol):
    """Takes chunks as they come."""

    def write(self, chunk: AudioChunk) -> None:
        """Take the next chunk."""


def run(arguments: Arguments) -> int:
    """Speak; return the exit code."""
    target = Target.of(arguments, is_terminal=sys.stdout.isatty())
    with (
        open_service(arguments) as tts,
        opened(
            arguments.words,
            text=arguments.text,
            file=arguments.file,
            is_ssml=arguments.ssml,
            stdin=sys.stdin,
        ) as source,
    ):
        job = _Job(tts, source, target, arguments)
        audio = job.done()
    if arguments.json:
        _print_result(audio, target, arguments)
    elif not arguments.quiet:
        _print_summary(audio, target)
    return 0


class _Job:
    """One text on its way to one target."""

    def __init__(
        self, tts: TTSService, source: Source, target: Target, arguments: Arguments
    ) -> None:
        self._tts = tts
        self._source = source
        self._target = target
        self._within = tts.settings.output.directory
        self._limit = min(LONG_CHARACTERS, tts.settings.text.max_characters)
        self._options = _options(arguments, target)
        self._shows_progress = not (arguments.quiet or arguments.json)
        self._read: list[str] = []
        target.check_paths(self._within)

    def done(self) -> Audio:
        """Speak, and return the record of it; streamed audio itself is not in it."""
        audio = self._ssml() if self._source.is_ssml else self._text()
        if self._target.subtitles is not None:
            subtitles = audio.subtitles(self._target.subtitle_format)
            write_atomically(self._target.subtitles, subtitles.encode(), within=self._within)
        return audio

    def _ssml(self) -> Audio:
        ssml = self._source.read_ahead(_SSML_CHARACTERS)
        if self._target.is_played or len(ssml) > self._limit:
            return self._streamed(None, ssml)
        return self._whole(None, ssml)

    def _text(self) -> Audio:
        """Wait for the text's end where nobody listens yet and it is not long."""
        is_heard_live = self._source.is_live and self._target.to_stdout
        if not self._target.is_played and not is_heard_live:
            text = self._source.read_ahead(self._limit)
            if len(text) <= self._limit:
                return self._whole(text, None)
        return self._streamed(self._pieces(), None)

    def _whole(self, text: str | None, ssml: str | None) -> Audio:
        audio = self._tts.synthesize(text, ssml=ssml, **self._options)
        if self._target.file is not None:
            audio.save(self._target.file, format=audio.format)
        if self._target.to_stdout:
            StdoutOutlet().send(audio.data)
        return audio

    def _streamed(self, text: Iterator[str] | None, ssml: str | None) -> Audio:
        with self._tts.stream(text, ssml=ssml, **self._options) as stream:
            words: list[WordTiming] = []
            frames = 0
            with self._outlets() as outlets, self._progress() as progress:
                for chunk in stream:
                    for outlet in outlets:
                        outlet.write(chunk)
                    words += chunk.words
                    frames = chunk.offset + len(chunk.samples)
                    progress.update(chunk.utterance.span[1], frames / chunk.sample_rate)
                if not frames:
                    raise EmptyTextError("there is nothing in the text that can be spoken")
            return Audio(
                data=b"",
                format=self._target.format or AudioFormat.PCM,
                sample_rate=stream.sample_rate,
                frames=frames,
                words=words,
                origin=stream.origin,
                ledger=list(stream.ledger),
                warnings=list(stream.warnings),
                text="".join(self._read) if ssml is None else ssml,
            )

    @contextmanager
    def _outlets(self) -> Iterator[list[Outlet]]:
        """Open whatever takes chunks; a file is there when the block ends without an error."""
        target = self._target
        with ExitStack() as stack:
            outlets: list[Outlet] = []
            if target.file is not None and target.format is not None:
                file = FileOutlet(target.file, target.format, self._within)
                outlets.append(stack.enter_context(file))
            if target.to_stdout:
                outlets.append(StdoutOutlet())
            if target.is_played:
                outlets.append(stack.enter_context(Loudspeaker()))
            yield outlets

    def _progress(self) -> Progress:
        return Progress(sys.stderr, self._source.characters, is_wanted=self._shows_progress)

    def _pieces(self) -> Iterator[str]:
        """Yield the text, and keep it where subtitles will need it."""
        for piece in self._source.pieces():
            if self._target.subtitles is not None:
                self._read.append(piece)
            yield piece


def _options(arguments: Arguments, target: Target) -> dict[str, object]:
    """Return what was asked for, as ``synthesize`` and ``stream`` take it."""
    rate = None if target.format is None else format_info(target.format).customary_rate
    timestamps = arguments.timestamps or ("word" if target.subtitles else None)
    asked: dict[str, object] = {
        "voice": arguments.voice,
        "provider": provider_names(arguments) or None,
        "model": arguments.model,
        "language": arguments.language,
        "speed": arguments.speed,
        "pitch": arguments.pitch,
        "volume": arguments.volume,
        "format": target.format,
        "sample_rate": arguments.sample_rate or rate,
        "timestamps": timestamps,
        "seed": arguments.seed,
        "deadline": arguments.deadline,
        "strict": arguments.strict,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _print_result(audio: Audio, target: Target, arguments: Arguments) -> None:
    facts: dict[str, object] = {
        "output": "-" if target.to_stdout else target.file,
        "subtitles": target.subtitles,
        "format": target.format,
        "sample_rate": audio.sample_rate,
        "duration": round(audio.duration, 3),
        **asdict(audio.origin),
        "warnings": [asdict(notice) for notice in audio.warnings],
    }
    if arguments.timestamps:
        facts["words"] = [asdict(word) for word in audio.words]
    print_json(facts, sys.stderr if target.to_stdout else sys.stdout)


def _print_summary(audio: Audio, target: Target) -> None:
    for notice in audio.warnings[:_WARNINGS_SHOWN]:
        print(f"ttskit: warning: {notice.feature}: {notice.message}", file=sys.stderr)
    if len(audio.warnings) > _WARNINGS_SHOWN:
        more = len(audio.warnings) - _WARNINGS_SHOWN
        print(f"ttskit: {more} more warnings; --json has them all", file=sys.stderr)
    speakers = ", ".join(
        dict.fromkeys(_speaker(entry.provider, entry.voice) for entry in audio.ledger)
    )
    if target.file is not None:
        print(f"{target.file}: {audio.duration:.1f} s of speech by {speakers}")
    if target.subtitles is not None and not target.to_stdout:
        print(f"{target.subtitles}: subtitles")


def _speaker(provider: str, voice: str | None) -> str:
    return f"{provider} ({voice})" if voice else provider
