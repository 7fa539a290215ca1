"""What LMNT answers. Source of all facts: LMNT's API 1.2 and Python SDK 2.13.0."""

from __future__ import annotations

from ttskit.adapters.base import TimedText
from ttskit.adapters.replies import Base64, Shape
from ttskit.adapters.timing import WordFinder


class ListedVoice(Shape):
    """A voice as it is listed."""

    id: str
    name: str
    owner: str | None = None
    state: str
    gender: str | None = None
    description: str | None = None


class Element(Shape):
    """A word, or what is between two: white space, punctuation, silence."""

    text: str
    start: float
    duration: float
    """Both in seconds."""

    @property
    def end(self) -> float:
        """Seconds."""
        return self.start + self.duration

    @property
    def is_word(self) -> bool:
        """Whether it says anything."""
        return any(map(str.isalnum, self.text))


class Speech(Shape):
    """A whole utterance, and when its words are said."""

    audio: Base64
    timestamps: tuple[Element, ...] | None = None

    def words(self, text: str) -> list[TimedText]:
        """Return the words on the text that was sent."""
        finder = WordFinder(text)
        words: list[TimedText] = []
        for one in self.timestamps or ():
            if one.is_word:
                words += finder.timed(one.text, one.start, one.end)
        return [*words, *finder.finish()]
