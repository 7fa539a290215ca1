"""Decodes many samples as the real decoder does, each in a fork of its own that may die of it.

``python -m tests.resources.decoder_farm``: on its standard input a size (4 bytes) and a file's
content, again and again; on its standard output for each the fork's exit status (4 bytes, negative
for a signal), the answer's size (4 bytes) and the answer. A fork is what makes thousands of
examples affordable: a new interpreter takes a quarter of a second.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

LIMITS = (1.0, 20.0)
_ANSWER_BYTES = 32 * 1024 * 1024


class Farm:
    """The process, as seen from a test."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", "-m", "tests.resources.decoder_farm"]
        root = str(Path(__file__).parents[2])
        env = os.environ | {"PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)])}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=root
        )

    def decode(self, data: bytes) -> tuple[int, bytes]:
        """Return the exit status (negative: the signal) and what was answered."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(struct.pack("<I", len(data)) + data)
        stdin.flush()
        status, size = struct.unpack("<iI", stdout.read(8))
        return status, stdout.read(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()


def _serve(stdin: BinaryIO, stdout: BinaryIO) -> None:
    from ttskit.resources import reference_decoder

    limits = reference_decoder.Limits(*LIMITS)
    while head := stdin.read(4):
        data = stdin.read(*struct.unpack("<I", head))
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            reference_decoder.give_up_rights(limits)
            with os.fdopen(writing, "wb") as answer:
                answer.write(reference_decoder.answer(data, limits))
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as answered:
            answer_bytes = answered.read(_ANSWER_BYTES)
        _, status = os.waitpid(child, 0)
        told = os.waitstatus_to_exitcode(status)
        stdout.write(struct.pack("<iI", told, len(answer_bytes)) + answer_bytes)
        stdout.flush()


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
