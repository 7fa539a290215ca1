"""Ears for the modem voice: what was said, by whom, where, and whether it was whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ttskit.audio import AudioChunk
from ttskit.codecs.pcm import Samples
from ttskit.errors import InvalidParameterError
from ttskit.testing import modem


class Sounding(Protocol):
    """What has samples: ``ttskit.Audio``, or one chunk of a stream."""

    @property
    def samples(self) -> Samples:
        """float32, shape (frames,) or (frames, channels)."""

    @property
    def sample_rate(self) -> int:
        """Hz."""


Hearable: TypeAlias = Sounding | Iterable[AudioChunk] | tuple[Samples, int] | bytes
"""Audio, a stream's chunks, samples with their sample rate, or an encoded file's content."""

# Everything the modem says lies below 3.4 kHz, so one sample rate serves all.
_RATE = 8_000
_WINDOW = round(_RATE / modem.TONE_SPACING_HZ)
_LEAD = round(modem.LEAD_S * _RATE)
_GRAIN = _RATE // 100
"""Samples of the pieces in which loudness is looked at: 10 ms."""
_QUIET = 0.001
"""Root mean square below which nothing is heard: -60 dBFS."""
_FAINT = 0.05
"""A share of the loudest level: sound below it (-26 dB) is no part of speech."""
_PAUSE = 10
"""Pieces of 10 ms."""
_LIKENESS = 0.5
"""From 0 to 1: how much a sound must be like the chirp. Noise and tones stay below 0.3."""
_STRAY_S = 0.06
"""Sound that is no speech is reported when it lasts so long; what codecs smear is shorter."""
_HEAD_LIMIT = 300
"""Symbols in which the head must end; it holds the name of a voice."""
_BATCH = 4_096
"""Symbols looked at together; bounds the memory."""
_SPARE = 5
"""Symbols; after a cut fewer are left than these."""
_CLOSING = re.compile(rb"[\xc0\xf8-\xff]")


@dataclass(frozen=True, slots=True)
class Heard:
    """One utterance, or a stretch of sound that could not be understood."""

    text: str | None
    """As far as it was understood, whole words only. U+FFFD at its end: it went on, but was
    damaged. None: no speech of ours."""
    complete: bool
    """The utterance was there from its start to its end and its checksum is right."""
    start_frame: int
    """In the audio's own sample rate."""
    end_frame: int
    """The frame after the last."""
    voice: str | None = None
    """Who spoke: ``provider:voice`` from the mock adapter."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the symbols after a chirp say, and where that ends, in symbols."""

    text: str
    end: int
    complete: bool


def transcribe(audio: Hearable) -> str:
    """Return the words that the modem voice says in ``audio``.

    Utterances are joined by a space. What was cut off ends with its last whole word; sound that
    could not be understood is one replacement character (U+FFFD). ``listen`` tells more.

    Raises:
        InvalidResponseError: Encoded audio cannot be decoded.
    """
    texts = ["\ufffd" if heard.text is None else heard.text for heard in listen(audio)]
    return " ".join(text for text in texts if text)


def listen(audio: Hearable) -> list[Heard]:
    """Return every utterance in ``audio``, in order, with what is odd about it.

    An utterance that was cut off is read up to the cut. Other sound that lasts 60 ms or longer is
    in the list too, without a text.

    Raises:
        InvalidResponseError: Encoded audio cannot be decoded.
    """
    samples, sample_rate = _unpacked(audio)
    sound = _telephone(samples, sample_rate)
    heard = sorted(_everything(sound), key=lambda one: one.start_frame)
    scale = sample_rate / _RATE
    return [
        replace(
            one,
            start_frame=min(round(one.start_frame * scale), len(samples)),
            end_frame=min(round(one.end_frame * scale), len(samples)),
        )
        for one in heard
    ]


def _unpacked(audio: Hearable) -> tuple[Samples, int]:
    if isinstance(audio, bytes):
        from ttskit.codecs.decode import decode  # only encoded audio needs it

        decoded = decode(audio)
        return decoded.samples, decoded.sample_rate
    if isinstance(audio, tuple):
        return audio
    if isinstance(audio, Iterable):
        return _joined(list(audio))
    return audio.samples, audio.sample_rate


def _joined(chunks: list[AudioChunk]) -> tuple[Samples, int]:
    rates = {chunk.sample_rate for chunk in chunks}
    if len(rates) > 1:
        raise InvalidParameterError("chunks of one stream must have one sample rate")
    if not chunks:
        return np.zeros(0, np.float32), _RATE
    return np.concatenate([chunk.samples for chunk in chunks]), rates.pop()


def _telephone(samples: Samples, sample_rate: int) -> Samples:
    """Return the samples as one channel at the sample rate of our ears."""
    import soxr  # costs a third of this module's import

    mono = samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float32)
    if sample_rate == _RATE or not len(mono):
        return mono
    resampled: Samples = soxr.resample(mono, sample_rate, _RATE).astype(np.float32)
    return resampled


def _levels(sound: Samples) -> NDArray[np.float32]:
    """Return the root mean square of every 10 ms; the last may be shorter."""
    padded = np.pad(sound, (0, -len(sound) % _GRAIN)).reshape(-1, _GRAIN)
    return np.asarray(np.sqrt(np.mean(np.square(padded), axis=1)), np.float32)


def _everything(sound: Samples) -> Iterator[Heard]:
    levels = _levels(sound)
    strange = levels > max(_QUIET, _FAINT * float(np.max(levels, initial=0.0)))
    for heard in _utterances(sound, levels):
        # Codecs smear sound over some tens of milliseconds before and after.
        first, last = heard.start_frame // _GRAIN - 5, heard.end_frame // _GRAIN + 6
        strange[max(first, 0) : last] = False
        yield heard
    for start, end in _runs(strange):
        if (end - start) * _GRAIN >= _STRAY_S * _RATE:
            yield Heard(None, complete=False, start_frame=start * _GRAIN, end_frame=end * _GRAIN)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return where flags are set; pauses up to 100 ms belong to what is around them."""
    places = np.flatnonzero(flags)
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) > _PAUSE)
    firsts = places[np.concatenate([[0], breaks + 1])]
    lasts = places[np.concatenate([breaks, [len(places) - 1]])]
    return [(int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True)]


def _utterances(sound: Samples, levels: NDArray[np.float32]) -> Iterator[Heard]:
    chirps = _chirps(sound)
    for place, following in pairwise([*chirps, len(sound) + _LEAD]):
        end = min(_falls_silent(levels[: following // _GRAIN + 1], place), following)
        heard = _utterance(sound[:end], place)
        if heard is not None and not heard.complete:
            heard = replace(heard, end_frame=min(end, following - _LEAD))
        if heard is not None:
            yield heard


def _falls_silent(levels: NDArray[np.float32], chirp: int) -> int:
    """Return the sample by which the utterance of this chirp has ended, whole or not.

    No block has a pause as long as 50 ms within it.
    """
    first = chirp // _GRAIN
    own = levels[first + 1 : first + 4].max(initial=0.0)
    loud = np.flatnonzero(levels[first:] > max(_QUIET, _FAINT * own))
    pauses = np.flatnonzero(np.diff(loud) > _PAUSE // 2)
    last = loud[pauses[0] if len(pauses) else -1] if len(loud) else 0
    return int(first + last + 2) * _GRAIN


def _chirps(sound: Samples) -> list[int]:
    """Return where utterances start: the first sample of each chirp."""
    likeness = _likeness(sound)
    near = np.flatnonzero(likeness > _LIKENESS)
    groups = np.split(near, np.flatnonzero(np.diff(near) > _RATE * modem.CHIRP_S / 2) + 1)
    return [int(group[np.argmax(likeness[group])]) for group in groups if len(group)]


def _likeness(sound: Samples) -> NDArray[np.float32]:
    """Return for each sample how much a chirp seems to start there, from 0 to 1."""
    template = modem.chirp(_RATE)
    length = len(template)
    if len(sound) < length:
        return np.zeros(0, np.float32)
    # With the analytic signal a shift of phase, as some codecs make it, does no harm.
    spectrum = np.fft.fft(template / np.linalg.norm(template))
    spectrum[length // 2 :] = 0
    matcher = np.fft.ifft(spectrum * 2)
    block = 1 << 16
    step = block - length + 1
    filter_ = np.conj(np.fft.fft(matcher, block))
    parts = [
        np.abs(np.fft.ifft(np.fft.fft(sound[at : at + block], block) * filter_))[:step]
        for at in range(0, len(sound) - length + 1, step)
    ]
    matched = np.concatenate(parts)[: len(sound) - length + 1]
    energy = np.concatenate([[0.0], np.cumsum(np.square(sound, dtype=np.float64))])
    around = np.sqrt(np.maximum(energy[length:] - energy[:-length], length * (_QUIET / 10) ** 2))
    return np.asarray(matched / around, np.float32)


def _utterance(sound: Samples, chirp: int) -> Heard | None:
    """Return what is said after the chirp; None where nothing there is a head."""
    first = chirp + (modem.CHIRP_S + modem.SYMBOL_S) * _RATE
    pitch = modem.SYMBOL_S * _RATE
    head = _codes(sound, first, pitch, limit=_HEAD_LIMIT)
    mark = _CLOSING.search(head, 1)
    if mark is None or not _is_sound(head[: mark.end() + 1], 0):
        return None
    first += (mark.end() + 2) * pitch
    pitch *= 100 / head[0]
    reading = _read(_codes(sound, first, pitch))
    return Heard(
        text=reading.text,
        complete=reading.complete,
        start_frame=max(0, chirp - _LEAD),
        end_frame=round(first + reading.end * pitch) + _LEAD,
        voice=_text(head[1 : mark.start()]),
    )


def _read(codes: bytes) -> _Reading:
    """Return the words up to the end, or to the first that is damaged."""
    words: list[str] = []
    at = 0
    while closing := _CLOSING.search(codes, at):
        text = "".join(words)
        if closing[0][0] == modem.END:
            check = modem.checksum(modem.encoded(text)).to_bytes(2, "big")
            whole = closing.start() == at and codes[closing.end() : closing.end() + 2] == check
            return _Reading(text, closing.end() + 3 if whole else at, whole)
        block = codes[at : closing.end() + 1]
        word = _text(block[:-2])
        if word is None or not _is_sound(block, len(words) + 1):
            # A word cut in its middle may look like a damaged one, but nothing follows it.
            words += ["\ufffd"] * (closing.end() + _SPARE < len(codes))
            break
        words.append(word)
        at = closing.end() + 2
    return _Reading("".join(words), at, complete=False)


def _is_sound(block: bytes, number: int) -> bool:
    """Return whether the block's mark and checksum fit its payload."""
    return modem.closed(block[:-2], number) == block


def _text(payload: bytes) -> str | None:
    try:
        return payload.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None


def _codes(sound: Samples, first: float, pitch: float, *, limit: int | None = None) -> bytes:
    """Return the byte that each symbol most likely is.

    Args:
        sound: At our sample rate.
        first: Where the first symbol starts, in samples.
        pitch: Samples from one symbol to the next.
        limit: At most so many symbols.
    """
    width = min(_WINDOW, int(pitch))
    count = max(0, int((len(sound) - first - (pitch + width) / 2) // pitch) + 1)
    numbers = np.arange(count if limit is None else min(count, limit))
    starts = np.rint(first + (pitch - width) / 2 + numbers * pitch).astype(np.intp)
    book = modem.codebook().T
    parts = [
        _likeliest(sound[starts[at : at + _BATCH, None] + np.arange(width)], book)
        for at in range(0, len(starts), _BATCH)
    ]
    return b"".join(parts)


def _likeliest(windows: Samples, book: NDArray[np.float32]) -> bytes:
    tones = slice(modem.FIRST_TONE, modem.FIRST_TONE + modem.TONES)
    levels = np.abs(np.fft.rfft(windows, _WINDOW))[:, tones].reshape(len(windows), modem.GROUPS, 4)
    # Each group counts the same, so that a filter that takes one away leaves the others their say.
    shares = levels / np.maximum(levels.sum(axis=2, keepdims=True), 1e-9)
    scores = shares.reshape(len(windows), modem.TONES) @ book
    return bytes(np.argmax(scores, axis=1).astype(np.uint8))
