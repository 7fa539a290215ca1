"""Raw PCM passed on as it came: most speech of clouds is never changed on its way."""

from __future__ import annotations

import math

import numpy as np

from ttskit.codecs.decode import MAX_SECONDS, check_raw, refuse_head, too_long
from ttskit.codecs.pcm import Pcm
from ttskit.codecs.sniff import HEAD_BYTES
from ttskit.errors import InvalidResponseError
from ttskit.request import AudioFormat


class PcmFrames:
    """Takes raw PCM however it is cut, gives whole frames without converting them.

    Args:
        sample_rate: Hz.
        channels: Samples a frame.
        max_seconds: More audio than that is refused; None: no bound.

    Raises:
        InvalidParameterError: The sample rate or the channels are out of range.
    """

    def __init__(
        self, sample_rate: int, channels: int = 1, *, max_seconds: float | None = MAX_SECONDS
    ) -> None:
        check_raw(AudioFormat.PCM, sample_rate, channels)
        self.sample_rate = sample_rate
        self._channels = channels
        self._block = 2 * channels
        self._left = math.inf if max_seconds is None else max_seconds * sample_rate * self._block
        self._max_seconds = max_seconds
        self._is_begun = False
        self._rest = b""

    def decode(self, data: bytes) -> Pcm:
        """Return the whole frames that these further bytes complete; may be none.

        Raises:
            InvalidResponseError: They are no raw audio, or more of it than allowed.
        """
        data = self._rest + data if self._rest else data
        if not self._is_begun:
            if len(data) < HEAD_BYTES:
                self._rest = data
                return self._frames(b"")
            self._begin(data)
        extra = len(data) % self._block
        self._rest = data[-extra:] if extra else b""
        self._left -= len(data) - extra
        if self._left < 0:
            raise too_long(self._max_seconds)
        return self._frames(data[:-extra] if extra else data)

    def finish(self) -> Pcm:
        """Return what is left; called once.

        Raises:
            InvalidResponseError: There was none, or it ends within a frame.
        """
        rest, self._rest = self._rest, b""
        if not self._is_begun:
            self._begin(rest)
        if len(rest) % self._block:
            raise InvalidResponseError("the audio ends within a frame")
        return self._frames(rest)

    def _begin(self, head: bytes) -> None:
        refuse_head(head[:HEAD_BYTES], AudioFormat.PCM)
        self._is_begun = True

    def _frames(self, data: bytes) -> Pcm:
        samples = np.frombuffer(data, "<i2")
        return samples if self._channels == 1 else samples.reshape(-1, self._channels)
