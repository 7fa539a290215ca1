"""Which speeches of a passage an engine says in one call, where several voices speak."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ttskit.text.lower import Piece, Speech


class Room(NamedTuple):
    """What fits into one call."""

    voices: int
    characters: int
    """A line end between turns included."""

    def holds(self, talk: Sequence[Speech], piece: Piece) -> bool:
        """Whether the piece can be said together with what comes before it."""
        if not isinstance(piece, Speech) or not talk:
            return False
        everybody = [*talk, piece]
        return (
            all(_is_usual(one) and one.language == piece.language for one in everybody)
            and len({one.voice for one in everybody}) <= self.voices
            and sum(len(one.text) + 1 for one in everybody) - 1 <= self.characters
        )


def conversations(pieces: Iterable[Piece], room: Room) -> Iterator[list[Speech] | Piece]:
    """Yield the pieces in order; in one list those that several voices say together."""
    talk: list[Speech] = []
    for piece in pieces:
        if isinstance(piece, Speech) and (not talk or room.holds(talk, piece)):
            talk.append(piece)
            continue
        yield from _done(talk)
        talk = []
        if isinstance(piece, Speech):
            talk.append(piece)
        else:
            yield piece
    yield from _done(talk)


def _done(talk: list[Speech]) -> Iterator[list[Speech] | Piece]:
    if len(talk) == 1:
        yield talk[0]
    elif talk:
        yield talk


def _is_usual(speech: Speech) -> bool:
    """Whether it is plain text without any setting of prosody."""
    is_as_is = speech.speed == 1 and speech.pitch == speech.volume == 0
    return is_as_is and not speech.is_ssml
