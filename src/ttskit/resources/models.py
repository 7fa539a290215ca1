"""Models within a memory budget: loaded when they are wanted, unloaded when others need the room.

Everything here blocks and is called by threads, never by an event loop; what is loaded already is
used without waiting.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ttskit.errors import GPUOutOfMemoryError, OutOfMemoryError, ServiceClosedError
from ttskit.resources.memory import MAIN, Footprint, MemoryAccount
from ttskit.resources.places import Model, Place, State

Tell = Callable[[str, str, Footprint], None]
"""Hears of a model's name, what became of it (``loaded``, ``evicted``, ``idle``) and its size."""


@dataclass(eq=False, slots=True)
class _Waiter:
    place: Place
    is_done: bool = field(default=False)


class Use:
    """One user's hold on a model that is loaded; let go on leaving the block."""

    def __init__(self, models: Models, place: Place) -> None:
        self._models = models
        self._place: Place | None = place

    def __enter__(self) -> Self:
        """Begin the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go."""
        self.end()

    def end(self) -> None:
        """Let go of the model; safe to call again."""
        place, self._place = self._place, None
        if place is not None:
            self._models.left(place)


class Models:
    """All models of a service, and whose turn it is to be in memory.

    A model that is used is never unloaded. Where no idle one makes enough room, the ones least
    recently used take no further jobs, and leave when those they have are done; who waits for room
    is served in the order they came. One model is loaded at a time: its peak is all that can go
    beyond the budget.

    Args:
        account: The budget.
        gpu_budget: Returns the bytes that may be held of a GPU that has so many; None: all of them.
        idle_s: An unused model leaves after so many seconds; None: never for that reason.
        tell: Hears what happens.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        account: MemoryAccount,
        *,
        gpu_budget: Callable[[int], int] | None = None,
        idle_s: float | None = None,
        tell: Tell | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._gpu_budget = gpu_budget
        self._idle_s = idle_s
        self._tell = tell
        self._clock = clock
        # No RLock: loading and unloading let go of it, whoever called.
        self._changed = threading.Condition(threading.Lock())
        self._places: list[Place] = []
        self._waiting: deque[_Waiter] = deque()
        self._loading: Place | None = None
        self._reaper: threading.Thread | None = None
        self._is_closed = False

    @property
    def is_bounded(self) -> bool:
        """Whether there is a budget at all."""
        return self._gpu_budget is not None or self._account.limit(MAIN) is not None

    def place(self, model: Model, *, estimate: Footprint, is_pinned: bool = False) -> Place:
        """Return a place for the model, which is not loaded yet.

        Args:
            model: What is loaded and unloaded.
            estimate: What it is going to take, until that was measured.
            is_pinned: It stays once it is loaded.
        """
        place = Place(model, dict(estimate), is_pinned)
        with self._changed:
            self._places.append(place)
        return place

    def use_now(self, place: Place) -> Use | None:
        """Return a hold on a model that is loaded; None where its load has to be waited for."""
        with self._changed:
            return self._taken(place)

    def use(
        self, place: Place, *, stop: threading.Event | None = None, since: int | None = None
    ) -> Use:
        """Return a hold on the model, loading it when there is room for it.

        Args:
            place: Whose.
            stop: Set, and followed by ``wake``, where the caller does not want it any more.
            since: ``place.loads`` when it was asked for: a load that failed since then is not
                tried again. None: it is asked for now.

        Raises:
            OutOfMemoryError: It does not fit into the budget, whoever leaves.
            ServiceClosedError: The service was closed, or ``stop`` was set.
            TTSError: The model cannot be loaded.
        """
        with self._changed:
            if use := self._taken(place):
                return use
            since = place.loads if since is None else since
            with self._in_line(place) as waiter:
                while True:
                    self._check(place, stop)
                    if use := self._taken(place, waiter):
                        return use
                    if place.failure is not None and place.loads != since:
                        raise place.failure
                    if not place.is_to_be_loaded or not self._is_next(waiter):
                        self._changed.wait()
                    elif self._make_room(place):
                        return self._load(place)

    def wake(self) -> None:
        """Have those who wait look whether they still want to."""
        with self._changed:
            self._changed.notify_all()

    def left(self, place: Place) -> None:
        """One user of the model is done with it; see ``Use``."""
        with self._changed:
            place.users -= 1
            place.departures += 1
            place.used_at = self._clock()
            self._changed.notify_all()
            self._start_reaper(place)

    def note(self, place: Place, footprint: Footprint) -> None:
        """The model was found to take so much by now; nothing at all: it is being restarted."""
        with self._changed:
            if place.state is State.WARM and any(footprint.values()):
                place.footprint = dict(footprint)
                self._account.hold(place, footprint)

    def meet(self, device: str, total: int) -> None:
        """Take note of a GPU and of how many bytes it has."""
        if self._gpu_budget is not None:
            with self._changed:
                self._account.bound(device, self._gpu_budget(total))

    def wait_for_others(
        self,
        place: Place,
        timeout_s: float,
        *,
        on_gpu: bool,
        stop: threading.Event | None = None,
    ) -> bool:
        """Block until somebody else lets go of a model on the same GPU, or in main memory.

        Returns:
            Whether anybody did; at once false where nobody holds one.

        Raises:
            ServiceClosedError: The service was closed, or ``stop`` was set; see ``use``.
        """
        with self._changed:
            self._check(place, stop)
            busy = [one for one in self._neighbours(place, on_gpu=on_gpu) if one.users]
            before = sum(one.departures for one in busy)

            def is_over() -> bool:
                self._check(place, stop)
                return sum(one.departures for one in busy) > before

            return bool(busy) and self._changed.wait_for(is_over, timeout_s)

    def evict_others(self, place: Place, *, on_gpu: bool) -> bool:
        """Unload every idle model on the same GPU, or in main memory.

        Returns:
            Whether there was any.
        """
        was_any = False
        with self._changed:
            for victim in self._neighbours(place, on_gpu=on_gpu):
                # Not looked at in advance: another one's leaving takes time.
                if victim.is_idle and not victim.is_pinned:
                    self._unload(victim, "evicted")
                    was_any = True
        return was_any

    def reload(self, place: Place, *, since: int, stop: threading.Event | None = None) -> None:
        """Load the model anew, for one who holds it: what is there is to go.

        It keeps its room, so that nobody in line has to be waited for.

        Args:
            place: Whose.
            since: ``place.loads`` of what is to go; where it was loaded meanwhile, that will do.
            stop: As for ``use``. Whoever comes next has it loaded anew then.

        Raises:
            ServiceClosedError: The service was closed, or ``stop`` was set.
            TTSError: The model cannot be loaded.
        """
        with self._changed:
            if place.loads == since and place.state is State.WARM:
                place.is_stale = True
                self._changed.notify_all()
                self._start_reaper(place)
            while True:
                self._check(place, stop)
                if place.loads != since and place.failure is not None:
                    raise place.failure
                if self._loading is None and place.is_to_be_loaded:
                    use = self._load(place)
                    break
                if place.state is State.WARM and not place.is_stale:
                    return
                self._changed.wait()
        use.end()

    def close(self) -> None:
        """Let nobody in any more, and unload nothing: whoever owns the models closes them."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def shut(self, place: Place) -> None:
        """Let nobody have this model any more; its owner is about to close it."""
        with self._changed:
            place.is_closed = True
            self._changed.notify_all()

    def remove(self, place: Place) -> None:
        """Forget a model that its owner closed."""
        with self._changed:
            if place in self._places:
                self._places.remove(place)
            place.state, place.is_stale = State.COLD, False
            self._account.let_go(place)
            self._changed.notify_all()

    @contextmanager
    def _in_line(self, place: Place) -> Iterator[_Waiter]:
        waiter = _Waiter(place)
        self._waiting.append(waiter)
        try:
            yield waiter
        finally:
            self._waiting.remove(waiter)
            if not any(one.place is not place for one in self._waiting):
                for one in self._places:
                    one.must_leave = False
            self._changed.notify_all()

    def _taken(self, place: Place, waiter: _Waiter | None = None) -> Use | None:
        if place.state is not State.WARM or place.is_stale:
            return None
        if self._is_closed or place.is_closed:
            return None
        if place.must_leave and not self._is_next(waiter):
            return None
        place.users += 1
        place.used_at = self._clock()
        return Use(self, place)

    def _is_next(self, waiter: _Waiter | None) -> bool:
        return bool(self._waiting) and self._waiting[0] is waiter

    def _check(self, place: Place, stop: threading.Event | None) -> None:
        if self._is_closed or place.is_closed:
            raise ServiceClosedError("the service was shut down")
        if stop is not None and stop.is_set():
            raise ServiceClosedError("nobody waits for the model any more")

    def _make_room(self, place: Place) -> bool:
        """Return whether the model may be loaded now; where not, something changed or is awaited.

        Raises:
            OutOfMemoryError: It can never be.
        """
        if self._loading is not None:
            self._changed.wait()
            return False
        if place.is_stale:
            return True  # it has its room
        self._require_possible(place)
        lacking = self._account.lacking(place.footprint)
        if not lacking:
            return True
        candidates = sorted(
            (one for one in self._places if one.state is State.WARM and not one.is_pinned),
            key=lambda one: (one.users > 0, one.used_at),
        )
        stays: list[float] = []
        for victim in _enough(candidates, lacking, self._account):
            if not victim.users:
                self._unload(victim, "evicted")
                return False
            # It may be of use for as long as its load took: else nothing but loading was done.
            stays.append(victim.loaded_at + victim.load_s - self._clock())
            victim.must_leave = stays[-1] <= 0
        self._changed.wait(min((stay for stay in stays if stay > 0), default=None))
        return False

    def _require_possible(self, place: Place) -> None:
        for device, size in place.footprint.items():
            limit = self._account.limit(device)
            if limit is None:
                continue
            stays = sum(
                self._account.held_by(one).get(device, 0)
                for one in self._places
                if one.is_pinned and one is not place
            )
            if size + stays > limit:
                raise _too_large(place, device, size, limit - stays)

    def _load(self, place: Place) -> Use:
        """Load the model, outside the lock, and return a use of it."""
        fresh = place.is_stale
        place.state, self._loading = State.LOADING, place
        place.is_stale, place.failure = False, None
        self._account.hold(place, place.footprint)
        began = self._clock()
        self._changed.release()
        try:
            footprint = place.model.load(fresh=fresh)
        except BaseException as error:
            self._changed.acquire()
            place.state, self._loading = State.COLD, None
            place.loads += 1
            place.failure = error if isinstance(error, Exception) else None
            self._account.let_go(place)
            self._changed.notify_all()
            raise
        self._changed.acquire()
        place.footprint = dict(footprint)
        place.loads += 1
        place.used_at = self._clock()
        if not fresh:  # or else a model that is loaded anew again and again never left
            place.loaded_at, place.load_s = place.used_at, place.used_at - began
            place.must_leave = False
        place.state, self._loading = State.WARM, None
        place.users += 1  # or else it could be taken for an idle one
        self._account.hold(place, footprint)
        self._told(place, "loaded")
        use = Use(self, place)
        try:
            self._settle(place)
        except BaseException as error:
            place.failure = error if isinstance(error, Exception) else None
            place.users -= 1
            if place.users:
                place.is_stale = True
            else:
                self._unload(place, "evicted")
            raise
        self._changed.notify_all()
        return use

    def _settle(self, place: Place) -> None:
        """Make room for a model that turned out larger than was thought.

        Raises:
            OutOfMemoryError: There is not so much room at all.
        """
        while lacking := self._account.lacking(dict.fromkeys(place.footprint, 0)):
            self._require_possible(place)
            idle = sorted(
                (
                    one
                    for one in self._places
                    if one.is_idle and not one.is_pinned and one is not place
                ),
                key=lambda one: one.used_at,
            )
            victim = next(_enough(idle, lacking, self._account), None)
            if victim is None:
                return  # others are at work; they leave when the next one needs room
            self._unload(victim, "evicted")

    def _unload(self, place: Place, why: str) -> None:
        """Unload an idle model, outside the lock."""
        place.state = State.LEAVING
        self._changed.release()
        try:
            place.model.unload()
        finally:
            self._changed.acquire()
            place.state, place.is_stale = State.COLD, False
            place.must_leave = False
            self._account.let_go(place)
            self._told(place, why)
            self._changed.notify_all()

    def _neighbours(self, place: Place, *, on_gpu: bool) -> list[Place]:
        """Return the models that take memory of the same kind; of all GPUs before its load."""
        others = [one for one in self._places if one is not place and one.state is State.WARM]
        if not on_gpu:
            return others
        own = place.footprint.keys() - {MAIN}
        return [one for one in others if (own & one.footprint.keys() if own else _on_gpu(one))]

    def _told(self, place: Place, what: str) -> None:
        if self._tell is not None:
            self._tell(place.model.name, what, place.footprint)

    def _start_reaper(self, place: Place) -> None:
        if self._reaper is not None or self._is_closed or self._leaves_at(place) is None:
            return
        self._reaper = threading.Thread(target=self._reap, name="ttskit models", daemon=True)
        self._reaper.start()

    def _leaves_at(self, place: Place) -> float | None:
        """Return when the model is to leave as nobody uses it; None: it is not."""
        if place.is_idle and place.is_stale:
            return place.used_at
        if self._idle_s is None or not place.is_idle or place.is_pinned:
            return None
        return place.used_at + self._idle_s

    def _reap(self) -> None:
        """Unload models nobody used for long; ends when there is none to wait for."""
        with self._changed:
            while not self._is_closed:
                leaving = {
                    one: at for one in self._places if (at := self._leaves_at(one)) is not None
                }
                if not leaving:
                    break
                first = min(leaving, key=leaving.__getitem__)
                left = leaving[first] - self._clock()
                if left > 0:
                    self._changed.wait(left)
                else:
                    self._unload(first, "idle")
            self._reaper = None


def _enough(
    candidates: Iterable[Place], lacking: dict[str, int], account: MemoryAccount
) -> Iterator[Place]:
    """Yield those of the candidates whose leaving gives what is lacking, and no more of them."""
    left = dict(lacking)
    for one in candidates:
        held = account.held_by(one)
        if not any(held.get(device) for device, size in left.items() if size > 0):
            continue
        yield one
        left = {device: size - held.get(device, 0) for device, size in left.items()}
        if all(size <= 0 for size in left.values()):
            return


def _on_gpu(place: Place) -> bool:
    return bool(place.footprint.keys() - {MAIN})


def _too_large(place: Place, device: str, size: int, room: int) -> OutOfMemoryError:
    kind = OutOfMemoryError if device == MAIN else GPUOutOfMemoryError
    mib = 2**20
    return kind(
        f"the model of {place.model.name} takes {size / mib:.0f} MiB on {device}, and the budget "
        f"leaves {max(room, 0) / mib:.0f} MiB; raise resources.memory or resources.gpu_memory",
        provider=place.model.name,
    )
