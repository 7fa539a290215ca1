"""What comes back: finished audio, chunks of it, and the record of who said what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from typing_extensions import override

from ttskit.errors import InvalidParameterError
from ttskit.files import StrPath, safe_path, write_atomically

if TYPE_CHECKING:
    from ttskit.codecs.pcm import AnySamples, Samples
    from ttskit.request import AnyFormat, AudioFormat

Span = tuple[int, int]
"""Start and end (exclusive) of a piece of the caller's own text, in characters."""


class Outcome(StrEnum):
    """``complete``; ``resumed`` by another provider; ``truncated`` before the end of the text."""

    COMPLETE = "complete"
    RESUMED = "resumed"
    TRUNCATED = "truncated"


class TimingSource(StrEnum):
    """Where a word's times come from: the engine, an aligner, or an estimate from its length."""

    NATIVE = "native"
    ALIGNED = "aligned"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class WordTiming:
    """A word (or character) with its start and end in seconds from the start of the audio."""

    word: str
    start: float
    end: float
    span: Span
    source: TimingSource = TimingSource.NATIVE


@dataclass(frozen=True, slots=True)
class Spoken:
    """One entry of the ledger: this text was spoken in these frames by this provider's voice."""

    utterance: int
    text: Span
    frames: Span
    """First frame and the frame after the last, counted from the start of the audio."""
    provider: str
    voice: str | None
    model: str | None = None
    words: tuple[WordTiming, ...] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """A setting or markup that was emulated, limited or ignored, and by whom."""

    code: str
    """Stable: ``emulated``, ``ignored``, ``limited``, ``voice_replaced``, ``text_changed``."""
    feature: str
    """The request field or SSML element concerned."""
    message: str
    provider: str | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of one provider for one utterance."""

    provider: str
    voice: str | None
    utterance: int
    outcome: str
    """``ok`` or the ``code`` of the error."""
    characters: int
    started: float
    """Seconds from the start of the request."""
    duration: float
    """Seconds of wall time."""
    message: str | None = None


@dataclass(slots=True)
class Provenance:
    """Where audio comes from. While a stream runs it grows; in ``Audio`` it is final."""

    outcome: Outcome = Outcome.COMPLETE
    provider: str | None = None
    """Who spoke last; the ledger tells each utterance's provider."""
    model: str | None = None
    voice: str | None = None
    cached: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    time_to_first_audio: float | None = None
    """Seconds from the request to the first audible frame handed to the caller."""
    wall_time: float | None = None
    cost: float | None = None
    """US dollars, where prices are known."""
    request_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UtteranceRef:
    """Which utterance a chunk belongs to, and the span of the caller's text it speaks."""

    index: int
    span: Span


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Some whole frames of a stream, in order.

    ``data`` is in the stream's format: 16-bit little-endian PCM unless another was asked for.
    """

    data: bytes
    samples: Samples
    """float32 in [-1, 1], shape (frames,) or (frames, channels)."""
    sample_rate: int
    offset: int
    """Frames from the start of the stream."""
    utterance: UtteranceRef
    provider: str
    words: tuple[WordTiming, ...] = ()
    last: bool = False
    """The last chunk of the stream."""
    discontinuity: bool = False
    """Speech resumed in mid-utterance just before this chunk."""
    format: AudioFormat | None = None
    """Of ``data``."""

    @property
    def pcm(self) -> bytes:
        """The frames as 16-bit little-endian interleaved PCM, whatever the stream's format."""
        if self.format == "pcm":
            return self.data
        from ttskit.codecs.pcm import to_pcm  # keeps the import of results light

        return to_pcm(self.samples)


_ADTS_DELAY = 1024
"""Frames of silence that an AAC encoder starts with; this one format has no field to say so."""


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Audio:
    """Finished speech: one encoded file, and the record of who said what in it."""

    data: bytes
    """A whole file of ``format``; raw numbers for ``pcm``, ``mulaw`` and ``alaw``."""
    format: AudioFormat
    sample_rate: int
    """Hz."""
    frames: int
    """Of the speech; some formats pad what they hold by a few more."""
    channels: int = 1
    words: list[WordTiming] = field(default_factory=list)
    """In the order of the audio; empty unless timestamps were asked for."""
    origin: Provenance = field(default_factory=Provenance)
    ledger: list[Spoken] = field(default_factory=list)
    """One entry an utterance, in the order of the audio."""
    warnings: list[Notice] = field(default_factory=list)
    text: str = ""
    """The caller's own text (or SSML), which every span points into."""
    within: Path | None = None
    """The only directory that ``save`` may write in; None: any."""

    @classmethod
    def from_samples(  # noqa: PLR0913 - keyword-only facts of one recording
        cls,
        samples: AnySamples,
        *,
        sample_rate: int,
        format: AnyFormat = "wav",
        words: Iterable[WordTiming] = (),
        origin: Provenance | None = None,
        ledger: Iterable[Spoken] = (),
        warnings: Iterable[Notice] = (),
        text: str = "",
        within: Path | None = None,
    ) -> Self:
        """Return samples as audio of ``format``.

        Where the format cannot carry ``sample_rate``, the audio has the next rate that it can,
        and the ledger is brought to it.

        Args:
            samples: float32, shape (frames,) or (frames, channels); 16-bit PCM stays as it is.
            sample_rate: Of the samples and the ledger, Hz.
            format: What to encode to.
            words: Becomes the field of that name, and so do the others.
            origin: See there.
            ledger: See there.
            warnings: See there.
            text: See there.
            within: See there.

        Raises:
            UnsupportedFormatError: The format is unknown, or its package is not installed.
            InvalidParameterError: The format carries no such rate or number of channels.
            InvalidResponseError: A sample is no finite number.
        """
        from ttskit.codecs.encode import open_encoder  # keeps results light
        from ttskit.codecs.formats import format_info

        channels = 1 if samples.ndim == 1 else samples.shape[1]
        encoder = open_encoder(
            format,
            sample_rate=sample_rate,
            channels=channels,
            streaming=False,
            frames=len(samples),
        )
        data = encoder.encode(samples) + encoder.finish()
        rate = encoder.sample_rate
        return cls(
            data=data,
            format=format_info(format).name,
            sample_rate=rate,
            frames=_rescaled(len(samples), sample_rate, rate),
            channels=channels,
            words=list(words),
            origin=Provenance() if origin is None else origin,
            ledger=_at_rate(ledger, sample_rate, rate),
            warnings=list(warnings),
            text=text,
            within=within,
        )

    @override
    def __repr__(self) -> str:
        speaker = f" by {self.origin.provider}" if self.origin.provider else ""
        return f"<Audio {' '.join(self._facts())}{speaker}, {self.origin.outcome}>"

    @property
    def duration(self) -> float:
        """Seconds of speech."""
        return self.frames / self.sample_rate

    @cached_property
    def samples(self) -> Samples:
        """What ``data`` holds, decoded on first use: float32 in [-1, 1].

        Shape (frames,) or (frames, channels), at ``sample_rate``, without what the format pads.

        Raises:
            UnsupportedFormatError: The package that reads the format is not installed.
            InvalidResponseError: ``data`` is broken.
        """
        import numpy as np  # keeps results light

        from ttskit.codecs.alaw import from_alaw
        from ttskit.codecs.decode import decode
        from ttskit.codecs.mulaw import from_mulaw
        from ttskit.codecs.pcm import from_pcm
        from ttskit.codecs.resample import resample

        if not self.frames:
            return np.zeros((0,) if self.channels == 1 else (0, self.channels), np.float32)
        raw = {"pcm": from_pcm, "mulaw": from_mulaw, "alaw": from_alaw}.get(self.format)
        if raw is not None:  # decode() would wonder whether such bytes are audio at all
            return raw(self.data, channels=self.channels)
        decoded = decode(self.data, self.format, max_seconds=None)
        samples = resample(
            decoded.samples, source_rate=decoded.sample_rate, target_rate=self.sample_rate
        )
        padding = max(0, len(samples) - self.frames)
        start = min(padding, _ADTS_DELAY) if self.format == "aac" else 0
        return samples[start : start + self.frames]

    def convert(
        self,
        format: AnyFormat | None = None,
        sample_rate: int | None = None,
    ) -> Audio:
        """Return the audio in another format or at another sample rate; itself if it is so already.

        Args:
            format: None: as it is.
            sample_rate: Hz. None: as it is, or the next one that the format can carry; for
                ``mulaw`` and ``alaw`` the 8 000 Hz that telephones expect.

        Raises:
            UnsupportedFormatError: The format is unknown, or its package is not installed.
            InvalidParameterError: The format cannot carry the sample rate.
        """
        from ttskit.codecs.resample import resample  # keeps results light

        wanted, rate = self._target(format, sample_rate)
        if (wanted, rate) == (self.format, self.sample_rate):
            return self
        return type(self).from_samples(
            resample(self.samples, source_rate=self.sample_rate, target_rate=rate),
            sample_rate=rate,
            format=wanted,
            words=self.words,
            origin=self.origin,
            ledger=_at_rate(self.ledger, self.sample_rate, rate),
            warnings=self.warnings,
            text=self.text,
            within=self.within,
        )

    def save(
        self,
        path: StrPath,
        *,
        format: AnyFormat | None = None,
    ) -> Path:
        """Write the audio to a file, whole or not at all, and return where it is.

        Args:
            path: An existing file is replaced. Where the service has an output directory, a
                relative path starts there and no path may leave it.
            format: None: the suffix says it. The audio is converted where it has another format.

        Raises:
            UnsupportedFormatError: The suffix is no format's, or its package is not installed.
            UnsafePathError: The path leaves the output directory or is no ordinary file.
            InvalidParameterError: The directory does not exist or may not be written in.
            StorageFullError: The disk has no room; the old file is as it was.
        """
        from ttskit.codecs.formats import format_of_path  # keeps results light

        safe_path(path, self.within)
        wanted = format_of_path(Path(path)) if format is None else format
        return write_atomically(path, self.convert(wanted).data, within=self.within)

    def subtitles(self, format: Literal["srt", "vtt"] = "srt") -> str:
        """Return the speech as subtitles, cut into cues of one or two lines.

        Where words were not timed, their times are estimated from the ledger.

        Raises:
            InvalidParameterError: The format is neither ``srt`` nor ``vtt``.
        """
        from ttskit import subtitles  # keeps results light

        renderers = {"srt": subtitles.to_srt, "vtt": subtitles.to_vtt}
        if format not in renderers:
            raise InvalidParameterError("subtitles are srt or vtt")
        cues = subtitles.cues(
            self.words,
            ledger=self.ledger,
            text=self.text,
            sample_rate=self.sample_rate,
            duration=self.duration,
        )
        return renderers[format](cues)

    def play(self) -> None:
        """Play the audio on this machine's loudspeaker and return when it was heard.

        Raises:
            DependencyMissingError: Nothing here can play; the message says what to install.
            ResourceError: What is installed could not play.
        """
        from ttskit import playback  # keeps results light

        playback.play(self.samples, self.sample_rate)

    def _repr_html_(self) -> str:
        """Show a waveform and a player in a notebook."""
        from ttskit import notebook  # keeps results light
        from ttskit.codecs.formats import format_info

        playable = self.convert("wav") if self.format in ("pcm", "mulaw", "alaw") else self
        speaker = (self.origin.provider, self.origin.voice)
        card = notebook.Card(
            speaker=tuple(part for part in speaker if part),
            facts=self._facts(),
            samples=self.samples,
            duration=self.duration,
            data=playable.data,
            media_type=format_info(playable.format).media_type,
            words=self.words,
        )
        return notebook.render(card)

    def _facts(self) -> tuple[str, ...]:
        layout = {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels")
        return self.format, f"{self.duration:.2f} s", f"{self.sample_rate} Hz", layout

    def _target(self, name: AnyFormat | None, sample_rate: int | None) -> tuple[AudioFormat, int]:
        from ttskit.codecs.formats import format_info, supported_rate

        info = format_info(self.format if name is None else name)
        is_new = info.name != self.format
        if sample_rate is None:
            customary = info.customary_rate if is_new else None
            return info.name, supported_rate(info.name, customary or self.sample_rate)
        nearest = supported_rate(info.name, sample_rate)
        if nearest != sample_rate:
            raise InvalidParameterError(
                f"{info.name} cannot carry {sample_rate} Hz; the nearest it can is {nearest} Hz"
            )
        return info.name, sample_rate


def _at_rate(ledger: Iterable[Spoken], source_rate: int, target_rate: int) -> list[Spoken]:
    if source_rate == target_rate:
        return list(ledger)
    return [
        replace(
            entry,
            frames=(
                _rescaled(entry.frames[0], source_rate, target_rate),
                _rescaled(entry.frames[1], source_rate, target_rate),
            ),
        )
        for entry in ledger
    ]


def _rescaled(frames: int, source_rate: int, target_rate: int) -> int:
    return round(frames * target_rate / source_rate)
