"""An engine for workers: it speaks the modem voice, and does worse things when it is told to.

What a job is to do besides speaking stands in its options: ``{"do": "crash", "when": 2}`` crashes
before the third chunk. Its text may be transcribed from the audio.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import math
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
from typing_extensions import override

from ttskit.errors import GenerationError, ModelLoadError, VoiceNotFoundError
from ttskit.resources.engine import Engine, EngineChunk, EngineJob, EngineWord
from ttskit.resources.workers.child import Replies
from ttskit.resources.workers.wire import Kind, encode
from ttskit.testing.modem import Modem
from ttskit.voices import Voice

RATE = 16_000
LOOKING = ("counted", "first", "first free", "lonely")
"""Loads that look around: none fails; all but the first of all workers fail, or never end; one
finds no memory where there is another worker."""
_kept: list[bytearray] = []


class FakeEngine(Engine):
    """Speaks tones, and misbehaves.

    Args:
        load: What loading does, one of the switches.
        chunk_s: Real seconds before each word.
        home: A file that loads share: the flag of one that dies once; or a line for each, with the
            number of workers that were there.
        diary: A file that tells when each job was begun and ended.
    """

    def __init__(
        self, *, load: str = "", chunk_s: float = 0.0, home: str = "", diary: str = ""
    ) -> None:
        self._load = load
        self._chunk_s = chunk_s
        self._home = home
        self._diary = diary
        self._modem: Modem | None = None

    @override
    def load(self) -> None:
        if self._load in LOOKING:
            self._look_around()
        if self._load == "fail":
            raise ModelLoadError("there are no weights")
        if self._load == "once" and not os.path.exists(self._home):  # noqa: PTH110 - a flag
            open(self._home, "w").close()  # noqa: PTH123 - a flag
            os._exit(3)
        _do("" if self._load in ("once", *LOOKING) else self._load, "")
        self._modem = Modem(RATE)

    @override
    def voices(self) -> list[Voice]:
        return [Voice("one", "", "One", ("en",), styles=("flat",), sample_rate=RATE)]

    @override
    def synthesize(self, job: EngineJob, stop: threading.Event) -> Iterator[EngineChunk]:
        assert self._modem is not None, "load first"
        if job.voice not in (None, "one"):
            raise VoiceNotFoundError("no such voice; nearest: one")
        when = job.options.get("when", 0)
        self._note(f"begin {job.text}")
        for number, tones in enumerate(self._modem.speak(job.text, f"fake:{os.getpid()}")):
            if stop.is_set():
                return
            time.sleep(self._chunk_s)
            if number == when:
                _do(str(job.options.get("do", "")), job.text)
            words = ()
            if tones.span is not None and job.want_words:
                words = (EngineWord(tones.start, tones.end, tones.span),)
            yield EngineChunk(tones.samples, RATE, words)
        self._note(f"end {job.text}")

    def _look_around(self) -> None:
        """Load as what else has been loaded allows."""
        import psutil

        commands = [child.cmdline() for child in psutil.Process(os.getppid()).children()]
        workers = sum("ttskit.resources.workers" in command for command in commands)
        with open(self._home, "a+", encoding="ascii") as home:  # noqa: PTH123 - as below
            home.write(f"{workers}\n")
            home.seek(0)
            loads = len(home.readlines())
        if self._load == "first" and loads > 1:
            raise ModelLoadError("the weights were moved")
        if self._load == "lonely" and workers > 1:
            raise MemoryError
        while self._load == "first free" and loads > 1:
            time.sleep(0.01)

    def _note(self, line: str) -> None:
        """Append a line to a diary that workers share, where there is one."""
        if self._diary:
            with open(self._diary, "a", encoding="utf-8") as diary:  # noqa: PTH123 - once and again
                diary.write(f"{line}\n")


class Secretive(FakeEngine):
    """Never tells its voices."""

    @override
    def voices(self) -> list[Voice]:
        time.sleep(600)
        return []


class Parallel(FakeEngine):
    concurrent = True


class Hasty(FakeEngine):
    stop_s = 0.3


class Patient(FakeEngine):
    stop_s = 60.0


class Unlisted(FakeEngine):
    @override
    def voices(self) -> list[Voice]:
        return [Voice("one", "", "One", sample_rate=np.int64(RATE))]  # type: ignore[arg-type] # a mistake


class Endless(FakeEngine):
    stop_s = math.inf


def _do(what: str, text: str) -> None:
    if what:
        SWITCHES[what](text)


def _crash(_: str) -> None:
    os._exit(7)


def _kill(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _abort(_: str) -> None:
    os.abort()


def _segfault(_: str) -> None:
    ctypes.string_at(0)


def _freeze(_: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(600)  # another thread may take the signal, and this one go on for a moment


def _loop(_: str) -> None:
    while True:
        pass


def _hold(_: str) -> None:
    ctypes.PyDLL(None).sleep(120)  # unlike CDLL it keeps the GIL


def _leak(_: str) -> None:
    _kept.append(bytearray(b"x" * 20_000_000))


def _hoard(_: str) -> None:
    while True:
        _kept.append(bytearray(b"x" * 20_000_000))


def _print(text: str) -> None:
    print("a progress bar", 100 * "#")  # noqa: T201 - what many an engine does
    os.write(1, b"native code prints, too\n" * 100)
    print(text)  # noqa: T201 - likewise


def _flood(_: str) -> None:
    line = b"complaint " * 100 + b"\n"
    for _i in range(64 * 1024):  # 64 MB
        os.write(2, line)


def _log(text: str) -> None:
    logging.getLogger("some.library").warning("all is not well")
    logging.getLogger("some.library").warning("cannot say %r", text)
    sys.stderr.write(f"no entry for {text.upper()}\n")
    sys.stderr.write("a line without secrets\n")


def _complain(_: str) -> None:
    os.write(2, b"failed to allocate memory, trying with less\n")


def _no_memory(_: str) -> None:
    raise MemoryError


def _no_gpu_memory(_: str) -> None:
    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def _terminate(_: str) -> None:
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def _gpu(_: str) -> None:
    raise RuntimeError("CUDA error: device-side assert triggered\nCUDA kernel errors might be")


def _garbage(_: str) -> None:
    _pipe().write(b"this is no frame" * 10)


def _fuzz(text: str) -> None:
    """Write a frame with some of its bytes changed, in a way that the text decides."""
    draw = random.Random(text)
    kind = draw.choice(list(Kind))
    head = draw.choice([{}, {"id": draw.randrange(9)}, {"id": None, "rate": "x", "error": {}}])
    frame = bytearray(encode(kind, head, 3) + b"abc")
    for _ in range(draw.randrange(4)):
        frame[draw.randrange(len(frame))] = draw.randrange(256)
    _pipe().write(bytes(frame[: draw.randrange(1, len(frame) + 1)]))


def _pipe() -> Replies:
    (pipe,) = (found for found in gc.get_objects() if isinstance(found, Replies))
    return pipe


def _value(text: str) -> None:
    raise ValueError(text)


def _daemon(_: str) -> None:
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
        os._exit(0)


def _endless(_: str) -> None:
    raise GenerationError("not now", retry_after=math.inf)


def _unreadable(text: str) -> None:
    raise UnreadableError(text.encode("utf-16"))


class UnreadableError(RuntimeError):
    """Its words are octets of some other encoding."""

    @override
    def __str__(self) -> str:
        return str(self.args[0], "utf-8")


def _litter(_: str) -> None:
    import subprocess
    import tempfile

    tempfile.mkstemp()
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


SWITCHES: dict[str, Callable[[str], None]] = {
    "crash": _crash,
    "kill": _kill,
    "abort": _abort,
    "segfault": _segfault,
    "freeze": _freeze,
    "loop": _loop,
    "hold": _hold,
    "leak": _leak,
    "hoard": _hoard,
    "print": _print,
    "flood": _flood,
    "log": _log,
    "complain": _complain,
    "no memory": _no_memory,
    "no gpu memory": _no_gpu_memory,
    "terminate": _terminate,
    "gpu": _gpu,
    "garbage": _garbage,
    "fuzz": _fuzz,
    "value": _value,
    "daemon": _daemon,
    "endless": _endless,
    "unreadable": _unreadable,
    "litter": _litter,
}
