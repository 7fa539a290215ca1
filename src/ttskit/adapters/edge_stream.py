"""What the package edge-tts sends, and its exceptions as ours. asyncio only, as the package is.

Source: edge-tts 7.3.1, communicate.py and exceptions.py.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import anyio

from ttskit.adapters.base import TimedText
from ttskit.adapters.timing import WordFinder
from ttskit.errors import (
    InvalidResponseError,
    NetworkError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    TTSError,
)
from ttskit.resources.background import settle
from ttskit.resources.http.address import Origin

if TYPE_CHECKING:
    from edge_tts import Communicate
    from edge_tts.typing import TTSChunk

ORIGIN = Origin("https", "speech.platform.bing.com", 443)
"""Where the package connects to."""
TICKS_PER_S = 10_000_000
MAX_BYTES = 64 * 1024 * 1024
"""Of audio: three hours of it, where a text is good for minutes."""
CLOSE_TIMEOUT_S = 1.0
"""How long the farewell to the server may take; the package would wait for ten seconds."""


class EdgeStream:
    """The audio of one utterance.

    The package is read in a task of its own, which never waits but within the package: ended
    there, its generators and its connection end in order. One that is left between two chunks
    would be cleaned up some time later.

    Args:
        spoken: What the package is to say; started at once.
        text: The same text, as it was sent.
        words: Grows as chunks are read, where the package was asked for words.
        silence_s: How long nothing may come.
    """

    def __init__(
        self, spoken: Communicate, text: str, words: list[TimedText], *, silence_s: float
    ) -> None:
        self._spoken = spoken
        self._finder = WordFinder(text)
        self._words = words
        self._silence_s = silence_s
        self._ready: deque[TTSChunk] = deque()
        self._received = 0
        self._error: TTSError | None = None
        self._news = anyio.Event()
        self._over = anyio.Event()
        self._task = asyncio.get_running_loop().create_task(self._read(), name="ttskit edge")
        self._task.add_done_callback(self._end)  # it may be cancelled before it began

    def __aiter__(self) -> EdgeStream:
        return self

    async def __anext__(self) -> bytes:
        while True:
            chunk = await self._next()
            if chunk["type"] == "audio":
                return chunk["data"]
            start = chunk["offset"] / TICKS_PER_S
            end = start + chunk["duration"] / TICKS_PER_S
            if chunk["type"] == "WordBoundary":
                self._words += self._finder.timed(chunk["text"], start, end)

    async def begun(self) -> None:
        """Wait for the first chunk.

        Raises:
            ProviderError: There is none, or the service cannot be reached.
        """
        self._ready.appendleft(await self._next())

    async def aclose(self) -> None:
        """End the package's work; it has ended when this returns, whoever cancels meanwhile."""
        self._task.cancel()
        try:
            await settle(self._over, CLOSE_TIMEOUT_S)
        finally:
            self._task.cancel()  # without a farewell

    async def _next(self) -> TTSChunk:
        while not self._ready:
            if self._over.is_set():
                raise self._error or StopAsyncIteration
            self._news = anyio.Event()
            with anyio.move_on_after(self._silence_s) as clock:
                await self._news.wait()
            if clock.cancelled_caught:
                raise ProviderTimeoutError(f"{ORIGIN} sends nothing")
        return self._ready.popleft()

    async def _read(self) -> None:
        try:
            async for chunk in self._spoken.stream():
                self._take(chunk)
            self._check_whole()
        except Exception as error:  # noqa: BLE001 - this task's outermost edge
            self._error = translate(error)

    def _end(self, _: object) -> None:
        self._over.set()
        self._news.set()

    def _take(self, chunk: TTSChunk) -> None:
        if chunk["type"] == "audio":
            self._received += len(chunk["data"])
        if self._received > MAX_BYTES:
            raise InvalidResponseError("the reply is larger than any speech")
        self._ready.append(chunk)
        self._news.set()

    def _check_whole(self) -> None:
        """Find out whether the service said that it was done; the package does not mind.

        It adds up the bytes of each piece of the text when the end of it is announced.
        """
        if self._spoken.state["cumulative_audio_bytes"] != self._received:
            raise NetworkError(f"{ORIGIN} ended the connection early")


def translate(error: Exception) -> TTSError:
    """Return an exception of the package, or of what is below it, as one of ours."""
    ours = error if isinstance(error, TTSError) else _meaning(error)
    if ours is not error:
        ours.__cause__ = error.with_traceback(None)
    return ours


def _meaning(error: Exception) -> TTSError:
    import aiohttp
    from edge_tts import exceptions

    from ttskit.resources.http.aiohttp_transport import translate as from_aiohttp

    match error:
        case exceptions.NoAudioReceived():
            return InvalidResponseError("no audio came for the text")
        case exceptions.WebSocketError():
            return NetworkError(f"the connection to {ORIGIN} broke")
        case exceptions.SkewAdjustmentError():
            return _refused(403)
        case aiohttp.ClientResponseError() if not isinstance(error, aiohttp.ClientHttpProxyError):
            return _refused(error.status)
        case aiohttp.ClientError() | OSError():
            return from_aiohttp(error, ORIGIN)
    return InvalidResponseError(f"the reply is not as edge-tts knows it ({type(error).__name__})")


def _refused(status: int) -> TTSError:
    if status == 429:  # noqa: PLR2004
        return RateLimitedError("the service asks us to slow down (HTTP 429)")
    if status == 403:  # noqa: PLR2004 - the token or the browser's version is no longer good
        return ProviderUnavailableError(
            "the service does not take edge-tts for a browser (HTTP 403); a newer edge-tts may "
            "help, azure has the same voices",
            retryable=False,
        )
    return ProviderUnavailableError(f"the service refuses (HTTP {status})")
