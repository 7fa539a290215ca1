"""What the codecs cost, as ratios of CPU time within one run: `python benchmarks/bench_codecs.py`.

Every line compares ours with an anchor; blocks of both are interleaved, and medians taken, so that
other work on the machine moves both alike. Input: 10 s of 24 kHz mono.
"""

from __future__ import annotations

import io
import statistics
import struct
import time
from collections.abc import Callable

import numpy as np
import soundfile
import soxr

from ttskit.codecs.decode import decode
from ttskit.codecs.encode import encode, open_encoder
from ttskit.codecs.formats import is_installed
from ttskit.codecs.loudness import apply_gain, gain_to, speech_level
from ttskit.codecs.pcm import Samples, to_pcm
from ttskit.codecs.resample import Resampler, resample
from ttskit.codecs.splice import trim_silence

RATE = 24_000
ROUNDS = 9
Work = Callable[[], object]


def main() -> None:
    """Print one line a comparison: what, our CPU time, the anchor's, the ratio."""
    voice = speechlike(10)
    print(f"{'10 s of audio':<44}{'ours ms':>9}{'anchor ms':>11}{'ratio':>7}")
    for name, ours, anchor in comparisons(voice):
        print_ratio(name, ours, anchor)


def comparisons(voice: Samples) -> list[tuple[str, Work, Work]]:
    """Return what is measured: a name, our work and that of the anchor."""
    chunks = np.split(voice, 500)
    found = [
        ("float to pcm / preallocated numpy", lambda: to_pcm(voice), preallocated(voice)),
        ("wav / struct header and bytes", lambda: write(voice, "wav"), header_and_bytes(voice)),
        ("flac / soundfile", lambda: write(voice, "flac"), sndfile(voice, "FLAC", "PCM_16")),
        ("ogg / soundfile", lambda: write(voice, "ogg"), sndfile(voice, "OGG", "VORBIS")),
        ("resample to 16 kHz / soxr", lambda: to_16k(voice), one_shot(voice)),
        ("streamed resample, 20 ms / soxr at once", lambda: streamed(chunks), one_shot(voice)),
        ("trim, level, resample, wav / 5 ms", lambda: chain(voice), lambda: busy(0.005)),
    ]
    if is_installed("av"):
        found += with_av(voice)
    return found


def with_av(voice: Samples) -> list[tuple[str, Work, Work]]:
    """Return what PyAV is measured at: the same file by soundfile."""
    mp3 = write(voice, "mp3")
    return [
        ("opus by av / by soundfile", lambda: write(voice, "opus"), by_soundfile(voice, "opus")),
        ("opus streamed / whole", lambda: stream(voice, "opus"), lambda: write(voice, "opus")),
        ("mp3 by av / by soundfile", lambda: write(voice, "mp3"), by_soundfile(voice, "mp3")),
        (
            "decode mp3 by av / by soundfile",
            lambda: decode(mp3, backend="av"),
            lambda: decode(mp3, backend="soundfile"),
        ),
    ]


def print_ratio(name: str, ours: Work, anchor: Work) -> None:
    """Measure both in turns and print the medians."""
    pairs = [(cpu(ours), cpu(anchor)) for _ in range(ROUNDS)]
    ratio = statistics.median(a / b for a, b in pairs)
    mine, theirs = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{name:<44}{mine:>9.2f}{theirs:>11.2f}{ratio:>7.2f}")


def cpu(work: Work) -> float:
    """Return the CPU seconds of one call, from as many calls as make the clock's step small."""
    calls, start = 0, time.process_time()
    while True:
        work()
        calls += 1
        spent = time.process_time() - start
        if spent > 0.02:  # noqa: PLR2004 - seconds
            return spent / calls


def speechlike(seconds: float) -> Samples:
    """Return noise and harmonics of a moving pitch that come and go four times a second."""
    times = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(140 + 20 * np.sin(2 * np.pi * times)) / RATE
    voiced = sum(np.sin(k * phase) / k for k in range(1, 12))
    hiss = np.random.default_rng(1).normal(0, 0.1, times.size)
    return (0.15 * np.abs(np.sin(4 * np.pi * times)) * (voiced + hiss)).astype(np.float32)


def preallocated(voice: Samples) -> Work:
    """Return the conversion with the same rounding and clipping, into arrays that are there."""
    scaled, integers = np.empty_like(voice), np.empty(voice.shape, "<i2")

    def convert() -> bytes:
        np.multiply(voice, np.float32(32768), out=scaled)
        np.rint(scaled, out=scaled)
        np.clip(scaled, np.float32(-32768), np.float32(32767), out=scaled)
        integers[:] = scaled
        return integers.tobytes()

    return convert


def header_and_bytes(voice: Samples) -> Work:
    """Return the least that a WAV takes."""

    def make() -> bytes:
        pcm = to_pcm(voice)
        layout = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
        riff = struct.pack("<4sI4s4sI", b"RIFF", len(pcm) + 36, b"WAVE", b"fmt ", 16)
        return b"".join([riff, layout, struct.pack("<4sI", b"data", len(pcm)), pcm])

    return make


def sndfile(voice: Samples, container: str, subtype: str) -> Work:
    """Return soundfile's own encoding."""
    return lambda: soundfile.write(io.BytesIO(), voice, RATE, subtype, format=container)


def by_soundfile(voice: Samples, name: str) -> Work:
    """Return our encoding without PyAV."""
    return lambda: encode(voice, name, sample_rate=RATE, backend="soundfile")


def one_shot(voice: Samples) -> Work:
    """Return soxr's own resampling of the whole."""
    return lambda: soxr.resample(voice, RATE, 16_000, quality="HQ")


def write(voice: Samples, name: str) -> bytes:
    """Encode a whole file."""
    return encode(voice, name, sample_rate=RATE)


def stream(voice: Samples, name: str) -> bytes:
    """Encode in chunks of 100 ms."""
    encoder = open_encoder(name, sample_rate=RATE)
    chunks = np.split(voice, 100)
    return b"".join([*map(encoder.encode, chunks), encoder.finish()])


def to_16k(voice: Samples) -> Samples:
    """Resample at once."""
    return resample(voice, source_rate=RATE, target_rate=16_000)


def streamed(chunks: list[Samples]) -> list[Samples]:
    """Resample chunk by chunk."""
    resampler = Resampler(RATE, 16_000)
    return [*map(resampler.feed, chunks), resampler.finish()]


def chain(voice: Samples) -> bytes:
    """Do what lies between an engine and a file."""
    trimmed = trim_silence(voice, RATE)
    level = speech_level(trimmed, RATE)
    louder = apply_gain(trimmed, gain_to(level, -20.0))
    return encode(to_16k(louder), "wav", sample_rate=16_000)


def busy(seconds: float) -> None:
    """Use so much CPU time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


if __name__ == "__main__":
    main()
