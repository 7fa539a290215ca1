"""Raw float32 off a wire, as the arrays that ``AudioSource`` carries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ttskit.errors import InvalidResponseError

if TYPE_CHECKING:
    from ttskit.codecs.pcm import Samples

WIDTH = 4
"""Bytes of a sample."""


class Floats:
    """Little-endian float32 as arrays of shape (frames,), wherever the pieces end.

    Not a generator: one that is left early would be closed some time later, in another task.
    """

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._rest = b""

    def __aiter__(self) -> Floats:
        return self

    async def __anext__(self) -> Samples:
        while True:
            data = await anext(self._body, None)
            if data is None:
                if self._rest:
                    raise InvalidResponseError("the audio ends within a sample")
                raise StopAsyncIteration
            data = self._rest + data
            whole = len(data) - len(data) % WIDTH
            self._rest = data[whole:]
            if whole:
                return _samples(data[:whole])


def _samples(data: bytes) -> Samples:
    import numpy as np  # configuring a provider need not load it

    return np.frombuffer(data, "<f4").astype(np.float32, copy=False)
