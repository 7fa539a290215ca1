"""Where speech goes: a file that appears whole, stdout, the loudspeaker; and its subtitles."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from ttskit.audio import AudioChunk
from ttskit.cli.loudspeaker import found_player
from ttskit.cli.options import Arguments
from ttskit.codecs.formats import choose_backend, format_info, format_of_path
from ttskit.codecs.wav import wav_header
from ttskit.errors import DependencyMissingError, InvalidParameterError
from ttskit.files import AtomicFile, safe_path
from ttskit.request import AudioFormat

SubtitleFormat = Literal["srt", "vtt"]
_SUBTITLES: dict[str, SubtitleFormat] = {".srt": "srt", ".vtt": "vtt"}


@dataclass(frozen=True, slots=True)
class Target:
    """What the command line says about where speech goes."""

    file: Path | None
    to_stdout: bool
    is_played: bool
    format: AudioFormat | None
    """None where it is played only."""
    subtitles: Path | None

    @classmethod
    def of(cls, arguments: Arguments, *, is_terminal: bool) -> Self:
        """Return the target, checked as far as it can be before anybody speaks.

        Args:
            arguments: The command line.
            is_terminal: Stdout is one.

        Raises:
            InvalidParameterError: The options contradict one another.
            UnsupportedFormatError: The format is unknown, or its package is not installed.
            DependencyMissingError: It is to be played, and nothing here can.
        """
        output, is_played = arguments.output, arguments.play
        if output is None and not is_played:
            if arguments.json:
                raise InvalidParameterError(
                    "--json takes stdout: say where the speech goes, with -o FILE, -o - or --play"
                )
            is_played, output = is_terminal, None if is_terminal else "-"
        if output == "-" and is_terminal:
            raise InvalidParameterError("audio on a terminal is of no use; give -o FILE or --play")
        if is_played:
            _check_player()
        file = None if output in (None, "-") else Path(output)
        return cls(
            file=file,
            to_stdout=output == "-",
            is_played=is_played,
            format=None if output is None else _format(arguments.format, file),
            subtitles=_subtitles(arguments.subtitles, file),
        )

    def check_paths(self, within: Path | None) -> None:
        """Check that the files may be written, before anybody speaks for nothing.

        Raises:
            UnsafePathError: A path leaves ``within`` or is no ordinary file.
            InvalidParameterError: The directory does not exist or may not be written in.
        """
        for path in (self.file, self.subtitles):
            if path is not None:
                safe_path(path, within)

    @property
    def subtitle_format(self) -> SubtitleFormat:
        """By the suffix of the subtitles' file."""
        return _SUBTITLES[self.subtitles.suffix.lower()] if self.subtitles else "srt"


class FileOutlet:
    """An audio file that appears under its name when the block ends without an error.

    Args:
        path: Where to.
        audio_format: What the chunks' data is.
        within: The only directory that may be written in; None: any.
    """

    def __init__(self, path: Path, audio_format: AudioFormat, within: Path | None) -> None:
        self._file = AtomicFile(path, within=within)
        self._is_wav = audio_format is AudioFormat.WAV

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.__exit__(kind, error, trace)

    def write(self, chunk: AudioChunk) -> None:
        """Append the chunk's data; with the last one a WAV learns its length."""
        self._file.write(chunk.data)
        if chunk.last and self._is_wav:
            self._file.rewrite_start(_header(chunk))


class StdoutOutlet:
    """Audio for whoever reads stdout, as it comes."""

    def write(self, chunk: AudioChunk) -> None:
        """Send the chunk's data."""
        self.send(chunk.data)

    def send(self, data: bytes) -> None:
        """Write the data and have it leave."""
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _header(last: AudioChunk) -> bytes:
    """Return the header of the WAV that ends with this chunk; as a stream it has no size."""
    channels = 1 if last.samples.ndim == 1 else last.samples.shape[1]
    return wav_header(last.sample_rate, channels, last.offset + len(last.samples))


def _check_player() -> None:
    if found_player() is None:
        raise DependencyMissingError(
            "nothing here can play sound; give -o FILE, or run: pip install sounddevice"
        )


def _format(name: str | None, file: Path | None) -> AudioFormat:
    if name is not None:
        chosen = format_info(name.lower())
    elif file is not None:
        chosen = format_info(format_of_path(file))
    else:
        chosen = format_info(AudioFormat.WAV)
    choose_backend(chosen.name, chosen.writers, None)
    return chosen.name


def _subtitles(wanted: str | None, file: Path | None) -> Path | None:
    if wanted is None:
        return None
    suffix = f".{wanted.lower()}"
    if suffix in _SUBTITLES:
        if file is None:
            raise InvalidParameterError("--subtitles needs a FILE where there is no -o FILE")
        return file.with_suffix(suffix)
    if Path(wanted).suffix.lower() not in _SUBTITLES:
        raise InvalidParameterError("--subtitles takes a FILE.srt or FILE.vtt, or srt or vtt")
    return Path(wanted)
