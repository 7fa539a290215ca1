"""The worker's side: it reads requests in the main thread, and works in others."""

from __future__ import annotations

import faulthandler
import logging
import operator
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import cast

from ttskit.errors import GenerationError, ModelLoadError, ServiceClosedError, TTSError
from ttskit.resources.downloads import Download, listener
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, JsonValue
from ttskit.resources.failures import breaks_gpu, translated
from ttskit.resources.gpu import gpu_memory
from ttskit.resources.relief import Rung, relieved
from ttskit.resources.threads import DaemonThreads
from ttskit.resources.workers.forms import (
    audio_to_plain,
    error_to_plain,
    job_from_plain,
    voice_to_plain,
)
from ttskit.resources.workers.memory import cap_memory
from ttskit.resources.workers.orphan import die_with
from ttskit.resources.workers.relay import Relay, whose_request
from ttskit.resources.workers.wire import START, Decoder, Frame, FrameError, Kind, encode

BEAT_S = 1.0
WINDOW = 256 * 1024
"""Bytes of a job's audio that may be on their way; above it the engine waits for the reader."""
_READ = 64 * 1024
_PARENT_GONE = 1
_CLOSE_S = 10.0
"""An engine that takes longer to close is left to itself."""


class Replies:
    """The pipe to the application; any thread may write."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(
        self,
        kind: Kind,
        head: Mapping[str, JsonValue] | None = None,
        payload: bytes = b"",
    ) -> None:
        """Write a frame. Where nobody reads any more, the process ends."""
        frame = encode(kind, head or {}, len(payload))
        with self._lock:
            self.write(frame)
            self.write(payload)

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            os._exit(_PARENT_GONE)


class _Task:
    """A job in this process."""

    def __init__(self, number: int, job: EngineJob) -> None:
        self.number = number
        self.job = job
        self.stop = threading.Event()
        self._changed = threading.Condition()
        self._away = 0

    def credit(self, size: int) -> None:
        """Note that so many bytes of the audio were taken."""
        with self._changed:
            self._away -= size
            self._changed.notify()

    def cancel(self) -> None:
        """Tell the engine that nobody listens any more."""
        self.stop.set()
        with self._changed:
            self._changed.notify()

    def may_send(self, size: int) -> bool:
        """Wait until the reader keeps up; return whether anybody still listens."""
        with self._changed:
            self._changed.wait_for(lambda: self.stop.is_set() or self._away < WINDOW)
            self._away += size
        return not self.stop.is_set()


class Server:
    """Serves one application until it says stop or is gone."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._tasks: dict[int, _Task] = {}
        self._engine: Engine | None = None
        self._concurrency = 1
        self._jobs: DaemonThreads | None = None
        self._desk = DaemonThreads(2, name="desk")
        self._provider = ""

    def run(self, frames: Iterable[Frame]) -> int:
        """Answer the frames; return the exit code."""
        for frame in frames:
            match frame.kind:
                case Kind.RECIPE:
                    self._prepare(frame)
                case Kind.LOAD:
                    self._answer(frame.number("id"), self._load, ModelLoadError)
                case Kind.VOICES:
                    self._answer(frame.number("id"), self._list_voices, ModelLoadError)
                case Kind.JOB:
                    self._take(frame)
                case Kind.STOP:
                    return self._stop()
                case _:
                    self._tell_task(frame)
        return _PARENT_GONE

    def _tell_task(self, frame: Frame) -> None:
        task = self._tasks.get(frame.number("id"))
        if task is None:  # it has just ended
            return
        match frame.kind:
            case Kind.CREDIT:
                task.credit(frame.number("size"))
            case Kind.CANCEL:
                task.cancel()
            case _:
                raise FrameError(f"{frame.kind.name} is no request")

    def _prepare(self, recipe: Frame) -> None:
        """Take the settings, and have the engine made: it may import half the world."""
        self._provider = str(recipe.head.get("provider", ""))
        threading.Thread(target=self._beat, name="ttskit beat", daemon=True).start()
        _restore(recipe.head.get("pythonpath"))
        relay = Relay(partial(self._replies.send, Kind.LOG))
        relay.listen(recipe.number("level"))
        self._desk.submit(lambda: self._make(recipe))

    def _make(self, recipe: Frame) -> None:
        try:
            cap_memory(cast("int | None", recipe.head.get("memory")))
            maker = _found(str(recipe.head.get("engine")))
            self._engine = maker(**recipe.mapping("arguments"))
            self._concurrency = recipe.number("concurrency") if self._engine.concurrent else 1
            made = {"stop_s": float(self._engine.stop_s), "pid": os.getpid()}
            self._replies.send(Kind.MADE, made)
        except BaseException as error:  # noqa: BLE001 - this thread's outermost edge
            self._replies.send(Kind.MADE, {"error": self._plain(error, ModelLoadError)})

    def _beat(self) -> None:
        never = threading.Event()
        while not never.wait(BEAT_S):
            self._replies.send(Kind.BEAT)

    def _load(self) -> JsonValue:
        engine = self._made()
        listener.set(self._tell_download)
        engine.load()
        most = max(self._concurrency, engine.together)
        self._jobs = DaemonThreads(most, name="engine")
        return {"jobs": most}

    def _tell_download(self, download: Download) -> None:
        self._replies.send(Kind.DOWNLOAD, download._asdict())

    def _list_voices(self) -> JsonValue:
        return [voice_to_plain(voice) for voice in self._made().voices()]

    def _made(self) -> Engine:
        if self._engine is None:
            raise FrameError("asked before there was an engine")
        return self._engine

    def _answer(
        self, number: int, question: Callable[[], JsonValue], family: type[TTSError]
    ) -> None:
        def answer() -> None:
            try:
                self._done(number, {"answer": question()})
            except BaseException as error:  # noqa: BLE001 - this thread's outermost edge
                self._fail(number, error, family)

        self._desk.submit(answer)

    def _take(self, frame: Frame) -> None:
        if self._jobs is None:
            raise FrameError("a job before there was an engine")
        task = _Task(frame.number("id"), job_from_plain(frame.mapping("job")))
        self._tasks[task.number] = task
        self._jobs.submit(partial(self._speak, task), lane=task.job.lane)

    def _speak(self, task: _Task) -> None:
        whose_request.set(task.job.request_id)
        try:
            if not task.stop.is_set():
                self._replies.send(Kind.BEGUN, {"id": task.number})
                tell = partial(self._tell_relief, task)
                for chunk in relieved(self._made(), task.job, task.stop, tell):
                    if not self._hand_over(task, chunk):
                        break
            self._done(task.number, {})
        except BaseException as error:  # noqa: BLE001 - this thread's outermost edge
            self._fail(task.number, error, GenerationError)
        finally:
            self._tasks.pop(task.number, None)

    def _tell_relief(self, task: _Task, rung: Rung) -> None:
        self._replies.send(Kind.RELIEF, {"id": task.number, "rung": rung.value})

    def _hand_over(self, task: _Task, chunk: EngineChunk) -> bool:
        for head, payload in audio_to_plain(chunk):
            if not task.may_send(len(payload)):
                return False
            self._replies.send(Kind.AUDIO, {"id": task.number, **head}, payload)
        return True

    def _done(self, number: int, head: Mapping[str, JsonValue]) -> None:
        self._replies.send(Kind.DONE, {"id": number, "gpu": gpu_memory(), **head})

    def _fail(self, number: int, error: BaseException, family: type[TTSError]) -> None:
        head: dict[str, JsonValue] = {
            "id": number,
            "error": self._plain(error, family),
            "broken": breaks_gpu(error),
        }
        self._replies.send(Kind.FAILED, head)

    def _plain(self, error: BaseException, family: type[TTSError]) -> dict[str, JsonValue]:
        """Return the error as what fits into a frame, whatever an engine made of it."""
        _tell_where(error)
        if isinstance(error, FrameError):
            return error_to_plain(family(f"the engine's answer cannot be sent: {error}"))
        try:
            plain = error_to_plain(translated(error, self._provider, family))
            encode(Kind.FAILED, plain)
        except Exception as unfit:  # noqa: BLE001 - it may raise whatever it likes when looked at
            _tell_where(unfit)
            plain = error_to_plain(family(f"the engine failed ({type(error).__name__})"))
        return plain

    def _stop(self) -> int:
        for task in tuple(self._tasks.values()):
            task.cancel()
        closed = threading.Event()
        at_end = partial(self._close, closed)
        if self._jobs is not None and self._jobs.close(at_end):
            return 0 if closed.wait(_CLOSE_S) else _PARENT_GONE
        return 0

    def _close(self, closed: threading.Event) -> None:
        try:
            if self._engine is not None:
                self._engine.close()
        except BaseException as error:  # noqa: BLE001 - this thread's outermost edge
            _tell_where(error)
        finally:
            closed.set()


def serve(requests: int, replies: int) -> int:
    """Serve the application behind these two descriptors until it says stop, or is gone.

    Returns:
        The exit code of a process that was told to stop. Otherwise it ends right here: an engine
        that is still at work must not be waited for.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the application's user wants it to stop, not us
    faulthandler.enable()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # a text file
    pipe = Replies(replies)
    pipe.write(START)
    try:
        code = Server(pipe).run(_frames(requests))
    except (FrameError, ServiceClosedError):
        code = _PARENT_GONE
    if code:
        os._exit(code)
    return code


def _frames(descriptor: int) -> Iterable[Frame]:
    """Yield what comes, until the application is gone."""
    decoder = Decoder()
    is_first = True
    while data := os.read(descriptor, _READ):
        for frame in decoder.feed(data):
            if is_first:
                die_with(frame.number("parent"))
                sys.path[:] = cast("list[str]", frame.head.get("path")) or sys.path
            is_first = False
            yield frame


def _restore(pythonpath: JsonValue) -> None:
    """Give what the engine may start the environment that the application has."""
    os.environ.pop("PYTHONPATH", None)
    if isinstance(pythonpath, str):
        os.environ["PYTHONPATH"] = pythonpath


def _found(name: str) -> type[Engine]:
    module, _, qualname = name.partition(":")
    return cast("type[Engine]", operator.attrgetter(qualname)(import_module(module)))


def _tell_where(error: BaseException) -> None:
    """Log where an engine failed, without the error's own words: they may quote the text."""
    with suppress(Exception):
        places = []
        frame = error.__traceback__
        while frame is not None:
            code = frame.tb_frame.f_code
            places.append(f"{code.co_filename}:{frame.tb_lineno} in {code.co_name}")
            frame = frame.tb_next
        where = " < ".join(reversed(places[-8:]))
        logging.getLogger("ttskit.engine").debug("%s at %s", type(error).__name__, where)
