"""Sound while it is made: in order, whole, an utterance at a time."""

from __future__ import annotations

import numpy as np
import pytest

from ttskit.audio import AudioChunk, UtteranceRef
from ttskit.cli.loudspeaker import Loudspeaker
from ttskit.codecs.pcm import Samples
from ttskit.errors import ResourceError


def chunk(utterance: int, value: float) -> AudioChunk:
    samples = np.full(10, value, np.float32)
    return AudioChunk(b"", samples, 8_000, 0, UtteranceRef(utterance, (0, 1)), "mock")


class Player:
    """Keeps what it was given, a value for each chunk; or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.heard: list[list[float]] = []
        self.error = error

    def __call__(self, samples: Samples, sample_rate: int) -> None:
        assert sample_rate == 8_000
        if self.error is not None:
            raise self.error
        self.heard.append(samples[::10].astype(float).round(1).tolist())


def test_an_utterance_is_played_in_one_piece() -> None:
    player = Player()
    with Loudspeaker(player) as loudspeaker:
        for utterance, value in [(0, 0.1), (0, 0.2), (1, 0.3), (2, 0.4), (2, 0.5)]:
            loudspeaker.write(chunk(utterance, value))
    assert player.heard == [[0.1, 0.2], [0.3], [0.4, 0.5]]


def test_the_players_failure_reaches_the_command() -> None:
    broken = Player(ResourceError("no sound card"))
    with pytest.raises(ResourceError, match="no sound card"), Loudspeaker(broken) as loudspeaker:
        loudspeaker.write(chunk(0, 0.0))


def test_an_error_elsewhere_is_not_held_up_by_the_sound() -> None:
    player = Player()
    with pytest.raises(KeyError), Loudspeaker(player):
        raise KeyError
    assert player.heard == []
