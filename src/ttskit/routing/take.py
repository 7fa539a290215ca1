"""What a provider made of a passage: all of it, or in live delivery a part that may be heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ttskit.audio import Notice, Span, WordTiming
from ttskit.codecs.pcm import AnySamples


class Take(NamedTuple):
    """Audio of one provider for one passage, ready to be delivered.

    A provider's turn at a passage is one take, or in live delivery several: the first of them
    ``begins`` it, the last ``ends`` it. The last take of the passage ``completes`` it.
    """

    samples: AnySamples
    """float32, or 16-bit PCM as it came."""
    sample_rate: int
    words: tuple[WordTiming, ...]
    """Seconds from the start of the provider's turn."""
    provider: str
    voice: str | None
    model: str | None = None
    notices: tuple[Notice, ...] = ()
    request_id: str | None = None
    cost: float | None = None
    span: Span | None = None
    """What of the caller's text was said in the turn so far; None: all of the passage."""
    begins: bool = True
    ends: bool = True
    completes: bool = True

    @property
    def is_whole(self) -> bool:
        """The provider's turn is all in this take."""
        return self.begins and self.ends


Emit = Callable[[Take], None]
"""Takes what may be delivered; never waits."""
