"""The workers of one engine: who gets which job, who is replaced, and when.

Three kinds of threads meet here: callers who ask, each worker's own that bring its answers, and one
that starts processes and looks after them. What they share is held under one lock, for moments.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ttskit.errors import (
    OutOfMemoryError,
    ResourceError,
    ServiceClosedError,
    TTSError,
    WorkerCrashedError,
)
from ttskit.resources.downloads import Hear
from ttskit.resources.engine import JsonValue
from ttskit.resources.workers.call import Job, Question
from ttskit.resources.workers.forms import download_from_plain
from ttskit.resources.workers.policy import Restarts, WorkerPolicy
from ttskit.resources.workers.wire import Frame, FrameError, Kind
from ttskit.resources.workers.worker import State, Worker

if TYPE_CHECKING:
    from ttskit.resources.workers.process import WorkerProcess

TICK_S = 0.25
_BRISK_S = 0.02
"""The same while something is about to end."""
_NEVER = "the service was shut down"
_logger = logging.getLogger("ttskit.worker")


@dataclass(frozen=True, slots=True)
class Plan:
    """How many workers there are, and how one is started."""

    provider: str
    workers: int
    policy: WorkerPolicy
    recipe: Callable[[], Mapping[str, JsonValue]]
    """Returns the first frame that a worker gets."""
    start: Callable[[Worker, Callable[[int, str], None]], WorkerProcess]
    """Starts the process of a worker, which gets its frames; then hears of its end."""
    hear_download: Hear
    """Hears how far the engine's downloads are."""
    is_tight: bool = False
    """There is no memory for a worker beside the one that it replaces: that one leaves first."""


class Crew:
    """All workers of one engine.

    Args:
        plan: What they are like.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._policy = plan.policy
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)
        """Told when a process has ended."""
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._keeper: threading.Thread | None = None
        self._workers: list[Worker] = []
        self._jobs: deque[Job] = deque()
        self._questions: deque[Question] = deque()
        self._wanted = 0
        self._restarts = Restarts(plan.policy)
        self._futile = Restarts(plan.policy)
        """Loads that failed while others worked."""
        self._numbers = 0
        self._is_warm_wanted = False
        """Somebody has spoken, or wanted to: workers that come are loaded at once."""
        self._is_tight = plan.is_tight
        self._is_closed = False
        self._is_abandoned = False
        self._looked = time.monotonic()
        self.ended = threading.Event()
        """Set when it was closed and no process is left."""
        self._at_end: Callable[[], object] = self.ended.set

    @property
    def is_started(self) -> bool:
        """Whether anything was ever asked."""
        return self._keeper is not None

    def prepare(self) -> None:
        """Have a first worker started, which makes the engine and does not load it yet.

        Raises:
            ResourceError: The system gives no thread.
        """
        with self._lock:
            if not self._is_closed:
                self._want(1)

    def submit(self, job: Job) -> None:
        """Queue a job.

        Raises:
            ServiceClosedError: The crew was closed.
            WorkerCrashedError: The engine died too often of late.
            ResourceError: The system gives no thread.
        """
        with self._lock:
            self._check_open()
            self._want(self._plan.workers)
            self._jobs.append(job)
            self._is_warm_wanted = True
            self._dispatch()

    def ask(self, question: Question) -> None:
        """Queue a question.

        Raises:
            ServiceClosedError: The crew was closed.
            WorkerCrashedError: The engine died too often of late.
            ResourceError: The system gives no thread.
        """
        with self._lock:
            self._check_open()
            is_load = question.kind is Kind.LOAD
            self._want(self._plan.workers if is_load else 1)
            self._questions.append(question)
            self._is_warm_wanted = self._is_warm_wanted or is_load
            self._dispatch()

    def cancel(self, job: Job) -> None:
        """Note that nobody listens to the job any more; once it is over, that does nothing."""
        with self._lock:
            if job in self._jobs:
                self._jobs.remove(job)
            elif job.worker is not None:
                job.worker.cancel(job)

    def abandon(self, question: Question) -> None:
        """Note that nobody waits for the answer any more."""
        with self._lock:
            if question in self._questions:
                self._questions.remove(question)

    def rest(self, timeout_s: float) -> None:
        """End the workers once they have done what they have; the next request starts others.

        Blocks until their processes are gone, or for ``timeout_s`` seconds; who has no job that is
        heard is killed then.
        """
        with self._lock:
            leaving = set(self._workers)
            self._wanted, self._is_warm_wanted = 0, False
            for worker in leaving:
                worker.retire()
            if self._jobs or self._questions:
                self._is_warm_wanted = True
                self._want(self._plan.workers)
            self._wake.put(None)
            if not self._left.wait_for(lambda: leaving.isdisjoint(self._workers), timeout_s):
                stuck = {
                    worker for worker in leaving.intersection(self._workers) if not worker.is_busy
                }
                for worker in stuck:
                    worker.end("it did not leave")
                self._left.wait_for(lambda: stuck.isdisjoint(self._workers), timeout_s)

    def taken(self) -> tuple[int, Mapping[str, tuple[int, int]]]:
        """Return what all workers together take when they are loaded, judging by those that are.

        Returns:
            Bytes of main memory; and of each GPU those that are held, and all that it has.
        """
        with self._lock:
            ready = [worker for worker in self._workers if worker.state is State.READY]
        count = self._plan.workers
        main = max((worker.size() for worker in ready), default=0)
        gpu: dict[str, tuple[int, int]] = {}
        for worker in ready:
            for device, (held, total) in worker.gpu.items():
                gpu[device] = (max(held * count, gpu.get(device, (0, 0))[0]), total)
        return main * count, gpu

    def close(self, *, at_once: bool = False) -> bool:
        """End everything; return False where it was closed before.

        Args:
            at_once: Kill the workers, in place of asking them to leave.
        """
        with self._lock:
            if self._is_closed:
                return False
            self._is_closed = True
            self._fail_waiting(ServiceClosedError(_NEVER, provider=self._plan.provider))
            for worker in self._workers:
                for job in worker.jobs.values():
                    job.fail(ServiceClosedError(_NEVER, provider=self._plan.provider))
                worker.fail_questions(ServiceClosedError(_NEVER, provider=self._plan.provider))
                worker.end(_NEVER) if at_once else worker.leave()
            if self._keeper is None:
                self.ended.set()
        self._wake.put(None)
        return True

    def close_soon(self) -> None:
        """Have the workers killed by the crew's own thread; safe in a finaliser."""
        self._is_abandoned = True
        self._wake.put(None)

    def _check_open(self) -> None:
        if self._is_closed:
            raise ServiceClosedError(_NEVER, provider=self._plan.provider)
        now = time.monotonic()
        if not self._workers and self._restarts.is_spent(now):
            raise self._too_often(now)

    def _too_often(self, now: float) -> WorkerCrashedError:
        return WorkerCrashedError(
            f"the engine's process died {self._policy.restarts} times within "
            f"{self._policy.restart_window_s:g} s and is left alone for a while",
            provider=self._plan.provider,
            retry_after=self._restarts.wait(now),
        )

    def _want(self, workers: int) -> None:
        """See to it that there are workers; the first is started before any other."""
        if self._keeper is None:
            self._looked = time.monotonic()
            name = f"ttskit {self._plan.provider} keeper"
            keeper = threading.Thread(target=self._keep, name=name, daemon=True)
            try:
                keeper.start()
            except RuntimeError as error:
                problem = "no thread can be started for the engine's processes"
                raise ResourceError(problem, provider=self._plan.provider, cause=error) from error
            self._keeper = keeper
        self._wanted = max(self._wanted, workers)
        if len(self._active()) < self._wanted:
            self._wake.put(None)

    def _active(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.stays]

    def _dispatch(self) -> None:
        """Give what waits to those who can take it."""
        self._dispatch_questions()
        held: set[str] = set()
        left: deque[Job] = deque()
        for job in self._jobs:
            worker = None if job.lane in held else self._worker_for(job)
            if worker is not None:
                worker.take(job)
                continue
            left.append(job)
            if job.lane is not None:
                held.add(job.lane)
        self._jobs = left
        if left:
            for worker in self._workers:
                worker.load()

    def _dispatch_questions(self) -> None:
        self._questions = deque(
            question
            for question in self._questions
            if not any(worker.answers(question) for worker in self._workers)
        )

    def _worker_for(self, job: Job) -> Worker | None:
        ready = [worker for worker in self._workers if worker.state is State.READY]
        if job.lane is not None:
            for worker in self._workers:
                if worker.has_lane(job.lane):
                    return worker if worker in ready and worker.room(ahead=1) else None
        if not ready:
            return None
        freest = min(ready, key=lambda worker: len(worker.jobs) / worker.capacity)
        # With several workers a job that waits here goes to whoever is free first.
        ahead = 1 if self._plan.workers == 1 else 0
        return freest if freest.room(ahead=ahead) else None

    def _heard(self, worker: Worker, frame: Frame) -> None:
        """Take a frame, in the worker's own thread."""
        worker.silence = 0.0
        if frame.kind is Kind.BEAT:
            return
        if frame.kind is Kind.AUDIO:
            worker.audio(frame)
            return
        if frame.kind is Kind.LOG:
            worker.log(frame)
            return
        if frame.kind is Kind.DOWNLOAD:
            self._plan.hear_download(download_from_plain(frame.head))
            return
        with self._lock:
            self._note(worker, frame)
            if not self._is_closed:
                self._dispatch()

    def _note(self, worker: Worker, frame: Frame) -> None:
        match frame.kind:
            case Kind.MADE:
                error = worker.made(frame, load=self._is_warm_wanted)
                if error is not None:
                    self._cannot_load(worker, error)
            case Kind.BEGUN:
                worker.begun(frame)
            case Kind.DONE:
                self._done(worker, frame)
            case Kind.RELIEF:
                worker.relief(frame)
            case Kind.FAILED:
                self._failed(worker, frame)
            case _:
                raise FrameError(f"{frame.kind.name} is no answer")

    def _done(self, worker: Worker, frame: Frame) -> None:
        was_loading = worker.state is State.LOADING
        worker.done(frame)
        if was_loading and worker.state is State.READY:
            self._relieve()
            self._wake.put(None)
        if worker.finished >= self._policy.jobs:
            worker.is_tired = True
            self._wake.put(None)

    def _failed(self, worker: Worker, frame: Frame) -> None:
        error = worker.failed(frame)
        if error is not None:
            self._cannot_load(worker, error)

    def _cannot_load(self, worker: Worker, error: TTSError) -> None:
        """Tell those who wait, unless others can work."""
        worker.end("it could not be loaded")
        worker.is_expected = True
        others = [other for other in self._workers if other.can_work]
        self._wanted = len(others)
        if not others:
            self._is_warm_wanted = False
            worker.fail_questions(error)
            self._fail_waiting(error)
            return
        self._futile.note(time.monotonic())
        if isinstance(error, OutOfMemoryError) and not self._is_tight:
            self._is_tight = True  # the keeper lets a tired one go, whose memory may do
            return
        for other in others:
            if other.is_tired:
                other.carry_on()

    def _relieve(self) -> None:
        """Let a tired worker go: a fresh one is ready, or must wait for its memory."""
        for worker in self._workers:
            if worker.is_tired and worker.state is State.READY:
                worker.retire()
                return

    def _fail_waiting(self, error: TTSError) -> None:
        while self._jobs:
            self._jobs.popleft().fail(error)
        while self._questions:
            self._questions.popleft().fail(error)

    def _over(self, worker: Worker, code: int, reason: str) -> None:
        """Take note of a worker's end, in its last thread."""
        worker.reason = worker.reason or reason
        worker.murmur.close()
        with self._lock:
            self._workers.remove(worker)
            is_expected = worker.is_expected or self._is_closed
            if not is_expected:
                self._restarts.note(time.monotonic())
            self._resend(worker, code)
            self._left.notify_all()
            if not self._is_closed:
                self._give_up_if_spent()
                if self._jobs or self._questions:
                    self._want(1)
                self._dispatch()
        self._wake.put(None)
        if not is_expected:  # without the lock: the application's handlers may take their time
            how = worker.how(code)
            _logger.warning("%s: the engine's process ended: %s", self._plan.provider, how)

    def _give_up_if_spent(self) -> None:
        now = time.monotonic()
        if not self._workers and self._restarts.is_spent(now):
            self._wanted = 0
            self._fail_waiting(self._too_often(now))

    def _resend(self, worker: Worker, code: int) -> None:
        """Queue again what the worker was asked and nothing was heard of; in front, in order."""
        no_memory = worker.murmur.found_no_memory
        for job in reversed(worker.jobs.values()):
            job.worker = None
            if job.is_over:
                continue
            if job.may_be_sent_again(no_memory=no_memory) and not self._is_closed:
                self._jobs.appendleft(job.again())
            else:
                job.fail(worker.death(code))
        for question in worker.questions.values():
            if question.may_be_sent_again() and not self._is_closed:
                self._questions.appendleft(question)
            else:
                question.fail(worker.death(code))

    def _keep(self) -> None:
        """Start workers and look after them, for as long as the crew is there."""
        while True:
            with self._lock:
                pause = self._pause()
            with suppress(queue.Empty):
                self._wake.get(timeout=pause)
            if self._is_abandoned:
                self.close(at_once=True)
            with self._lock:
                self._look()
                fresh = self._next_worker()
                is_over = self._is_closed and not self._workers
            if fresh is not None:
                self._start(fresh)
            if is_over:
                self._at_end()
                return

    def at_end(self, callback: Callable[[], object]) -> None:
        """Have something called when it was closed and no process is left."""

        def both() -> None:
            self.ended.set()
            callback()

        with self._lock:
            self._at_end = both
            is_over = self.ended.is_set()
        if is_over:
            callback()

    def _pause(self) -> float | None:
        """Return the seconds until the next look; None where nothing can happen by itself."""
        if any(worker.is_ending for worker in self._workers):
            return _BRISK_S
        if self._workers:
            return TICK_S
        if self._wanted:
            return max(_BRISK_S, min(TICK_S, self._restarts.wait(time.monotonic())))
        return None

    def _look(self) -> None:
        now = time.monotonic()
        # Where this process itself was stopped, nobody else was silent.
        passed = min(now - self._looked, 2 * TICK_S)
        self._looked = now
        for worker in self._workers:
            worker.look(passed)
        if self._is_tight and all(worker.state is State.READY for worker in self._workers):
            self._relieve()

    def _next_worker(self) -> Worker | None:
        """Return a worker to be started now, if there is to be one."""
        active = self._active()
        there = self._workers if self._is_tight else active
        if self._is_closed or len(there) >= self._wanted or any(w.is_starting for w in active):
            return None
        now = time.monotonic()
        if self._restarts.wait(now) > 0 or (active and self._futile.wait(now) > 0):
            return None
        self._numbers += 1
        worker = Worker(self._numbers, self._plan.provider, self._policy, heard=self._heard)
        self._workers.append(worker)
        return worker

    def _start(self, worker: Worker) -> None:
        try:
            process = self._plan.start(worker, partial(self._over, worker))
        except OSError as error:
            self._over(worker, 1, f"it could not be started ({type(error).__name__})")
            return
        with self._lock:
            worker.attach(process)
            if self._is_closed:
                worker.end(_NEVER)
        process.send(Kind.RECIPE, self._plan.recipe())  # only now: the answer finds it attached
