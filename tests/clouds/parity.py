"""The same call by the official SDK and by our adapter, to one server; both must ask the same."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

from ttskit.testing import Received


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
