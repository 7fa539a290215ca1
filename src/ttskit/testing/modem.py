"""The modem voice: text as tones, from which the very text can be read back.

An utterance is a chirp, then blocks of symbols: a head (speed and voice), a block for each word,
and an end (a checksum of the whole text). A symbol is one byte: 12 ms of six tones, one out of
four from each of six groups between 500 and 3 375 Hz, so that it passes through lossy codecs and
8 kHz telephony. Four groups carry the byte, two repeat it as a code over GF(4) that mends nearly
every single wrong tone. UTF-8 never uses the bytes C0 and F8 to FF; they mark the ends of blocks.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ttskit.codecs.pcm import Samples
from ttskit.errors import InvalidParameterError

SYMBOL_S = 0.012
"""Seconds of a symbol at speed 1."""
LEAD_S = 0.02
"""Seconds of silence before the chirp, and again at the end of an utterance."""
CHIRP_S = 0.048
HEAD_S = LEAD_S + CHIRP_S + SYMBOL_S
"""Seconds from the start of an utterance to its first symbol."""
TONE_SPACING_HZ = 125.0
"""Whole cycles in the 8 ms that a listener looks at, so that no tone disturbs another."""
FIRST_TONE = 4
"""The lowest tone, in spacings."""
GROUPS = 6
TONES = 4 * GROUPS
SPEEDS = (0.5, 2.0)
"""Slowest and fastest: at speed 2 a symbol is just long enough to tell the tones apart."""
LOWEST_RATE = 8_000
"""Hz; the highest tone must stay well below half of it."""

END = 0xC0
"""Starts the last block; the text's checksum follows, two bytes."""
MARK = 0xF8
"""Ends every other block: its low three bits and the next byte are the block's checksum."""

_BLOCK_EXTRA = 3
"""Symbols of a block beyond its text: the mark, its checksum, and silence."""
_END_SYMBOLS = 4
_CHIRP_HZ = (500.0, 3_400.0)
_EDGE_S = 0.0016
_LEVEL = 0.13
"""Root mean square of a symbol's tones; with the silence between words, about -19 dBFS."""
_GF4_PRODUCT = np.array([[0, 0, 0, 0], [0, 1, 2, 3], [0, 2, 3, 1], [0, 3, 1, 2]])

# Scripts written without spaces have a block for each character. What else is longer than
# 40 characters is split, so that a block stays short.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"(\s{{0,40}})(?:[{_UNSPACED}]|[^\s{_UNSPACED}]{{1,40}})|\s{{1,40}}")


@dataclass(frozen=True, slots=True)
class Tones:
    """Some of an utterance's audio, with the word it says."""

    samples: Samples
    span: tuple[int, int] | None = None
    """The word in the text, without white space; None: this part says no word."""
    start: float = 0.0
    """Seconds from the start of the utterance to that of the word."""
    end: float = 0.0


@dataclass(frozen=True, slots=True)
class _Block:
    codes: bytes
    span: tuple[int, int] | None = None


class Modem:
    """Speaks text as tones.

    Args:
        sample_rate: Hz, 8 000 or more.
        speed: 0.5 to 2, kept to a hundredth.
        volume: Factor of the level.

    Raises:
        InvalidParameterError: A setting is out of range.
    """

    def __init__(self, sample_rate: int, *, speed: float = 1.0, volume: float = 1.0) -> None:
        if sample_rate < LOWEST_RATE:
            raise InvalidParameterError(f"the modem voice needs {LOWEST_RATE} Hz or more")
        if not SPEEDS[0] <= speed <= SPEEDS[1]:
            raise InvalidParameterError(f"the modem voice has speeds {SPEEDS[0]} to {SPEEDS[1]}")
        self.sample_rate = sample_rate
        self._percent = round(100 * speed)
        self._volume = np.float32(volume)
        self._head_table = _Table(sample_rate, 100, self._volume)
        self._table = self._head_table
        if self._percent != 100:  # noqa: PLR2004 - speed 1, at which every head is spoken
            self._table = _Table(sample_rate, self._percent, self._volume)

    def speak(self, text: str, voice: str = "") -> Iterator[Tones]:
        """Yield an utterance part by part; joined they are its audio.

        Args:
            text: Any text; it is heard as it is, white space at its ends included.
            voice: Who speaks; a listener hears that too.
        """
        head = _head(voice, self._percent)
        head_end = HEAD_S + (len(head) + 1) * SYMBOL_S
        yield Tones(self._opening(head, self._frame(head_end)))
        symbol_s = SYMBOL_S * 100 / self._percent
        done = 0
        for block in _blocks(text):
            start = head_end + done * symbol_s
            done += len(block.codes) + 1
            end = head_end + done * symbol_s
            # On a grid of exact seconds, so that the roundings to frames do not add up.
            samples = np.zeros(self._frame(end) - self._frame(start), np.float32)
            self._table.put(samples, block.codes)
            yield Tones(samples, block.span, start, end - symbol_s)
        written = self._frame(head_end + done * symbol_s)
        yield Tones(np.zeros(self.frames(text, voice) - written, np.float32))

    def frames(self, text: str, voice: str = "") -> int:
        """Return how many frames ``speak`` gives for this text."""
        head = len(_head(voice, self._percent)) + 1
        blocks = sum(1 for _ in _WORD.finditer(text))
        body = len(encoded(text)) + blocks * _BLOCK_EXTRA + _END_SYMBOLS
        return self._frame(
            HEAD_S + head * SYMBOL_S + body * SYMBOL_S * 100 / self._percent + LEAD_S
        )

    def _frame(self, seconds: float) -> int:
        return round(seconds * self.sample_rate)

    def _opening(self, head: bytes, frames: int) -> Samples:
        samples = np.zeros(frames, np.float32)
        lead = self._frame(LEAD_S)
        sweep = chirp(self.sample_rate) * self._volume
        samples[lead : lead + len(sweep)] = sweep
        self._head_table.put(samples[self._frame(HEAD_S) :], head)
        return samples


class _Table:
    """The sound of every byte at one sample rate and speed."""

    def __init__(self, sample_rate: int, percent: int, volume: np.float32) -> None:
        self._pitch = SYMBOL_S * sample_rate * 100 / percent
        frames = int(self._pitch)
        hertz = TONE_SPACING_HZ * (FIRST_TONE + np.arange(TONES))
        # Phases that grow with the square keep the peaks of the sum low (Newman's choice).
        turns = np.outer(hertz, np.arange(frames) / sample_rate)
        turns += (np.arange(TONES) ** 2 / (2 * TONES))[:, None]
        tones = np.cos(2 * np.pi * turns) * _edges(frames, sample_rate)
        level = _LEVEL * np.sqrt(2 / GROUPS) * volume
        self._sounds: Samples = (codebook() @ tones * level).astype(np.float32)

    def put(self, target: Samples, codes: bytes) -> None:
        """Sound the codes from the start of ``target``."""
        sounds = self._sounds[np.frombuffer(codes, np.uint8)]
        width = sounds.shape[1]
        if self._pitch == width:
            target[: sounds.size] = sounds.reshape(-1)
            return
        places = np.rint(np.arange(len(codes)) * self._pitch).astype(np.intp)
        target[places[:, None] + np.arange(width)] = sounds


def encoded(text: str) -> bytes:
    """Return the text's UTF-8; lone surrogates pass, for any text can be said."""
    return text.encode("utf-8", "surrogatepass")


def checksum(data: bytes, number: int = 0) -> int:
    """Return 16 bits that tell whether ``data`` is the block of this number.

    Source: CRC-CCITT, as the standard library has it.
    """
    return binascii.crc_hqx(data, 0xFFFF ^ (number & 0xFFFF))


def closed(payload: bytes, number: int) -> bytes:
    """Return a block's payload with the mark and checksum that end it."""
    check = checksum(payload, number)
    return payload + bytes([MARK | (check >> 8) & 7, check & 0xFF])


def codebook() -> NDArray[np.float32]:
    """Return which tones each byte sounds: ones in an array of shape (256, tones)."""
    a, b, c, d = ((np.arange(256) >> shift) & 3 for shift in (6, 4, 2, 0))
    weighed = _GF4_PRODUCT[3][a] ^ b ^ _GF4_PRODUCT[2][c] ^ d
    tones = np.zeros((256, TONES), np.float32)
    for group, digit in enumerate((a, b, c, d, a ^ b ^ c, weighed)):
        tones[np.arange(256), 4 * group + digit] = 1
    return tones


def chirp(sample_rate: int) -> Samples:
    """Return the sweep that starts an utterance, as loud as its symbols."""
    seconds = np.arange(round(CHIRP_S * sample_rate)) / sample_rate
    low, high = _CHIRP_HZ
    sweep = np.sin(2 * np.pi * (low + (high - low) / (2 * CHIRP_S) * seconds) * seconds)
    sweep *= _edges(len(sweep), sample_rate) * _LEVEL * np.sqrt(2)
    sound: Samples = sweep.astype(np.float32)
    return sound


def _head(voice: str, percent: int) -> bytes:
    return closed(bytes([percent]) + encoded(voice), 0)


def _blocks(text: str) -> Iterator[_Block]:
    for number, match in enumerate(_WORD.finditer(text), 1):
        start, end = match.span()
        blank = match[1] is None
        span = None if blank else (start + len(match[1]), end)
        yield _Block(closed(encoded(match[0]), number), span)
    yield _Block(bytes([END]) + checksum(encoded(text)).to_bytes(2, "big"))


def _edges(frames: int, sample_rate: int) -> NDArray[np.float64]:
    """Return a window that is flat but for raised-cosine edges."""
    width = round(min(_EDGE_S * sample_rate, frames / 8))
    rise = (1 - np.cos(np.pi * (np.arange(width) + 0.5) / width)) / 2
    return np.concatenate([rise, np.ones(frames - 2 * width), rise[::-1]])
