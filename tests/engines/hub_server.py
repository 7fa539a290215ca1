"""What the hub's client asks for of one repository, on a server of this machine.

Source: huggingface_hub 2.4, ``_snapshot_download.py`` and ``file_download.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Self

from ttskit.testing import FaultyServer
from ttskit.testing.wire import Received, Reply

_COMMIT = "c" * 40


class HubServer:
    """A hub with one repository; a context manager.

    Args:
        files: By their paths.
    """

    repository = "somebody/tiny"
    missing: str | None = None
    """A file that is listed, but fails to come."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.server = FaultyServer(self._answer)

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.__exit__(*error)

    def _answer(self, asked: Received) -> Reply:
        path = asked.target.partition("?")[0]
        if path == f"/api/models/{self.repository}/revision/main":
            names = [{"rfilename": name} for name in self.files]
            return _json({"id": self.repository, "sha": _COMMIT, "siblings": names})
        if path == f"/api/models/{self.repository}/tree/{_COMMIT}":
            return _json([self._entry(name) for name in self.files])
        name = path.removeprefix(f"/{self.repository}/resolve/{_COMMIT}/")
        if name not in self.files or name == self.missing:
            return Reply(404, body=b"", headers=(("X-Error-Code", "EntryNotFound"),))
        headers = (
            ("ETag", f'"{_hash(self.files[name])}"'),
            ("X-Repo-Commit", _COMMIT),
            ("X-Linked-Size", str(len(self.files[name]))),
        )
        body = b"" if asked.method == "HEAD" else self.files[name]
        return Reply(headers=headers, body=body, content_type="application/octet-stream")

    def _entry(self, name: str) -> dict[str, object]:
        content = self.files[name]
        return {"type": "file", "path": name, "size": len(content), "oid": _hash(content)}


def _hash(content: bytes) -> str:
    """Return what git names a file by."""
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


def _json(content: object) -> Reply:
    return Reply(body=json.dumps(content).encode(), content_type="application/json")
