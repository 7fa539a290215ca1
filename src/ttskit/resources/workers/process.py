"""One worker process as the application sees it: started, written to, read from, ended."""

from __future__ import annotations

import os
import queue
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import RawIOBase
from typing import IO, cast

import psutil

from ttskit.resources.engine import JsonValue
from ttskit.resources.workers.murmur import LOGGER
from ttskit.resources.workers.scratch import Scratch
from ttskit.resources.workers.wire import START, Decoder, Frame, FrameError, Kind, encode, room

_READ = 256 * 1024
_READ_STDERR = 16 * 1024
_PIPE = 1024 * 1024
"""Bytes that the pipe with the audio may hold, where the system lets us choose: fewer wake-ups."""
_LAST_WORDS_S = 1.0
_QUIET_S = 0.5
"""Without a word from a worker for so long, it is looked whether it lives."""
_F_SETPIPE_SZ = 1031
"""Source: Linux fcntl(2)."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears of a process, in threads of the process's own."""

    frame: Callable[[Frame], None]
    """A frame came. Raises ``FrameError`` where it makes no sense."""
    stderr: Callable[[bytes], None]
    ended: Callable[[int, str], None]
    """The process is gone and nothing more comes: its exit code, negative for a signal, and why it
    had to be ended, where what it wrote was the reason."""


class WorkerProcess:
    """A child process and the three threads that keep its pipes moving.

    Made in a thread that outlives it: Linux ends a child with the thread that started it.

    Args:
        python: The interpreter.
        environ: All its variables.
        scratch: Its folder, which is removed when it has ended.
        name: Shown in a debugger.
        listener: Hears of it.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(
        self,
        python: str,
        environ: Mapping[str, str],
        scratch: Scratch,
        *,
        name: str,
        listener: Listener,
    ) -> None:
        self._listener = listener
        self._scratch = scratch
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, or a configured one
            # -P: the directory it is started in must not bring modules.
            [python, "-P", "-m", "ttskit.resources.workers"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            # So that a terminal's Ctrl-C reaches the application alone, and that what an engine
            # has started goes with it.
            process_group=None if sys.platform == "win32" else 0,
        )
        self.pid = self._process.pid
        self._ending = threading.Lock()
        self._is_over = False
        self._widen()
        # The one that waits for the others comes last.
        self._threads = [
            threading.Thread(target=run, name=f"ttskit {name} {what}", daemon=True)
            for what, run in (("in", self._write), ("err", self._drain), ("out", self._read))
        ]
        self._start(self._threads)

    def send(self, kind: Kind, head: Mapping[str, JsonValue] | None = None) -> None:
        """Queue a frame, from any thread.

        Raises:
            FrameError: The head is no plain data, or too large.
        """
        self._outbox.put(encode(kind, head or {}))

    def terminate(self) -> None:
        """Ask the process to end at once."""
        if sys.platform == "win32":
            self.kill()
        else:
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process, whatever it does, with all that it has started."""
        if sys.platform == "win32":
            with suppress(OSError):
                self._process.kill()
        else:
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with self._ending, suppress(ProcessLookupError, PermissionError):
            if not self._is_over:  # afterwards its number may be another's
                os.killpg(self.pid, number)

    def _start(self, threads: Sequence[threading.Thread]) -> None:
        try:
            for thread in threads:
                thread.start()
        except RuntimeError as error:
            self.kill()
            self._process.wait()
            self._outbox.put(None)
            for thread in threads:
                if thread.ident is not None:
                    thread.join(_LAST_WORDS_S)
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                _close(pipe)
            raise OSError("no thread can be started for a worker") from error

    def _widen(self) -> None:
        if sys.platform == "linux" and self._process.stdout is not None:
            import fcntl

            with suppress(OSError):  # this user's pipes hold enough already
                fcntl.fcntl(self._process.stdout, _F_SETPIPE_SZ, _PIPE)

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101 - it was asked for
        with suppress(OSError):  # it is gone; the reading thread tells
            while (data := self._outbox.get()) is not None:
                rest = memoryview(data)
                while rest:
                    rest = rest[pipe.write(rest) :]
        _close(pipe)

    def _read(self) -> None:
        reason = ""
        try:
            self._read_frames()
        except (FrameError, OSError) as error:
            reason = f"what it wrote makes no sense ({error})"
        except Exception:  # noqa: BLE001 - the outermost edge: the process is seen to its end
            LOGGER.debug("a frame that could not be taken", exc_info=True)
            reason = "what it wrote could not be taken"
        self.kill()
        with self._ending:
            self._is_over = True
        code = self._process.wait()
        self._outbox.put(None)
        writing, draining, _ = self._threads
        writing.join()
        # Whatever left the process group may hold stderr open for as long as it likes.
        draining.join(_LAST_WORDS_S)
        _close(self._process.stdout)
        self._scratch.remove()
        self._listener.ended(code, reason)

    def _read_frames(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101 - it was asked for
        decoder = Decoder(START)
        for data in _blocks(pipe, _READ, comes=self._watched(pipe)):
            for frame in decoder.feed(data):
                self._listener.frame(frame)

    def _watched(self, pipe: IO[bytes]) -> Callable[[], bool]:
        """Return what waits until there is something to be read, or the pipe's end.

        What an engine has forked may hold the pipe open for longer than the worker lives: false,
        when it is dead and all it wrote was read.
        """
        if sys.platform == "win32":  # there nothing inherits it
            return lambda: True
        poll = select.poll()
        poll.register(pipe, select.POLLIN)

        def comes() -> bool:
            while not poll.poll(1_000 * _QUIET_S):
                if self._is_dead() and not poll.poll(0):
                    return False
            return True

        return comes

    def _is_dead(self) -> bool:
        """Whether the process has ended; it keeps its number until it is waited for."""
        try:
            return bool(psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True

    def _drain(self) -> None:
        pipe = self._process.stderr
        assert pipe is not None  # noqa: S101 - it was asked for
        with suppress(OSError):
            for data in _blocks(pipe, _READ_STDERR):
                self._listener.stderr(bytes(data))
        _close(pipe)


def _blocks(
    pipe: IO[bytes], size: int, *, comes: Callable[[], bool] = lambda: True
) -> Iterator[memoryview]:
    """Yield what comes until the other end is closed; each block is good until the next.

    ``comes`` is asked before each read: false ends it.

    All go through one buffer, which is no part of the C library's heap: that keeps what it once
    gave out, and every worker's threads may have a heap of their own.
    """
    buffer = room(size)
    raw = cast("RawIOBase", pipe)  # as it is opened without a buffer
    while comes() and (count := raw.readinto(buffer)):
        yield buffer[:count]


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with suppress(OSError):
            pipe.close()
