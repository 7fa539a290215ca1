"""What travels between a client and its transports, and what a transport must be able to do."""

from __future__ import annotations

import os
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from typing_extensions import override

from ttskit.errors import NetworkError, TTSError
from ttskit.resources.http.address import Origin

KEEP_ALIVE_S = 30.0
"""How long a connection waits for its next request; most servers wait longer."""
FREE_RETRIES = 2
"""The second is for a pool that gave an old connection even to the first."""


class Headers(dict[str, str]):
    """Header fields by name; a key may be among the values, so they are in no repr."""

    @override
    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, complete; it can be sent any number of times."""

    method: str
    origin: Origin
    target: str
    """Path and query."""
    headers: Headers
    body: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class Journey:
    """What is seen of one request on its way: may it be sent again as if it had not been?"""

    is_fresh: bool = False
    """A connection was made for it."""
    was_answered: bool = False
    """A byte came back."""


JOURNEY: ContextVar[Journey | None] = ContextVar("ttskit journey", default=None)
"""Of the request that this task is sending."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a server is reached."""

    tls: ssl.SSLContext | None = None
    """None: it speaks plain HTTP."""
    proxy: str | None = field(default=None, repr=False)
    """Its URL."""
    connect_s: float = 5.0
    """How long connecting may take."""
    silence_s: float = 60.0
    """How long the server may send nothing."""


class Incoming(ABC):
    """A reply whose head has come. ``aclose`` must be called, and may be called twice."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""

    async def read(self) -> bytes:
        """Return the next bytes of the body as they come off the wire; none at its end.

        Raises:
            ProviderError: The connection broke, or nothing came in time.
        """
        try:
            return await self._read()
        except Exception as error:  # noqa: BLE001 - whatever a transport raises is one of ours
            raise self.translate(error) from without_frames(error)

    @abstractmethod
    async def _read(self) -> bytes:
        """Do so; raises what the library raises."""

    @abstractmethod
    def translate(self, error: BaseException) -> TTSError:
        """Return any exception of the library as one of ours."""

    @abstractmethod
    async def aclose(self) -> None:
        """Give the connection back where the body was read to its end, and close it otherwise."""


class Transport(ABC):
    """A pool of connections to one origin, within one event loop and one process.

    It never makes a request wait for a connection: how many there are at a time is decided before.

    Args:
        origin: Where they lead.
        way: How to get there.
    """

    lost: tuple[type[BaseException], ...]
    """How the library says that the connection ended before the reply was whole."""

    def __init__(self, origin: Origin, way: Way) -> None:
        self.origin = origin
        self.way = way
        self.free_retries = 0
        """Requests sent again because the server had just closed the idle connection."""

    async def send(self, request: Request) -> Incoming:
        """Send the request and return its reply once the head has come.

        A request that went out on a connection which was used before, and of which nothing came
        back, is sent again on a new one: a server may close an idle connection at any moment, and
        then has not seen the request. Source: RFC 9112, section 9.3.1; gRPC's transparent retry.

        Raises:
            NetworkError: The server could not be reached, or the connection broke.
            ProviderTimeoutError: It took too long.
            InvalidResponseError: The reply is no HTTP.
        """
        journey = Journey()
        token = JOURNEY.set(journey)
        try:
            for left in reversed(range(FREE_RETRIES + 1)):
                journey.is_fresh = journey.was_answered = False
                try:
                    return await self._send(request)
                except self.lost as error:
                    if journey.is_fresh or journey.was_answered or not left:
                        raise self.translate(error) from without_frames(error)
                self.free_retries += 1
                self.refresh()
        except TTSError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a transport raises is one of ours
            raise self.translate(error) from without_frames(error)
        finally:
            JOURNEY.reset(token)
        raise AssertionError("the last try returns or raises")

    @abstractmethod
    async def _send(self, request: Request) -> Incoming:
        """Send the request once; raises what the library raises."""

    @abstractmethod
    def refresh(self) -> None:
        """See to it that the next request gets a connection that was never used."""

    @abstractmethod
    def translate(self, error: BaseException) -> TTSError:
        """Return any exception of the library as one of ours; its own words may hold a header."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close all connections."""


Meanings = tuple[tuple[type[BaseException], type[TTSError], str], ...]
"""Exceptions of a library, what each is with us, and how we say so; the first that fits counts."""


def translated(error: BaseException, origin: Origin, meanings: Meanings) -> TTSError:
    """Return a library's exception as one of ours; none of its words are kept."""
    for kind, ours, message in meanings:
        if isinstance(error, kind):
            return ours(message.format(origin=origin, why=_why(error)))
    return NetworkError(f"the connection to {origin} broke ({type(error).__name__})")


def _why(error: BaseException) -> str:
    """Return what this machine says is wrong with a connection."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate: {getattr(cause, 'verify_message', None) or 'not trusted'}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {getattr(cause, 'reason', None) or type(cause).__name__}"
        if isinstance(cause, OSError) and cause.errno:
            # A name that is not found has codes of its own.
            is_name = isinstance(cause, socket.gaierror)
            return str(cause.strerror) if is_name else os.strerror(cause.errno)
        cause = _cause(cause) or cause.__context__
    return type(error).__name__


def without_frames(error: BaseException) -> BaseException:
    """Return a library's exception, and what it stems from, without tracebacks.

    What prints the variables of their frames would print the key, which is in what was sent. What
    was merely being handled meanwhile is left alone: it may be the caller's own.
    """
    cause: BaseException | None = error
    while cause is not None:
        cause.__traceback__ = None
        cause = _cause(cause)
    return error


def _cause(error: BaseException) -> BaseException | None:
    """Return what an exception stems from; of several, such as attempts to connect, the first."""
    return error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
