"""One worker of a crew: what state it is in, and what it was given to do."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING

import psutil

from ttskit.errors import GenerationError, OutOfMemoryError, TTSError, WorkerCrashedError
from ttskit.resources.engine import JsonValue
from ttskit.resources.workers.call import Job, Question
from ttskit.resources.workers.forms import (
    audio_from_plain,
    error_from_plain,
    gpu_from_plain,
    job_to_plain,
    jobs_from_plain,
    rung_from_plain,
)
from ttskit.resources.workers.murmur import Murmur
from ttskit.resources.workers.policy import WorkerPolicy
from ttskit.resources.workers.wire import Frame, FrameError, Kind

if TYPE_CHECKING:
    from ttskit.resources.workers.process import WorkerProcess

_LOAD = 0
"""The number of the only load; jobs and questions count from 1."""
_MEASURE_S = 1.0
_REMEMBERED = 16
"""Jobs that ended of late: their text may still turn up in what the worker writes."""


class State(Enum):
    """How far a worker is."""

    STARTING = auto()
    MADE = auto()
    """It answers questions; the engine is not loaded."""
    LOADING = auto()
    READY = auto()
    RETIRING = auto()
    """It finishes what it has."""
    LEAVING = auto()
    """It was told to exit."""
    ENDING = auto()
    """It was killed."""


_STAYING = (State.STARTING, State.MADE, State.LOADING, State.READY)


class Worker:
    """The application's view of one worker. Its crew's lock is held wherever nothing else is said.

    Args:
        number: Of this worker, within its crew.
        provider: The configured name.
        policy: When it has done enough, and when it hangs.
        heard: Takes its frames.
    """

    def __init__(
        self,
        number: int,
        provider: str,
        policy: WorkerPolicy,
        *,
        heard: Callable[[Worker, Frame], None],
    ) -> None:
        self.number = number
        self.state = State.STARTING
        self.jobs: dict[int, Job] = {}
        self.questions: dict[int, Question] = {}
        self.capacity = 1
        self.finished = 0
        self.silence = 0.0
        """Seconds in which nothing came."""
        self.is_tired = False
        """It is to be replaced."""
        self.is_expected = False
        """That it ends is no failure."""
        self.reason = ""
        """Why we ended it."""
        self.error: TTSError | None = None
        """What its engine said before it had to be ended."""
        self.murmur = Murmur(provider, texts=self._texts, request=self._request)
        self._provider = provider
        self._policy = policy
        self._heard = heard
        self._process: WorkerProcess | None = None
        self._pid = 0
        self._stop_s = 2.0
        self._calls = _LOAD
        self._left = 0.0
        self._unmeasured = 0.0
        self._warm: int | None = None
        self._size: int | None = None
        self.gpu: Mapping[str, tuple[int, int]] = {}
        """Bytes by device that it held, and that there were, when it last ended something."""
        self._recent: deque[str] = deque(maxlen=_REMEMBERED)

    @property
    def stays(self) -> bool:
        """Whether it counts as one of those that are wanted."""
        return self.can_work and not self.is_tired

    @property
    def can_work(self) -> bool:
        """Whether it takes jobs, or is going to; even one that is to be replaced does."""
        return self.state in _STAYING

    @property
    def is_busy(self) -> bool:
        """Whether it has a job that somebody listens to."""
        return any(not job.is_over for job in self.jobs.values())

    @property
    def is_starting(self) -> bool:
        """Whether it is on its way to be of use."""
        return self.state in (State.STARTING, State.LOADING)

    @property
    def is_ending(self) -> bool:
        """Whether it was told to go."""
        return self.state in (State.LEAVING, State.ENDING)

    def attach(self, process: WorkerProcess) -> None:
        """Note the process, which has just been started."""
        self._process = process
        if self.state is State.ENDING:
            process.kill()

    def heard(self, frame: Frame) -> None:
        """Take a frame; without the lock."""
        self._heard(self, frame)

    def room(self, *, ahead: int) -> bool:
        """Whether it may be given a further job, with so many beyond those it works at."""
        return len(self.jobs) < self.capacity + ahead

    def has_lane(self, lane: str) -> bool:
        """Whether it has a job of this lane."""
        return any(job.lane == lane for job in self.jobs.values())

    def take(self, job: Job) -> None:
        """Send the job."""
        job.number = self._number()
        job.worker = self
        job.is_begun, job.overdue = False, 0.0
        self.jobs[job.number] = job  # first: what the worker writes may quote it at once
        try:
            self._send(Kind.JOB, {"id": job.number, "job": job_to_plain(job.job)})
        except FrameError:
            del self.jobs[job.number]
            job.worker = None
            job.fail(GenerationError("the job is no plain data", provider=self._provider))

    def answers(self, question: Question) -> bool:
        """Send the question, if it can be answered now; return whether it was."""
        if question.kind is Kind.LOAD:
            self.load()
            if self.state is State.READY:
                question.answer(None)
            return self.state is State.READY
        if self.state not in _STAYING or self.state is State.STARTING:
            return False
        number = self._number()
        self.questions[number] = question
        self._send(question.kind, {"id": number})
        return True

    def load(self) -> None:
        """Have the engine loaded, unless it is."""
        if self.state is State.MADE:
            self.state = State.LOADING
            self._send(Kind.LOAD, {"id": _LOAD})

    def credit(self, job: Job, size: int) -> None:
        """Tell that so much of a job's audio was taken; without the lock."""
        if self.jobs.get(job.number) is job:
            self._send(Kind.CREDIT, {"id": job.number, "size": size})

    def cancel(self, job: Job) -> None:
        """Have the engine stop."""
        if job.number in self.jobs and not job.is_over:
            job.is_over = True
            self._send(Kind.CANCEL, {"id": job.number})
            self._leave_if_done()

    def audio(self, frame: Frame) -> None:
        """Hand over a part of a job's audio; without the lock."""
        chunk = audio_from_plain(frame)
        job = self.jobs.get(frame.number("id"))
        if job is not None and not job.is_over:
            job.offer(chunk)

    def log(self, frame: Frame) -> None:
        """Log a record of the worker's; without the lock."""
        head = frame.head
        words = (str(head.get(name, "")) for name in ("logger", "message", "request"))
        self.murmur.record(frame.number("level"), *words)

    def made(self, frame: Frame, *, load: bool) -> TTSError | None:
        """Take note that the engine was made, or return why it was not."""
        if self.state is not State.STARTING:
            return None
        if "error" in frame.head:
            return error_from_plain(frame.mapping("error"), self._provider)
        self._pid = frame.number("pid")
        stop_s = frame.head.get("stop_s")
        self._stop_s = stop_s if isinstance(stop_s, float) else self._stop_s
        self.state = State.MADE
        if load:
            self.load()
        return None

    def begun(self, frame: Frame) -> None:
        """Take note that the engine works at a job."""
        job = self.jobs.get(frame.number("id"))
        if job is not None:
            job.is_begun = True

    def relief(self, frame: Frame) -> None:
        """Take note of what was done about too little memory for a job."""
        job = self.jobs.get(frame.number("id"))
        if job is not None:
            job.relieved(rung_from_plain(frame.head.get("rung")))

    def done(self, frame: Frame) -> None:
        """Take note that a load, a job or a question ended well."""
        number = frame.number("id")
        self.gpu = gpu_from_plain(frame.head.get("gpu"))
        if number == _LOAD and self.state is State.LOADING:
            self.capacity = jobs_from_plain(frame.head.get("answer"))
            self.state = State.READY
            self.murmur.found_no_memory = False  # it did not die of it
        elif (question := self.questions.get(number)) is not None:
            question.answer(frame.head.get("answer"))
            del self.questions[number]  # only now: an answer that makes no sense is none
        elif (job := self._ended(number)) is not None:
            self.murmur.found_no_memory = False  # it did not die of it
            if not job.is_over:
                job.finish()
        self._leave_if_done()

    def failed(self, frame: Frame) -> TTSError | None:
        """Take note of a failure; return the error where the engine cannot be loaded."""
        number = frame.number("id")
        error = error_from_plain(frame.mapping("error"), self._provider)
        if number == _LOAD:
            return error
        if frame.head.get("broken") is True:
            self.error = error
            self.end("its GPU can do no more in this process")
        elif (question := self.questions.pop(number, None)) is not None:
            question.fail(error)
        elif (job := self._ended(number)) is not None and not job.is_over:
            job.fail(error)
        self._leave_if_done()
        return None

    def retire(self) -> None:
        """Let it finish what somebody waits for, and go, unless it does so already."""
        if self.can_work:
            self.state = State.RETIRING
            self.is_expected = True
            self._leave_if_done()

    def carry_on(self) -> None:
        """Let it do as much again before it is replaced."""
        self.is_tired, self.finished, self._warm = False, 0, None

    def leave(self) -> None:
        """Tell it to stop everything and exit."""
        if self.state in (State.LEAVING, State.ENDING):
            return
        self.is_expected = True
        if self._process is None:
            self.state = State.ENDING
            return
        self.state = State.LEAVING
        self._send(Kind.STOP, {})

    def end(self, reason: str) -> None:
        """Kill it."""
        self.reason = self.reason or reason
        self.state = State.ENDING
        if self._process is not None:
            self._process.kill()

    def fail_questions(self, error: TTSError) -> None:
        """Tell those who wait for an answer that none comes."""
        while self.questions:
            self.questions.popitem()[1].fail(error)

    def how(self, code: int) -> str:
        """Return in words why its process ended, which left this exit code."""
        return self.reason or _told(code)

    def death(self, code: int) -> TTSError:
        """Return the error of those who were not answered when it ended."""
        if self.error is not None:
            return self.error
        if self.murmur.found_no_memory and not self.reason:
            problem = "the engine's process died for want of memory"
            return OutOfMemoryError(problem, provider=self._provider)
        problem = f"the engine's process died: {self.how(code)}"
        return WorkerCrashedError(problem, provider=self._provider)

    def look(self, passed: float) -> None:
        """See after so many seconds whether it lives, stops, grows and goes as it should."""
        self.silence += passed
        if self.state is State.LEAVING:
            self._hurry(passed)
        elif self.state is not State.ENDING:
            self._check_silence()
            self._check_cancelled(passed)
            self._measure(passed)

    def _hurry(self, passed: float) -> None:
        before, self._left = self._left, self._left + passed
        leave_s, kill_s = self._policy.leave_s, self._policy.leave_s + self._policy.terminate_s
        if self._process is None:
            return
        if self._left >= kill_s:
            self.end("it did not leave")
        elif before < leave_s <= self._left:
            self._process.terminate()

    def _check_silence(self) -> None:
        works = self.state in (State.READY, State.RETIRING)
        limit = self._policy.silence_s if works else self._policy.loading_silence_s
        if self.silence >= limit:
            self.end(f"it gave no sign of life for {limit:g} s")

    def _check_cancelled(self, passed: float) -> None:
        for job in self.jobs.values():
            if job.is_over and job.is_begun:
                job.overdue += passed
                if job.overdue >= self._stop_s:
                    self.is_expected = True  # whoever cancels a lot has not made it die often
                    self.end(f"it did not stop within {self._stop_s:g} s")
                    return

    def _measure(self, passed: float) -> None:
        self._unmeasured += passed
        if self.state is not State.READY or not self.finished or self._unmeasured < _MEASURE_S:
            return
        self._unmeasured = 0.0
        if self._process is None or self.is_tired:
            return
        with suppress(psutil.Error):  # it is gone; its own thread tells
            self._size = self._resident(self._process)
            self._warm = self._size if self._warm is None else self._warm
            self.is_tired = self._size > self._warm + self._policy.growth

    def size(self) -> int:
        """Return the bytes of main memory that it takes, as measured a moment ago."""
        if self._size is None and self._process is not None:
            with suppress(psutil.Error):  # it is gone
                self._size = self._resident(self._process)
        return self._size or 0

    def _resident(self, process: WorkerProcess) -> int:
        """Return the bytes of main memory that it takes now.

        In a virtual environment on Windows what was started is a launcher, and the interpreter a
        child of it. Source: CPython 3.11, ``PC/launcher.c``.
        """
        seen = psutil.Process(process.pid)
        if self._pid not in (0, process.pid):
            with suppress(psutil.NoSuchProcess):
                told = psutil.Process(self._pid)
                seen = told if told.ppid() == process.pid else seen
        return int(seen.memory_info().rss)

    def _ended(self, number: int) -> Job | None:
        job = self.jobs.get(number)
        if job is not None:
            self._recent.append(job.job.text)  # first: at no moment is it in neither
            del self.jobs[number]
            job.worker = None
            self.finished += 1
        return job

    def _leave_if_done(self) -> None:
        if self.state is State.RETIRING and not self.is_busy and not self.questions:
            self.leave()

    def _number(self) -> int:
        self._calls += 1
        return self._calls

    def _send(self, kind: Kind, head: Mapping[str, JsonValue]) -> None:
        if self._process is not None:
            self._process.send(kind, head)

    def _texts(self) -> Iterator[str]:
        for job in tuple(self.jobs.values()):
            yield job.job.text
        yield from tuple(self._recent)

    def _request(self) -> str:
        """Return the id of the only job at work, for lines that do not say whose they are."""
        at_work = [job.job.request_id for job in list(self.jobs.values()) if job.is_begun]
        return at_work[0] if len(at_work) == 1 else ""


def _told(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
