"""Stands in for the decoder of samples and does what it is given the name of."""

from __future__ import annotations

import ctypes
import os
import sys
import time


def main() -> None:
    said = sys.stdout.buffer
    order = sys.stdin.buffer.read()
    if order == b"segfault":
        ctypes.string_at(0)
    elif order == b"hang":
        time.sleep(3_600)
    elif order == b"fork and hang":
        os.fork()
        time.sleep(3_600)
    elif order == b"flood":
        while True:
            said.write(b"x" * 65_536)
    elif order == b"lie":
        said.write(b'{"frames": 1000}\n' + b"\0" * 10)
    elif order == b"rave":
        said.write(b'["frames"]\n\xff')
    elif order == b"complain":
        sys.stderr.write("x" * 1_000_000)
        raise SystemExit(3)


main()
