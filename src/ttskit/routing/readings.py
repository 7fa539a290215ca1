"""What providers have said in a request, so that each can go on from its own speech."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from typing import NamedTuple

LONGEST = 3
"""Continuations of one call: as many as ElevenLabs takes."""
KEPT = 200
"""Passages back that are remembered; fewer are under way at a time."""


class Reading(NamedTuple):
    """One call that was heard to its end, or as far as it came."""

    provider: str
    voice: str | None
    continuation: str | None
    """What the provider knows it by; None: nothing can go on from it."""

    def is_like(self, other: Reading) -> bool:
        """Whether the same voice of the same provider speaks."""
        return self[:2] == other[:2]


class Readings:
    """The calls of a request by the passage that they said; those of one passage in order.

    Only what is directly before an utterance counts: a provider that is given a continuation takes
    it for that, and looks at no text in between.
    """

    def __init__(self) -> None:
        self._by_passage: dict[int, Sequence[Reading]] = {}

    def note(self, index: int, said: Sequence[Reading], *, goes_on: bool) -> None:
        """Remember the calls of a passage, beside those before where the passage ``goes_on``."""
        self._by_passage[index] = [*self._by_passage.get(index, ()), *said] if goes_on else said
        self._by_passage.pop(index - KEPT, None)

    def before(self, index: int, said: Sequence[Reading], who: Reading) -> tuple[str, ...]:
        """Return the continuations of what was said right before, oldest first.

        Args:
            index: The passage.
            said: What of it was said in the present turn.
            who: Speaks now.
        """
        back = takewhile(lambda it: it.is_like(who) and it.continuation, self._back(index, said))
        ids = [it.continuation for it in islice(back, LONGEST) if it.continuation]
        return tuple(reversed(ids))

    def _back(self, index: int, said: Sequence[Reading]) -> Iterator[Reading]:
        """Yield the calls from the last one back, up to a passage of which nothing is known yet."""
        yield from reversed(said)
        yield from reversed(self._by_passage.get(index, ()))
        for earlier in range(index - 1, -1, -1):
            known = self._by_passage.get(earlier)
            if not known:
                return
            yield from reversed(known)
