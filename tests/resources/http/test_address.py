"""Base URLs that are taken and refused, and ids that stay in their place in a path."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttskit.errors import VoiceNotFoundError
from ttskit.resources.http.address import Address, is_loopback, path


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("https://api.example.com", "https://api.example.com:443", "/speech"),
        (" https://api.example.com/v1/ ", "https://api.example.com:443", "/v1/speech"),
        ("http://localhost:8880/v1", "http://localhost:8880", "/v1/speech"),
        ("http://[::1]:80/a/b", "http://[::1]:80", "/a/b/speech"),
        ("https://API.Example.com:8443", "https://api.example.com:8443", "/speech"),
    ],
)
def test_a_base_url_is_an_origin_and_a_prefix(url: str, origin: str, target: str) -> None:
    address = Address.of(url)
    assert (str(address.origin), address.target("/speech")) == (origin, target)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "ftp://example.com",
        "https://",
        "https:///v1",
        "https://user:password@example.com",
        "https://example.com?key=1",
        "https://example.com/#a",
        "https://example.com/a b",
        "https://example.com/\r\nX: y",
        "https://exämple.com",
        "https://example.com:99999",
        "https://example.com:port",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Address.of(url)


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - a name that is told apart
        ("example.com", False),
    ],
)
def test_only_this_machine_is_this_machine(host: str, *, is_here: bool) -> None:
    assert is_loopback(host) is is_here


@given(st.text(max_size=50))
def test_an_id_is_one_segment_or_refused(voice: str) -> None:
    try:
        made = path("/v1/voices/{}/speak", voice)
    except VoiceNotFoundError:
        assert not voice.strip(".") or not voice.isprintable()
        return
    assert urlsplit(made).path == made
    _, _, _, segment, _ = made.split("/")
    assert unquote(segment) == voice
    assert segment not in (".", "..")


@pytest.mark.parametrize("voice", ["", ".", "..", "a\r\nb", "a\x00", "x" * 201, "\u2028"])
def test_what_can_be_no_id_is_refused(voice: str) -> None:
    with pytest.raises(VoiceNotFoundError):
        path("/v1/{}", voice)
