"""Speech to the loudspeaker while it is made."""

from __future__ import annotations

import queue
import shutil
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

import numpy as np

from ttskit import playback
from ttskit.codecs.pcm import Samples
from ttskit.errors import TTSError

if TYPE_CHECKING:
    from ttskit.audio import AudioChunk

_AHEAD = 256
"""Chunks waiting to be heard, about a minute; then their maker waits."""
_PAUSE_S = 0.1
"""The chunks of an utterance come together; after so long no more is waited for."""


def found_player() -> str | None:
    """Return the name of what would play sound here; None where nothing can."""
    if find_spec("sounddevice"):
        return "sounddevice"
    if sys.platform == "win32":
        return "winsound"
    return next((one.program for one in playback.PLAYERS if shutil.which(one.program)), None)


class Loudspeaker:
    """Plays chunks in a thread of its own: while some are heard, the next ones arrive.

    Leaving the block without an error waits until all was heard.

    Args:
        play: Makes samples of a sample rate heard, and returns when they were.
    """

    def __init__(self, play: Callable[[Samples, int], None] = playback.play) -> None:
        self._sound = play
        self._queue: queue.Queue[AudioChunk | None] = queue.Queue(_AHEAD)
        self._failure: TTSError | None = None
        self._thread = threading.Thread(target=self._play, name="ttskit player", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._queue.put(None)
            self._thread.join()
            self._check()

    def write(self, chunk: AudioChunk) -> None:
        """Have the chunk heard after those before it.

        Raises:
            DependencyMissingError: Nothing here can play.
            ResourceError: The player failed.
        """
        self._check()
        self._queue.put(chunk)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _play(self) -> None:
        utterance: list[AudioChunk] = []
        while True:
            try:
                chunk = self._queue.get(timeout=_PAUSE_S if utterance else None)
            except queue.Empty:
                self._play_all(utterance)
                continue
            if utterance and (chunk is None or chunk.utterance != utterance[0].utterance):
                self._play_all(utterance)
            if chunk is None:
                return
            utterance.append(chunk)

    def _play_all(self, chunks: list[AudioChunk]) -> None:
        """Play and forget the chunks, as one piece: players take a moment to start."""
        if self._failure is None:
            try:
                samples = np.concatenate([chunk.samples for chunk in chunks])
                self._sound(samples, chunks[0].sample_rate)
            except TTSError as error:
                self._failure = error
        chunks.clear()
