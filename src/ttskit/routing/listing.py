"""A provider's list of voices: asked for seldom, kept on disk, put off after a failure."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable

import anyio
from anyio import to_thread

from ttskit.errors import ProviderTimeoutError, TTSError
from ttskit.resilience.now import now
from ttskit.resources.shelf import Shelf, Shelved
from ttskit.voices import Voice

PAUSE_S = 30.0
"""After a failure nobody is asked for so long: a request must not wait for a dead list."""
LIST_S = 20.0
"""How long a list may take, all its pages together."""


class Listing:
    """The voices of one provider.

    Args:
        ask: Asks the provider.
        shelf: Keeps the list; None: it is kept in memory only.
        key: Of the list on the shelf.
        max_age_s: Seconds after which the provider is asked again; None: never.
        is_remote: The provider is behind a network, where asking may take long or fail.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[list[Voice]]],
        *,
        shelf: Shelf | None = None,
        key: str = "",
        max_age_s: float | None = None,
        is_remote: bool = True,
    ) -> None:
        self._ask = ask
        self._list_s = LIST_S if is_remote else math.inf
        self._pause_s = PAUSE_S if is_remote else 0.0
        self._shelf = shelf
        self._key = key
        self._max_age_s = math.inf if max_age_s is None else max_age_s
        self._asking = anyio.Lock()
        self._kept: Shelved | None = None
        self._was_read = False
        self._failure: TTSError | None = None
        self._again_at = 0.0

    async def voices(self, *, refresh: bool = False) -> tuple[Voice, ...]:
        """Return the voices; callers at the same time share one question.

        Where the provider cannot tell, an old list is better than none.

        Args:
            refresh: Ask, however new the list is.

        Raises:
            TTSError: The provider cannot tell, now or a little while ago, and never did.
        """
        if self._kept is not None and not refresh and self._is_fresh(self._kept):
            return self._kept.voices
        async with self._asking:
            if self._shelf is not None and not self._was_read:
                self._kept = await to_thread.run_sync(self._shelf.read, self._key)
                self._was_read = True
            if self._kept is None or refresh or not self._is_fresh(self._kept):
                await self._renew()
        if self._kept is None:
            raise self._told_again()
        return self._kept.voices

    async def _renew(self) -> None:
        if now() < self._again_at:
            return
        try:
            with anyio.fail_after(self._list_s):
                found = await self._ask()
        except TimeoutError:
            self._put_off(ProviderTimeoutError(f"no list of voices within {LIST_S:g} s"))
        except TTSError as error:
            self._put_off(error)
        else:
            self._failure = None
            if self._shelf is None:
                self._kept = Shelved(tuple(found), time.time())
            else:
                self._kept = await to_thread.run_sync(self._shelf.write, self._key, found)

    def _put_off(self, error: TTSError) -> None:
        self._failure = error.with_traceback(None)
        self._again_at = now() + self._pause_s

    def _told_again(self) -> TTSError:
        """Return the failure as an error of its own: one that is raised twice grows."""
        failure = self._failure
        if failure is None:
            raise AssertionError("without a list there was a failure")
        return type(failure)(failure.message, provider=failure.provider)

    def _is_fresh(self, kept: Shelved) -> bool:
        return 0 <= time.time() - kept.written < self._max_age_s
