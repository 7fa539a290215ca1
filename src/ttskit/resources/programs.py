"""Programs run as child processes: fed, read, and ended together with whatever they started."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from subprocess import PIPE

import anyio
from anyio.abc import ByteReceiveStream, Process

from ttskit.errors import DependencyMissingError, ResourceError
from ttskit.resources.background import Home, settle

READ_BYTES = 65_536
COMPLAINT_BYTES = 4_096
"""Of what a program writes to stderr the last so many are kept."""
END_S = 2.0
"""How long leaving waits for a killed program; one that the kernel does not let go is left."""
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "HOME", "TMPDIR")
_KEPT_ON_WINDOWS = ("SYSTEMROOT", "TEMP", "USERPROFILE", "PATHEXT")
_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)


def plain_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the little of this process's environment that any program needs: no secret of it.

    Args:
        more: Added to it.
    """
    names = _KEPT_VARIABLES + (_KEPT_ON_WINDOWS if sys.platform == "win32" else ())
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return kept | dict(more or {})


class Program:
    """A program that runs; made by ``running``. One task at a time may read from it."""

    def __init__(self, process: Process, given: bytes) -> None:
        self._process = process
        self._home = Home.here()
        self._complaint = bytearray()
        # On POSIX the program is the first of a group that is ended as one.
        self._group = None if sys.platform == "win32" else process.pid
        self._done = [anyio.Event(), anyio.Event()]
        self._ended = anyio.Event()
        self._tasks = [
            self._home.spawn(lambda: self._feed(given, self._done[0]), name="ttskit feed"),
            self._home.spawn(lambda: self._drain(self._done[1]), name="ttskit drain"),
        ]

    async def read(self) -> bytes:
        """Return the next bytes of its standard output; none: it has said everything."""
        try:
            return await _opened(self._process.stdout).receive(READ_BYTES)
        except _GONE:
            return b""

    async def wait(self) -> int:
        """Wait until it has ended; return its exit status, or its signal as a negative number."""
        status = await self._process.wait()
        await settle(self._done[1], END_S)
        return status

    @property
    def complaint(self) -> str:
        """The end of what it wrote to its standard error; it may quote what it was given."""
        return bytes(self._complaint).decode(errors="replace")

    def kill(self) -> None:
        """End it at once, with all the processes of its group."""
        with suppress(ProcessLookupError, PermissionError):
            if self._group is not None:
                os.killpg(self._group, signal.SIGKILL)
            elif self._process.returncode is None:
                self._process.kill()

    async def aclose(self) -> None:
        """Kill what is left of it and give everything back, whoever cancels meanwhile."""
        self.kill()
        self._tasks.append(self._home.spawn(self._close, name="ttskit reap"))
        await settle(self._ended, END_S)

    async def _close(self) -> None:
        try:
            with anyio.move_on_after(END_S), suppress(*_GONE):
                await self._process.aclose()
            for done in self._done:
                await settle(done, END_S)
        finally:
            self._ended.set()

    async def _feed(self, given: bytes, done: anyio.Event) -> None:
        stdin = self._process.stdin
        try:
            with suppress(*_GONE):  # it may end, or close its input, without reading all
                if stdin is not None:
                    await stdin.send(given)
                    await stdin.aclose()
        finally:
            done.set()

    async def _drain(self, done: anyio.Event) -> None:
        """Read stderr, however much comes: a program must not wait for us."""
        try:
            with suppress(*_GONE):
                while True:
                    self._complaint += await _opened(self._process.stderr).receive(READ_BYTES)
                    del self._complaint[:-COMPLAINT_BYTES]
        finally:
            done.set()


@asynccontextmanager
async def running(
    command: Sequence[str], given: bytes, *, environment: Mapping[str, str]
) -> AsyncIterator[Program]:
    """Start a program, without a shell, and end it on leaving, however the block is left.

    Args:
        command: The program and its arguments.
        given: Its standard input.
        environment: All of it; see ``plain_environment``.

    Raises:
        DependencyMissingError: There is no such program, or it may not be run.
        ResourceError: The system starts no further process.
    """
    try:
        process = await anyio.open_process(
            list(command),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=dict(environment),
            start_new_session=True,
        )
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise DependencyMissingError(
            f"the program {command[0][:200]!r} cannot be run ({type(error).__name__})", cause=error
        ) from error
    except OSError as error:
        raise ResourceError(
            f"the program {command[0][:200]!r} cannot be started ({type(error).__name__})",
            cause=error,
        ) from error
    program = Program(process, given)
    try:
        yield program
    finally:
        await program.aclose()


def _opened(stream: ByteReceiveStream | None) -> ByteReceiveStream:
    if stream is None:
        raise AssertionError("all three streams are pipes")
    return stream
