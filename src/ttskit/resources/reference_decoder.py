"""Decodes one sample of a voice in a process that may die of it.

It is run as ``python -m ttskit.resources.reference_decoder SHORTEST_S LONGEST_S KEEPS_TIME``, the
last one 0 or 1, reads a file's content from its standard input, and writes one line of JSON:
``{"refused": why}``, or ``{"frames": n}`` followed by so many frames of 16-bit PCM, mono, at
``SAMPLE_RATE``.

Decoders of audio have had memory errors in plenty. So before a byte is read, the process gives up
the right to open files, to start processes, and to take more memory and time than a sample needs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ttskit.codecs.foreign import translated
from ttskit.codecs.loudness import apply_gain, gain_to, speech_level
from ttskit.codecs.pcm import Samples, check_finite, concatenated, to_pcm
from ttskit.codecs.resample import Resampler
from ttskit.codecs.sndfile import Look, SndfileReader
from ttskit.codecs.sniff import HEAD_BYTES, sniff
from ttskit.codecs.spec import Reader
from ttskit.codecs.splice import speech_bounds
from ttskit.codecs.wav import WavReader
from ttskit.errors import InvalidResponseError
from ttskit.request import AudioFormat

SAMPLE_RATE = 24_000
"""Hz: what models that clone voices work at, or above it."""
MAX_BYTES = 10 * 1024 * 1024
RATES = (8_000, 192_000)
MAX_CHANNELS = 2
LEVEL_DB = -20.0
"""dBFS of the voice in the result."""
MOST_GAIN_DB = 30.0
QUIETEST_DB = -50.0
"""dBFS of the voice in the sample; below it there is none."""
CPU_S = 15
SPARE_BYTES = 256 * 1024 * 1024
_BYTES_A_FRAME = 16
"""Of the result, with all the copies on its way."""
_MARGIN_S = 0.2
_PIECE = 1 << 16
_BY_LIBSNDFILE = (AudioFormat.FLAC, AudioFormat.OGG, AudioFormat.OPUS)


class Limits(NamedTuple):
    """How much sound a sample may hold, in seconds."""

    shortest_s: float
    longest_s: float
    keeps_time: bool = False
    """Silence at the ends stays."""


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """Why the sample cannot be used; the words go to the caller."""


def normalised(data: bytes, limits: Limits) -> Samples:
    """Return the voice in a file: mono, at ``SAMPLE_RATE``, at ``LEVEL_DB``.

    Its silent ends are left out, unless it is to keep its time.

    Args:
        data: The file's content.
        limits: Of its duration.

    Raises:
        Refused: It is no audio that is accepted, and why.
    """
    try:
        with translated(InvalidResponseError, "it is broken or cut short"):
            samples = concatenated([part for part in _parts(data, limits) if len(part)])
    except InvalidResponseError as error:
        raise Refused(error.message) from None
    if len(samples):
        samples = samples - samples.mean()  # what never moves is no sound
    level = speech_level(samples, SAMPLE_RATE) if len(samples) else None
    if level is None or level < QUIETEST_DB:
        raise Refused("it is silent")
    start, end = speech_bounds(samples, SAMPLE_RATE, keep_s=_MARGIN_S)
    sound = samples[start:end]
    samples = samples if limits.keeps_time else sound
    if len(sound) < limits.shortest_s * SAMPLE_RATE:
        raise Refused(f"it holds {len(sound) / SAMPLE_RATE:.2f} s of sound")
    return apply_gain(samples, gain_to(level, LEVEL_DB, limit_db=MOST_GAIN_DB))


def _parts(data: bytes, limits: Limits) -> Iterator[Samples]:
    """Yield the sound as it is decoded, and stop where there is too much of it."""
    resampler: Resampler | None = None
    frames = 0

    def look(channels: int, rate: int, total: int | None) -> None:
        if not RATES[0] <= rate <= RATES[1]:
            raise Refused(f"its sample rate is {rate} Hz")
        if not 1 <= channels <= MAX_CHANNELS:
            raise Refused(f"it has {channels} channels")
        if (frames if total is None else total) > limits.longest_s * rate:
            raise Refused(f"it is longer than {limits.longest_s:g} s")

    reader = _reader(data, look)
    for block in _blocks(reader, data):
        frames += len(block)
        look(reader.channels, reader.sample_rate, None)
        check_finite(block)
        resampler = resampler or Resampler(reader.sample_rate, SAMPLE_RATE)
        yield resampler.feed(block if block.ndim == 1 else block.mean(axis=1, dtype=np.float32))
    if resampler is not None:
        yield resampler.finish()


def _reader(data: bytes, look: Look) -> Reader:
    kind = sniff(data[:HEAD_BYTES])
    if kind is AudioFormat.WAV:
        return WavReader()
    if kind not in _BY_LIBSNDFILE:
        raise Refused(f"it is {kind}" if kind else "it is no audio that is known here")
    return SndfileReader(look)


def _blocks(reader: Reader, data: bytes) -> Iterator[Samples]:
    for at in range(0, len(data), _PIECE):
        yield from reader.feed(data[at : at + _PIECE])
    yield from reader.end()


def give_up_rights(limits: Limits) -> None:
    """Keep this process from opening, writing, starting or taking what no sample needs.

    Where the system knows no such limits (Windows), its own process is all the protection.
    """
    if sys.platform == "win32":
        return
    import resource  # POSIX only

    most = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 0,
        resource.RLIMIT_CPU: CPU_S,
    }
    if (taken := _address_space()) is not None:
        needed = round(limits.longest_s * SAMPLE_RATE * _BYTES_A_FRAME)
        most[resource.RLIMIT_AS] = taken + SPARE_BYTES + needed
    if sys.platform == "linux":
        most[resource.RLIMIT_NPROC] = 0
    for kind, limit in most.items():
        with suppress(ValueError, OSError):  # a harder limit is there already
            resource.setrlimit(kind, (limit, limit))


def _address_space() -> int | None:
    """Return how many bytes of addresses are taken already; None where nobody tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pages * 4096


def answer(data: bytes, limits: Limits) -> bytes:
    """Return what is written for a file's content."""
    try:
        pcm = to_pcm(normalised(data, limits))
    except Refused as refusal:
        return json.dumps({"refused": str(refusal)}).encode() + b"\n"
    except MemoryError:
        return b'{"refused": "it needs too much memory to decode"}\n'
    return json.dumps({"frames": len(pcm) // 2}).encode() + b"\n" + pcm


def main() -> int:
    """Decode what comes on the standard input; return the exit status."""
    shortest, longest, keeps_time = map(float, sys.argv[1:4])
    limits = Limits(shortest, longest, keeps_time=bool(keeps_time))
    give_up_rights(limits)
    sys.stdout.buffer.write(answer(sys.stdin.buffer.read(MAX_BYTES + 1), limits))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
