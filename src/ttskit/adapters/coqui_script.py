"""A text as lines that XTTS says whole.

Imports nothing of Coqui: its tokenizer is given. Read: coqui-tts 0.28.0, ``tokenizer.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from ttskit.errors import DependencyMissingError, TextTooLongError, UnsupportedFeatureError
from ttskit.text.segment import Segment, Segmenter

_SPOKEN = re.compile(r"[^\W_]")
_CANNOT_SAY = (NotImplementedError, OverflowError, LookupError, ValueError)
"""What Coqui's cleaners raise where they find no words for a number."""


class Tokenizer(Protocol):
    """Coqui's ``VoiceBpeTokenizer``."""

    char_limits: Mapping[str, int]

    def encode(self, txt: str, lang: str) -> list[int]:
        """Return the numbers of a text, that of its language first."""

    def decode(self, seq: Sequence[int]) -> str:
        """Return the text of numbers; what the vocabulary does not know is left out."""


class Script:
    """Cuts texts of one language into lines.

    Args:
        tokenizer: Of the model.
        language: As the model calls it.
        most_ids: That the network reads in one go.
    """

    def __init__(self, tokenizer: Tokenizer, language: str, *, most_ids: int) -> None:
        self._tokenizer = tokenizer
        self._language = language
        self._most_ids = most_ids
        self.longest = tokenizer.char_limits[language.split("-", maxsplit=1)[0]]
        """Characters of a line; of a longer one XTTS would say only the beginning."""

    def lines(self, text: str) -> Iterator[str]:
        """Yield the lines of a text: as many whole sentences as may stand together.

        What has nothing to be said is left out: the network would make something up.

        Raises:
            TextTooLongError: A single character gives more than the network reads.
            UnsupportedFeatureError: Coqui has no words for a number in this language.
            DependencyMissingError: The language needs a package that is not there.
        """
        yield from self._cut(text, self.longest)

    def _cut(self, text: str, longest: int) -> Iterator[str]:
        for piece in packed(self._segments(text, longest), longest):
            # Small letters may be more than the capitals that they stand for.
            line = piece.strip().lower()
            ids = self._ids(line) if len(line) <= self.longest else None
            if ids is None or len(ids) > self._most_ids:
                if len(piece) == 1:
                    raise TextTooLongError("the model cannot read a character of the text whole")
                yield from self._cut(piece, len(piece) // 2)
            elif self._is_spoken(ids):
                yield line

    def _segments(self, text: str, longest: int) -> list[Segment]:
        cut = Segmenter(language=self._language, max_characters=longest)
        return cut.feed(text) + cut.finish()

    def _ids(self, line: str) -> list[int]:
        if not line:
            return []
        try:
            return self._tokenizer.encode(line, self._language)
        except ImportError as error:
            raise DependencyMissingError(
                f"XTTS needs more packages to read {self._language!r}; "
                'run: pip install "coqui-tts[languages]"'
            ) from error
        except _CANNOT_SAY as error:
            raise UnsupportedFeatureError(
                f"Coqui has no words in {self._language!r} for a number of the text"
            ) from error

    def _is_spoken(self, ids: Sequence[int]) -> bool:
        """Whether the network knows a letter or a digit of what it is to read."""
        read = self._tokenizer.decode(ids)
        return _SPOKEN.search(re.sub(r"^\[[\w-]+\]", "", read)) is not None


def packed(segments: Sequence[Segment], longest: int) -> Iterator[str]:
    """Yield neighbours together where they are within ``longest`` characters; nothing is lost."""
    line = ""
    for segment in segments:
        if line and len(line) + len(segment.text) > longest:
            yield line
            line = ""
        line += segment.text
    if line:
        yield line
