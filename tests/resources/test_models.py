from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.resources.workers.conftest import wait_until
from ttskit.errors import (
    GPUOutOfMemoryError,
    ModelLoadError,
    OutOfMemoryError,
    ServiceClosedError,
)
from ttskit.resources.memory import MAIN, Footprint, MemoryAccount
from ttskit.resources.models import Models, Use
from ttskit.resources.places import Place

MIB = 2**20
SIZE = 100 * MIB


class Memory:
    """The memory that weights really take, and whether anybody lost them while at work."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.lock = threading.Lock()
        self.loaded: dict[str, int] = {}
        self.users: dict[str, int] = {}
        self.highest = 0
        self.faults: list[str] = []

    def load(self, name: str, size: int) -> None:
        with self.lock:
            self.loaded[name] = size
            self.highest = max(self.highest, sum(self.loaded.values()))

    def unload(self, name: str) -> None:
        with self.lock:
            if self.users.get(name):
                self.faults.append(f"{name} was unloaded under its users")
            del self.loaded[name]

    @contextmanager
    def work(self, name: str) -> Iterator[None]:
        with self.lock:
            if name not in self.loaded:
                self.faults.append(f"{name} was used without its weights")
            self.users[name] = self.users.get(name, 0) + 1
        try:
            yield
        finally:
            with self.lock:
                self.users[name] -= 1


class Weights:
    def __init__(self, memory: Memory, name: str, size: int = SIZE) -> None:
        self.memory = memory
        self.name = name
        self.size = size
        self.loads = 0
        self.failures: list[Exception] = []
        self.gpu: str | None = None
        self.unloaded = threading.Event()
        self.on_load: Callable[[], object] = lambda: None
        self.on_unload: Callable[[], object] = lambda: None

    def load(self, *, fresh: bool) -> Footprint:
        self.loads += 1
        if fresh:
            self.memory.unload(self.name)
        self.on_load()
        if self.failures:
            raise self.failures.pop(0)
        self.memory.load(self.name, self.size)
        self.unloaded.clear()
        return {MAIN: self.size} | ({self.gpu: 1} if self.gpu else {})

    def unload(self) -> None:
        self.on_unload()
        self.memory.unload(self.name)
        self.unloaded.set()


class House:
    """Some models, and room for ``room`` of them."""

    def __init__(self, names: str, *, room: int, idle_s: float | None = None) -> None:
        self.memory = Memory(room * SIZE)
        self.account = MemoryAccount({MAIN: room * SIZE})
        self.told: list[tuple[str, str]] = []
        self.models = Models(
            self.account,
            gpu_budget=lambda total: total // 2,
            idle_s=idle_s,
            tell=lambda name, what, _: self.told.append((name, what)),
        )
        self.weights = {name: Weights(self.memory, name) for name in names}
        self.places = {name: self.add(one) for name, one in self.weights.items()}

    def add(self, weights: Weights, *, estimate: int = SIZE, is_pinned: bool = False) -> Place:
        return self.models.place(weights, estimate={MAIN: estimate}, is_pinned=is_pinned)

    def use(self, name: str) -> None:
        with self.models.use(self.places[name]), self.memory.work(name):
            pass

    def reload(self, name: str) -> None:
        place = self.places[name]
        with self.models.use(place):
            self.models.reload(place, since=place.loads)


def test_requests_at_the_same_time_share_one_load() -> None:
    house = House("a", room=1)
    everyone = threading.Barrier(8)

    def use(_: int) -> None:
        everyone.wait()
        house.use("a")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))
    assert house.weights["a"].loads == 1


def test_a_model_that_is_loaded_is_used_without_waiting() -> None:
    house = House("a", room=1)
    assert house.models.use_now(house.places["a"]) is None
    house.use("a")
    use = house.models.use_now(house.places["a"])
    assert use is not None
    use.end()
    use.end()
    assert house.places["a"].users == 0


def test_the_least_recently_used_one_makes_room() -> None:
    house = House("abc", room=2)
    for name in "abac":
        house.use(name)
    assert house.memory.loaded.keys() == {"a", "c"}
    assert house.told == [("a", "loaded"), ("b", "loaded"), ("b", "evicted"), ("c", "loaded")]


def test_a_pinned_one_stays() -> None:
    house = House("bc", room=2)
    pinned = Weights(house.memory, "a")
    house.places["a"] = house.add(pinned, is_pinned=True)
    for name in "abcbc":
        house.use(name)
    assert pinned.loads == 1
    assert "a" in house.memory.loaded


def test_five_models_take_turns_in_the_room_of_two() -> None:
    house = House("abcde", room=2)
    turns = list("abcde" * 40)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(house.use, turns))
    assert house.memory.faults == []
    assert house.memory.highest <= house.memory.limit


def test_one_that_is_always_busy_gives_way_to_who_waits() -> None:
    house = House("ab", room=1)
    is_over = threading.Event()
    overlapping = threading.Barrier(2)

    def keep_busy(_: int) -> int:
        turns = 0
        with house.models.use(house.places["a"]):
            overlapping.wait()
        while not is_over.is_set():
            with house.models.use(house.places["a"]), house.memory.work("a"):
                turns += 1
        return turns

    with ThreadPoolExecutor(3) as pool:
        busy = [pool.submit(keep_busy, number) for number in range(2)]
        pool.submit(house.use, "b").result(timeout=60)
        is_over.set()
        assert all(one.result(timeout=60) > 0 for one in busy)
    assert house.memory.faults == []


def test_what_can_never_fit_is_refused_at_once() -> None:
    house = House("a", room=1)
    large = house.add(Weights(house.memory, "large"), estimate=SIZE + MIB)
    with pytest.raises(OutOfMemoryError, match="takes 101 MiB on cpu, and the budget leaves 100"):
        house.models.use(large)
    house.use("a")
    gpu = house.models.place(Weights(house.memory, "gpu"), estimate={"cuda:0": 9})
    house.models.meet("cuda:0", 16)
    with pytest.raises(GPUOutOfMemoryError, match="cuda:0"):
        house.models.use(gpu)


def test_what_turns_out_larger_than_thought_makes_others_leave() -> None:
    house = House("ab", room=2)
    house.use("a")
    house.weights["b"].size = SIZE + MIB
    house.use("b")
    assert house.memory.loaded.keys() == {"b"}
    house.use("a")
    assert house.memory.loaded.keys() == {"a"}


def test_what_turns_out_too_large_is_unloaded_and_refused() -> None:
    house = House("a", room=1)
    house.weights["a"].size = 2 * SIZE
    with pytest.raises(OutOfMemoryError, match="takes 200 MiB"):
        house.use("a")
    assert not house.memory.loaded


def test_a_load_that_failed_is_tried_again_by_the_next_one() -> None:
    house = House("ab", room=1)
    house.weights["a"].failures = [ModelLoadError("no such file")]
    with pytest.raises(ModelLoadError):
        house.use("a")
    house.use("b")
    house.use("a")
    assert house.weights["a"].loads == 2


def test_whoever_waits_for_a_load_that_fails_is_told_why() -> None:
    house = House("a", room=1)
    house.weights["a"].failures = [ModelLoadError("no such file")] * 4
    everyone = threading.Barrier(4)

    def use(_: int) -> str:
        everyone.wait()
        try:
            house.use("a")
        except ModelLoadError as error:
            return error.message
        return "loaded"

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(use, range(4))) == {"no such file"}


def test_a_model_nobody_uses_leaves_after_a_while() -> None:
    house = House("a", room=1, idle_s=0.0)
    house.use("a")
    assert house.weights["a"].unloaded.wait(30)
    house.use("a")
    assert house.weights["a"].loads == 2


def test_who_does_not_want_the_model_any_more_leaves_the_line() -> None:
    house = House("ab", room=1)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with house.models.use(house.places["a"]):
            waiting = pool.submit(house.models.use, house.places["b"], stop=stop)
            stop.set()
            house.models.wake()
            with pytest.raises(ServiceClosedError):
                waiting.result(timeout=30)
        house.use("a")
    assert house.weights["b"].loads == 0


def test_closing_lets_nobody_wait_for_ever() -> None:
    house = House("ab", room=1)
    with ThreadPoolExecutor(1) as pool, house.models.use(house.places["a"]):
        waiting = pool.submit(house.models.use, house.places["b"])
        house.models.close()
        with pytest.raises(ServiceClosedError):
            waiting.result(timeout=30)


def test_a_model_that_is_closed_is_nobodys_any_more() -> None:
    house = House("ab", room=1)
    with ThreadPoolExecutor(1) as pool:
        with house.models.use(house.places["b"]):
            waiting = pool.submit(house.models.use, house.places["a"])
            house.models.shut(house.places["a"])
            with pytest.raises(ServiceClosedError):
                waiting.result(timeout=30)
        house.use("b")
    house.models.remove(house.places["a"])


def test_idle_models_of_the_same_device_can_be_made_to_leave() -> None:
    house = House("abc", room=3)
    for name in "abc":
        house.use(name)
    with house.models.use(house.places["b"]):
        assert house.models.evict_others(house.places["a"], on_gpu=False)
        assert house.memory.loaded.keys() == {"a", "b"}
        assert not house.models.evict_others(house.places["a"], on_gpu=False)


def test_who_lacks_memory_of_a_gpu_lets_models_in_main_memory_be() -> None:
    house = House("abc", room=3)
    house.weights["b"].gpu = "cuda:0"
    house.weights["c"].gpu = "cuda:1"
    for name in "abc":
        house.use(name)
    assert house.models.evict_others(house.places["b"], on_gpu=True) is False
    house.weights["a"].gpu = "cuda:1"
    house.reload("a")
    assert house.models.evict_others(house.places["a"], on_gpu=True)
    assert house.memory.loaded.keys() == {"a", "b"}


def test_waiting_for_another_holder_ends_when_one_is_done() -> None:
    house = House("ab", room=2)
    house.use("a")
    assert not house.models.wait_for_others(house.places["a"], 30, on_gpu=False)
    with ThreadPoolExecutor(1) as pool:
        use = house.models.use(house.places["b"])
        waiting = pool.submit(house.models.wait_for_others, house.places["a"], 30, on_gpu=False)
        use.end()
        waiting.result(timeout=60)


def test_waiting_ends_when_one_of_many_holders_is_done() -> None:
    house = House("ab", room=2)
    house.use("a")
    over = time.monotonic() + 20
    with ThreadPoolExecutor(1) as pool, house.models.use(house.places["b"]):
        waiting = pool.submit(house.models.wait_for_others, house.places["a"], 30, on_gpu=False)
        while not waiting.done() and time.monotonic() < over:
            house.use("b")
        assert waiting.done()
        assert waiting.result()


def test_who_does_not_want_to_wait_for_others_any_more_goes() -> None:
    house = House("ab", room=2)
    house.use("a")
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool, house.models.use(house.places["b"]):
        waiting = pool.submit(
            house.models.wait_for_others, house.places["a"], 30, on_gpu=False, stop=stop
        )
        stop.set()
        house.models.wake()
        with pytest.raises(ServiceClosedError):
            waiting.result(timeout=20)


def test_one_that_gets_a_user_while_another_leaves_is_let_be() -> None:
    house = House("abc", room=3)
    for name in "abc":
        house.use(name)
    uses: list[Use | None] = []
    house.weights["b"].on_unload = lambda: uses.append(house.models.use_now(house.places["c"]))
    assert house.models.evict_others(house.places["a"], on_gpu=False)
    assert house.memory.loaded.keys() == {"a", "c"}
    assert uses[0] is not None


def test_one_that_is_loaded_anew_keeps_its_room_from_those_who_wait() -> None:
    house = House("ab", room=1)
    is_waiting = threading.Event()
    house.weights["b"].on_load = lambda: house.memory.faults.extend(house.memory.loaded)

    def use_b() -> None:
        is_waiting.set()
        house.use("b")

    with ThreadPoolExecutor(1) as pool:
        with house.models.use(house.places["a"]), house.memory.work("a"):
            waiting = pool.submit(use_b)
            is_waiting.wait(30)
            with pytest.raises(ServiceClosedError):
                house.models.reload(house.places["a"], since=1, stop=_set())
            assert house.account.held(MAIN) == SIZE
            assert house.models.use_now(house.places["a"]) is None
        waiting.result(timeout=30)
    assert house.memory.faults == []


def test_one_that_is_loaded_anew_still_leaves_for_those_who_wait() -> None:
    house = House("ab", room=1)
    place = house.places["a"]
    with ThreadPoolExecutor(1) as pool:
        with house.models.use(place):
            waiting = pool.submit(house.use, "b")
            assert wait_until(lambda: place.must_leave, within_s=30)
            house.models.reload(place, since=1)
            assert house.models.use_now(place) is None
        waiting.result(timeout=30)


def test_one_that_nobody_loads_anew_leaves() -> None:
    house = House("a", room=1)
    with house.models.use(house.places["a"]), pytest.raises(ServiceClosedError):
        house.models.reload(house.places["a"], since=1, stop=_set())
    assert house.weights["a"].unloaded.wait(30)
    house.use("a")
    assert house.weights["a"].loads == 2


def test_whoever_comes_next_loads_it_anew_in_the_room_that_it_has() -> None:
    house = House("a", room=1)
    with ThreadPoolExecutor(1) as pool, house.models.use(house.places["a"]):
        with pytest.raises(ServiceClosedError):
            house.models.reload(house.places["a"], since=1, stop=_set())
        try:
            pool.submit(house.use, "a").result(timeout=30)
        finally:
            house.models.close()  # or else a thread that hangs is waited for
    assert house.weights["a"].loads == 2


def test_users_who_want_it_loaded_anew_share_one_load() -> None:
    house = House("a", room=1)
    house.use("a")
    everyone = threading.Barrier(4)

    def use(_: int) -> None:
        with house.models.use(house.places["a"]):
            everyone.wait()
            house.models.reload(house.places["a"], since=1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    assert house.weights["a"].loads == 2
    assert house.account.held(MAIN) == SIZE


def test_a_model_that_cannot_be_loaded_anew_gives_its_room_back() -> None:
    house = House("ab", room=1)
    house.use("a")
    house.weights["a"].failures = [ModelLoadError("no such file")]
    with pytest.raises(ModelLoadError):
        house.reload("a")
    house.use("b")
    house.use("a")
    assert house.weights["a"].loads == 3


def test_what_takes_nothing_is_being_restarted_and_keeps_its_room() -> None:
    house = House("a", room=1)
    house.use("a")
    house.models.note(house.places["a"], {MAIN: 0})
    assert house.account.held(MAIN) == SIZE
    house.models.note(house.places["a"], {MAIN: MIB})
    assert house.account.held(MAIN) == MIB


def test_a_load_that_failed_meanwhile_is_not_tried_again() -> None:
    house = House("a", room=1)
    house.weights["a"].failures = [ModelLoadError("no such file")]
    with pytest.raises(ModelLoadError):
        house.models.use(house.places["a"])
    with pytest.raises(ModelLoadError):
        house.models.use(house.places["a"], since=0)
    assert house.weights["a"].loads == 1
    house.use("a")


def _set() -> threading.Event:
    event = threading.Event()
    event.set()
    return event
