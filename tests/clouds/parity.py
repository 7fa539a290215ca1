"""The same call by the official SDK and by our adapter, to one server; both must ask the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from tests.clouds.contract import KEY
from tests.clouds.socket_server import Sockets, serving
from tests.clouds.stream_contract import StreamContract
from ttskit import TTSService
from ttskit.testing import Received

SENTENCES = ("Olá & <adeus>.", "Three “four”.")
"""What streams say, an utterance each."""


def meaning(received: Received, headers: Iterable[str]) -> dict[str, object]:
    """Return what a request says: method, path, query in any order, some headers, its JSON."""
    target = urlsplit(received.target)
    return {
        "method": received.method,
        "path": target.path,
        "query": sorted(parse_qsl(target.query)),
        "headers": {name: received.headers.get(name) for name in headers},
        "body": json.loads(received.body) if received.body else None,
    }


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a client says over a socket."""

    path: str
    query: list[tuple[str, str]]
    """In any order."""
    headers: dict[str, str | None]
    messages: list[dict[str, object]]


def conversation(
    streams: StreamContract, client: Callable[[str], None], headers: Iterable[str] = ()
) -> Conversation:
    """Return what a client, who is given a base URL, says over one socket; and some headers."""
    sockets = Sockets(streams.talk, streams.judge)
    with serving(sockets) as url:
        client(url)
    (handshake,) = sockets.handshakes
    target = urlsplit(handshake.path)
    return Conversation(
        target.path,
        sorted(parse_qsl(target.query)),
        {name: handshake.headers.get(name) for name in headers},
        sockets.documents(),
    )


def stream_ours(
    streams: StreamContract, url: str, *, times: int = 1, speed: float = 1.0, **section: object
) -> None:
    """Have ttskit stream the sentences, with words timed where the provider can."""
    given = {"api_key": KEY, "base_url": url, **section}
    config = {"providers": {streams.name: given}, "text": {"fast_start": False}}
    timestamps = "word" if streams.is_timed else "none"
    with TTSService(config) as tts:
        for _ in range(times):
            with tts.stream(
                (f"{one} " for one in SENTENCES), timestamps=timestamps, speed=speed
            ) as speech:
                assert list(speech)
