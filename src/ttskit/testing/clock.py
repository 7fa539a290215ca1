"""Virtual time: the event loop's clock jumps to what it waits for, so an hour passes at once.

With a seed, tasks that are ready run in a random order that the seed repeats.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import random
import selectors
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypedDict, TypeVar, TypeVarTuple

import anyio
from typing_extensions import override

from ttskit.errors import DependencyMissingError, InvalidParameterError

T = TypeVar("T")
Args = TypeVarTuple("Args")
Backend = tuple[str, "BackendOptions"]


class BackendOptions(TypedDict, total=False):
    """What AnyIO hands to the event loop; one of the two, by backend."""

    loop_factory: Callable[[], asyncio.AbstractEventLoop]
    clock: object


class _JumpingSelector(selectors.DefaultSelector):
    """Turns the clock where it was asked to wait for it."""

    def __init__(self, grace_s: float) -> None:
        super().__init__()
        self.now = 0.0
        self._grace_s = grace_s

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(self._grace_s)
        if not ready:
            self.now = _later(self.now, timeout)
        return ready


def _later(now: float, seconds: float) -> float:
    """Return the time then; asyncio calls what is due before the time plus its resolution."""
    then = now + seconds
    is_coarse = then + time.get_clock_info("monotonic").resolution == then
    return math.nextafter(then, math.inf) if is_coarse else then


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on virtual time; it starts at 0 s and stands still while anything runs.

    Args:
        grace_s: Real seconds that a thread or a socket is given before the clock jumps.
        seed: Shuffles tasks that are ready at the same time; None: first come, first served.
    """

    def __init__(self, *, grace_s: float = 0.0, seed: int | None = None) -> None:
        self._jumping = _JumpingSelector(grace_s)
        self._dice = None if seed is None else random.Random(seed)  # noqa: S311 - to be repeated
        self._steps: list[Callable[[], object]] = []
        super().__init__(self._jumping)

    @override
    def time(self) -> float:
        return self._jumping.now

    @override
    def call_soon(
        self,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        # Only the steps of tasks: transports rely on the order of their own callbacks.
        is_step = isinstance(getattr(callback, "__self__", None), asyncio.Task)
        if self._dice is None or not is_step:
            return super().call_soon(callback, *args, context=context)
        # Each turn draws another step than the one that asked for it.
        runner = contextvars.copy_context() if context is None else context
        self._steps.append(partial(runner.run, callback, *args))
        return super().call_soon(self._draw, self._dice)

    def _draw(self, dice: random.Random) -> None:
        self._steps.pop(dice.randrange(len(self._steps)))()


def virtual_backend(
    name: str = "asyncio", *, grace_s: float = 0.0, seed: int | None = None
) -> Backend:
    """Return AnyIO's backend and its options for a run on virtual time.

    It is what the fixture ``anyio_backend`` may return, for a module of tests on virtual time,
    and what ``anyio.run`` takes as ``backend`` and ``backend_options``.

    Args:
        name: ``asyncio`` or ``trio``.
        grace_s: Real seconds without anything to do before the clock jumps. 0 is right where
            only tasks work; threads and sockets need some time, such as 0.05.
        seed: Of the order in which tasks run that are ready together; asyncio only (trio's
            order is random by itself).

    Raises:
        InvalidParameterError: There is no such backend, or trio was given a seed.
        DependencyMissingError: trio is not installed.
    """
    if name == "asyncio":
        return name, {"loop_factory": partial(VirtualLoop, grace_s=grace_s, seed=seed)}
    if name != "trio" or seed is not None:
        raise InvalidParameterError(f"no seeded or virtual clock for {name!r}: use 'asyncio'")
    try:
        from trio.testing import MockClock  # optional
    except ModuleNotFoundError as error:
        raise DependencyMissingError("pip install trio to test on it", cause=error) from error
    return name, {"clock": MockClock(autojump_threshold=grace_s)}


def virtual_time(
    main: Callable[[*Args], Awaitable[T]],
    *args: *Args,
    backend: str = "asyncio",
    grace_s: float = 0.0,
    seed: int | None = None,
) -> T:
    """Run ``main(*args)`` in an event loop of its own on virtual time and return its result.

    An error carries the seed as a note, so that the schedule can be had again.

    Args:
        main: A coroutine function.
        args: Its arguments.
        backend: As for ``virtual_backend``, like the others.
        grace_s: Real seconds for threads and sockets before each jump.
        seed: Of the schedule.
    """
    name, options = virtual_backend(backend, grace_s=grace_s, seed=seed)
    try:
        return anyio.run(main, *args, backend=name, backend_options=dict(options))
    except BaseException as error:
        if seed is not None:
            error.add_note(f"schedule: seed={seed}")
        raise
