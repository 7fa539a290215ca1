"""A server for benchmarks: the least HTTP that a client accepts, in a process of its own.

    python benchmarks/cloud_server.py

Prints its port. ``/v1/audio/speech`` and every other target get a second of PCM; below ``/slow`` it
comes in ten pieces, 5 ms apart, the first one at once.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np

RATE = 24_000
PCM = (9_000 * np.sin(np.arange(25_000) / 15)).astype("<i2").tobytes()
PIECES = 10
PAUSE_S = 0.005
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(PCM) + PCM
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Speech(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer each request once it is whole."""
        self._received += data
        while self._received:
            head, separator, rest = self._received.partition(b"\r\n\r\n")
            length = _length(head)
            if not separator or len(rest) < length:
                return
            self._received = rest[length:]
            if head.split(b" ", 2)[1].startswith(b"/slow"):
                self._send_pieces(0)
            else:
                self._transport.write(WHOLE)  # type: ignore[attr-defined]

    def _send_pieces(self, number: int) -> None:
        size = len(PCM) // PIECES
        piece = PCM[number * size : (number + 1) * size]
        start = CHUNKED if not number else b""
        end = b"0\r\n\r\n" if number == PIECES - 1 else b""
        data = b"%b%x\r\n%b\r\n%b" % (start, len(piece), piece, end)
        self._transport.write(data)  # type: ignore[attr-defined]
        if not end:
            asyncio.get_running_loop().call_later(PAUSE_S, self._send_pieces, number + 1)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


async def main() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Speech, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
