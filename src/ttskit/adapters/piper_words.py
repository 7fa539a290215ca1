"""Times of words from the times of a voice's phonemes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

from ttskit.resources.engine import EngineWord

LEAST_AGREEMENT = 0.5
"""Share of phonemes that a text's words, read alone, must have in common with the sentence."""
_SILENT = frozenset(" .,:;!?^$_-()\"'")
_STRESS = frozenset("ˈˌː")


@dataclass(frozen=True, slots=True)
class TimedPhoneme:
    """A phoneme with its frames from the start of the audio."""

    symbol: str
    start: int
    end: int


def time_words(
    text: str,
    phonemes: Sequence[TimedPhoneme],
    *,
    sample_rate: int,
    phonemize: Callable[[str], Sequence[str]],
) -> tuple[EngineWord, ...]:
    """Return the words of ``text`` with their times; none where they cannot be told.

    White space in the phonemes is no guide: "of the" is spoken as one group, "1,234" as five. So
    every word is read alone, and the phonemes it has in common with the sentence, in order, are
    its own. A word with none ("a" read "ay" but spoken "uh") lies between its neighbours.

    Args:
        text: What was spoken.
        phonemes: Of the whole text, in order.
        sample_rate: Hz.
        phonemize: Reads one word.
    """
    tokens = _tokens(text)
    owners, alone = _read_alone(text, tokens, phonemize)
    spoken = [phoneme for phoneme in phonemes if _is_sound(phoneme.symbol)]
    matcher = SequenceMatcher(None, alone, [one.symbol for one in spoken], autojunk=False)
    if not spoken or matcher.ratio() < LEAST_AGREEMENT:
        return ()
    pairs = [
        (owners[block.a + step], spoken[block.b + step])
        for block in matcher.get_matching_blocks()
        for step in range(block.size)
    ]
    whole = (spoken[0].start, spoken[-1].end)
    return tuple(
        EngineWord(start / sample_rate, end / sample_rate, span)
        for span, (start, end) in zip(
            tokens, _filled(_times(pairs), len(tokens), whole), strict=True
        )
    )


def _times(pairs: Iterable[tuple[int, TimedPhoneme]]) -> dict[int, tuple[int, int]]:
    """Return from where to where the sounds of each word last, by the word's number."""
    found: dict[int, tuple[int, int]] = {}
    for number, sound in pairs:
        start, _ = found.get(number, (sound.start, 0))
        found[number] = (start, sound.end)
    return found


def _tokens(text: str) -> list[tuple[int, int]]:
    """Return the spans of the words: white-space tokens with a letter or digit, trimmed."""
    return [match.span() for match in re.finditer(r"\w(?:\S*\w)?", text)]


def _read_alone(
    text: str, tokens: list[tuple[int, int]], phonemize: Callable[[str], Sequence[str]]
) -> tuple[list[int], list[str]]:
    """Return the sounds of all words, and for each sound its word's number."""
    owners: list[int] = []
    sounds: list[str] = []
    for number, (start, end) in enumerate(tokens):
        own = [symbol for symbol in phonemize(text[start:end]) if _is_sound(symbol)]
        sounds += own
        owners += [number] * len(own)
    return owners, sounds


def _is_sound(symbol: str) -> bool:
    return symbol not in _SILENT and symbol not in _STRESS


def _filled(
    found: dict[int, tuple[int, int]], count: int, whole: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return the frames of every word; unknown ones share the gap between their neighbours."""
    times: list[tuple[int, int]] = []
    number = 0
    while number < count:
        if number in found:
            times.append(found[number])
            number += 1
            continue
        after = next((later for later in range(number, count) if later in found), count)
        begin = times[-1][1] if times else whole[0]
        end = found[after][0] if after < count else whole[1]
        missing = after - number
        borders = [begin + (end - begin) * step // missing for step in range(missing + 1)]
        times += pairwise(borders)
        number = after
    return times
