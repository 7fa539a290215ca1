"""Where a server is: origins, and paths and queries that carry ids safely."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from typing_extensions import override

from ttskit.errors import VoiceNotFoundError

Query = Mapping[str, str | int | float | bool | Sequence[str] | None]
"""What is None is left out; a sequence repeats its key."""

DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_ID = 200
"""Characters of an id in a path; the longest that any provider gives out has 64."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A scheme, a host and a port: what connections are made to."""

    scheme: str
    host: str
    port: int

    @override
    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def netloc(self) -> str:
        """The value of a Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Address:
    """A base URL: an origin and the path that all requests begin with."""

    origin: Origin
    prefix: str = ""
    """Begins with a slash and ends without one, or is empty."""

    @classmethod
    def of(cls, url: str) -> Address:
        """Read a base URL.

        Raises:
            ValueError: It is no http(s) URL, or carries a user, a query or a fragment.
        """
        parts = urlsplit(url.strip())
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError("must be a URL such as https://api.example.com/v1")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("must have no user, query or fragment")
        if not parts.netloc.isascii() or not all(map(_is_plain, parts.netloc + parts.path)):
            raise ValueError("must be percent-encoded")
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        return cls(Origin(parts.scheme, parts.hostname, port), parts.path.rstrip("/"))

    @property
    def is_private_wire(self) -> bool:
        """Whether nobody else can listen: TLS, or this machine itself."""
        return self.origin.scheme == "https" or is_loopback(self.origin.host)

    def target(self, path: str, query: Query | None = None) -> str:
        """Return path and query as they stand in the request line."""
        if not query:
            return self.prefix + path
        given = {name: _plain(value) for name, value in query.items() if value is not None}
        return (
            f"{self.prefix}{path}?{urlencode(given, doseq=True)}" if given else self.prefix + path
        )


def is_loopback(host: str) -> bool:
    """Whether the name or the address is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def path(template: str, *ids: str) -> str:
    """Return the template with each ``{}`` replaced by an id, percent-encoded.

    Raises:
        VoiceNotFoundError: An id cannot be one: empty, too long, all dots, or with control
            characters. Ids in paths are voices'.
    """
    return template.format(*(_segment(one) for one in ids))


def _segment(text: str) -> str:
    if not text.strip(".") or len(text) > LONGEST_ID or not text.isprintable():
        raise VoiceNotFoundError(f"there can be no voice {text[:60]!r}")
    return quote(text, safe="")


def _is_plain(character: str) -> bool:
    return character.isascii() and character.isprintable() and character not in ' "<>\\^`{|}'


def _plain(value: object) -> object:
    """Return the value as JSON would write it where it is a boolean."""
    return str(value).lower() if isinstance(value, bool) else value
